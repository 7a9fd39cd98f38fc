import hashlib
import time
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

from clusterability.base.errors import InputError
from clusterability.clustering.kmeans import kmeans
from clusterability.clustering.ncut import ncut
from clusterability.clustering.spectral import embedding
from clusterability.graphs.layered import LayeredGraph
from helpers import random_network


def inertia_of(points, labels):
    clusters = [points[labels == label] for label in np.unique(labels)]
    return sum(((cluster - cluster.mean(axis=0)) ** 2).sum() for cluster in clusters)


def blobs(seed):
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(9, 5)) * 3
    return centres[rng.integers(9, size=300)] + rng.normal(size=(300, 5))


def spectral_points(seed):
    matrices = random_network([150, 80, 80, 10], np.random.default_rng(seed), density=0.3)
    return embedding(LayeredGraph.of(matrices), 8)


def heavy_tailed_points(seed):
    """An embedding in which vertices of tiny degree lie far out."""
    rng = np.random.default_rng(seed)
    matrices = random_network([100, 60, 60, 10], rng)
    return embedding(LayeredGraph.of([m * np.exp(2 * rng.normal(size=m.shape)) for m in matrices]), 8)


@pytest.mark.parametrize("make_points", [blobs, spectral_points, heavy_tailed_points])
def test_inertia_is_no_worse_than_scikit_learn_s(make_points):
    ours, theirs = [], []
    for seed in range(6):
        points = make_points(seed)
        labels, inertia = kmeans(points, 8, n_init=10, seed=seed)
        assert_allclose(inertia, inertia_of(points, labels), rtol=1e-9)
        ours.append(inertia)
        with threadpool_limits(1):
            theirs.append(KMeans(8, n_init=10, random_state=seed).fit(points).inertia_)
    assert np.mean(ours) <= 1.01 * np.mean(theirs)


@st.composite
def points_and_n_clusters(draw):
    n, d = draw(st.integers(1, 90)), draw(st.integers(1, 5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    spread = draw(st.sampled_from([1e-6, 1.0, 1e6]))
    return rng.normal(size=(n, d)) * spread, draw(st.integers(1, min(n, 12)))


@given(points_and_n_clusters(), st.integers(0, 2**32 - 1))
def test_every_cluster_has_points_and_inertia_is_that_of_the_labels(case, seed):
    points, k = case
    labels, inertia = kmeans(points, k, n_init=2, seed=seed)
    assert labels.shape == (len(points),)
    assert labels.dtype == np.int64
    assert_array_equal(np.unique(labels), np.arange(k))
    total = ((points - points.mean(axis=0)) ** 2).sum()
    assert_allclose(inertia, inertia_of(points, labels), rtol=1e-9, atol=1e-9 * total)


@given(points_and_n_clusters(), st.integers(0, 2**32 - 1))
def test_the_same_seed_gives_the_same_result(case, seed):
    points, k = case
    first, second = kmeans(points, k, 3, seed), kmeans(points.copy(), k, 3, seed)
    assert_array_equal(first[0], second[0])
    assert first[1] == second[1]


def test_the_seed_matters():
    points = np.random.default_rng(0).normal(size=(200, 4))
    results = {kmeans(points, 10, n_init=1, seed=seed)[1] for seed in range(5)}
    assert len(results) > 1


def test_more_starts_never_hurt():
    points = np.random.default_rng(1).normal(size=(150, 3))
    few = np.mean([kmeans(points, 9, 1, seed)[1] for seed in range(10)])
    many = np.mean([kmeans(points, 9, 20, seed)[1] for seed in range(10)])
    assert many < few


@given(st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_fewer_distinct_points_than_clusters_leave_no_inertia(n_distinct, seed):
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(n_distinct, 3))[rng.integers(n_distinct, size=20)]
    labels, inertia = kmeans(points, n_distinct + 2, n_init=3, seed=seed)
    assert ((labels >= 0) & (labels < n_distinct + 2)).all()
    assert inertia <= 1e-12


@given(st.integers(1, 30), st.integers(0, 2**32 - 1))
def test_as_many_clusters_as_points_leave_no_inertia(n, seed):
    points = np.random.default_rng(seed).normal(size=(n, 2))
    labels, inertia = kmeans(points, n, n_init=1, seed=seed)
    assert sorted(labels) == list(range(n))
    assert inertia <= 1e-20


@given(st.integers(2, 8), st.lists(st.integers(-(10**6), 10**6), min_size=3, max_size=3), st.integers(0, 999))
def test_moving_all_points_changes_nothing(k, shift, seed):
    # Whole numbers and 2^6 points: the mean is exact, so the moved points are the same once centred.
    points = np.random.default_rng(seed).integers(-50, 50, (64, 3)).astype(float)
    here, there = kmeans(points, k, 2, seed), kmeans(points + shift, k, 2, seed)
    assert_array_equal(here[0], there[0])
    assert here[1] == there[1]


@given(st.integers(0, 2**32 - 1))
def test_nothing_is_better_than_the_best_of_all_partitions(seed):
    points = np.random.default_rng(seed).normal(size=(7, 2))
    best = min(inertia_of(points, np.array(labels)) for labels in product(range(3), repeat=7))
    _, inertia = kmeans(points, 3, n_init=50, seed=seed)
    assert best - 1e-9 <= inertia <= 1.1 * best


def test_well_separated_groups_are_found():
    rng = np.random.default_rng(4)
    groups = np.repeat(np.arange(5), 30)
    points = 10 * np.eye(5)[groups] + 0.1 * rng.normal(size=(150, 5))
    labels, _ = kmeans(points, 5, n_init=5, seed=0)
    assert len(set(zip(groups.tolist(), labels.tolist(), strict=True))) == 5


def test_numbers_that_make_no_sense_are_refused():
    for k, n_init, names in [(0, 1, "0 clusters"), (5, 1, "5 clusters"), (2, 0, "0 starts")]:
        with pytest.raises(InputError, match=names):
            kmeans(np.ones((4, 2)), k, n_init, seed=0)


def test_clusters_are_numbered_in_the_order_in_which_they_appear():
    points = np.random.default_rng(0).normal(size=(60, 3))
    for seed in range(10):
        labels, _ = kmeans(points, 7, n_init=2, seed=seed)
        _, first = np.unique(labels, return_index=True)
        assert_array_equal(first, np.sort(first))


def points_with_far_ones(seed, distance):
    """Five blobs, and three points so far out that in single precision the blobs would be one point."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(5, 4)) * 3
    near = centres[rng.integers(5, size=200)] + rng.normal(size=(200, 4))
    far = rng.normal(size=(3, 4))
    return np.vstack([near, distance * far / np.linalg.norm(far, axis=1, keepdims=True)])


@pytest.mark.parametrize("distance", [1e3, 1e5, 1e7])
@pytest.mark.parametrize("seed", range(3))
def test_far_points_do_not_hide_the_clusters_of_all_others(seed, distance):
    points = points_with_far_ones(seed, distance)
    labels, inertia = kmeans(points, 8, n_init=10, seed=seed)
    assert_allclose(inertia, inertia_of(points, labels), rtol=1e-6)
    with threadpool_limits(1):
        near = KMeans(5, n_init=10, random_state=seed).fit(points[:-3]).inertia_
    assert inertia <= 1.01 * near  # each far point has a cluster of its own, which costs nothing


@pytest.mark.parametrize("make_points", [blobs, spectral_points, lambda seed: points_with_far_ones(seed, 1e7)])
@pytest.mark.parametrize("exponent", [-400, -30, 30, 400])
def test_powers_of_two_change_no_label(make_points, exponent):
    points = make_points(0)
    labels, inertia = kmeans(points, 8, n_init=3, seed=0)
    scaled_labels, scaled_inertia = kmeans(np.ldexp(points, exponent), 8, n_init=3, seed=0)
    assert_array_equal(scaled_labels, labels)
    assert scaled_inertia == np.ldexp(inertia, 2 * exponent)


def nearly_dead_pair(size):
    """A graph in four groups, with two hidden neurons that are joined to each other only, by a weight of ``size``."""
    rng = np.random.default_rng(0)
    matrices = []
    for i, o in [(32, 24), (24, 24), (24, 16)]:
        same = np.arange(o)[:, None] * 4 // o == np.arange(i) * 4 // i
        matrices.append(rng.random((o, i)) * (same + 0.05))
    matrices[0][0], matrices[1][:, 0], matrices[1][5], matrices[2][:, 5] = [0] * 4
    matrices[1][5, 0] = size
    return LayeredGraph.of(matrices).without_isolated()[0]


@pytest.mark.parametrize("size", [1.0, 1e-4, 1e-8, 1e-10, 1e-14, 1e-31, 1e-100, 1e-300, 1e-318])
def test_a_nearly_dead_component_takes_one_cluster_and_hides_no_other(size):
    graph = nearly_dead_pair(size)
    labels, _ = kmeans(embedding(graph, 5), 5, 25, 0)
    assert_array_equal(labels, kmeans(embedding(nearly_dead_pair(1.0), 5), 5, 25, 0)[0])
    assert round(ncut(graph, labels), 4) == 0.5224


@pytest.mark.parametrize("size", [1e-2, 1e-5, 1e-8, 1e-11, 1e-14])
def test_beside_far_points_inertia_is_scikit_learn_s_or_less(size):
    points = embedding(nearly_dead_pair(size), 12)
    labels, inertia = kmeans(points, 12, 200, 0)
    assert_allclose(inertia, inertia_of(points, labels), rtol=1e-9)
    with threadpool_limits(1):
        theirs = inertia_of(points, KMeans(12, n_init=50, random_state=0).fit(points).labels_)
    assert inertia <= theirs * (1 + 1e-9)


def test_duplicates_end_the_search_at_once():
    points = np.repeat(np.random.default_rng(0).normal(size=(6, 12)), 300, axis=0)
    kmeans(points, 12, 1, 0)
    began = time.thread_time()
    assert kmeans(points, 12, 25, 0)[1] < 1e-20
    assert time.thread_time() - began < 1  # 3 s if points that coincide but for rounding are moved about


@pytest.mark.parametrize(
    ("make_points", "k", "digest"),
    [
        (blobs, 9, "8f1dac01bb78d8e6"),
        (blobs, 4, "bae95307fe39c2e9"),
        (spectral_points, 8, "5e06b0e3ec439ca2"),
        (heavy_tailed_points, 8, "411718babb471fb9"),
    ],
)
def test_labels_are_those_of_single_precision_where_it_tells_points_apart(make_points, k, digest):
    # Computed before there was a path of double precision.
    labels = [kmeans(make_points(seed), k, 5, seed)[0] for seed in range(4)]
    assert hashlib.sha256(np.concatenate(labels).astype(np.int8)).hexdigest()[:16] == digest


@pytest.mark.parametrize("points", [[[np.nan], [0.0]], [[np.inf], [0.0]]])
def test_points_that_are_nowhere_are_refused(points):
    with pytest.raises(InputError, match="NaN or infinite"):
        kmeans(np.array(points), 1, 1, 0)
