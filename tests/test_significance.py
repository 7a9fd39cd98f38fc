import numpy as np
import pytest
import scipy.stats
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal

from clusterability.base.errors import InputError
from clusterability.base.statistics import p_value, z_score
from clusterability.clustering.measure import Measurement, measure
from clusterability.clustering.ncut import ncut
from clusterability.graphs.layered import LayeredGraph
from helpers import dense_adjacency, dense_laplacian, networks, planted_network, random_network

SEEDS = st.integers(0, 2**32 - 1)


def measured(matrices, *fields, seed=0, **options):
    """The clusterability of matrices' graph; ``fields`` are those of its measurement."""
    return measure(LayeredGraph.of(matrices), Measurement(*fields, **options), seed)


def assert_same(first, second):
    assert first.ncut == second.ncut
    assert_array_equal(first.shuffled_ncuts, second.shuffled_ncuts)
    for a, b in zip(first.labels, second.labels, strict=True):
        assert_array_equal(a, b)


VALUES = arrays(float, st.integers(2, 20), elements=st.floats(0, 12))


@given(st.floats(0, 12), VALUES)
def test_p_counts_the_smaller_null_values(value, null):
    p = p_value(value, null)
    rounding = 1e-12 * max(1, value)
    assert_allclose(p, (1 + sum(float(x) < value + rounding for x in null)) / (1 + len(null)))
    assert 1 / (1 + len(null)) <= p <= 1


@given(VALUES)
def test_the_smallest_p_is_one_over_one_more_than_the_shuffles(null):
    assert p_value(null.min() - 1e-6, null) == 1 / (1 + len(null))
    assert p_value(null.max() + 1, null) == 1


@given(st.floats(0, 12), st.integers(1, 30))
def test_a_null_model_that_changes_nothing_shows_nothing(value, n):
    rounding = value * 1e-15 * np.arange(n)
    assert p_value(value, value + rounding) == p_value(value, value - rounding) == 1


@given(st.floats(0, 12), VALUES)
def test_z_is_the_distance_to_the_mean_in_population_deviations(value, null):
    if np.ptp(null) > 1e-6:
        assert_allclose(z_score(value, null), (value - np.mean(null)) / np.std(null, ddof=0))


@given(st.floats(0.01, 12), st.integers(1, 60), st.floats(0, 12))
def test_z_of_null_values_that_do_not_vary_is_nan(constant, n, value):
    assert np.isnan(z_score(value, np.full(n, constant)))


@given(networks(max_width=6), SEEDS)
def test_labels_are_minus_one_exactly_at_isolated_neurons(matrices, seed):
    kept, present = LayeredGraph.of(matrices).without_isolated()
    assume(kept.n_vertices >= 3 and all(p.any() for p in present))
    result = measured(matrices, 2, 1, "nonzero", seed=seed)
    assert result.n_vertices == kept.n_vertices
    for labels, connected in zip(result.labels, present, strict=True):
        assert_array_equal(labels >= 0, connected)
        assert_array_equal(labels == -1, ~connected)
    left = np.concatenate(result.labels)
    assert_allclose(result.ncut, ncut(kept, left[left >= 0]))


@pytest.mark.parametrize("null_model", ["layer", "nonzero"])
def test_the_result_does_not_depend_on_workers(null_model):
    matrices = random_network([40, 30, 30, 10], np.random.default_rng(0), density=0.1)
    graph, measurement = LayeredGraph.of(matrices), Measurement(5, 7, null_model)
    alone, together = (measure(graph, measurement, 3, workers=n) for n in (1, 2))
    assert_same(alone, together)


def test_the_same_seed_repeats_and_another_does_not():
    matrices = random_network([30, 20, 10], np.random.default_rng(1), density=0.5)
    first, again, other = (measured(matrices, 4, 5, seed=seed) for seed in (0, 0, 1))
    assert_same(first, again)
    assert not np.array_equal(first.shuffled_ncuts, other.shuffled_ncuts)
    assert len(np.unique(first.shuffled_ncuts)) == 5


def test_more_shuffles_keep_the_earlier_ones():
    matrices = random_network([30, 20, 10], np.random.default_rng(2))
    few, many = (measured(matrices, 4, n) for n in (3, 6))
    assert few.ncut == many.ncut
    assert_array_equal(few.shuffled_ncuts, many.shuffled_ncuts[:3])


@pytest.mark.parametrize("factor", [4.0, 2.0**-20, 2.0**-900, 2.0**900])
def test_the_result_does_not_depend_on_the_scale_of_weights(factor):
    # A power of 4 and its root are exact in binary, so not even rounding differs.
    matrices = random_network([30, 20, 10], np.random.default_rng(3), density=0.4)
    assert_same(measured(matrices, 4, 4), measured([factor * matrix for matrix in matrices], 4, 4))


@pytest.mark.parametrize("factor", [1e-300, 1e-60, 1e80, 1e300])
def test_at_far_scales_only_rounding_differs(factor):
    matrices = random_network([30, 20, 10], np.random.default_rng(3), density=0.4)
    here, there = measured(matrices, 4, 4), measured([factor * matrix for matrix in matrices], 4, 4)
    for own, other in zip(here.labels, there.labels, strict=True):
        assert_array_equal(own, other)
    assert_allclose([there.ncut, *there.shuffled_ncuts], [here.ncut, *here.shuffled_ncuts], rtol=1e-12)
    assert_allclose(there.z, here.z, rtol=1e-9)
    assert there.p == here.p


def test_isolated_neurons_do_not_matter():
    matrices = random_network([12, 10, 8], np.random.default_rng(4))
    wider = [np.zeros((15, 14)), np.zeros((8, 15))]
    wider[0][:10, 2:], wider[1][:, :10] = matrices
    result, expected = measured(wider, 3, 4), measured(matrices, 3, 4)
    assert result.ncut == expected.ncut
    assert_array_equal(result.shuffled_ncuts, expected.shuffled_ncuts)
    assert_array_equal(result.labels[0], [-1, -1, *expected.labels[0]])
    assert_array_equal(result.labels[1], [*expected.labels[1], -1, -1, -1, -1, -1])
    assert_array_equal(result.labels[2], expected.labels[2])


@pytest.mark.parametrize("lost", ["inputs", "outputs", "two layers in the middle"])
def test_a_network_may_lose_whole_layers(lost):
    rng = np.random.default_rng(5)
    dense, zeros = [rng.normal(size=(9, 8)), rng.normal(size=(7, 9))], np.zeros
    if lost == "inputs":
        matrices, expected = [zeros((8, 5)), *dense], dense
    elif lost == "outputs":
        matrices, expected = [*dense, zeros((4, 7))], dense
    else:
        matrices = [*dense, zeros((3, 7)), zeros((4, 3)), zeros((6, 4)), rng.normal(size=(5, 6))]
        expected = [*dense, zeros((6, 7)), matrices[-1]]
    result, same = measured(matrices, 3, 3), measured(expected, 3, 3)
    assert result.n_vertices == same.n_vertices
    assert_allclose(result.ncut, same.ncut)
    assert [len(labels) for labels in result.labels] == [matrices[0].shape[1], *map(len, matrices)]


@pytest.mark.parametrize("null_model", ["layer", "nonzero"])
def test_a_planted_network_is_more_clusterable_than_chance(null_model):
    matrices, _ = planted_network(24, 4, 3, np.random.default_rng(6), across=0.05)
    result = measured(matrices, 4, 20, null_model)
    assert result.z < -3
    assert result.p == 1 / 21
    assert_allclose(result.z, z_score(result.ncut, result.shuffled_ncuts))
    assert_allclose(result.in_out_ratio, (1 - result.ncut / 4) / (2 * result.ncut / 4))


def test_p_of_networks_without_structure_is_uniform():
    rng = np.random.default_rng(7)
    ps = []
    for seed in range(40):
        matrices = [rng.uniform(-1, 1, (o, i)) for i, o in [(16, 12), (12, 12), (12, 5)]]
        ps.append(measured(matrices, 3, 19, seed=seed).p)
    # p has the values 1/20, 2/20 … 1; within its step it is spread evenly.
    spread = np.array(ps) - rng.uniform(0, 1 / 20, len(ps))
    assert scipy.stats.kstest(spread, "uniform").pvalue > 1e-4
    assert 0.3 < np.mean(spread) < 0.7


def test_dead_neurons_make_a_free_cluster_where_something_is_added_to_volumes():
    rng = np.random.default_rng(5)
    alive = random_network([30, 30, 30], rng)
    matrices = [np.pad(matrix, (0, 4)) for matrix in alive]
    for matrix in matrices:
        matrix[-4:], matrix[:, -4:] = 1e-30 * rng.random((4, 34)) ** 9, 1e-30 * rng.random((34, 4)) ** 9
    exact, released = (measured(matrices, 8, 20, volume_epsilon=epsilon) for epsilon in (None, 1e-8))
    for own, other in zip(exact.labels, released.labels, strict=True):
        assert_array_equal(own, other)
    # Shuffles mix the tiny weights among the others, so that no vertex is dead in them.
    assert_allclose(released.shuffled_ncuts, exact.shuffled_ncuts, rtol=1e-6)
    assert released.ncut < exact.ncut - 0.5
    assert exact.negligible_clusters >= 1
    assert measured(alive, 8, 0).negligible_clusters == 0
    assert "volume_epsilon" in Measurement(volume_epsilon=1e-8).as_dict()
    assert "volume_epsilon" not in Measurement().as_dict()


def test_progress_is_told_of_every_clustering():
    told = []
    matrices = random_network([10, 8, 6], np.random.default_rng(8))
    measure(LayeredGraph.of(matrices), Measurement(2, 5), 0, workers=2, progress=lambda: told.append(1))
    assert len(told) == 6


def test_measurements_that_make_no_sense_are_refused():
    cases = [
        ({"n_clusters": 1}, "1 clusters"),
        ({"n_shuffles": -1}, "-1 shuffles"),
        ({"n_eigenvectors": 0}, "0 eigenvectors"),
        ({"n_starts": 0}, "0 starts"),
        ({"volume_epsilon": -1e-8}, "volume_epsilon -1e-08"),
        ({"volume_epsilon": float("nan")}, "volume_epsilon nan"),
        ({"null_model": "weights"}, "'weights'"),
    ]
    for fields, names in cases:
        with pytest.raises(InputError, match=names):
            Measurement(**fields)


def test_more_clusters_than_connected_neurons_are_refused():
    matrices = [np.eye(4), np.zeros((3, 4))]
    with pytest.raises(InputError, match="9 clusters asked of a graph of 8"):
        measured([np.eye(4)], 9, 1)
    with pytest.raises(InputError, match="12 clusters"):
        measured(matrices, 12, 1)


def test_without_shuffles_there_is_nothing_to_compare_with():
    matrices = random_network([12, 10, 8], np.random.default_rng(0))
    alone, compared = (measured(matrices, 3, n, seed=5) for n in (0, 4))
    assert alone.ncut == compared.ncut
    assert np.isnan(alone.z)
    assert np.isnan(alone.p)


def test_shares_and_spectrum_are_those_of_the_graph():
    matrices = random_network([12, 10, 8, 6], np.random.default_rng(1))
    result = measured(matrices, 3, 0)
    adjacency = dense_adjacency(matrices)
    degree, labels = adjacency.sum(axis=0), np.concatenate(result.labels)
    volumes = np.array([degree[labels == c].sum() for c in range(3)]) / degree.sum()
    assert_allclose(result.volume_shares, np.sort(volumes)[::-1])
    sizes = np.bincount(labels)[np.argsort(-volumes)] / len(labels)
    assert_allclose(result.vertex_shares, sizes)
    values, vectors = np.linalg.eigh(dense_laplacian(adjacency))
    assert_allclose(result.eigenvalues, values[:7], atol=1e-8)
    late = np.square(vectors[22:, :7]).sum(axis=0)
    assert_allclose(result.late_shares, late, atol=1e-6)
    assert result.effective_clusters == pytest.approx(np.exp(-(volumes * np.log(volumes)).sum()))


def test_more_eigenvectors_than_clusters_change_the_embedding_only():
    matrices = random_network([30, 20, 10], np.random.default_rng(2))
    usual, same, more = (measured(matrices, 4, 2, n_eigenvectors=n) for n in (None, 4, 6))
    assert usual.ncut == same.ncut
    assert more.n_clusters == 4
    assert max(label.max() for label in more.labels) == 3
    assert_array_equal(usual.eigenvalues, more.eigenvalues)


def test_the_number_of_starts_is_that_asked_for():
    matrices = random_network([60, 40, 20], np.random.default_rng(4))
    one, usual, default = (measured(matrices, 8, 20, n_starts=n) for n in (1, 25, None))
    assert_array_equal(usual.shuffled_ncuts, default.shuffled_ncuts)
    assert (one.shuffled_ncuts != usual.shuffled_ncuts).any()
