import numpy as np
import pytest
import scipy.linalg
import scipy.sparse
import scipy.sparse.csgraph
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from torch import nn

from clusterability.base.errors import InputError
from clusterability.clustering.measure import Measurement, measure, shuffled
from clusterability.clustering.ncut import ncut
from clusterability.clustering.spectral import laplacian_eigenpairs
from clusterability.graphs.channels import ChannelGraph, Connection, channel_graph
from clusterability.graphs.kernels import NORMS, kernel_norms
from clusterability.graphs.tracing import trace
from helpers import dense_laplacian, planted_network, random_network


@st.composite
def graphs(draw):
    """Two to four layers, each reading a sum or a concatenation of earlier ones; some norms are 0."""
    sizes = draw(st.lists(st.integers(1, 5), min_size=2, max_size=4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    first = np.cumsum([0, *sizes])
    connections = []
    for reader in range(1, len(sizes)):
        n_positions = int(rng.integers(1, 8))
        sources = []
        for source in rng.choice(reader, size=int(rng.integers(1, reader + 1)), replace=False):
            units = rng.permutation(np.arange(first[source], first[source + 1]))[:n_positions]
            places = np.full(n_positions, -1)
            places[rng.permutation(n_positions)[: len(units)]] = units
            sources.append(places)
        norms = rng.uniform(size=(sizes[reader], n_positions)) * (rng.random((sizes[reader], n_positions)) < 0.5)
        norms = scipy.sparse.csr_array(norms) if rng.random() < 0.3 else norms
        connections.append(Connection(np.arange(first[reader], first[reader + 1]), norms, tuple(sources)))
    return ChannelGraph(tuple(map(str, range(len(sizes)))), tuple(sizes), tuple(connections))


@given(graphs())
def test_a_graph_equals_its_adjacency(graph):
    adjacency = graph.adjacency.toarray()
    assert_array_equal(adjacency, adjacency.T)
    assert_allclose(graph.degree, adjacency.sum(axis=0))
    assert graph.n_edges == np.count_nonzero(np.triu(adjacency))
    vectors = np.random.default_rng(0).normal(size=(graph.n_vertices, 2))
    assert_allclose(graph.times(vectors), adjacency @ vectors, atol=1e-12)
    labels = np.random.default_rng(1).integers(0, 3, graph.n_vertices)
    assert_allclose(ncut(graph, labels), ncut(graph.adjacency, labels))


@given(graphs())
def test_deleting_isolated_vertices_leaves_the_others_joined_as_they_were(graph):
    kept, present = graph.without_isolated()
    left = np.concatenate(present)
    adjacency = graph.adjacency.toarray()
    assert_array_equal(left, adjacency.any(axis=0))
    assert kept.layer_sizes == tuple(int(layer.sum()) for layer in present)
    assert_allclose(kept.adjacency.toarray(), adjacency[np.ix_(left, left)])


@given(graphs(), st.sampled_from(["layer", "nonzero"]), st.integers(0, 2**32 - 1))
def test_shuffling_keeps_every_matrix_s_entries_and_the_graph_s_places(graph, null_model, seed):
    moved = shuffled(graph, null_model, np.random.default_rng(seed))
    for before, after in zip(graph.connections, moved.connections, strict=True):
        assert_array_equal(np.sort(before.entries()), np.sort(after.entries()))
        assert all(one is other for one, other in zip(before.sources, after.sources, strict=True))
        if null_model == "nonzero":
            assert_array_equal(before.entries() != 0, after.entries() != 0)
    if null_model == "nonzero":
        assert_array_equal(graph.adjacency.toarray() != 0, moved.adjacency.toarray() != 0)


def test_the_graph_of_an_mlp_is_measured_as_its_matrices_are():
    rng = np.random.default_rng(0)
    matrices = random_network([12, 16, 10, 6], rng, density=0.4, dtype=np.float32)
    model = nn.Sequential(*(nn.Linear(matrix.shape[1], len(matrix)) for matrix in matrices))
    for layer, matrix in zip(model, matrices, strict=True):
        layer.weight.data[:] = nn.Parameter(layer.weight.new_tensor(matrix))
    graph = channel_graph(trace(model, (12,)))
    for null_model in ("layer", "nonzero"):
        measurement = Measurement(3, 8, null_model)
        expected, found = (measure(network, measurement, seed=4) for network in (matrices, graph))
        assert_allclose(found.ncut, expected.ncut)
        assert_allclose(found.shuffled_ncuts, expected.shuffled_ncuts)
        assert_allclose(found.eigenvalues, expected.eigenvalues, atol=1e-7)
        assert_allclose(found.volume_shares, expected.volume_shares)
        for one, other in zip(found.labels, expected.labels, strict=True):
            assert_array_equal(one, other)


@pytest.mark.parametrize("sparse", [False, True])
def test_large_graphs_have_the_eigenpairs_of_a_dense_solver(sparse):
    matrices, _ = planted_network(300, 5, 3, np.random.default_rng(1), across=0.1)
    first = 300 * np.arange(5)
    connections = tuple(
        Connection(
            np.arange(300) + first[layer + 1],
            scipy.sparse.csr_array(np.abs(matrix)) if sparse else np.abs(matrix),
            tuple(np.arange(300) + first[source] for source in range(layer + 1)),
        )
        for layer, matrix in enumerate(matrices)
    )
    graph = ChannelGraph(("a", "b", "c", "d"), (300,) * 4, connections)
    values, vectors = laplacian_eigenpairs(graph, 7)
    laplacian = dense_laplacian(graph.adjacency.toarray())
    assert_allclose(values, scipy.linalg.eigvalsh(laplacian, subset_by_index=[0, 6]), atol=1e-8)
    assert_allclose(laplacian @ vectors, vectors * values, atol=1e-7)


@pytest.mark.parametrize(("n_groups", "n_pairs"), [(12, 12), (12, 13), (4, 12), (20, 12)])
def test_large_graphs_in_parts_have_eigenvalue_0_once_a_part(n_groups, n_pairs):
    width = 12 * n_groups if n_groups > 4 else 260
    n_layers = 1 + 1000 // width
    model = nn.Sequential(*(nn.Conv2d(width, width, 1, groups=n_groups) for _ in range(n_layers)))
    graph = channel_graph(trace(model, (width, 1, 1)))
    normalized = graph.adjacency.toarray() / np.sqrt(np.outer(graph.degree, graph.degree))
    expected = 1 - np.linalg.eigvalsh(normalized)[::-1][:n_pairs]
    for same in (graph, graph.adjacency):
        values, vectors = laplacian_eigenpairs(same, n_pairs)
        assert_allclose(values, expected, atol=1e-9)
        assert (values < 1e-9).sum() == min(n_groups, n_pairs)
        assert_allclose(normalized @ vectors, vectors * (1 - values), atol=1e-7)
        assert_allclose(vectors.T @ vectors, np.eye(n_pairs), atol=1e-8)
    assert_array_equal(
        graph.components(), scipy.sparse.csgraph.connected_components(graph.adjacency, directed=False)[1]
    )


def test_planted_groups_of_channels_are_found():
    matrices, groups = planted_network(20, 4, 3, np.random.default_rng(2))
    model = nn.Sequential(*(nn.Conv2d(20, 20, 3, bias=False) for _ in matrices))
    for layer, matrix in zip(model, matrices, strict=True):
        layer.weight.data[:] = layer.weight.new_tensor(matrix)[:, :, None, None] * layer.weight.new_ones(3, 3)
    result = measure(channel_graph(trace(model, (20, 9, 9)), input_layer=True), Measurement(4, 9), seed=0)
    assert result.p == 0.1
    for labels in result.labels:
        assert len(set(zip(labels, groups, strict=True))) == 4


@given(st.sampled_from(NORMS), st.integers(1, 3), st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_kernel_norms_are_numpy_s(norm, n_units, n_positions, seed):
    kernel = np.random.default_rng(seed).normal(size=(n_units, n_positions, 3, 2))
    definitions = {
        "induced": lambda k: np.linalg.norm(k, 1), "entrywise": lambda k: np.linalg.norm(k.ravel(), 1),
        "frobenius": np.linalg.norm,
    }  # fmt: skip
    expected = [[definitions[norm](k) for k in row] for row in kernel]
    assert_allclose(kernel_norms(kernel, norm), expected)
    assert_allclose(kernel_norms(kernel[..., 0, 0], norm), np.abs(kernel[..., 0, 0]))


def test_norms_that_there_are_not_are_refused():
    with pytest.raises(InputError, match="'L1'"):
        kernel_norms(np.ones((2, 2, 3, 3)), "L1")
    with pytest.raises(InputError, match="3 axes"):
        kernel_norms(np.ones((2, 2, 3, 3, 3)))
    assert_array_equal(kernel_norms(np.ones((1, 1, 3, 3, 3)), "entrywise"), [[27]])
