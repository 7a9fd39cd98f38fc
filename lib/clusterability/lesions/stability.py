"""Would a network's clusters be found again, and do they tell what neurons do?

By adjusted Rand indices (Hubert & Arabie, 1985): 1 where two clusterings are the same, 0 on average where they have
nothing in common.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, pairwise

import numpy as np
from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score

from clusterability.clustering.ncut import spectral_clustering, with_isolated
from clusterability.graphs.gauge import CANONICAL, canonical, rescaled_weights
from clusterability.graphs.graph import MatrixGraph
from clusterability.graphs.layered import LayeredGraph

N_EXAMPLES = 2000  # of the test examples, on which the book looks at what neurons do

Arrays = Sequence[np.ndarray]


def rand_index(labels: np.ndarray, others: np.ndarray) -> float:
    """Adjusted Rand index of two clusterings (n,) of the same vertices; those left out of one, −1, are left out.

    >>> rand_index(np.array([0, 0, 1, 1, -1]), np.array([1, 1, 0, 0, 0]))
    1.0
    """
    both = (labels >= 0) & (others >= 0)
    return float(adjusted_rand_score(labels[both], others[both]))


def clustered(weights: Arrays, n_clusters: int, seed: int) -> np.ndarray:
    """Cluster of every neuron (n_neurons,), −1 of isolated ones."""
    kept, present = LayeredGraph.of(weights).without_isolated()
    return with_isolated(spectral_clustering(kept, n_clusters, seed).labels, present)


def found_again(
    weights: Arrays, biases: Arrays, n_clusters: int, seed: int, *, noise: float = 0.01, n: int = 5
) -> tuple[np.ndarray, dict[str, float]]:
    """A network's clusters (n_neurons,), and their mean adjusted Rand index with those found with other seeds of
    k-means ("seeds"), with every weight multiplied by 1 + ``noise`` times a normal number ("noise"), ``n`` times
    each, and in the canonical gauges, by name."""
    rng = np.random.default_rng(seed)
    first, *others = (clustered(weights, n_clusters, seed + number) for number in range(n + 1))
    noisy = [
        clustered([own * (1 + noise * rng.normal(size=own.shape)) for own in weights], n_clusters, seed)
        for _ in range(n)
    ]
    again = {"seeds": others, "noise": noisy}
    for gauge in CANONICAL:
        moved = rescaled_weights(weights, canonical(gauge, weights, biases))
        again[gauge] = [clustered(moved, n_clusters, seed)]
    return first, {name: float(np.mean([rand_index(first, one) for one in of])) for name, of in again.items()}


def by_function(
    weights: Arrays, biases: Arrays, labels: np.ndarray, x: np.ndarray, y: np.ndarray, seed: int
) -> dict[str, list[float]]:
    """What the clusters of every hidden layer's neurons have to do with what these neurons do on examples ``x``
    (n, in) with classes ``y`` (n,): adjusted Rand indices with clusters of neurons whose activations ("activations"),
    or whose gradients of the outputs ("gradients"), go together (Lange, Rolnick & Kording, 2022); and the adjusted
    mutual information with the class on which a neuron is most active ("classes"). Layers in one cluster are NaN.

    Two neurons are joined by the size of the correlation of their activations over examples, and of the cosine of
    their gradients over examples and outputs; as many clusters are made as the layer has.
    """
    active, gradients = _forward(weights, biases, x), []
    slope = np.broadcast_to(weights[-1], (len(x), *weights[-1].shape))
    for weight, above in zip(weights[-2::-1], active[:0:-1], strict=True):
        gradients.append(slope)
        slope = (slope * (above > 0)[:, None, :]) @ weight
    ends = np.cumsum([weights[0].shape[1], *map(len, weights)])
    found: dict[str, list[float]] = {"activations": [], "gradients": [], "classes": []}
    for (start, end), activation, gradient in zip(pairwise(ends[:-1]), active[1:], gradients[::-1], strict=True):
        own = labels[start:end]
        alive = (activation.std(axis=0) > 0) & (own >= 0) & gradient.any(axis=(0, 1))
        k = len(np.unique(own[alive]))
        if k < 2:
            for values in found.values():
                values.append(np.nan)
            continue
        centred = activation[:, alive] - activation[:, alive].mean(axis=0)
        for name, vectors in (
            ("activations", centred),
            ("gradients", gradient[:, :, alive].reshape(-1, alive.sum())),
        ):
            unit = vectors / np.linalg.norm(vectors, axis=0)
            joined = np.abs(unit.T @ unit)
            np.fill_diagonal(joined, 0)
            similar = spectral_clustering(MatrixGraph.of((joined + joined.T) / 2), k, seed).labels
            found[name].append(rand_index(own[alive], similar))
        by_class = np.stack([activation[y == one][:, alive].mean(axis=0) for one in np.unique(y)])
        found["classes"].append(float(adjusted_mutual_info_score(own[alive], by_class.argmax(axis=0))))
    return found


def _forward(weights: Arrays, biases: Arrays, x: np.ndarray) -> list[np.ndarray]:
    """What every layer but the last passes on, the examples themselves first, each (n, neurons)."""
    active = [x]
    for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
        active.append(np.maximum(active[-1] @ weight.T + bias, 0))
    return active


def between(clusterings: Arrays) -> list[float]:
    """The adjusted Rand index of all pairs of clusterings (n,) of the same vertices.

    >>> between([np.array([0, 1, 1]), np.array([1, 0, 0]), np.array([0, 1, 1])])
    [1.0, 1.0, 1.0]
    """
    return [rand_index(a, b) for a, b in combinations(clusterings, 2)]
