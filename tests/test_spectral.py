import networkx
import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from clusterability.base.errors import InputError
from clusterability.clustering.spectral import embedding, laplacian_eigenpairs
from clusterability.graphs.layered import layered_graph
from helpers import dense_adjacency, dense_laplacian, networks, random_network


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
def test_eigenpairs_of_a_network_equal_a_dense_solver_s(matrices, data):
    adjacency = dense_adjacency(matrices)
    n_pairs = data.draw(st.integers(1, len(adjacency)))
    assert_smallest_eigenpairs(layered_graph(matrices), adjacency, n_pairs)


@given(networks(connected=True), st.data())
def test_eigenpairs_of_an_adjacency_equal_a_dense_solver_s(matrices, data):
    adjacency = dense_adjacency(matrices)
    n_pairs = data.draw(st.integers(1, len(adjacency)))
    assert_smallest_eigenpairs(adjacency, adjacency, n_pairs)
    assert_smallest_eigenpairs(scipy.sparse.csr_array(adjacency), adjacency, n_pairs)


@pytest.mark.parametrize("sizes", [[30, 20], [20, 30], [40, 25, 30, 10], [12, 60, 12], [50, 16, 50, 16, 5]])
def test_eigenpairs_do_not_depend_on_which_side_is_smaller(sizes):
    matrices = random_network(sizes, np.random.default_rng(sum(sizes)), density=0.5)
    assert_smallest_eigenpairs(layered_graph(matrices), dense_adjacency(matrices), 8)


def test_eigenvalues_equal_networkx_s_normalized_laplacian():
    matrices = random_network([15, 12, 9], np.random.default_rng(5))
    graph = networkx.from_numpy_array(dense_adjacency(matrices))
    expected = np.sort(networkx.normalized_laplacian_spectrum(graph))
    values, _ = laplacian_eigenpairs(layered_graph(matrices), 10)
    assert_allclose(values, expected[:10], atol=1e-10)


@pytest.mark.parametrize("n_parts", [2, 3, 5])
def test_a_graph_in_parts_has_eigenvalue_0_once_a_part(n_parts):
    rng = np.random.default_rng(n_parts)
    matrices = [scipy.linalg.block_diag(*(rng.uniform(0.5, 1.5, (4, 4)) for _ in range(n_parts))) for _ in range(3)]
    assert_smallest_eigenpairs(layered_graph(matrices), dense_adjacency(matrices), n_parts + 2)
    values, _ = laplacian_eigenpairs(layered_graph(matrices), n_parts + 1)
    assert_allclose(values[:n_parts], 0, atol=1e-10)
    assert values[n_parts] > 0.01


@pytest.mark.parametrize("sizes", [[2, 10], [10, 2], [7, 2, 7]])
def test_more_pairs_than_the_smaller_side_has_vertices(sizes):
    matrices = random_network(sizes, np.random.default_rng(2))
    adjacency = dense_adjacency(matrices)
    for n_pairs in (2, 3, len(adjacency)):
        assert_smallest_eigenpairs(layered_graph(matrices), adjacency, n_pairs)


def test_more_pairs_than_nonzero_singular_values():
    matrices = [np.outer([1.0, 2, 3, 4], [1.0, 5, 2, 2, 1])]
    values, _ = laplacian_eigenpairs(layered_graph(matrices), 4)
    assert_allclose(values, [0, 1, 1, 1], atol=1e-10)
    assert_smallest_eigenpairs(layered_graph(matrices), dense_adjacency(matrices), 4)


@pytest.mark.parametrize("noise", [1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-9])
def test_eigenvectors_stay_orthonormal_beside_tiny_singular_values(noise):
    rng = np.random.default_rng(3)
    matrices = [np.ones((6, 6)) + noise * rng.random((6, 6))]
    assert_smallest_eigenpairs(layered_graph(matrices), dense_adjacency(matrices), 4)


def test_a_star_has_the_closed_form_spectrum():
    values, vectors = laplacian_eigenpairs(layered_graph([np.ones((1, 6))]), 7)
    assert_allclose(values, [0, 1, 1, 1, 1, 1, 2], atol=1e-10)
    assert_allclose(np.abs(vectors[:, 0]), np.sqrt(np.array([1, 1, 1, 1, 1, 1, 6]) / 12), atol=1e-10)


def test_a_large_sparse_graph_equals_a_dense_solver():
    rng = np.random.default_rng(7)
    n = 1100
    upper = scipy.sparse.random_array((n, n), density=0.02, rng=rng, format="csr")
    adjacency = upper + upper.T
    assert n > 1000
    assert adjacency.sum(axis=0).min() > 0
    assert_smallest_eigenpairs(adjacency, adjacency.toarray(), 6)


@pytest.mark.parametrize("n_parts", [1, 4])
def test_a_large_network_gives_the_same_by_its_layers_and_by_its_adjacency(n_parts):
    rng = np.random.default_rng(n_parts)
    sizes = [600 // n_parts, 400 // n_parts, 100 // n_parts]
    parts = [random_network(sizes, rng, density=0.3) for _ in range(n_parts)]
    matrices = [scipy.linalg.block_diag(*blocks) for blocks in zip(*parts, strict=True)]
    graph = layered_graph(matrices)
    by_layers, vectors = laplacian_eigenpairs(graph, 8)
    by_adjacency, general_vectors = laplacian_eigenpairs(graph.adjacency, 8)
    assert_allclose(by_layers, by_adjacency, atol=1e-8)
    assert_allclose(by_layers[:n_parts], 0, atol=1e-8)
    # The spaces agree even where single vectors need not.
    between = vectors[:, :n_parts].T @ general_vectors[:, :n_parts]
    assert_allclose(between @ between.T, np.eye(n_parts), atol=1e-6)


@given(networks(connected=True), st.data())
def test_the_embedding_holds_eigenvectors_of_the_random_walk(matrices, data):
    adjacency = dense_adjacency(matrices)
    n_dimensions = data.draw(st.integers(1, min(6, len(adjacency))))
    graph = layered_graph(matrices)
    values, _ = laplacian_eigenpairs(graph, n_dimensions)
    coordinates = embedding(graph, n_dimensions)
    walk = adjacency / adjacency.sum(axis=1)[:, None]
    size = np.abs(coordinates).max()
    assert_allclose(coordinates - walk @ coordinates, coordinates * values, atol=1e-7 * size)


def test_the_first_coordinate_of_a_connected_graph_is_constant():
    coordinates = embedding(layered_graph(random_network([9, 7, 5], np.random.default_rng(0))), 3)
    assert_allclose(coordinates[:, 0], coordinates[0, 0], rtol=1e-8)
    assert np.ptp(coordinates[:, 1]) > 0


ISOLATED = np.array([[1.0, 2.0, 0.0], [3.0, 1.0, 0.0]])


@pytest.mark.parametrize("n_pairs", [1, 2, 3])
def test_isolated_vertices_are_refused(n_pairs):
    graph = layered_graph([ISOLATED])
    for form in (graph, graph.adjacency, graph.adjacency.toarray()):
        with pytest.raises(InputError, match="degree 0"):
            laplacian_eigenpairs(form, n_pairs)


@pytest.mark.parametrize("n_pairs", [-1, 0, 6])
def test_numbers_of_pairs_that_no_graph_of_5_has_are_refused(n_pairs):
    graph = layered_graph([np.ones((2, 3))])
    for form in (graph, graph.adjacency):
        with pytest.raises(InputError, match=f"{n_pairs} eigenvectors"):
            laplacian_eigenpairs(form, n_pairs)
