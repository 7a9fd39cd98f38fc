"""Gauges: rescaled networks compute the same function, canonical ones depend on it alone, searches move the n-cut."""

from itertools import pairwise

import numpy as np
import pytest
import scipy.optimize
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

import clusterability as cl
from clusterability.base.errors import InputError
from clusterability.clustering.gauge_search import check_gauge, factors, ncut_and_slope, searched
from clusterability.clustering.ncut import ncut
from clusterability.graphs.gauge import CANONICAL, canonical, rescaled
from clusterability.graphs.layered import LayeredGraph
from helpers import invoke, refused

SIZES = st.lists(st.integers(1, 8), min_size=2, max_size=5)


def network(sizes, seed, density=1.0):
    rng = np.random.default_rng(seed)
    shapes = list(zip(sizes[1:], sizes[:-1], strict=True))
    weights = [rng.normal(size=shape) * (rng.random(shape) < density) for shape in shapes]
    return weights, [rng.normal(size=len(weight)) for weight in weights]


def outputs(weights, biases, x):
    for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
        x = np.maximum(x @ weight.T + bias, 0)
    return x @ weights[-1].T + biases[-1]


@given(SIZES, st.integers(0, 1000), st.sampled_from([*CANONICAL, "log-normal"]), st.sampled_from([1.0, 0.4]))
def test_every_gauge_leaves_the_outputs_as_they_are(sizes, seed, gauge, density):
    weights, biases = network(sizes, seed, density)
    scale = factors(gauge, 0.5 * (gauge == "log-normal"), weights, biases, 2, seed)
    assert all((factor > 0).all() for factor in scale)
    x = np.random.default_rng(seed).normal(size=(7, sizes[0]))
    expected = outputs(weights, biases, x)
    assert_allclose(outputs(*rescaled(weights, biases, scale), x), expected, rtol=1e-9, atol=1e-9)


@given(SIZES, st.integers(0, 1000), st.sampled_from(CANONICAL))
def test_canonical_gauges_depend_on_the_function_alone(sizes, seed, gauge):
    weights, biases = network(sizes, seed)
    elsewhere = rescaled(weights, biases, factors("log-normal", 1.0, weights, biases, 2, seed))
    here, there = (rescaled(*own, canonical(gauge, *own))[0] for own in ((weights, biases), elsewhere))
    for one, other in zip(here, there, strict=True):
        assert_allclose(one, other, rtol=1e-7, atol=1e-9)


@given(SIZES, st.integers(0, 1000), st.sampled_from([1.0, 0.4]))
def test_gauges_are_what_they_are_called(sizes, seed, density):
    weights, biases = network(sizes, seed, density)
    for gauge, order in (("balanced", 2), ("balanced-l1", 1)):
        moved, _ = rescaled(weights, biases, canonical(gauge, weights, biases))
        for into, out_of in pairwise(moved):
            norms = np.linalg.norm(into, order, axis=1), np.linalg.norm(out_of, order, axis=0)
            joined = (norms[0] > 0) & (norms[1] > 0)
            assert_allclose(norms[0][joined], norms[1][joined], rtol=1e-8)
    moved, shifted = rescaled(weights, biases, canonical("incoming", weights, biases))
    for into, bias in zip(moved[:-1], shifted[:-1], strict=True):
        connected = into.any(axis=1)
        norms = np.sqrt(np.square(into).sum(axis=1) + bias**2)
        assert_allclose(norms[connected], np.sqrt(2))


def test_the_slope_of_the_n_cut_is_that_of_finite_differences():
    weights, _ = network((9, 8, 7, 5), 0, 0.8)
    rng = np.random.default_rng(1)
    labels, scales = rng.integers(-1, 3, 29), rng.normal(0, 0.3, 15)
    _, slope = ncut_and_slope(weights, labels, 3, scales)
    numeric = scipy.optimize.approx_fprime(scales, lambda x: ncut_and_slope(weights, labels, 3, x)[0], 1e-7)
    assert_allclose(slope, numeric, atol=1e-5)
    every = np.abs(labels)
    factor = np.split(np.exp(scales), [8])
    graph = LayeredGraph.of(rescaled(weights, [np.zeros(len(w)) for w in weights], factor)[0])
    assert ncut_and_slope(weights, every, 3, scales)[0] == pytest.approx(ncut(graph, every))


@pytest.mark.parametrize("up", [False, True])
def test_a_search_moves_the_n_cut_its_way_and_stays_within_its_bound(up):
    weights, biases = network((30, 24, 24, 10), 2)
    scale = searched(weights, 4, 2.0, up=up, seed=0)
    assert all(((factor >= 0.5 - 1e-9) & (factor <= 2 + 1e-9)).all() for factor in scale)
    before, after = (cl.cluster(own, 4).ncut for own in (weights, rescaled(weights, biases, scale)[0]))
    assert (after > before) if up else (after < before - 0.2)


@pytest.mark.parametrize(
    ("gauge", "strength"),
    [("even", 0.0), ("log-normal", 0.0), ("lower", 1.0), ("higher", float("inf")), ("balanced", 2.0)],
)
def test_gauges_that_there_are_not_are_refused(gauge, strength):
    with pytest.raises(InputError, match=gauge):
        check_gauge(gauge, strength)


def test_a_network_of_ones_own_is_measured_in_a_canonical_gauge(in_folder):
    weights, biases = network((20, 16, 16, 5), 3)
    np.savez(
        "net.npz", **{f"layer{i}": w for i, w in enumerate(weights)}, **{f"bias{i}": b for i, b in enumerate(biases)}
    )
    expected = cl.ncut(rescaled(weights, biases, canonical("incoming", weights, biases))[0], [np.arange(57) % 3])
    assert cl.ncut("net.npz", [np.arange(57) % 3], gauge="incoming") == pytest.approx(expected)
    assert cl.measure("net.npz", 3, 4, gauge="balanced").ncut == cl.measure(weights, 3, 4, gauge="balanced").ncut
    result = invoke(
        "measure", "net.npz", "--clusters", 3, "--shuffles", 4, "--gauge", "balanced", "--null", "strengths"
    )
    assert result.exit_code == 0
    assert f"{cl.measure(weights, 3, 4, gauge='balanced').ncut:.4f}" in result.stdout


def test_gauges_are_refused_where_there_are_none(in_folder):
    np.savez("net.npz", layer0=np.ones((3, 4)))
    assert refused(invoke("measure", "net.npz", "--gauge", "even"), "'even'", "balanced")
    assert refused(invoke("measure", "torchvision:resnet18:random", "--gauge", "balanced"), "--gauge", "multi-layer")
    with pytest.raises(InputError, match="--gauge"):
        cl.measure(np.ones((4, 4)), 2, 1, gauge="balanced")
