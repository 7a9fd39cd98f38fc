"""Training with the clusterability gradient and with rescaling."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from clusterability.networks.mlp import MLP
from clusterability.networks.stack import logits, rescale
from clusterability.penalties.eigenvalues import smallest_eigenpairs
from clusterability.penalties.module import ClusterabilityPenalty
from clusterability.training.loop import Randomness
from clusterability.training.pruning import PruningMasks
from clusterability.training.train import NetworkSpec, Training, train, untrained
from helpers import sequential, untrained_stack

SMALL = MLP((64, 24, 20, 10))
SHORT = Training(epochs=2, pruning_epochs=2)


def spec(seed=0, **changes):
    return NetworkSpec("digits", SMALL, replace(SHORT, **changes), seed)


def states(specs, digits):
    return [found for _, found in sorted(train(specs, digits), key=lambda pair: pair[0])]


def mean_eigenvalue(network, n_eigenvalues=3, offset=0.0):
    weights = [torch.from_numpy(weight)[None] for weight in network.weights]
    return float(smallest_eigenpairs(weights, n_eigenvalues, offset=offset).values.mean())


def assert_equal(first, second, **tolerance):
    for epoch, network in first.items():
        for a, b in zip(network.weights, second[epoch].weights, strict=True):
            np.testing.assert_allclose(a, b, **tolerance)


@pytest.mark.parametrize("offset", [0.0, 1.0])
@pytest.mark.parametrize("interval", [1, 4])
def test_the_penalty_lowers_the_eigenvalues_it_is_on(digits, offset, interval):
    longer = {"epochs": 20, "pruning_epochs": 2, "cluster_offset": offset, "cluster_interval": interval}
    plain, penalized = states([spec(**longer), spec(cluster_gradient=1.0, **longer)], digits)
    for epoch in (20, 22):
        low, high = (mean_eigenvalue(found[epoch], offset=offset) for found in (penalized, plain))
        assert low < 0.9 * high
        assert penalized[epoch].scores["penalty"] == pytest.approx(low, rel=1e-3, abs=1e-5)
        assert plain[epoch].scores["penalty"] == 0


def test_penalized_networks_do_not_depend_on_their_neighbours(digits):
    members = [
        spec(0),
        spec(1, cluster_gradient=0.5),
        spec(2, cluster_gradient=0.5, cluster_halved=True, rescaling=True),
    ]
    for together, member in zip(states(members, digits), members, strict=True):
        assert_equal(together, states([member], digits)[0], rtol=0)


def test_a_stack_equals_its_members_trained_alone_to_rounding(digits):
    members = [spec(0), spec(1, cluster_gradient=0.5), spec(2, rescaling=True)]
    stacked = [found for _, found in train(members, digits, stack_size=3)]
    for found, member in zip(stacked, members, strict=True):
        assert_equal(found, states([member], digits)[0], rtol=2e-2, atol=2e-3)


def test_training_equals_a_user_s_loop_with_the_penalty(digits):
    one = spec(pruning_epochs=0, cluster_gradient=2.0, cluster_halved=True)
    [found] = states([one], digits)
    model, randomness = sequential(SMALL, untrained(one)), Randomness(one.seed, "cpu")
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, eps=1e-7)
    penalty = ClusterabilityPenalty(3, halved=True)
    x, y = map(torch.from_numpy, digits.flat("train"))
    for _ in range(2):
        for batch in torch.randperm(len(x), generator=randomness.order).split(128):
            optimizer.zero_grad()
            (torch.nn.functional.cross_entropy(model(x[batch]), y[batch]) + 2.0 * penalty(model)).backward()
            optimizer.step()
    for ours, layer in zip(found[2].weights, model[::2], strict=True):
        assert np.abs(ours - layer.weight.detach().numpy()).mean() < 1e-4


def test_a_halved_derivative_is_that_of_half_the_strength(digits):
    [released], [true] = ([found] for found in states(
        [spec(cluster_gradient=1.0, cluster_halved=True), spec(cluster_gradient=0.5)], digits
    ))  # fmt: skip
    assert_equal(released, true, rtol=1e-4, atol=1e-5)


def some_stack(seeds=(0, 1)):
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    stack = untrained_stack(SMALL, generators)
    for bias in stack.biases:
        bias.normal_(generator=generators[0])
    return stack


def test_rescaling_changes_no_output_and_gives_hidden_neurons_one_norm():
    stack, x = some_stack(), torch.randn(2, 30, 64, generator=torch.Generator().manual_seed(5))
    stack.weights[0][0, 3] = 0  # a neuron without input …
    stack.biases[0][0, 3] = 0
    before, second = logits(stack, x), [w[1].clone() for w in stack.weights]
    rescale(stack, torch.tensor([True, False]))
    torch.testing.assert_close(logits(stack, x), before, rtol=1e-4, atol=1e-4)
    for layer in (0, 1):
        squares = stack.weights[layer][0].square().sum(1) + stack.biases[layer][0].square()
        squares = np.delete(squares.numpy(), 3) if layer == 0 else squares.numpy()
        np.testing.assert_allclose(squares, 2, rtol=1e-5)
    assert not stack.weights[1][0, :, 3].any()  # … passes on nothing
    for own, weight in zip(second, stack.weights, strict=True):
        torch.testing.assert_close(weight[1], own, rtol=0, atol=0)


def test_pruned_weights_do_not_count_in_the_norm():
    stack = some_stack((0,))
    masks = [(torch.rand(w.shape, generator=torch.Generator().manual_seed(1)) < 0.3).float() for w in stack.weights]
    masks[0][0, :, 0] = 1  # no neuron without input
    rescale(stack, torch.tensor([True]), masks)
    squares = (stack.weights[0] * masks[0]).square().sum(2) + stack.biases[0].square()
    torch.testing.assert_close(squares, torch.full_like(squares, 2))


def test_cutoffs_in_place_of_masks_multiply_what_counts_and_change_no_output():
    stack, x = some_stack((0,)), torch.randn(1, 30, 64, generator=torch.Generator().manual_seed(5))
    before = logits(stack, x)
    rescale(stack, torch.tensor([True]), [torch.full((1, 1, 1), 0.03) for _ in stack.weights])
    torch.testing.assert_close(logits(stack, x), before, rtol=1e-4, atol=1e-4)
    squares = (0.03 * stack.weights[0]).square().sum(2) + stack.biases[0].square()
    torch.testing.assert_close(squares, torch.full_like(squares, 2))


def test_the_cutoff_is_the_least_magnitude_that_stays():
    weights = [torch.randn(2, 5, 7), torch.randn(2, 3, 5)]
    pruned = PruningMasks(weights, 10, Training(rescaling_by_cutoff=True, mask_interval=1))
    assert all((cutoff == 0).all() and cutoff.shape == (2, 1, 1) for cutoff in pruned.cutoffs)
    pruned.before_step(3)
    for weight, cutoff in zip(weights, pruned.cutoffs, strict=True):
        for own, least in zip(weight, cutoff, strict=True):
            assert own[own != 0].abs().min() == least
