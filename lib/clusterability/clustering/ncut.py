"""Spectral clustering of a graph and its normalized cut (C, section 2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clusterability.base.errors import InputError
from clusterability.clustering.spectral import embedding
from clusterability.graphs.graph import Graph


@dataclass(frozen=True, eq=False)
class Clustering:
    """A partition of a graph's vertices."""

    labels: np.ndarray  # (n_vertices,) of int64, in 0 ... n_clusters − 1
    ncut: float  # in [0, n_clusters]


def n_starts(n_vertices: int) -> int:
    """Starts of k-means: 25, or 100 above 2000 vertices, as in the released experiments."""
    return 100 if n_vertices > 2000 else 25


def spectral_clustering(
    graph: Graph,
    n_clusters: int,
    seed: int,
    n_init: int | None = None,
    n_eigenvectors: int | None = None,
    volume_epsilon: float = 0.0,
) -> Clustering:
    """Normalized spectral clustering (Shi & Malik, 2000; von Luxburg, 2007, random-walk form) of a graph without
    vertices of degree 0; InputError for fewer than 2 clusters, or more than there are vertices.

    k-means starts ``n_init`` times, by default :func:`n_starts`, in ``n_eigenvectors`` dimensions, by default as many
    as there are clusters, the constant eigenvector included. The labels do not depend on ``volume_epsilon``.

    >>> from clusterability.graphs.layered import LayeredGraph
    >>> two_parts = LayeredGraph.of([np.kron(np.eye(2), np.ones((3, 3)))])
    >>> spectral_clustering(two_parts, 2, seed=0).ncut
    0.0
    """
    check_n_clusters(n_clusters, graph.n_vertices)
    coordinates = embedding(graph, n_eigenvectors or n_clusters)
    from clusterability.clustering.kmeans import kmeans  # here, for its compiler takes a while to load

    labels, _ = kmeans(coordinates, n_clusters, n_init or n_starts(graph.n_vertices), seed)
    return Clustering(labels, ncut(graph, labels, volume_epsilon))


def check_n_clusters(n_clusters: int, n_vertices: int | None = None) -> None:
    """Raise InputError unless 2 <= n_clusters <= n_vertices."""
    if n_clusters < 2:
        raise InputError(f"{n_clusters} clusters asked for: at least 2 are needed")
    if n_vertices is not None and n_clusters > n_vertices:
        raise InputError(f"{n_clusters} clusters asked of a graph of {n_vertices} vertices")


def ncut(graph: Graph, labels: np.ndarray, volume_epsilon: float = 0.0) -> float:
    """Normalized cut Σ_i W(X_i, not X_i) / (vol(X_i) + ε) of a partition, with ε = 0 in the paper (C, section 2.2).

    Labels (n_vertices,) of int are 0 or more; labels without vertices count nothing. The released experiments have
    an ε of 10⁻⁸, so that a cluster of still smaller volume is free.

    >>> from clusterability.graphs.graph import MatrixGraph
    >>> tiny = MatrixGraph.of(np.array([[0, 1e-12, 0], [1e-12, 0, 1], [0, 1, 0]]))
    >>> [round(ncut(tiny, np.array([0, 1, 1]), epsilon), 3) for epsilon in (0, 1e-8)]
    [1.0, 0.0]
    """
    n_clusters = int(labels.max()) + 1
    volume, within = np.bincount(labels, graph.degree, n_clusters), graph.within(np.eye(n_clusters)[labels])
    volume, within = volume[volume > 0], within[volume > 0]
    return float((np.maximum(1 - within / volume, 0) * (volume / (volume + volume_epsilon))).sum())


def with_isolated(labels: np.ndarray, present: Sequence[np.ndarray]) -> np.ndarray:
    """Labels (n_vertices,) of a whole graph, −1 of isolated vertices, from ``labels`` of the others and, an array of
    bool a layer, which these are: see :meth:`clusterability.graphs.graph.Graph.without_isolated`.

    >>> with_isolated(np.array([1, 0]), [np.array([True, False]), np.array([True])]).tolist()
    [1, -1, 0]
    """
    kept = np.concatenate(present)
    everywhere = np.full(len(kept), -1, dtype=np.int64)
    everywhere[kept] = labels
    return everywhere


def shares(labels: np.ndarray, amounts: np.ndarray) -> np.ndarray:
    """Share (n_clusters,) of amounts (n,) that falls to each cluster: degrees give shares of the volume.

    >>> shares(np.array([0, 0, 1]), np.array([1.0, 1.0, 2.0])).tolist()
    [0.5, 0.5]
    """
    sums = np.bincount(labels, amounts)
    return sums / sums.sum()


def in_out_ratio(ncut: float, n_clusters: int) -> float:
    """Mean ratio of edge weight inside clusters to edge weight leaving them, (1 − n/k) / (2n/k).

    >>> in_out_ratio(6.0, 12)
    0.5
    """
    share = ncut / n_clusters
    return (1 - share) / (2 * share) if share > 0 else float("inf")
