import networkx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.cluster import SpectralClustering
from sklearn.metrics import adjusted_rand_score
from threadpoolctl import threadpool_limits

from clusterability.base.errors import InputError
from clusterability.clustering.ncut import in_out_ratio, n_starts, ncut, spectral_clustering
from clusterability.graphs.graph import MatrixGraph
from clusterability.graphs.layered import LayeredGraph
from helpers import dense_adjacency, networks, planted_network, random_network


def ncut_by_definition(adjacency, labels, epsilon=0.0):
    total = 0.0
    for cluster in set(labels.tolist()):
        leaving = volume = 0.0
        for i in range(len(labels)):
            if labels[i] == cluster:
                for j in range(len(labels)):
                    volume += adjacency[i, j]
                    if labels[j] != cluster:
                        leaving += adjacency[i, j]
        total += leaving / (volume + epsilon)
    return total


@st.composite
def networks_and_labels(draw):
    matrices = draw(networks(max_width=6, connected=True))
    n = matrices[0].shape[1] + sum(matrix.shape[0] for matrix in matrices)
    k = draw(st.integers(1, n))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return matrices, rng.integers(k, size=n)


@given(networks_and_labels(), st.sampled_from([0.0, 1e-8, 0.5]))
def test_ncut_equals_its_definition(case, epsilon):
    matrices, labels = case
    adjacency = dense_adjacency(matrices)
    expected = ncut_by_definition(adjacency, labels, epsilon)
    for graph in (LayeredGraph.of(matrices), MatrixGraph.of(adjacency)):
        assert_allclose(ncut(graph, labels, epsilon), expected, atol=1e-10)


@given(networks(connected=True), st.data())
def test_ncut_of_two_sets_equals_networkx_s(matrices, data):
    adjacency = dense_adjacency(matrices)
    n = len(adjacency)
    inside = data.draw(st.sets(st.integers(0, n - 1), min_size=1, max_size=n - 1))
    labels = np.array([int(vertex in inside) for vertex in range(n)])
    graph = networkx.from_numpy_array(adjacency)
    expected = networkx.normalized_cut_size(graph, inside, weight="weight")
    assert_allclose(ncut(LayeredGraph.of(matrices), labels), expected, atol=1e-10)


@given(networks_and_labels())
def test_ncut_lies_between_0_and_the_number_of_clusters(case):
    matrices, labels = case
    assert 0 <= ncut(LayeredGraph.of(matrices), labels) <= len(np.unique(labels)) + 1e-12


@given(networks(connected=True))
def test_ncut_of_single_vertices_is_their_number(matrices):
    graph = LayeredGraph.of(matrices)
    assert_allclose(ncut(graph, np.arange(graph.n_vertices)), graph.n_vertices)


@given(networks(connected=True))
def test_ncut_of_everything_in_one_cluster_is_0(matrices):
    graph = LayeredGraph.of(matrices)
    assert_allclose(ncut(graph, np.zeros(graph.n_vertices, int)), 0, atol=1e-10)


def test_ncut_of_two_parts_without_an_edge_between_is_0():
    graph = LayeredGraph.of([np.kron(np.eye(2), np.ones((3, 4)))])
    labels = np.repeat([0, 1, 0, 1], [4, 4, 3, 3])
    assert ncut(graph, labels) == 0
    assert ncut(graph, 1 - labels) == 0


def test_ncut_of_a_complete_bipartite_graph_has_a_closed_form():
    for a, b, p, q in [(4, 6, 2, 3), (5, 3, 1, 3), (4, 4, 4, 0), (2, 7, 1, 0)]:
        labels = np.repeat([0, 1, 0, 1], [p, a - p, q, b - q])
        first = 1 - 2 * p * q / (p * b + q * a)
        second = 1 - 2 * (a - p) * (b - q) / ((a - p) * b + (b - q) * a)
        assert_allclose(ncut(LayeredGraph.of([np.ones((b, a))]), labels), first + second)


def test_self_loops_of_an_adjacency_stay_inside():
    adjacency = np.array([[3.0, 1.0], [1.0, 0.0]])
    assert_allclose(ncut(MatrixGraph.of(adjacency), np.array([0, 1])), 1 / 4 + 1)


@given(networks_and_labels(), st.floats(1e-6, 1e6))
def test_ncut_is_invariant_to_scaling(case, factor):
    matrices, labels = case
    scaled = [matrix.astype(float) * factor for matrix in matrices]
    expected = ncut(LayeredGraph.of(matrices), labels)
    assert_allclose(ncut(LayeredGraph.of(scaled), labels), expected, atol=1e-10)


@given(networks_and_labels(), st.randoms(use_true_random=False))
def test_ncut_is_invariant_to_the_names_of_clusters(case, random):
    matrices, labels = case
    names = list(range(labels.max() + 3))  # also names that no vertex bears
    random.shuffle(names)
    graph = LayeredGraph.of(matrices)
    assert_allclose(ncut(graph, np.array(names)[labels]), ncut(graph, labels), atol=1e-10)


def permuted_within_layers(matrices, rng):
    """The same network with its neurons in another order, and where each vertex came from."""
    sizes = [matrices[0].shape[1], *(matrix.shape[0] for matrix in matrices)]
    orders = [rng.permutation(size) for size in sizes]
    moved = [matrix[orders[i + 1]][:, orders[i]] for i, matrix in enumerate(matrices)]
    offsets = np.cumsum([0, *sizes[:-1]])
    return moved, np.concatenate([order + first for order, first in zip(orders, offsets, strict=True)])


@given(networks_and_labels(), st.integers(0, 2**32 - 1))
def test_ncut_is_invariant_to_the_order_of_neurons_within_layers(case, seed):
    matrices, labels = case
    moved, origin = permuted_within_layers(matrices, np.random.default_rng(seed))
    expected = ncut(LayeredGraph.of(matrices), labels)
    assert_allclose(ncut(LayeredGraph.of(moved), labels[origin]), expected, atol=1e-10)


@pytest.mark.parametrize("seed", range(2))
def test_a_planted_partition_is_recovered(seed):
    rng = np.random.default_rng(seed)
    matrices, groups = planted_network(24, 4, 3, rng)
    result = spectral_clustering(LayeredGraph.of(matrices), 4, seed=seed)
    assert adjusted_rand_score(np.tile(groups, 4), result.labels) == 1
    assert_allclose(result.ncut, ncut(LayeredGraph.of(matrices), np.tile(groups, 4)))


@pytest.mark.parametrize("seed", range(2))
def test_clustering_does_not_depend_on_the_order_of_neurons(seed):
    rng = np.random.default_rng(seed)
    matrices, _ = planted_network(24, 4, 3, rng)
    moved, origin = permuted_within_layers(matrices, rng)
    here = spectral_clustering(LayeredGraph.of(matrices), 4, seed=seed)
    there = spectral_clustering(LayeredGraph.of(moved), 4, seed=seed)
    assert_allclose(here.ncut, there.ncut)
    assert adjusted_rand_score(here.labels[origin], there.labels) == 1


def test_clustering_does_not_depend_on_the_scale_of_weights():
    matrices = random_network([30, 20, 10], np.random.default_rng(0), density=0.5)
    graph, scaled = LayeredGraph.of(matrices), LayeredGraph.of([4 * matrix for matrix in matrices])
    here, there = (spectral_clustering(g, 5, seed=1) for g in (graph, scaled))
    assert adjusted_rand_score(here.labels, there.labels) == 1
    assert_allclose(here.ncut, there.ncut)


def test_the_reported_ncut_is_that_of_the_labels_and_repeats():
    graph = LayeredGraph.of(random_network([40, 30, 10], np.random.default_rng(3), density=0.4))
    first, second = (spectral_clustering(graph, 6, seed=9) for _ in range(2))
    assert_array_equal(first.labels, second.labels)
    assert_array_equal(np.unique(first.labels), np.arange(6))
    assert first.ncut == second.ncut == ncut(graph, first.labels)


def test_as_many_clusters_as_vertices_are_single_vertices():
    graph = LayeredGraph.of(random_network([5, 4, 3], np.random.default_rng(6)))
    result = spectral_clustering(graph, 12, seed=0)
    assert sorted(result.labels) == list(range(12))
    assert_allclose(result.ncut, 12)


def test_a_network_and_its_adjacency_are_clustered_alike():
    matrices, _ = planted_network(18, 3, 2, np.random.default_rng(0))
    graph = LayeredGraph.of(matrices)
    by_layers, by_adjacency = (spectral_clustering(g, 3, 0) for g in (graph, MatrixGraph.of(graph.adjacency)))
    assert adjusted_rand_score(by_layers.labels, by_adjacency.labels) == 1
    assert_allclose(by_layers.ncut, by_adjacency.ncut)


def test_ncut_of_large_pruned_networks_equals_scikit_learn_s_on_average():
    ours, theirs = [], []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        matrices = []
        for i, o in [(784, 256), (256, 256), (256, 256), (256, 256), (256, 10)]:
            weight = rng.uniform(-1, 1, (o, i)) * np.sqrt(6 / (i + o))
            matrices.append(weight * (np.abs(weight) > np.quantile(np.abs(weight), 0.9)))
        graph = LayeredGraph.of(matrices)
        assert graph.n_vertices == 1818
        assert (graph.degree > 0).all()
        ours.append(spectral_clustering(graph, 12, seed=seed).ncut)
        reference = SpectralClustering(
            12, affinity="precomputed", eigen_solver="arpack", n_init=25, assign_labels="kmeans",
            random_state=seed,
        )  # fmt: skip
        with threadpool_limits(1):
            theirs.append(ncut(graph, reference.fit_predict(graph.adjacency)))
    assert abs(np.mean(ours) - np.mean(theirs)) <= 0.02


@given(st.integers(2, 20), st.floats(0.01, 1))
def test_in_out_ratio_is_the_mean_of_inside_to_outgoing_weight(n_clusters, share):
    # Clusters that all send the same share of their volume out: inside weight counts each edge once.
    outgoing, inside = share, (1 - share) / 2
    assert_allclose(in_out_ratio(share * n_clusters, n_clusters), inside / outgoing, atol=1e-12)


def test_in_out_ratio_of_separate_clusters_is_infinite():
    assert in_out_ratio(0.0, 3) == float("inf")
    assert in_out_ratio(3.0, 3) == 0


def test_large_graphs_get_100_starts_and_others_25():
    assert [n_starts(n) for n in (10, 1818, 2000, 2001, 4224)] == [25, 25, 25, 100, 100]


def test_numbers_of_clusters_that_7_vertices_cannot_have_are_refused():
    for n_clusters in [0, 1, 8]:
        with pytest.raises(InputError, match=f"{n_clusters} cluster"):
            spectral_clustering(LayeredGraph.of([np.ones((3, 4))]), n_clusters, seed=0)


def test_isolated_vertices_are_refused():
    with pytest.raises(InputError, match="degree 0"):
        spectral_clustering(LayeredGraph.of([np.diag([1.0, 1.0, 0.0])]), 2, seed=0)
