import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from clusterability.base.errors import InputError
from clusterability.training.pruning import PruningMasks, magnitude_mask, sparsity_at, trimmed
from clusterability.training.spec import Training

SHARES = st.floats(0, 0.999)


def test_the_schedule_is_cubic():
    for step, expected in [(0, 0.5), (25, 0.73125), (50, 0.85), (75, 0.89375), (100, 0.9)]:
        assert_allclose(sparsity_at(step, 100), expected)
        assert_allclose(sparsity_at(step * 3, 300, 0.5, 0.9), expected)


@given(st.integers(1, 5000), SHARES, SHARES)
def test_the_schedule_runs_from_the_initial_to_the_final_sparsity_without_turning(last, one, other):
    initial, final = sorted((one, other))
    values = [sparsity_at(step, last, initial, final) for step in np.linspace(0, last, 20)]
    assert_allclose([values[0], values[-1]], [initial, final], atol=1e-12)
    assert (np.diff(values) >= -1e-12).all()


@st.composite
def distinct_weights(draw):
    """A stack of matrices of which no two entries are equal in absolute value."""
    n, rows, columns = draw(st.integers(1, 3)), draw(st.integers(1, 9)), draw(st.integers(1, 9))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    magnitudes = rng.permutation(n * rows * columns).reshape(n, rows, columns) + 1.0
    return torch.tensor(magnitudes * rng.choice([-1, 1], magnitudes.shape), dtype=torch.float32)


@given(distinct_weights(), SHARES)
def test_exactly_the_smallest_weights_of_every_matrix_go(weights, sparsity):
    mask = magnitude_mask(weights, sparsity)
    assert mask.shape == weights.shape
    assert mask.dtype == weights.dtype
    assert set(mask.unique().tolist()) <= {0.0, 1.0}
    for matrix, kept in zip(weights.abs(), mask.bool(), strict=True):
        n_removed = round(sparsity * matrix.numel())
        assert (~kept).sum() == n_removed
        if 0 < n_removed < matrix.numel():
            assert matrix[~kept].max() < matrix[kept].min()


@given(distinct_weights(), SHARES, SHARES)
def test_what_a_lower_sparsity_removes_a_higher_one_removes_too(weights, one, other):
    low, high = sorted((one, other))
    assert (magnitude_mask(weights, high) <= magnitude_mask(weights, low)).all()


@given(distinct_weights(), SHARES)
def test_pruning_twice_is_pruning_once(weights, sparsity):
    mask = magnitude_mask(weights, sparsity)
    assert torch.equal(magnitude_mask(weights * mask, sparsity), mask)


@given(distinct_weights(), SHARES)
def test_a_matrix_is_pruned_alike_alone_and_in_a_stack(weights, sparsity):
    alone = torch.cat([magnitude_mask(matrix[None], sparsity) for matrix in weights])
    assert torch.equal(magnitude_mask(weights, sparsity), alone)


def test_weights_are_left_alone():
    weights = torch.tensor([[[3.0, -1.0], [2.0, 4.0]]])
    before = weights.clone()
    magnitude_mask(weights, 0.5)
    assert torch.equal(weights, before)


def test_ties_with_the_largest_removed_weight_go_with_it():
    weights = torch.tensor([[[1.0, -1.0, 1.0, 2.0]]])
    assert magnitude_mask(weights, 0.25).tolist() == [[[0, 0, 0, 1]]]


def test_zero_sparsity_removes_nothing():
    assert magnitude_mask(torch.tensor([[[0.0, 1.0]]]), 0.0).tolist() == [[[1, 1]]]


def test_sparsities_outside_0_to_1_are_refused():
    for sparsity in [-0.1, 1.0, 1.5, float("nan")]:
        with pytest.raises(InputError, match="sparsity"):
            magnitude_mask(torch.ones(1, 2, 2), sparsity)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 1.0])
def test_trimming_removes_the_smallest_of_the_small_weights_only(share):
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(40, 30)) * (rng.random((40, 30)) < 0.5)
    small = (weights != 0) & (np.abs(weights) < 0.2)
    result = trimmed(weights, below=0.2, share=share)
    removed = (weights != 0) & (result == 0)
    assert removed.sum() == round(share * small.sum())
    assert not (removed & ~small).any()
    assert (result[~removed] == weights[~removed]).all()
    if 0 < share < 1:
        assert np.abs(weights[removed]).max() <= np.abs(weights[small & ~removed]).min()


def test_shares_outside_the_unit_interval_are_refused():
    for share in [-0.1, 1.1, float("nan")]:
        with pytest.raises(InputError, match="share"):
            trimmed(np.ones((2, 2)), below=2, share=share)


def test_kernels_are_pruned_as_the_flat_matrices_that_they_are():
    kernels = torch.randn(2, 4, 3, 3, 3, generator=torch.Generator().manual_seed(0))
    mask = magnitude_mask(kernels, 0.6)
    assert torch.equal(mask.flatten(2), magnitude_mask(kernels.flatten(2), 0.6))
    assert torch.equal(mask, magnitude_mask(kernels.contiguous(memory_format=torch.channels_last_3d), 0.6))


def test_masks_are_renewed_at_their_interval_and_applied_at_every_step():
    weight = torch.arange(1.0, 101.0).reshape(1, 10, 10)
    pruned = PruningMasks([weight], 8, Training(mask_interval=4))
    for step in range(8):
        weight += 200 * (weight == 0)  # what an optimizer may make of pruned weights
        pruned.before_step(step)
        assert (weight == 0).sum() == round(100 * sparsity_at(step - step % 4, 8))
        assert weight.max() == 100
    pruned.renew(8)
    assert (pruned.masks[0] == 0).sum() == 90


@pytest.mark.parametrize("regrowth", [False, True])
def test_only_with_regrowth_do_pruned_weights_come_back(regrowth):
    weight = torch.tensor([[[1.0, 2.0, 3.0, 4.0]]])
    training = Training(initial_sparsity=0.5, final_sparsity=0.5, mask_interval=1, regrowth=regrowth)
    pruned = PruningMasks([weight], 10, training)
    pruned.before_step(0)
    weight[0, 0, 0] = 9
    pruned.before_step(1)
    assert weight[0, 0].tolist() == ([9, 0, 0, 4] if regrowth else [0, 0, 3, 4])
