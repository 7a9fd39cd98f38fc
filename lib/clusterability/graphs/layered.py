"""From weight matrices to weighted undirected graphs (C, section 2.1).

Every neuron is a vertex; an edge between neurons of adjacent layers weighs |w|. Biases play no part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import scipy.sparse

from clusterability.base.errors import InputError


@dataclass(frozen=True, eq=False)
class LayeredGraph:
    """A graph whose edges join adjacent layers only, kept as one block of edge weights a pair of layers.

    Attributes
    ----------
    blocks : tuple of ndarray (n[l + 1], n[l]) float64
        Nonnegative edge weights between layer l and layer l + 1.

    >>> graph = layered_graph([np.array([[1.0, -2.0], [0.0, 3.0]]), np.array([[-1.0, 0.5]])])
    >>> graph.layer_sizes, graph.n_vertices
    ((2, 2, 1), 5)
    >>> graph.degree
    array([1. , 5. , 4. , 3.5, 1.5])
    """

    blocks: tuple[np.ndarray, ...]

    @classmethod
    def of(cls, matrices: Sequence[np.ndarray]) -> LayeredGraph:
        """The graph of matrices (out, in) that are known to chain; layers may have lost all neurons."""
        return cls(tuple(np.abs(matrix, dtype=np.float64) for matrix in matrices))

    @property
    def layer_sizes(self) -> tuple[int, ...]:
        return (self.blocks[0].shape[1], *(block.shape[0] for block in self.blocks))

    @property
    def n_vertices(self) -> int:
        return sum(self.layer_sizes)

    @property
    def layer_degrees(self) -> list[np.ndarray]:
        """Sum of edge weights at every vertex, an array a layer."""
        degrees = [np.zeros(size) for size in self.layer_sizes]
        for layer, block in enumerate(self.blocks):
            degrees[layer] += block.sum(axis=0)
            degrees[layer + 1] += block.sum(axis=1)
        return degrees

    @property
    def degree(self) -> np.ndarray:
        """Sum of edge weights at every vertex (n_vertices,), layers one after another."""
        return np.concatenate(self.layer_degrees)

    @property
    def adjacency(self) -> scipy.sparse.csr_array:
        """Symmetric adjacency (n_vertices, n_vertices), layers one after another."""
        n_layers = len(self.layer_sizes)
        grid: list[list] = [[None] * n_layers for _ in range(n_layers)]
        for layer, size in enumerate(self.layer_sizes):  # the diagonal fixes every block's shape
            grid[layer][layer] = scipy.sparse.coo_array((size, size))
        for layer, block in enumerate(self.blocks):
            grid[layer + 1][layer] = scipy.sparse.coo_array(block)
            grid[layer][layer + 1] = scipy.sparse.coo_array(block.T)
        return scipy.sparse.block_array(grid, format="csr")


def check_matrices(matrices: Sequence[np.ndarray]) -> None:
    """Raise InputError unless the matrices are finite, not all zero, and chain as layers do."""
    if not matrices:
        raise InputError("there is no weight matrix: at least one 2-D array is needed")
    for layer, matrix in enumerate(matrices):
        if matrix.ndim != 2 or matrix.size == 0:
            raise InputError(f"layer {layer} has the shape {matrix.shape}: 2-D and not empty is needed")
        if not np.isfinite(matrix).all():
            raise InputError(f"layer {layer} holds weights that are NaN or infinite")
        with np.errstate(over="ignore"):
            if not np.isfinite(2 * len(matrices) * np.abs(matrix, dtype=np.float64).sum()):
                raise InputError(f"layer {layer} holds weights too large to be added up")
    for layer, (first, second) in enumerate(pairwise(matrices)):
        if first.shape[0] != second.shape[1]:
            raise InputError(
                f"layers {layer} and {layer + 1} do not chain: {first.shape[0]} outputs meet "
                f"{second.shape[1]} inputs (each matrix must be (out, in))"
            )
    if not any(matrix.any() for matrix in matrices):
        raise InputError("all weights are zero: such a network has no graph to cluster")


def layered_graph(matrices: Sequence[np.ndarray]) -> LayeredGraph:
    """The weight graph of a multi-layer perceptron.

    Parameters
    ----------
    matrices : sequence of ndarray (out, in)
        Weights of any sign, first layer first.

    Raises
    ------
    InputError
        See :func:`check_matrices`.
    """
    matrices = [np.asarray(matrix) for matrix in matrices]
    check_matrices(matrices)
    return LayeredGraph.of(matrices)


def connected_vertices(matrices: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Which neurons of every layer have a nonzero weight: a boolean array a layer."""
    present = [np.zeros(matrices[0].shape[1], bool), *(np.zeros(m.shape[0], bool) for m in matrices)]
    for layer, matrix in enumerate(matrices):
        present[layer] |= matrix.any(axis=0)
        present[layer + 1] |= matrix.any(axis=1)
    return present


def without_isolated(matrices: Sequence[np.ndarray]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Delete the vertices of degree 0 (C, section 2.1).

    Returns
    -------
    matrices : list of ndarray
        The same layers without the rows and columns of isolated neurons.
    present : list of ndarray of bool
        Which neurons of every original layer are left.

    >>> kept, present = without_isolated([np.array([[1.0, 0.0], [0.0, 0.0]]), np.array([[1.0, 0.0]])])
    >>> [matrix.shape for matrix in kept], [p.tolist() for p in present]
    ([(1, 1), (1, 1)], [[True, False], [True, False], [True]])
    """
    present = connected_vertices(matrices)
    if all(p.all() for p in present):
        return list(matrices), present
    kept = [matrix[present[layer + 1]][:, present[layer]] for layer, matrix in enumerate(matrices)]
    return kept, present
