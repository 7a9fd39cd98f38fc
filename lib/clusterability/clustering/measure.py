"""Is a network more clusterable than chance? Null models, z-scores and p-values (C, section 3)."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from clusterability.base.errors import InputError
from clusterability.base.records import as_declared
from clusterability.base.statistics import p_value, z_score
from clusterability.clustering.ncut import (
    Clustering,
    check_n_clusters,
    in_out_ratio,
    shares,
    spectral_clustering,
    with_isolated,
)
from clusterability.clustering.spectral import laplacian_eigenpairs
from clusterability.graphs.graph import Graph
from clusterability.graphs.null_models import ENTRYWISE, check_null_model

_MORE_EIGENVALUES = 4  # than clusters, to see whether a gap follows the last one used


@dataclass(frozen=True)
class Measurement:
    """How a network is measured."""

    n_clusters: int = 12
    n_shuffles: int = 50  # random networks that the n-cut is compared with; at 0 it is not compared
    null_model: str = "layer"  # what is shuffled: see :func:`clusterability.graphs.null_models.shuffled`
    n_eigenvectors: int | None = None  # dimensions of the embedding; by default as many as there are clusters
    n_starts: int | None = None  # of k-means; by default :func:`clusterability.clustering.ncut.n_starts`
    volume_epsilon: float | None = None  # added to volumes, see :func:`clusterability.clustering.ncut.ncut`

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
    """How clusterable a network is, absolutely and against its null model."""

    ncut: float
    shuffled_ncuts: np.ndarray  # (n_shuffles,)
    labels: list[np.ndarray]  # cluster of every neuron, of int64, an array a layer; −1 for isolated neurons
    n_vertices: int  # neurons that are not isolated
    n_clusters: int
    eigenvalues: np.ndarray  # of the normalized Laplacian, the smallest ascending: up to four more than clusters
    late_shares: np.ndarray  # an entry an eigenvalue: its squared unit vector's share in the later half of the layers
    volume_shares: np.ndarray  # (n_clusters,) the largest volume first
    vertex_shares: np.ndarray  # (n_clusters,) in the same order

    @property
    def z(self) -> float:
        """NaN if there are no shuffles."""
        return z_score(self.ncut, self.shuffled_ncuts) if len(self.shuffled_ncuts) else math.nan

    @property
    def p(self) -> float:
        """NaN if there are no shuffles."""
        return p_value(self.ncut, self.shuffled_ncuts) if len(self.shuffled_ncuts) else math.nan

    @property
    def effective_clusters(self) -> float:
        """Number of clusters of equal volume that are as diverse as these: the exponential of the shares' entropy."""
        positive = self.volume_shares[self.volume_shares > 0]
        return float(np.exp(-(positive * np.log(positive)).sum()))

    @property
    def negligible_clusters(self) -> int:
        """Number of clusters that hold less than 10⁻⁸ of the volume: of dead neurons.

        One costs 1 or nearly so where all its edges leave it, and nothing where it is cut off from the rest."""
        return int((self.volume_shares < 1e-8).sum())

    @property
    def in_out_ratio(self) -> float:
        return in_out_ratio(self.ncut, self.n_clusters)


def measure(
    graph: Graph, measurement: Measurement, seed: int, *, workers: int = 1, progress: Callable[[], None] | None = None
) -> Clusterability:
    """Cluster a network's graph and its shuffles, on ``workers`` threads; ``progress`` is called after every one.

    Isolated neurons are deleted first; then the weights are shuffled; then neurons that the shuffle has isolated are
    deleted too (as released). Every clustering has a seed of its own, made of ``seed``, so the result does not depend
    on ``workers``. InputError for more clusters than connected neurons, or a null model that the graph cannot have.
    """
    if measurement.null_model not in ENTRYWISE and graph.blocks is None:
        raise InputError(
            f"null model {measurement.null_model!r} is one of weight matrices, and this graph has none: choose "
            f"{' or '.join(ENTRYWISE)}"
        )
    kept, present = graph.without_isolated()
    check_n_clusters(measurement.n_clusters, kept.n_vertices)
    seeds = np.random.SeedSequence(seed).spawn(measurement.n_shuffles + 1)

    def cluster(index: int) -> Clustering:
        clustering_seed, shuffle_seed = seeds[index].spawn(2)
        candidate = kept
        if index:
            shuffled = kept.shuffled(measurement.null_model, np.random.default_rng(shuffle_seed))
            candidate, _ = shuffled.without_isolated()
        result = spectral_clustering(
            candidate, measurement.n_clusters, int(clustering_seed.generate_state(1)[0]),
            n_init=measurement.n_starts, n_eigenvectors=measurement.n_eigenvectors,
            volume_epsilon=measurement.volume_epsilon or 0.0,
        )  # fmt: skip
        if progress is not None:
            progress()
        return result

    # Clusterings side by side on one core each beat one clustering on all cores.
    with threadpool_limits(1), ThreadPoolExecutor(workers) as pool:
        own, *others = pool.map(cluster, range(measurement.n_shuffles + 1))
        n_pairs = min(measurement.n_clusters + _MORE_EIGENVALUES, kept.n_vertices)
        eigenvalues, eigenvectors = laplacian_eigenpairs(kept, n_pairs)
    n_early = sum(kept.layer_sizes[: (len(kept.layer_sizes) + 1) // 2])
    volumes, counts = shares(own.labels, kept.degree), shares(own.labels, np.ones(kept.n_vertices))
    order = np.argsort(-volumes, kind="stable")
    return Clusterability(
        ncut=own.ncut,
        shuffled_ncuts=np.array([clustering.ncut for clustering in others]),
        labels=graph.by_layer(with_isolated(own.labels, present)),
        n_vertices=kept.n_vertices,
        n_clusters=measurement.n_clusters,
        eigenvalues=eigenvalues,
        late_shares=np.square(eigenvectors[n_early:]).sum(axis=0),
        volume_shares=volumes[order],
        vertex_shares=counts[order],
    )
