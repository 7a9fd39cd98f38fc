import networkx
import numpy as np
import pytest
from hypothesis import assume, given
from numpy.testing import assert_allclose, assert_array_equal

from clusterability.base.errors import InputError
from clusterability.graphs.layered import check_matrices, connected_vertices, layered_graph, without_isolated
from helpers import dense_adjacency, networks, random_network


@given(networks())
def test_adjacency_and_degree_equal_those_of_a_graph_built_edge_by_edge(matrices):
    graph = layered_graph(matrices)
    edge_by_edge = networkx.Graph()
    names = [(layer, i) for layer, size in enumerate(graph.layer_sizes) for i in range(size)]
    edge_by_edge.add_nodes_from(names)
    for layer, matrix in enumerate(matrices):
        for (o, i), weight in np.ndenumerate(matrix):
            if weight:
                edge_by_edge.add_edge((layer, i), (layer + 1, o), weight=abs(float(weight)))
    assert_array_equal(graph.adjacency.toarray(), networkx.to_numpy_array(edge_by_edge, nodelist=names))
    degrees = dict(edge_by_edge.degree(weight="weight"))
    assert_allclose(graph.degree, [degrees[name] for name in names], rtol=1e-12)
    assert graph.n_vertices == len(names)


def test_layer_sizes_run_from_inputs_to_outputs():
    graph = layered_graph(random_network([5, 3, 4, 2], np.random.default_rng(0)))
    assert graph.layer_sizes == (5, 3, 4, 2)
    assert [len(degree) for degree in graph.layer_degrees] == [5, 3, 4, 2]


def test_signs_of_weights_do_not_matter():
    matrices = random_network([4, 6, 3], np.random.default_rng(1))
    flipped = [-matrix for matrix in matrices]
    assert_array_equal(layered_graph(matrices).adjacency.toarray(), layered_graph(flipped).adjacency.toarray())


@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.float16, np.float32])
def test_weights_of_every_number_type_become_float64(dtype):
    graph = layered_graph([np.array([[1, -2], [0, 3]], dtype)])
    assert graph.degree.dtype == np.float64
    assert_array_equal(graph.degree, [1, 5, 3, 3])


@given(networks())
def test_without_isolated_removes_exactly_the_vertices_of_degree_0(matrices):
    degree = dense_adjacency(matrices).sum(axis=0)
    kept, present = without_isolated(matrices)
    assert_array_equal(np.concatenate(present), degree > 0)
    assert_array_equal(np.concatenate(connected_vertices(matrices)), degree > 0)
    assert [kept[0].shape[1], *(m.shape[0] for m in kept)] == [p.sum() for p in present]


@given(networks())
def test_without_isolated_keeps_all_edges(matrices):
    kept, present = without_isolated(matrices)
    assume(all(p.any() for p in present))
    left = np.concatenate(present)
    before = dense_adjacency(matrices)[np.ix_(left, left)]
    assert_array_equal(layered_graph(kept).adjacency.toarray(), before)
    assert (layered_graph(kept).degree > 0).all()


@given(networks())
def test_without_isolated_leaves_its_argument_alone(matrices):
    before = [matrix.copy() for matrix in matrices]
    without_isolated(matrices)
    for matrix, copy in zip(matrices, before, strict=True):
        assert_array_equal(matrix, copy)


GOOD = np.ones((3, 3))


def with_entry(value):
    matrix = np.ones((3, 3))
    matrix[1, 2] = value
    return matrix


@pytest.mark.parametrize(
    ("matrices", "names"),
    [
        ([GOOD, with_entry(np.nan)], "layer 1"),
        ([with_entry(np.inf), GOOD], "layer 0"),
        ([GOOD, GOOD, with_entry(-np.inf)], "layer 2"),
        ([GOOD, GOOD, np.ones((2, 4))], "layers 1 and 2"),
        ([np.ones((2, 3)), np.ones((4, 3))], "layers 0 and 1"),
        ([GOOD, np.ones(3)], "layer 1"),
        ([np.ones((3, 3, 1, 1)), GOOD], "layer 0"),
        ([GOOD, np.ones((0, 3))], "layer 1"),
        ([np.zeros((3, 3)), np.zeros((2, 3))], "zero"),
        ([], "no weight matrix"),
    ],
)
@pytest.mark.parametrize("check", [check_matrices, layered_graph])
def test_matrices_that_are_no_network_are_refused_by_name(matrices, names, check):
    with pytest.raises(InputError, match=names):
        check(matrices)


@given(networks())
def test_matrices_that_are_a_network_pass(matrices):
    check_matrices(matrices)
