"""k-means: greedy k-means++ starts, Lloyd's iterations, the best of many starts.

Compiled, and without locks, so that threads can cluster several graphs at a time. The distances of 64
points to one centre are computed together, which fills the processor's vector units. Points are compared in
single precision where that tells them apart. It does not where a few lie so far out that all others look alike,
as those of a nearly dead component do: there all is computed anew in double precision, from differences.
"""

from __future__ import annotations

import numba
import numpy as np

from clusterability.base.errors import InputError

_BLOCK = 64  # points whose distances are computed together
_MAX_ITERATIONS = 300
_TOLERANCE = 1e-4  # of the mean variance of a coordinate: centres that move less have settled
# Rounding in single precision costs a point some 4e-7 of its squared distance from the mean at most. Where the
# inertia is below this share of the sum of these, that is no longer small beside what is left to minimize.
_SMALLEST_SHARE = 1e-4


def kmeans(points: np.ndarray, n_clusters: int, n_init: int, seed: int) -> tuple[np.ndarray, float]:
    """Cluster points by k-means and return the start of least inertia.

    Starts, stopping rule and tolerance are those of scikit-learn's ``KMeans``: greedy k-means++
    (Arthur & Vassilvitskii, 2007) with 2 + ⌊ln k⌋ candidates a centre.

    Parameters
    ----------
    points : ndarray (n, d) of float
    n_clusters : int
    n_init : int
        Number of starts.
    seed : int

    Returns
    -------
    labels : ndarray (n,) of int64, in 0 ... n_clusters − 1
        Numbered in the order in which clusters appear, so that equal partitions have equal labels.
    inertia : float
        Sum of squared distances of the points to the mean of their cluster.

    Raises
    ------
    InputError
        Fewer than one cluster or start, or more clusters than points.

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
    if not np.isfinite(size):
        raise InputError("points that are NaN or infinite cannot be clustered")
    exponent = int(np.frexp(size)[1])  # by a power of two nothing is rounded, and no square overflows
    points = np.ascontiguousarray(np.ldexp(points, -exponent), dtype=np.float64)
    centred = points - points.mean(axis=0)  # distances stay, and lose less to rounding
    n_candidates = 2 + int(np.log(n_clusters))
    draws = np.random.default_rng(seed).random((n_init, n_clusters, n_candidates))
    tolerance = _TOLERANCE * centred.var(axis=0).mean()
    labels, inertia = _best_of(centred, _columns(centred, np.float32), draws, tolerance)
    if inertia < _SMALLEST_SHARE * np.square(centred).sum():
        labels, inertia = _best_of(points, _columns(points, np.float64), draws, 0.0)
    inertia = float(np.ldexp(inertia, 2 * exponent))
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse], inertia


def _columns(points: np.ndarray, dtype: type) -> np.ndarray:
    """Coordinates (d, n), filled up with zeros to whole blocks."""
    n, d = points.shape
    columns = np.zeros((d, -(-n // _BLOCK) * _BLOCK), dtype)
    columns[:, :n] = points.T
    return columns


@numba.njit(cache=True, nogil=True)
def _best_of(points, columns, draws, tolerance):
    """The start of least inertia; columns of double precision ask for all of it."""
    best_labels, best_inertia = np.empty(0, np.int64), np.inf
    for start in range(draws.shape[0]):
        centres = _plus_plus(points, columns, draws[start])
        if columns.itemsize == 8:
            labels, inertia = _lloyd_by_differences(points, columns, centres)
        else:
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
    n, d = points.shape
    n_clusters = centres.shape[0]
    sums, counts = np.zeros((n_clusters, d)), np.zeros(n_clusters, np.int64)
    labels = np.full(n, -1, np.int64)
    nearest = np.zeros(columns.shape[1], np.int32)
    best, scores = np.empty(_BLOCK, np.float32), np.empty(_BLOCK, np.float32)
    halves = np.empty(n_clusters, np.float32)
    for _ in range(_MAX_ITERATIONS):
        for j in range(n_clusters):
            halves[j] = 0.5 * np.sum(centres[j] ** 2)
        _nearest(columns, centres.astype(np.float32), halves, best, nearest, scores)
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
def _lloyd_by_differences(points, columns, centres):
    """As :func:`_lloyd`, to the end: no sum holds a point that has left its cluster, and nothing is expanded."""
    n, d = points.shape
    n_clusters = centres.shape[0]
    labels, distances = np.full(n, -1, np.int64), np.empty((n_clusters, columns.shape[1]))
    sums, counts = np.empty((n_clusters, d)), np.empty(n_clusters, np.int64)
    inertia = np.inf
    for _ in range(_MAX_ITERATIONS):
        for j in range(n_clusters):
            _squared_distances(columns, centres[j], distances[j])
        sums[:], counts[:] = 0, 0
        changed, inertia = False, 0.0
        for i in range(n):
            new = np.argmin(distances[:, i])
            changed |= new != labels[i]
            labels[i] = new
            sums[new] += points[i]
            counts[new] += 1
            inertia += distances[new, i]
        if not changed:
            break
        _refill_empty(points, centres, labels, sums, counts)
        for j in range(n_clusters):
            centres[j] = sums[j] / counts[j]
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
