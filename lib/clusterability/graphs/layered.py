"""From weight matrices to weighted undirected graphs (C, section 2.1).

Every neuron is a vertex; an edge between neurons of adjacent layers weighs |w|. Biases play no part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import scipy.sparse

from clusterability.base.errors import InputError
from clusterability.graphs import null_models
from clusterability.graphs.graph import Graph


@dataclass(frozen=True, eq=False)
class LayeredGraph(Graph):
    """A graph whose edges join adjacent layers only.

    >>> graph = LayeredGraph.of([np.array([[1.0, -2.0], [0.0, 3.0]]), np.array([[-1.0, 0.5]])])
    >>> graph.layer_sizes, graph.degree.tolist()
    ((2, 2, 1), [1.0, 5.0, 4.0, 3.5, 1.5])
    >>> kept, present = LayeredGraph.of([np.array([[1.0, 0.0], [0.0, 0.0]])]).without_isolated()
    >>> kept.layer_sizes, [layer.tolist() for layer in present]
    ((1, 1), [[True, False], [True, False]])
    """

    blocks: tuple[np.ndarray, ...]  # (n[l + 1], n[l]) float64, not negative: weights between layers l and l + 1

    @classmethod
    def of(cls, matrices: Sequence[np.ndarray]) -> LayeredGraph:
        """The graph of a perceptron's weights (out, in), first layer first; InputError by :func:`check_matrices`."""
        matrices = [np.asarray(matrix) for matrix in matrices]
        check_matrices(matrices)
        return cls(tuple(np.abs(matrix, dtype=np.float64) for matrix in matrices))

    @property
    def layer_sizes(self) -> tuple[int, ...]:
        return (self.blocks[0].shape[1], *map(len, self.blocks))

    @cached_property
    def degree(self) -> np.ndarray:
        degrees = [np.zeros(size) for size in self.layer_sizes]
        for layer, block in enumerate(self.blocks):
            degrees[layer] += block.sum(axis=0)
            degrees[layer + 1] += block.sum(axis=1)
        return np.concatenate(degrees)

    @property
    def adjacency(self) -> scipy.sparse.csr_array:
        first, *_, last = self.layer_sizes
        none_before, none_behind = scipy.sparse.coo_array((first, 0)), scipy.sparse.coo_array((0, last))
        below = scipy.sparse.block_diag([none_before, *self.blocks, none_behind], format="csr")
        return below + below.T

    def within(self, one_hot: np.ndarray) -> np.ndarray:
        ends = zip(self.blocks, pairwise(self.by_layer(one_hot)), strict=True)
        return sum(2 * ((block @ before) * after).sum(axis=0) for block, (before, after) in ends)

    def shuffled(self, null_model: str, rng: np.random.Generator) -> LayeredGraph:
        return LayeredGraph(tuple(null_models.shuffled(block, null_model, rng) for block in self.blocks))

    def among(self, kept: np.ndarray) -> LayeredGraph:
        ends = zip(self.blocks, pairwise(self.by_layer(kept)), strict=True)
        return LayeredGraph(tuple(block[after][:, before] for block, (before, after) in ends))


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
