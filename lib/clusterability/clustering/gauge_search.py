"""Gauges of a ReLU network, see :mod:`clusterability.graphs.gauge`: canonical ones, random ones, and those in which
its n-cut is as small, or as large, as can be found. Rescaling neurons leaves the function as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import scipy.optimize

from clusterability.base.errors import InputError, check_known
from clusterability.clustering.ncut import spectral_clustering, with_isolated
from clusterability.graphs.gauge import CANONICAL, canonical, rescaled_weights
from clusterability.graphs.layered import LayeredGraph

_LEAST = {"log-normal": 0.0, "lower": 1.0, "higher": 1.0}  # gauges with a strength, and what it must be above
GAUGES = (*CANONICAL, *_LEAST)
_ROUNDS_DOWN, _STEPS, _ROUNDS_UP = 13, 20, 60


def check_gauge(gauge: str, strength: float = 0.0) -> None:
    """Raise InputError if there is no such gauge, or it cannot be had so strong."""
    check_known("gauge", gauge, GAUGES)
    if gauge in _LEAST and not _LEAST[gauge] < strength < np.inf:
        raise InputError(f"gauge {gauge!r} with the strength {strength:g}: above {_LEAST[gauge]:g} is needed")
    if gauge in CANONICAL and strength:
        raise InputError(f"gauge {gauge!r} with the strength {strength:g}: it has none")


def factors(
    gauge: str,
    strength: float,
    weights: Sequence[np.ndarray],
    biases: Sequence[np.ndarray],
    n_clusters: int,
    seed: int,
) -> list[np.ndarray]:
    """Factors of every hidden neuron, see :func:`clusterability.graphs.gauge.rescaled`.

    In the gauges :data:`clusterability.graphs.gauge.CANONICAL`; or "log-normal", of which ``strength`` is the
    standard deviation of the logarithms; or "lower" and "higher", see :func:`searched`, of which it is the bound.
    """
    check_gauge(gauge, strength)
    if gauge in CANONICAL:
        return canonical(gauge, weights, biases)
    if gauge == "log-normal":
        rng = np.random.default_rng(seed)
        return [np.exp(rng.normal(0, strength, len(weight))) for weight in weights[:-1]]
    return searched(weights, n_clusters, strength, up=gauge == "higher", seed=seed)


def searched(
    weights: Sequence[np.ndarray], n_clusters: int, bound: float, *, up: bool = False, seed: int = 0
) -> list[np.ndarray]:
    """Factors, see :func:`clusterability.graphs.gauge.rescaled`, between 1 / ``bound`` and ``bound`` a neuron, with
    which the n-cut of spectral clustering is as small, or with ``up`` as large, as this search finds.

    The network is clustered, factors are found that lower the n-cut of these clusters, or a small step is taken that
    raises it, and the network is clustered anew; the round with the smallest, or largest, n-cut of its own clusters
    counts. A local search: it shows how far the n-cut can be moved at least.
    """
    reach = np.log(bound)
    scales = drift = np.zeros(sum(len(weight) for weight in weights[:-1]))
    best, best_scales = (-np.inf if up else np.inf), scales
    for number in range(_ROUNDS_UP if up else _ROUNDS_DOWN):
        kept, present = _graph(weights, scales).without_isolated()
        found = spectral_clustering(kept, n_clusters, seed + number)
        if (found.ncut > best) == up:
            best, best_scales = found.ncut, scales
        labels = with_isolated(found.labels, present)
        if up:
            drift = 0.8 * drift + 0.2 * ncut_and_slope(weights, labels, n_clusters, scales)[1]
            step = 0.15 * reach / (1 + number / 10)
            scales = np.clip(scales + step * drift / np.sqrt(np.square(drift).mean()), -reach, reach)
        else:
            scales = scipy.optimize.minimize(
                lambda trial, labels=labels: ncut_and_slope(weights, labels, n_clusters, trial), scales, jac=True,
                method="L-BFGS-B", bounds=[(-reach, reach)] * len(scales), options={"maxiter": _STEPS},
            ).x  # fmt: skip
    return _by_layer(np.exp(best_scales), weights)


def ncut_and_slope(
    weights: Sequence[np.ndarray], labels: np.ndarray, n_clusters: int, scales: np.ndarray
) -> tuple[float, np.ndarray]:
    """The n-cut of given clusters, and its derivative (n_hidden,) by the logarithms ``scales`` (n_hidden,) of the
    hidden neurons' factors; ``labels`` (n_neurons,), −1 of neurons that do not count."""
    graph = _graph(weights, scales)
    one_hot = (labels[:, None] == np.arange(n_clusters)).astype(float)
    volume, inside = graph.degree @ one_hot, graph.within(one_hot)
    # By an edge: a weight inside a cluster adds 2 to what is inside, and every end 1 to its cluster's volume.
    by_end = np.append(inside / volume**2, 0)[labels]
    both = np.append(2 / volume, 0)[labels]
    slopes = []
    for block, end in zip(graph.blocks, np.cumsum(graph.layer_sizes)[:-1], strict=True):
        before, after = slice(end - block.shape[1], end), slice(end, end + block.shape[0])
        together = (labels[after, None] == labels[before]) * both[after, None]
        slopes.append(block * (by_end[after, None] + by_end[before] - together))
    return float(n_clusters - (inside / volume).sum()), np.concatenate(
        [into.sum(axis=1) - out_of.sum(axis=0) for into, out_of in pairwise(slopes)]
    )


def _graph(weights: Sequence[np.ndarray], scales: np.ndarray) -> LayeredGraph:
    return LayeredGraph.of(rescaled_weights(weights, _by_layer(np.exp(scales), weights)))


def _by_layer(values: np.ndarray, weights: Sequence[np.ndarray]) -> list[np.ndarray]:
    return np.split(values, np.cumsum([len(weight) for weight in weights[:-1]])[:-1])
