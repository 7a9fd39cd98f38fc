"""Null models keep what they promise to keep, and nothing else."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal

from clusterability import measure
from clusterability.base.errors import InputError
from clusterability.graphs.graph import MatrixGraph
from clusterability.graphs.null_models import NULL_MODELS, mixed, shuffled, with_strengths

SEEDS = st.integers(0, 2**32)
WEIGHTS = st.one_of(st.just(0.0), st.floats(0.01, 10))
MATRICES = st.tuples(st.integers(1, 9), st.integers(1, 9)).flatmap(
    lambda shape: arrays(float, shape, elements=WEIGHTS)
)


@given(MATRICES, st.sampled_from(NULL_MODELS), SEEDS)
def test_a_matrix_is_left_alone_and_its_null_has_as_many_weights(matrix, null_model, seed):
    before = matrix.copy()
    null = shuffled(matrix, null_model, np.random.default_rng(seed))
    assert_array_equal(matrix, before)
    assert null.shape == matrix.shape
    assert (null != 0).sum() == (matrix != 0).sum()
    assert_array_equal(null, shuffled(matrix, null_model, np.random.default_rng(seed)))


@given(MATRICES, st.sampled_from(["nonzero", "incoming", "outgoing", "strengths"]), SEEDS)
def test_patterns_stay_exactly(matrix, null_model, seed):
    assert_array_equal(shuffled(matrix, null_model, np.random.default_rng(seed)) != 0, matrix != 0)


@given(MATRICES, SEEDS)
def test_strengths_stay_to_1e_10(matrix, seed):
    null = shuffled(matrix, "strengths", np.random.default_rng(seed))
    for axis in (0, 1):
        assert_allclose(null.sum(axis), matrix.sum(axis), rtol=1e-10)


@given(MATRICES, SEEDS)
def test_neurons_keep_the_weights_of_their_inputs_or_outputs(matrix, seed):
    for null_model, axis in (("incoming", 1), ("outgoing", 0)):
        null = shuffled(matrix, null_model, np.random.default_rng(seed))
        assert_array_equal(np.sort(null, axis), np.sort(matrix, axis))


@given(MATRICES, SEEDS)
def test_swapped_patterns_keep_every_neurons_number_of_weights(matrix, seed):
    null = shuffled(matrix, "swapped", np.random.default_rng(seed))
    assert_array_equal(np.sort(null, None), np.sort(matrix, None))
    for axis in (0, 1):
        assert_array_equal((null != 0).sum(axis), (matrix != 0).sum(axis))


def test_every_pattern_with_these_numbers_is_as_likely():
    """Of three by three with one entry a row and column there are six."""
    seen = {}
    for seed in range(3000):
        found = mixed(np.eye(3, dtype=bool), np.random.default_rng(seed)).tobytes()
        seen[found] = seen.get(found, 0) + 1
    assert len(seen) == 6
    assert min(seen.values()) > 400


def test_strengths_that_no_scaling_has_are_refused():
    with pytest.raises(InputError, match="strengths"):
        with_strengths(np.array([[1.0, 1.0], [0.0, 1.0]]), np.array([1.0, 2.0]), np.array([2.0, 1.0]))


def test_a_graph_without_matrices_has_only_the_papers_null_models():
    rng = np.random.default_rng(0)
    half = rng.random((9, 9))
    calls = []
    for null_model in set(NULL_MODELS) - {"layer", "nonzero"}:
        with pytest.raises(InputError, match=f"'{null_model}'.*layer or nonzero"):
            measure(half + half.T, 3, 4, null_model=null_model, progress=lambda: calls.append(1))
        with pytest.raises(InputError, match=f"'{null_model}'"):
            MatrixGraph.of(half + half.T).shuffled(null_model, rng)
    assert not calls


@pytest.mark.parametrize("null_model", NULL_MODELS)
def test_a_network_is_measured_under_every_null_model(null_model):
    rng = np.random.default_rng(0)
    matrices = [rng.normal(size=shape) * (rng.random(shape) < 0.5) for shape in ((20, 15), (10, 20))]
    result = measure(matrices, 3, 6, null_model=null_model)
    assert len(result.shuffled_ncuts) == 6
    assert result.ncut == measure(matrices, 3, 6).ncut
