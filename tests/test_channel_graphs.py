import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from torch import nn

from clusterability.base.errors import InputError
from clusterability.clustering.measure import Measurement, measure
from clusterability.graphs.channels import NORMS, channel_graph, kernel_norms
from clusterability.graphs.layered import LayeredGraph
from clusterability.graphs.tracing import trace
from helpers import planted_network, random_network


def test_the_graph_of_an_mlp_is_measured_as_its_matrices_are():
    rng = np.random.default_rng(0)
    matrices = random_network([12, 16, 10, 6], rng, density=0.4, dtype=np.float32)
    model = nn.Sequential(*(nn.Linear(matrix.shape[1], len(matrix)) for matrix in matrices))
    for layer, matrix in zip(model, matrices, strict=True):
        layer.weight.data[:] = nn.Parameter(layer.weight.new_tensor(matrix))
    graphs = (LayeredGraph.of(matrices), channel_graph(trace(model, (12,))))
    for null_model in ("layer", "nonzero"):
        expected, found = (measure(graph, Measurement(3, 8, null_model), seed=4) for graph in graphs)
        assert_allclose(found.ncut, expected.ncut)
        assert_allclose(found.shuffled_ncuts, expected.shuffled_ncuts)
        assert_allclose(found.eigenvalues, expected.eigenvalues, atol=1e-7)
        assert_allclose(found.volume_shares, expected.volume_shares)
        for one, other in zip(found.labels, expected.labels, strict=True):
            assert_array_equal(one, other)


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


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("exponent", [-900, 900])
def test_kernel_norms_scale_with_their_kernels_however_far(norm, exponent):
    kernel = np.random.default_rng(0).normal(size=(3, 4, 3, 3))
    kernel[0] *= 1e-200  # beside others, too
    expected = np.ldexp(kernel_norms(kernel, norm), exponent)
    assert (expected[1:] > 0).all()
    assert_array_equal(kernel_norms(np.ldexp(kernel, exponent), norm)[1:], expected[1:])
    assert_allclose(kernel_norms(kernel, norm)[0], kernel_norms(kernel[0:1] * 1e200, norm)[0] * 1e-200)


@pytest.mark.parametrize("factor", [1e-60, 1e80])
def test_models_in_double_precision_are_measured_at_every_scale(factor):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(20, 16), nn.ReLU(), nn.Linear(16, 8)).double()
    here = measure(channel_graph(trace(model, (20,))), Measurement(3, 2), 0)
    for parameter in model.parameters():
        parameter.data *= factor
    there = measure(channel_graph(trace(model, (20,))), Measurement(3, 2), 0)
    assert_allclose([there.ncut, *there.shuffled_ncuts], [here.ncut, *here.shuffled_ncuts], rtol=1e-12)


def test_a_model_of_weights_too_large_to_be_added_up_is_refused():
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)).double()
    nn.init.constant_(model[0].weight, 1e308)
    with pytest.raises(InputError, match="too large"):
        channel_graph(trace(model, (4,)))


def test_norms_that_there_are_not_are_refused():
    with pytest.raises(InputError, match="'L1'"):
        kernel_norms(np.ones((2, 2, 3, 3)), "L1")
    with pytest.raises(InputError, match="3 axes"):
        kernel_norms(np.ones((2, 2, 3, 3, 3)))
    assert_array_equal(kernel_norms(np.ones((1, 1, 3, 3, 3)), "entrywise"), [[27]])
