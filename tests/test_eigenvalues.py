"""The clusterability gradient against dense solvers and central differences."""

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from clusterability.base.errors import InputError
from clusterability.penalties.eigenvalues import eigenvalue_gradient, smallest_eigenpairs
from helpers import dense_adjacency, dense_laplacian, networks, random_network

offsets = st.sampled_from([0.0, 0.3, 1.0])


def stacked(*members):
    """One stack (N, out, in) in float64 of several networks."""
    return [torch.tensor(np.stack(layer), dtype=torch.float64) for layer in zip(*members, strict=True)]


def eigenvalue_sum(matrices, n_eigenvalues, offset):
    return float(smallest_eigenpairs(stacked(matrices), n_eigenvalues, offset=offset).values.sum())


def dense_eigenvalues(matrices, offset):
    """All eigenvalues of the (offset) normalized Laplacian of the vertices that are not isolated, by scipy."""
    adjacency = dense_adjacency(matrices)
    present = adjacency.sum(axis=0) > 0
    adjacency = adjacency[np.ix_(present, present)]
    if not offset:
        return scipy.linalg.eigvalsh(dense_laplacian(adjacency))
    degree = adjacency.sum(axis=0)
    degree = degree + offset * degree.mean()
    return scipy.linalg.eigvalsh(np.eye(len(degree)) - adjacency / np.sqrt(np.outer(degree, degree)))


def most(matrices):
    """How many nontrivial eigenvalues of a network can be asked for."""
    sizes = [matrices[0].shape[1], *(m.shape[0] for m in matrices)]
    return min(sum(sizes[0::2]), sum(sizes[1::2])) - 1


@given(networks(), offsets)
def test_eigenvalues_are_those_of_the_dense_laplacian_without_isolated_vertices(matrices, offset):
    assume(most(matrices) >= 1)
    pairs = smallest_eigenpairs(stacked(matrices), most(matrices), offset=offset)
    expected = dense_eigenvalues(matrices, offset)[1 : 1 + most(matrices)]
    below_one = expected[expected < 1 - 1e-6]  # squaring halves the digits of eigenvalues near 1
    np.testing.assert_allclose(pairs.values[0][: len(below_one)], below_one, atol=1e-9)


@given(networks(connected=True))
def test_scaled_vectors_are_eigenvectors_over_the_root_of_the_degree(matrices):
    n = most(matrices)
    assume(n >= 1)
    pairs = smallest_eigenpairs(stacked(matrices), n)
    adjacency = dense_adjacency(matrices)
    degree = adjacency.sum(axis=0)
    vectors = torch.cat(pairs.scaled, dim=1)[0].numpy() * np.sqrt(degree)[:, None]
    values = pairs.values[0].numpy()
    proper = values < 1 - 1e-3
    np.testing.assert_allclose(np.linalg.norm(vectors[:, proper], axis=0), 1, atol=1e-6)
    laplacian = dense_laplacian(adjacency)
    np.testing.assert_allclose((laplacian @ vectors)[:, proper], (vectors * values)[:, proper], atol=1e-6)


def assert_central_differences_agree(matrices, n_eigenvalues, offset, step=1e-6):
    pairs = smallest_eigenpairs(stacked(matrices), n_eigenvalues, offset=offset)
    computed = eigenvalue_gradient(stacked(matrices), pairs, offset=offset)
    for layer, matrix in enumerate(matrices):
        for place, weight in np.ndenumerate(matrix):
            if weight == 0:
                assert computed[layer][0][place] == 0
                continue
            sums = []
            for change in (step, -step):
                moved = [m.copy() for m in matrices]
                moved[layer][place] += change
                sums.append(eigenvalue_sum(moved, n_eigenvalues, offset))
            assert float(computed[layer][0][place]) == pytest.approx((sums[0] - sums[1]) / (2 * step), abs=1e-6)


@pytest.mark.parametrize("offset", [0.0, 0.7])
def test_the_gradient_is_that_of_central_differences(offset):
    matrices = random_network((6, 5, 7, 4), np.random.default_rng(0))
    assert_central_differences_agree(matrices, 3, offset)


@pytest.mark.parametrize("offset", [0.0, 0.7])
def test_pruned_weights_and_isolated_neurons_have_no_gradient_and_change_no_other(offset):
    matrices = random_network((6, 5, 7, 4), np.random.default_rng(3), density=0.6)
    matrices[0][2] = 0
    matrices[1][:, 2] = 0  # hidden neuron 2 is isolated
    assert_central_differences_agree(matrices, 3, offset)
    without = [np.delete(matrices[0], 2, axis=0), np.delete(matrices[1], 2, axis=1), matrices[2]]
    assert eigenvalue_sum(matrices, 3, offset) == pytest.approx(eigenvalue_sum(without, 3, offset))


def repeated(n_copies, rng):
    """A network of equal unconnected copies, so that every eigenvalue repeats."""
    part = random_network((3, 3, 2), rng)
    return [np.kron(np.eye(n_copies), np.abs(matrix)) for matrix in part]


def test_a_whole_group_of_equal_eigenvalues_has_a_gradient():
    # Three copies: eigenvalue 0 three times, of which two are nontrivial; then the next one three times.
    matrices = repeated(3, np.random.default_rng(0))
    values = smallest_eigenpairs(stacked(matrices), 5).values[0]
    np.testing.assert_allclose(values[:2], 0, atol=1e-7)
    np.testing.assert_allclose(values[2:], values[2], atol=1e-9)
    assert_central_differences_agree(matrices, 5, 0.0)


def test_where_a_group_is_cut_the_sum_never_rises_faster_than_the_gradient_says():
    rng = np.random.default_rng(1)
    matrices = repeated(3, rng)
    pairs = smallest_eigenpairs(stacked(matrices), 3)
    gradient = eigenvalue_gradient(stacked(matrices), pairs)
    start = eigenvalue_sum(matrices, 3, 0.0)
    for _ in range(20):
        direction = [rng.normal(size=m.shape) * (m != 0) for m in matrices]
        moved = [m + 1e-6 * d for m, d in zip(matrices, direction, strict=True)]
        rise = (eigenvalue_sum(moved, 3, 0.0) - start) / 1e-6
        said = sum(float((g[0] * torch.tensor(d)).sum()) for g, d in zip(gradient, direction, strict=True))
        assert rise <= said + 1e-4


@given(networks(), offsets)
def test_a_common_factor_of_all_weights_changes_nothing(matrices, offset):
    n = min(2, most(matrices))
    assume(n >= 1)
    weights = stacked(matrices)
    pairs = smallest_eigenpairs(weights, n, offset=offset)
    larger = smallest_eigenpairs([3 * weight for weight in weights], n, offset=offset)
    torch.testing.assert_close(larger.values, pairs.values, atol=1e-7, rtol=0)
    gradient = eigenvalue_gradient(weights, pairs, offset=offset)
    along = sum(float((g * w).sum()) for g, w in zip(gradient, weights, strict=True))
    assert along == pytest.approx(
        0, abs=1e-6 * sum(float((g * w).abs().sum()) for g, w in zip(gradient, weights, strict=True)) + 1e-9
    )


def drifting(rng, n_steps, size=1e-3, sizes=(30, 24, 24, 10)):
    """A stack of two networks whose weights move a little every step, as an optimizer moves them."""
    weights = stacked(*(random_network(sizes, rng) for _ in range(2)))
    for _ in range(n_steps):
        yield weights
        weights = [w + size * torch.tensor(rng.choice([-1.0, 1.0], w.shape)) for w in weights]


def test_followed_eigenpairs_stay_near_the_exact_ones():
    basis = None
    for weights in drifting(np.random.default_rng(0), 30):
        followed = smallest_eigenpairs(weights, 4, start=basis)
        basis = followed.basis
        exact = smallest_eigenpairs(weights, 4)
        torch.testing.assert_close(followed.values.sum(1), exact.values.sum(1), atol=1e-4, rtol=0)
        for mine, theirs in zip(
            eigenvalue_gradient(weights, followed), eigenvalue_gradient(weights, exact), strict=True
        ):
            assert float((mine - theirs).norm() / theirs.norm()) < 0.05


def test_a_start_that_leads_nowhere_gives_the_exact_result():
    first, second = (stacked(random_network((30, 24, 24, 10), np.random.default_rng(seed))) for seed in (0, 1))
    elsewhere = smallest_eigenpairs(first, 4).basis
    found = smallest_eigenpairs(second, 4, start=elsewhere)
    torch.testing.assert_close(found.values, smallest_eigenpairs(second, 4).values, atol=5e-4, rtol=0)


def test_networks_of_a_stack_do_not_depend_on_each_other():
    rng = np.random.default_rng(2)
    one, other, far = (random_network((12, 9, 10, 5), rng) for _ in range(3))
    together = smallest_eigenpairs(stacked(one, other), 3)
    moved = [m + 1e-4 for m in one]
    alone = smallest_eigenpairs(stacked(moved), 3, start=smallest_eigenpairs(stacked(one), 3).basis)
    beside = smallest_eigenpairs(stacked(moved, far), 3, start=together.basis)  # the neighbour must start anew
    torch.testing.assert_close(beside.values[:1], alone.values, atol=1e-10, rtol=0)


@pytest.mark.parametrize("n_eigenvalues", [0, 7])
def test_numbers_of_eigenvalues_that_there_are_not_are_an_input_error(n_eigenvalues):
    weights = stacked(random_network((5, 7, 2), np.random.default_rng(0)))
    with pytest.raises(
        InputError, match=f"{n_eigenvalues} eigenvalues asked of layers of 5, 7, 2 neurons: from 1 to 6"
    ):
        smallest_eigenpairs(weights, n_eigenvalues)
