"""What clustering asks of a graph, and graphs given by their adjacency."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import scipy.sparse
import scipy.sparse.csgraph
import scipy.sparse.linalg

from clusterability.base.errors import InputError
from clusterability.graphs.null_models import permuted


class Graph(Protocol):
    """A weighted undirected graph whose vertices are numbered layer by layer."""

    layer_sizes: tuple[int, ...]
    blocks: tuple[np.ndarray, ...] | None  # edge weights between adjacent layers, where there are no other edges
    degree: np.ndarray  # (n_vertices,) sum of edge weights at every vertex
    adjacency: scipy.sparse.csr_array  # (n_vertices, n_vertices), symmetric

    def shuffled(self, null_model: str, rng: np.random.Generator) -> Graph:
        """The graph with the weights of every matrix as a null model has them, see
        :mod:`clusterability.graphs.null_models`."""

    def among(self, kept: np.ndarray) -> Graph:
        """What is left of the graph among some vertices (n_vertices,) of bool."""

    def without_isolated(self) -> tuple[Graph, list[np.ndarray]]:
        """The graph without vertices of degree 0 (C, section 2.1), and which are left: a boolean array a layer."""
        kept = self.degree > 0
        return self if kept.all() else self.among(kept), self.by_layer(kept)

    @property
    def n_vertices(self) -> int:
        return sum(self.layer_sizes)

    def by_layer(self, values: np.ndarray) -> list[np.ndarray]:
        """Values (n_vertices, ...) of the vertices, an array a layer."""
        return np.split(values, np.cumsum(self.layer_sizes)[:-1])

    def times(self, vectors: np.ndarray) -> np.ndarray:
        """Adjacency times vectors (n_vertices, q) of float64."""
        return self.adjacency @ vectors

    def within(self, one_hot: np.ndarray) -> np.ndarray:
        """Twice the weight inside every cluster (k,), of the clusters' indicators (n_vertices, k)."""
        return (self.times(one_hot) * one_hot).sum(axis=0)

    def scaled(self, scale: np.ndarray) -> scipy.sparse.csr_array | scipy.sparse.linalg.LinearOperator:
        """Adjacency with its rows and its columns multiplied by ``scale`` (n_vertices,)."""
        return scipy.sparse.diags_array(scale) @ self.adjacency @ scipy.sparse.diags_array(scale)

    def components(self) -> np.ndarray:
        """Which connected component every vertex is in (n_vertices,) of int."""
        return scipy.sparse.csgraph.connected_components(self.adjacency, directed=False)[1]


@dataclass(frozen=True, eq=False)
class MatrixGraph(Graph):
    """A graph of one layer, given by its adjacency.

    >>> MatrixGraph.of(np.array([[0.0, 2.0], [2.0, 1.0]])).degree.tolist()
    [2.0, 3.0]
    """

    adjacency: scipy.sparse.csr_array
    blocks = None

    @classmethod
    def of(cls, adjacency: np.ndarray | scipy.sparse.sparray) -> MatrixGraph:
        """The graph of an adjacency (n, n), sparse or dense: finite, symmetric, not negative, or InputError."""
        if adjacency.ndim != 2 or adjacency.shape[0] != adjacency.shape[1]:
            raise InputError(f"an adjacency of the shape {adjacency.shape}: it must be square")
        matrix = scipy.sparse.csr_array(adjacency, dtype=np.float64)
        if not np.isfinite(matrix.data).all() or (matrix.data < 0).any():
            raise InputError("the adjacency holds weights that are negative, NaN or infinite")
        if matrix.nnz and abs(matrix - matrix.T).max() > 1e-9 * matrix.max():
            raise InputError("the adjacency is not symmetric: edges must weigh the same in both directions")
        with np.errstate(over="ignore"):
            if not np.isfinite(matrix.sum()):
                raise InputError("the adjacency holds weights too large to be added up")
        return cls(matrix)

    @property
    def layer_sizes(self) -> tuple[int, ...]:
        return (self.adjacency.shape[0],)

    @cached_property
    def degree(self) -> np.ndarray:
        return np.asarray(self.adjacency.sum(axis=0)).ravel()

    def shuffled(self, null_model: str, rng: np.random.Generator) -> MatrixGraph:
        """Weights are permuted among the pairs of vertices; self-loops stay."""
        adjacency = self.adjacency.toarray()
        pairs = np.tril_indices(len(adjacency), -1)
        adjacency[pairs] = adjacency.T[pairs] = permuted(adjacency[pairs], null_model, rng)
        return MatrixGraph(scipy.sparse.csr_array(adjacency))

    def among(self, kept: np.ndarray) -> MatrixGraph:
        return MatrixGraph(self.adjacency[kept][:, kept])
