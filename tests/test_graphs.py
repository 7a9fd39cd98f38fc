"""Graphs of every kind beside their adjacency; what deletes isolated vertices and what shuffles."""

import subprocess
import sys

import networkx
import numpy as np
import pytest
import scipy.sparse
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from clusterability.base.errors import InputError
from clusterability.graphs.channels import ChannelGraph, Connection
from clusterability.graphs.graph import MatrixGraph
from clusterability.graphs.layered import LayeredGraph, check_matrices
from clusterability.graphs.null_models import permuted
from helpers import dense_adjacency, networks, random_network

SEEDS = st.integers(0, 2**32 - 1)
NULLS = st.sampled_from(["layer", "nonzero"])


@st.composite
def channel_graphs(draw):
    """Two to four layers, each reading a sum or a concatenation of earlier ones; norms may be 0, units repeat."""
    sizes = draw(st.lists(st.integers(1, 5), min_size=2, max_size=4))
    rng = np.random.default_rng(draw(SEEDS))
    first = np.cumsum([0, *sizes])
    connections = []
    for reader in range(1, len(sizes)):
        n_positions = int(rng.integers(1, 8))
        reads = rng.random((n_positions, first[-1])) < 0.4
        reads[:, first[reader] :] = False
        norms = rng.uniform(size=(sizes[reader], n_positions)) * (rng.random((sizes[reader], n_positions)) < 0.5)
        norms = scipy.sparse.csr_array(norms) if rng.random() < 0.3 else norms
        units = np.arange(first[reader], first[reader + 1])
        connections.append(Connection(units, norms, scipy.sparse.csr_array(reads.astype(float))).trimmed())
    return ChannelGraph(tuple(map(str, range(len(sizes)))), tuple(sizes), tuple(connections))


@st.composite
def matrix_graphs(draw):
    """An adjacency with self-loops, in which some vertices may be isolated."""
    n, rng = draw(st.integers(1, 8)), np.random.default_rng(draw(SEEDS))
    upper = np.triu(rng.uniform(size=(n, n)) * (rng.random((n, n)) < 0.3))
    adjacency = upper + np.triu(upper, 1).T
    return MatrixGraph.of(scipy.sparse.csr_array(adjacency) if draw(st.booleans()) else adjacency)


GRAPHS = st.one_of(networks().map(LayeredGraph.of), channel_graphs(), matrix_graphs())


@given(GRAPHS, SEEDS)
def test_a_graph_is_its_adjacency(graph, seed):
    adjacency, rng = graph.adjacency.toarray(), np.random.default_rng(seed)
    n = len(adjacency)
    assert_array_equal(adjacency, adjacency.T)
    assert graph.n_vertices == n == sum(map(len, graph.by_layer(np.arange(n))))
    assert_allclose(graph.degree, adjacency.sum(axis=0), rtol=1e-12)
    vectors, scale, one_hot = rng.normal(size=(n, 2)), rng.uniform(1, 2, n), np.eye(3)[rng.integers(3, size=n)]
    assert_allclose(graph.times(vectors), adjacency @ vectors, atol=1e-12)
    assert_allclose(graph.scaled(scale) @ vectors, np.outer(scale, scale) * adjacency @ vectors, atol=1e-12)
    assert_allclose(graph.within(one_hot), np.diag(one_hot.T @ adjacency @ one_hot), atol=1e-12)
    assert_array_equal(
        graph.components(), scipy.sparse.csgraph.connected_components(graph.adjacency, directed=False)[1]
    )


@given(channel_graphs())
def test_edges_are_pairs_that_something_joins(graph):
    assert graph.n_edges == np.count_nonzero(np.triu(graph.adjacency.toarray()))


@given(GRAPHS)
def test_only_isolated_vertices_are_deleted_and_the_others_stay_joined_as_they_were(graph):
    adjacency = graph.adjacency.toarray()
    kept, present = graph.without_isolated()
    left = np.concatenate(present)
    assert tuple(map(len, present)) == graph.layer_sizes
    assert_array_equal(left, adjacency.any(axis=0))
    assert kept.layer_sizes == tuple(int(layer.sum()) for layer in present)
    assert_allclose(kept.adjacency.toarray(), adjacency[np.ix_(left, left)])
    assert (kept.degree > 0).all()
    assert_array_equal(graph.adjacency.toarray(), adjacency)


def entries(graph):
    """What a null model permutes, matrix by matrix, and what it leaves alone."""
    match graph:
        case LayeredGraph():
            return [block.ravel() for block in graph.blocks], []
        case ChannelGraph():
            reads = [connection.reads.toarray() for connection in graph.connections]
            return [connection.entries for connection in graph.connections], reads
        case MatrixGraph():
            adjacency = graph.adjacency.toarray()
            return [adjacency[np.tril_indices(len(adjacency), -1)]], [np.diag(adjacency)]


@given(GRAPHS, NULLS, SEEDS)
def test_shuffling_keeps_the_entries_of_every_matrix(graph, null_model, seed):
    (before, beside), copies = entries(graph), [own.copy() for own in entries(graph)[0]]
    moved = graph.shuffled(null_model, np.random.default_rng(seed))
    assert moved.layer_sizes == graph.layer_sizes
    adjacency = moved.adjacency.toarray()
    assert_array_equal(adjacency, adjacency.T)
    for own, copy, other in zip(before, copies, entries(moved)[0], strict=True):
        assert_array_equal(own, copy)
        assert_array_equal(np.sort(own), np.sort(other))
        if null_model == "nonzero":
            assert_array_equal(own != 0, other != 0)
    for own, other in zip(beside, entries(moved)[1], strict=True):
        assert_array_equal(own, other)


@pytest.mark.parametrize("null_model", ["layer", "nonzero"])
def test_every_place_is_as_likely_for_every_entry(null_model):
    rng = np.random.default_rng(0)
    n_places = 4 if null_model == "layer" else 3
    seen = np.zeros((3, 4))
    for _ in range(3000):
        moved = permuted(np.array([1.0, 2.0, 3.0, 0.0]), null_model, rng)
        for entry in (1, 2, 3):
            seen[entry - 1, np.flatnonzero(moved == entry)[0]] += 1
    for row in seen:
        assert scipy.stats.chisquare(row[:n_places]).pvalue > 1e-4
    assert seen[:, n_places:].sum() == 0


def test_an_unknown_null_model_is_refused():
    with pytest.raises(InputError, match="'rows'"):
        LayeredGraph.of([np.eye(3)]).shuffled("rows", np.random.default_rng(0))


@given(networks())
def test_the_graph_of_matrices_equals_one_built_edge_by_edge(matrices):
    check_matrices(matrices)
    graph = LayeredGraph.of(matrices)
    assert graph.layer_sizes == (matrices[0].shape[1], *map(len, matrices))
    edge_by_edge = networkx.from_numpy_array(dense_adjacency(matrices))
    assert_array_equal(graph.adjacency.toarray(), networkx.to_numpy_array(edge_by_edge))
    assert_allclose(graph.degree, [degree for _, degree in edge_by_edge.degree(weight="weight")], rtol=1e-12)


def test_weights_of_every_number_type_become_float64_and_lose_their_sign():
    for dtype in [np.int8, np.int64, np.float16, np.float32]:
        graph = LayeredGraph.of([np.array([[1, -2], [0, 3]], dtype)])
        assert graph.degree.dtype == np.float64
        assert_array_equal(graph.degree, [1, 5, 3, 3])
        assert_array_equal(LayeredGraph.of([np.array([[-1, 2], [0, -3]], dtype)]).degree, graph.degree)


GOOD = np.ones((3, 3))


def with_entry(value):
    matrix = np.ones((3, 3))
    matrix[1, 2] = value
    return matrix


def test_matrices_that_are_no_network_are_refused_by_name():
    cases = [
        ([], "no weight matrix"),
        ([GOOD, np.ones(3)], "layer 1 has the shape"),
        ([np.ones((3, 3, 1, 1)), GOOD], "layer 0 has the shape"),
        ([GOOD, np.ones((0, 3))], "layer 1 has the shape"),
        ([GOOD, with_entry(np.nan)], "layer 1 holds weights that are NaN"),
        ([with_entry(-np.inf), GOOD], "layer 0 holds weights that are NaN"),
        ([GOOD, with_entry(1e308)], "layer 1 holds weights too large"),
        ([GOOD, GOOD, np.ones((2, 4))], "layers 1 and 2 do not chain"),
        ([np.zeros((3, 3)), np.zeros((2, 3))], "all weights are zero"),
    ]
    for matrices, names in cases:
        with pytest.raises(InputError, match=names):
            LayeredGraph.of(matrices)


def test_adjacencies_that_are_no_graph_are_refused():
    cases = [
        (np.ones((2, 3)), r"\(2, 3\)"),
        (np.ones(4), r"\(4,\)"),
        (with_entry(np.nan), "NaN"),
        (with_entry(-1), "negative"),
        (with_entry(2), "not symmetric"),
        (np.full((3, 3), 1e308), "too large"),
    ]
    for adjacency, names in cases:
        with pytest.raises(InputError, match=names):
            MatrixGraph.of(adjacency)


def test_layers_of_a_sparse_network_may_lose_all_their_vertices():
    matrices = random_network([4, 3, 2], np.random.default_rng(0))
    graph = LayeredGraph.of([matrices[0], np.zeros((5, 3)), np.zeros((6, 5)), np.ones((2, 6))])
    kept, _ = graph.without_isolated()
    assert kept.layer_sizes == (4, 3, 0, 6, 2)
    assert kept.adjacency.shape == (15, 15)


@pytest.mark.parametrize("module", ["clustering.measure", "graphs.channels"])
def test_graphs_are_measured_without_torch(module):
    code = f"import sys, clusterability.{module}; sys.exit(bool({{'torch', 'pandas'}} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
