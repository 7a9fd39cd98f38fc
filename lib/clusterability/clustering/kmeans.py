"""k-means: greedy k-means++ starts, Lloyd's iterations, the best of many starts.

Compiled, and without locks, so that threads can cluster several graphs at a time. The distances of 64
points to one centre are computed together, which fills the processor's vector units.

Single precision is enough but where a few points lie so far out that all others look alike, as the vertices of
a nearly dead component do: there all is computed anew in double precision, from differences.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from clusterability.base.errors import InputError

_BLOCK = 64  # points whose distances are computed together
_MAX_ITERATIONS = 300
_TOLERANCE = 1e-4  # of the mean variance of a coordinate: centres that move less have settled
# In single precision, assignments may cost some 1e-6 of the squared distances from the mean more than they need:
# much beside an inertia below this share of these distances, so that clusters may have been lost.
_SMALLEST_SHARE = 1e-4


def kmeans(points: np.ndarray, n_clusters: int, n_init: int, seed: int) -> tuple[np.ndarray, float]:
    """Labels (n,) of int64 of points (n, d) by the best of ``n_init`` starts of k-means, and its inertia: the sum of
    squared distances of the points to the mean of their cluster.

    Starts, stopping rule and tolerance are those of scikit-learn's ``KMeans``: greedy k-means++ (Arthur &
    Vassilvitskii, 2007) with 2 + ⌊ln k⌋ candidates a centre. Clusters are numbered in the order in which they appear,
    so that equal partitions have equal labels. InputError for fewer than one cluster or start, more clusters than
    points, or points that are not finite.

    >>> labels, inertia = kmeans(np.array([[0.0], [0.2], [5.0], [5.2]]), 2, n_init=3, seed=0)
    >>> labels.tolist(), round(inertia, 6)
    ([0, 0, 1, 1], 0.04)
    """
    n = len(points)
    if not 1 <= n_clusters <= n:
        raise InputError(f"{n_clusters} clusters asked of {n} points")
    if n_init < 1:
        raise InputError(f"{n_init} starts of k-means: at least 1 is needed")
    size = np.abs(points).max()
    if not math.isfinite(size):
        raise InputError("points that are NaN or infinite cannot be clustered")
    exponent = max(-1000, min(math.frexp(size)[1], 1000))
    points = points * 2.0**-exponent  # a power of two rounds nothing; no square overflows
    centred = points - points.mean(axis=0)  # distances stay, and lose less to rounding
    n_candidates = 2 + int(np.log(n_clusters))
    draws = np.random.default_rng(seed).random((n_init, n_clusters, n_candidates))
    variance = centred.var(axis=0).mean()
    columns = _columns(centred, np.float32)
    labels, inertia = _best_of(np.ascontiguousarray(centred), columns, draws, _TOLERANCE * variance)
    if inertia < _SMALLEST_SHARE * variance * points.size:
        exponent -= 400  # no square underflows either
        points = np.ascontiguousarray(points * 2.0**400)  # not centred: that would round all but the far ones
        labels, inertia = _best_of(points, _columns(points, np.float64), draws, 0.0)
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse], inertia * 2.0**exponent * 2.0**exponent


def _columns(points: np.ndarray, dtype: type) -> np.ndarray:
    """Coordinates (d, n), filled up with zeros to whole blocks."""
    n, d = points.shape
    columns = np.zeros((d, -(-n // _BLOCK) * _BLOCK), dtype)
    columns[:, :n] = points.T
    return columns


@numba.njit(cache=True, nogil=True)
def _best_of(points, columns, draws, tolerance):
    best_labels, best_inertia = np.empty(0, np.int64), np.inf
    for start in range(draws.shape[0]):
        centres = _plus_plus(points, columns, draws[start])
        labels, inertia = _lloyd(points, columns, centres, tolerance)
        if inertia < best_inertia:
            best_labels, best_inertia = labels, inertia
    return best_labels, best_inertia


@numba.njit(cache=True, nogil=True, fastmath=True)
def _squared_distances(columns, centre, out):
    for block in range(0, columns.shape[1], _BLOCK):
        target = out[block : block + _BLOCK]
        for i in range(_BLOCK):
            target[i] = 0
        for f in range(columns.shape[0]):
            row = columns[f, block : block + _BLOCK]
            c = centre[f]
            for i in range(_BLOCK):
                target[i] += (row[i] - c) * (row[i] - c)


@numba.njit(cache=True, nogil=True, fastmath=True)
def _lower_potential(distances, closest, n):
    total = 0.0
    for i in range(n):
        total += min(distances[i], closest[i])
    return total


@numba.njit(cache=True, nogil=True)
def _plus_plus(points, columns, draws):
    """Greedy k-means++: of several points drawn by their squared distance, take the most useful."""
    n, d = points.shape
    n_clusters, n_candidates = draws.shape
    centres = np.empty((n_clusters, d), np.float64)
    centres[0] = points[min(int(draws[0, 0] * n), n - 1)]
    closest = np.empty(columns.shape[1], columns.dtype)
    distances = np.empty(columns.shape[1], columns.dtype)
    best_distances = np.empty(columns.shape[1], columns.dtype)
    cumulative = np.empty(n, np.float64)
    _squared_distances(columns, centres[0].astype(columns.dtype), closest)
    for j in range(1, n_clusters):
        total = 0.0
        for i in range(n):
            total += closest[i]
            cumulative[i] = total
        best, best_potential = 0, np.inf
        for candidate in range(n_candidates):
            chosen = min(np.searchsorted(cumulative, draws[j, candidate] * total), n - 1)
            _squared_distances(columns, points[chosen].astype(columns.dtype), distances)
            potential = _lower_potential(distances, closest, n)
            if potential < best_potential:
                best, best_potential = chosen, potential
                best_distances, distances = distances, best_distances
        centres[j] = points[best]
        for i in range(n):
            closest[i] = min(closest[i], best_distances[i])
    return centres


@numba.njit(cache=True, nogil=True, fastmath=True)
def _nearest(columns, centres, halves, best, nearest, scores):
    """Index of the nearest centre of every point; compares |c|²/2 − x·c, which orders alike."""
    for block in range(0, columns.shape[1], _BLOCK):
        for i in range(_BLOCK):
            best[i] = np.float32(np.inf)
        target = nearest[block : block + _BLOCK]
        for j in range(centres.shape[0]):
            for i in range(_BLOCK):
                scores[i] = halves[j]
            for f in range(columns.shape[0]):
                row = columns[f, block : block + _BLOCK]
                c = centres[j, f]
                for i in range(_BLOCK):
                    scores[i] -= c * row[i]
            for i in range(_BLOCK):
                if scores[i] < best[i]:
                    best[i] = scores[i]
                    target[i] = j


@numba.njit(cache=True, nogil=True)
def _lloyd(points, columns, centres, tolerance):
    """Columns of double precision ask for distances from differences, and sums that hold nothing that has left."""
    n, d = points.shape
    n_clusters = centres.shape[0]
    sums, counts = np.zeros((n_clusters, d)), np.zeros(n_clusters, np.int64)
    labels = np.full(n, -1, np.int64)
    nearest = np.zeros(columns.shape[1], np.int32)
    best, scores = np.empty(_BLOCK, np.float32), np.empty(_BLOCK, np.float32)
    halves = np.empty(n_clusters, np.float32)
    single = columns.itemsize == 4
    distances, potential = np.empty((0 if single else n_clusters, columns.shape[1]), columns.dtype), np.inf
    for _ in range(_MAX_ITERATIONS):
        if single:
            for j in range(n_clusters):
                halves[j] = 0.5 * np.sum(centres[j] ** 2)
            _nearest(columns, centres.astype(np.float32), halves, best, nearest, scores)
        else:
            for j in range(n_clusters):
                _squared_distances(columns, centres[j], distances[j])
            last, potential = potential, 0.0
            for i in range(n):
                nearest[i] = np.argmin(distances[:, i])
                potential += distances[nearest[i], i]
            if potential >= last:
                break
            sums[:], counts[:], labels[:] = 0, 0, -1
        changed = False
        for i in range(n):  # only points that moved change the sums: few, after some iterations
            new, old = nearest[i], labels[i]
            if new != old:
                changed = True
                labels[i] = new
                counts[new] += 1
                sums[new] += points[i]
                if old >= 0:
                    counts[old] -= 1
                    sums[old] -= points[i]
        if not changed:
            break
        _refill_empty(points, centres, labels, sums, counts)
        shift = 0.0
        for j in range(n_clusters):
            for f in range(d):
                mean = sums[j, f] / counts[j]
                shift += (mean - centres[j, f]) ** 2
                centres[j, f] = mean
        if shift <= tolerance:
            break
    inertia = 0.0
    for i in range(n):
        for f in range(d):
            difference = points[i, f] - sums[labels[i], f] / counts[labels[i]]
            inertia += difference * difference
    return labels, inertia


@numba.njit(cache=True, nogil=True)
def _refill_empty(points, centres, labels, sums, counts):
    """Give every empty cluster the point farthest from its centre, as scikit-learn does."""
    for j in range(len(counts)):
        if counts[j] == 0:
            farthest, largest = -1, -1.0
            for i in range(len(labels)):
                distance = np.sum((points[i] - centres[labels[i]]) ** 2)
                if counts[labels[i]] > 1 and distance > largest:
                    farthest, largest = i, distance
            old = labels[farthest]
            labels[farthest] = j
            counts[old] -= 1
            counts[j] += 1
            sums[old] -= points[farthest]
            sums[j] += points[farthest]
