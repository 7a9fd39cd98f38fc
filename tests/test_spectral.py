import networkx
import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from threadpoolctl import threadpool_limits
from torch import nn

from clusterability.base.errors import InputError
from clusterability.clustering import spectral
from clusterability.clustering.spectral import embedding, laplacian_eigenpairs
from clusterability.graphs.channels import ChannelGraph, Connection, channel_graph
from clusterability.graphs.graph import MatrixGraph
from clusterability.graphs.layered import LayeredGraph
from clusterability.graphs.tracing import trace
from helpers import dense_adjacency, dense_laplacian, networks, planted_network, random_network


def assert_smallest_eigenpairs(graph, adjacency, n_pairs):
    """The pairs are the smallest ones, as a dense solver finds them, and truly eigenpairs."""
    laplacian = dense_laplacian(adjacency)
    values, vectors = laplacian_eigenpairs(graph, n_pairs)
    assert values.shape == (n_pairs,)
    assert vectors.shape == (len(adjacency), n_pairs)
    assert_allclose(values, np.linalg.eigvalsh(laplacian)[:n_pairs], atol=1e-8)
    assert_allclose(laplacian @ vectors, vectors * values, atol=1e-7)
    assert_allclose(vectors.T @ vectors, np.eye(n_pairs), atol=1e-7)


@given(networks(connected=True), st.data())
def test_eigenpairs_equal_a_dense_solver_s(matrices, data):
    adjacency = dense_adjacency(matrices)
    n_pairs = data.draw(st.integers(1, len(adjacency)))
    assert_smallest_eigenpairs(LayeredGraph.of(matrices), adjacency, n_pairs)
    assert_smallest_eigenpairs(MatrixGraph.of(adjacency), adjacency, n_pairs)


@pytest.mark.parametrize("sizes", [[30, 20], [20, 30], [40, 25, 30, 10], [12, 60, 12], [50, 16, 50, 16, 5]])
def test_eigenpairs_do_not_depend_on_which_side_is_smaller(sizes):
    matrices = random_network(sizes, np.random.default_rng(sum(sizes)), density=0.5)
    assert_smallest_eigenpairs(LayeredGraph.of(matrices), dense_adjacency(matrices), 8)


def test_eigenvalues_equal_networkx_s_normalized_laplacian():
    matrices = random_network([15, 12, 9], np.random.default_rng(5))
    graph = networkx.from_numpy_array(dense_adjacency(matrices))
    expected = np.sort(networkx.normalized_laplacian_spectrum(graph))
    values, _ = laplacian_eigenpairs(LayeredGraph.of(matrices), 10)
    assert_allclose(values, expected[:10], atol=1e-10)


@pytest.mark.parametrize("n_parts", [2, 3, 5])
def test_a_graph_in_parts_has_eigenvalue_0_once_a_part(n_parts):
    rng = np.random.default_rng(n_parts)
    matrices = [scipy.linalg.block_diag(*(rng.uniform(0.5, 1.5, (4, 4)) for _ in range(n_parts))) for _ in range(3)]
    assert_smallest_eigenpairs(LayeredGraph.of(matrices), dense_adjacency(matrices), n_parts + 2)
    values, _ = laplacian_eigenpairs(LayeredGraph.of(matrices), n_parts + 1)
    assert_allclose(values[:n_parts], 0, atol=1e-10)
    assert values[n_parts] > 0.01


@pytest.mark.parametrize("sizes", [[2, 10], [10, 2], [7, 2, 7]])
def test_more_pairs_than_the_smaller_side_has_vertices(sizes):
    matrices = random_network(sizes, np.random.default_rng(2))
    adjacency = dense_adjacency(matrices)
    for n_pairs in (2, 3, len(adjacency)):
        assert_smallest_eigenpairs(LayeredGraph.of(matrices), adjacency, n_pairs)


def test_more_pairs_than_nonzero_singular_values():
    matrices = [np.outer([1.0, 2, 3, 4], [1.0, 5, 2, 2, 1])]
    values, _ = laplacian_eigenpairs(LayeredGraph.of(matrices), 4)
    assert_allclose(values, [0, 1, 1, 1], atol=1e-10)
    assert_smallest_eigenpairs(LayeredGraph.of(matrices), dense_adjacency(matrices), 4)


@pytest.mark.parametrize("noise", [1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-9])
def test_eigenvectors_stay_orthonormal_beside_tiny_singular_values(noise):
    rng = np.random.default_rng(3)
    matrices = [np.ones((6, 6)) + noise * rng.random((6, 6))]
    assert_smallest_eigenpairs(LayeredGraph.of(matrices), dense_adjacency(matrices), 4)


def test_a_star_has_the_closed_form_spectrum():
    values, vectors = laplacian_eigenpairs(LayeredGraph.of([np.ones((1, 6))]), 7)
    assert_allclose(values, [0, 1, 1, 1, 1, 1, 2], atol=1e-10)
    assert_allclose(np.abs(vectors[:, 0]), np.sqrt(np.array([1, 1, 1, 1, 1, 1, 6]) / 12), atol=1e-10)


@pytest.fixture
def sparse_solver(monkeypatch):
    """Graphs of a hundred vertices are solved as large ones are."""
    monkeypatch.setattr(spectral, "_DENSE_VERTICES", 50)
    with threadpool_limits(1):
        yield


def test_a_large_sparse_graph_equals_a_dense_solver(sparse_solver):
    upper = scipy.sparse.random_array((400, 400), density=0.03, rng=np.random.default_rng(7), format="csr")
    adjacency = upper + upper.T
    assert adjacency.sum(axis=0).min() > 0
    assert_smallest_eigenpairs(MatrixGraph.of(adjacency), adjacency.toarray(), 6)


@pytest.mark.parametrize("n_parts", [1, 4])
def test_a_large_network_gives_the_same_by_its_layers_and_by_its_adjacency(n_parts, sparse_solver):
    rng = np.random.default_rng(n_parts)
    sizes = [240 // n_parts, 200 // n_parts, 60 // n_parts]
    parts = [random_network(sizes, rng, density=0.4) for _ in range(n_parts)]
    matrices = [scipy.linalg.block_diag(*blocks) for blocks in zip(*parts, strict=True)]
    graph = LayeredGraph.of(matrices)
    by_layers, vectors = laplacian_eigenpairs(graph, 8)
    by_adjacency, general_vectors = laplacian_eigenpairs(MatrixGraph.of(graph.adjacency), 8)
    assert_allclose(by_layers, by_adjacency, atol=1e-8)
    assert_allclose(by_layers[:n_parts], 0, atol=1e-8)
    # The spaces agree even where single vectors need not.
    between = vectors[:, :n_parts].T @ general_vectors[:, :n_parts]
    assert_allclose(between @ between.T, np.eye(n_parts), atol=1e-6)


@pytest.mark.parametrize("sparse", [False, True])
def test_large_channel_graphs_have_the_eigenpairs_of_a_dense_solver(sparse, sparse_solver):
    width = 80
    matrices, _ = planted_network(width, 5, 3, np.random.default_rng(1), across=0.1)
    connections = []
    for layer, matrix in enumerate(matrices):  # each layer reads the sum of all before it
        norms = scipy.sparse.csr_array(np.abs(matrix)) if sparse else np.abs(matrix)
        reads = np.hstack([np.eye(width) if source <= layer else np.zeros((width, width)) for source in range(4)])
        connections.append(Connection(np.arange(width) + width * (layer + 1), norms, scipy.sparse.csr_array(reads)))
    graph = ChannelGraph(("a", "b", "c", "d"), (width,) * 4, tuple(connections))
    assert_smallest_eigenpairs(graph, graph.adjacency.toarray(), 7)


@pytest.mark.parametrize(("n_groups", "n_pairs"), [(12, 12), (12, 13), (4, 12), (20, 12)])
def test_large_graphs_in_parts_have_eigenvalue_0_once_a_part(n_groups, n_pairs, sparse_solver):
    width = n_groups * (5 if n_groups > 4 else 20)
    model = nn.Sequential(*(nn.Conv2d(width, width, 1, groups=n_groups) for _ in range(5)))
    graph = channel_graph(trace(model, (width, 1, 1)))
    for same in (graph, MatrixGraph.of(graph.adjacency)):
        assert_smallest_eigenpairs(same, graph.adjacency.toarray(), n_pairs)
        values, _ = laplacian_eigenpairs(same, n_pairs)
        assert (values < 1e-9).sum() == min(n_groups, n_pairs)


def test_large_graphs_may_lose_whole_layers(sparse_solver):
    model = nn.Sequential(*(nn.Conv2d(40, 40, 1) for _ in range(7)))
    for layer in (3, 4):
        nn.init.zeros_(model[layer].weight)
    graph, _ = channel_graph(trace(model, (40, 1, 1))).without_isolated()
    assert graph.layer_sizes == (40, 40, 40, 0, 40, 40, 40)
    assert graph.components().tolist() == [0] * 120 + [1] * 120
    assert_smallest_eigenpairs(graph, graph.adjacency.toarray(), 3)


@given(networks(connected=True), st.data())
def test_the_embedding_holds_eigenvectors_of_the_random_walk(matrices, data):
    adjacency = dense_adjacency(matrices)
    n_dimensions = data.draw(st.integers(1, min(6, len(adjacency))))
    graph = LayeredGraph.of(matrices)
    values, _ = laplacian_eigenpairs(graph, n_dimensions)
    coordinates = embedding(graph, n_dimensions)
    walk = adjacency / adjacency.sum(axis=1)[:, None]
    size = np.abs(coordinates).max()
    assert_allclose(coordinates - walk @ coordinates, coordinates * values, atol=1e-7 * size)


def test_the_first_coordinate_of_a_connected_graph_is_constant():
    coordinates = embedding(LayeredGraph.of(random_network([9, 7, 5], np.random.default_rng(0))), 3)
    assert_allclose(coordinates[:, 0], coordinates[0, 0], rtol=1e-8)
    assert np.ptp(coordinates[:, 1]) > 0


@pytest.mark.parametrize("n_pairs", [1, 3])
def test_isolated_vertices_are_refused(n_pairs):
    graph = LayeredGraph.of([np.array([[1.0, 2.0, 0.0], [3.0, 1.0, 0.0]])])
    for form in (graph, MatrixGraph.of(graph.adjacency)):
        with pytest.raises(InputError, match="degree 0"):
            laplacian_eigenpairs(form, n_pairs)


@pytest.mark.parametrize("n_pairs", [0, 6])
def test_numbers_of_pairs_that_no_graph_of_5_has_are_refused(n_pairs):
    graph = LayeredGraph.of([np.ones((2, 3))])
    for form in (graph, MatrixGraph.of(graph.adjacency)):
        with pytest.raises(InputError, match=f"{n_pairs} eigenvectors"):
            laplacian_eigenpairs(form, n_pairs)
