"""Is a network more clusterable than chance? Null models, z-scores and p-values (C, section 3)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace

import numpy as np
from threadpoolctl import threadpool_limits

from clusterability.base.errors import InputError
from clusterability.base.records import as_declared
from clusterability.base.statistics import p_value, z_score
from clusterability.clustering.ncut import (
    check_n_clusters,
    effective_number,
    in_out_ratio,
    shares,
    spectral_clustering,
)
from clusterability.clustering.spectral import Graph, laplacian_eigenpairs
from clusterability.graphs.channels import ChannelGraph
from clusterability.graphs.layered import LayeredGraph, check_matrices, without_isolated

NULL_MODELS = ("layer", "nonzero")
_MORE_EIGENVALUES = 4  # than clusters, to see whether a gap follows the last one used
_NEGLIGIBLE = 1e-8  # share of the volume


Network = Sequence[np.ndarray] | ChannelGraph
"""Matrices (out, in) of a multi-layer perceptron, or the graph of a traced model."""


def shuffled(network: Network, null_model: str, rng: np.random.Generator) -> list[np.ndarray] | ChannelGraph:
    """A network with the entries of every matrix permuted at random, each within itself.

    Parameters
    ----------
    network : sequence of ndarray (out, in), or ChannelGraph
        Of a graph, the norms of what a layer reads are one matrix.
    null_model : {"layer", "nonzero"}
        Permute all entries, or only the nonzero ones among their places, which keeps the sparsity
        pattern.

    >>> rng = np.random.default_rng(0)
    >>> [m] = shuffled([np.array([[0.0, 1.0], [2.0, 3.0]])], "nonzero", rng)
    >>> float(m[0, 0]), float(m.sum())
    (0.0, 6.0)
    """
    check_null_model(null_model)

    def permuted(entries: np.ndarray) -> np.ndarray:
        entries = entries.copy()
        if null_model == "layer":
            rng.shuffle(entries)
        else:
            places = np.flatnonzero(entries)
            entries[places] = rng.permutation(entries[places])
        return entries

    if isinstance(network, ChannelGraph):
        moved = tuple(connection.with_entries(permuted(connection.entries())) for connection in network.connections)
        return replace(network, connections=moved)
    return [permuted(matrix.ravel()).reshape(matrix.shape) for matrix in network]


def check_null_model(null_model: str) -> None:
    """Raise InputError if there is no such null model."""
    if null_model not in NULL_MODELS:
        raise InputError(f"no null model is called {null_model!r}: choose from {', '.join(NULL_MODELS)}")


@dataclass(frozen=True)
class Measurement:
    """How a network is measured.

    Attributes
    ----------
    n_clusters : int
    n_shuffles : int
        Random networks that the n-cut is compared with.
        At 0 it is not compared.
    null_model : {"layer", "nonzero"}
    n_eigenvectors : int, optional
        Dimensions of the embedding; by default as many as there are clusters.
    n_starts : int, optional
        Starts of k-means; by default :func:`clusterability.clustering.ncut.n_starts`.
    volume_epsilon : float, optional
        Added to the volumes in n-cuts, see :func:`clusterability.clustering.ncut.ncut`; by default nothing.
    """

    n_clusters: int = 12
    n_shuffles: int = 50
    null_model: str = "layer"
    n_eigenvectors: int | None = None
    n_starts: int | None = None
    volume_epsilon: float | None = None

    def __post_init__(self) -> None:
        as_declared(self)
        check_n_clusters(self.n_clusters)
        check_null_model(self.null_model)
        if self.n_shuffles < 0:
            raise InputError(f"{self.n_shuffles} shuffles asked for: 0 or more are needed")
        for name, words in (("n_eigenvectors", "eigenvectors"), ("n_starts", "starts of k-means")):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"{value} {words} asked for: at least 1 is needed")
        if self.volume_epsilon is not None and not 0 <= self.volume_epsilon < math.inf:
            raise InputError(f"volume_epsilon {self.volume_epsilon:g}: it must be finite and not negative")

    def as_dict(self) -> dict:
        """Plain dictionary, without options that change nothing."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True, eq=False)
class Clusterability:
    """How clusterable a network is, absolutely and against its null model.

    Attributes
    ----------
    ncut : float
    shuffled_ncuts : ndarray (n_shuffles,)
    labels : list of ndarray of int64
        Cluster of every neuron, an array a layer; −1 for isolated neurons.
    n_vertices : int
        Neurons that are not isolated.
    n_clusters : int
    eigenvalues : ndarray
        The smallest of the normalized Laplacian, ascending: four more than there are clusters, where
        the graph has so many.
    late_shares : ndarray, an entry an eigenvalue
        Share of the squared unit eigenvector that lies in the later half of the layers.
    volume_shares, vertex_shares : ndarray (n_clusters,)
        Every cluster's share of the volume and of the vertices, the largest volume first.
    """

    ncut: float
    shuffled_ncuts: np.ndarray
    labels: list[np.ndarray]
    n_vertices: int
    n_clusters: int
    eigenvalues: np.ndarray
    late_shares: np.ndarray
    volume_shares: np.ndarray
    vertex_shares: np.ndarray

    @property
    def z(self) -> float:
        """NaN if there are no shuffles."""
        return z_score(self.ncut, self.shuffled_ncuts) if len(self.shuffled_ncuts) else float("nan")

    @property
    def p(self) -> float:
        """NaN if there are no shuffles."""
        return p_value(self.ncut, self.shuffled_ncuts) if len(self.shuffled_ncuts) else float("nan")

    @property
    def effective_clusters(self) -> float:
        """Number of clusters of equal volume that are as diverse as these."""
        return effective_number(self.volume_shares)

    @property
    def negligible_clusters(self) -> int:
        """Number of clusters that hold less than 10⁻⁸ of the volume: dead neurons, each of which may cost 1."""
        return int((self.volume_shares < _NEGLIGIBLE).sum())

    @property
    def in_out_ratio(self) -> float:
        return in_out_ratio(self.ncut, self.n_clusters)


def measure(
    network: Network,
    measurement: Measurement,
    seed: int,
    *,
    workers: int = 1,
    progress: Callable[[], None] | None = None,
) -> Clusterability:
    """Cluster a network and its shuffles.

    Isolated neurons are deleted first; then the weights are shuffled; then neurons that the shuffle
    has isolated are deleted too (as released). Every clustering has a seed of its own, so the result
    does not depend on ``workers``.

    Parameters
    ----------
    network : sequence of ndarray (out, in), or ChannelGraph
    measurement : Measurement
    seed : int
        Of the k-means starts and the shuffles.
    workers : int
        Threads.
    progress : callable, optional
        Called after every clustering.

    Raises
    ------
    InputError
        Matrices that are no network, or more clusters than connected neurons.
    """
    if not isinstance(network, ChannelGraph):
        check_matrices(network)
    kept, present = _without_isolated(network)
    n_vertices = sum(int(p.sum()) for p in present)
    check_n_clusters(measurement.n_clusters, n_vertices)
    seeds = np.random.SeedSequence(seed).spawn(measurement.n_shuffles + 1)

    def cluster(index: int):
        clustering_seed, shuffle_seed = seeds[index].spawn(2)
        if index:
            rng = np.random.default_rng(shuffle_seed)
            candidate, _ = _without_isolated(shuffled(kept, measurement.null_model, rng))
        else:
            candidate = kept
        graph = _graph(candidate)
        check_n_clusters(measurement.n_clusters, graph.n_vertices)
        result = spectral_clustering(
            graph, measurement.n_clusters, int(clustering_seed.generate_state(1)[0]),
            n_init=measurement.n_starts, n_eigenvectors=measurement.n_eigenvectors,
            volume_epsilon=measurement.volume_epsilon or 0.0,
        )  # fmt: skip
        if progress is not None:
            progress()
        return result

    # Clusterings side by side on one core each beat one clustering on all cores.
    with threadpool_limits(1), ThreadPoolExecutor(workers) as pool:
        own, *others = pool.map(cluster, range(measurement.n_shuffles + 1))
        graph = _graph(kept)
        n_pairs = min(measurement.n_clusters + _MORE_EIGENVALUES, n_vertices)
        eigenvalues, eigenvectors = laplacian_eigenpairs(graph, n_pairs)
    n_layers = len(graph.layer_sizes)
    n_early = sum(graph.layer_sizes[: n_layers - n_layers // 2])
    volumes, counts = shares(own.labels, graph.degree), shares(own.labels, np.ones(n_vertices))
    order = np.argsort(-volumes, kind="stable")
    return Clusterability(
        ncut=own.ncut,
        shuffled_ncuts=np.array([clustering.ncut for clustering in others]),
        labels=_by_layer(own.labels, present),
        n_vertices=n_vertices,
        n_clusters=measurement.n_clusters,
        eigenvalues=eigenvalues,
        late_shares=np.square(eigenvectors[n_early:]).sum(axis=0),
        volume_shares=volumes[order],
        vertex_shares=counts[order],
    )


def _without_isolated(network: Network) -> tuple[Network, list[np.ndarray]]:
    return network.without_isolated() if isinstance(network, ChannelGraph) else without_isolated(network)


def _graph(network: Network) -> Graph:
    return network if isinstance(network, ChannelGraph) else LayeredGraph.of(network)


def _by_layer(labels: np.ndarray, present: Sequence[np.ndarray]) -> list[np.ndarray]:
    everywhere = np.full(sum(map(len, present)), -1, dtype=np.int64)
    everywhere[np.concatenate(present)] = labels
    return np.split(everywhere, np.cumsum([len(p) for p in present])[:-1])
