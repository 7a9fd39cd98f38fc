import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from clusterability.base.errors import InputError
from clusterability.networks.initialize import glorot_uniform
from clusterability.networks.mlp import MLP
from clusterability.networks.stack import Stack, gradients, linear, logits
from helpers import sequential, untrained_stack


def generators(n, first=0):
    return [torch.Generator().manual_seed(first + i) for i in range(n)]


def random_stack(sizes, n_networks, seed=0):
    """Networks with biases too, so that their part is seen."""
    stack = untrained_stack(MLP(sizes), generators(n_networks, seed))
    generator = torch.Generator().manual_seed(seed + 100)
    return Stack(stack.weights, [torch.randn(b.shape, generator=generator) * 0.1 for b in stack.biases])


def random_batch(sizes, n_networks, n_examples, seed=0):
    generator = torch.Generator().manual_seed(seed + 200)
    x = torch.randn(n_networks, n_examples, sizes[0], generator=generator)
    y = torch.randint(sizes[-1], (n_networks, n_examples), generator=generator)
    return x, y


def dropout_masks(sizes, n_networks, n_examples, rates, seed=0):
    generator = torch.Generator().manual_seed(seed + 300)
    rate = torch.tensor(rates)[:, None, None]
    keep = [(torch.rand(n_networks, n_examples, width, generator=generator) >= rate).float() for width in sizes[1:-1]]
    return keep, 1 / (1 - torch.tensor(rates))


def losses(weights, biases, x, y, keep=None, scale=None):
    """Mean cross-entropy (N,) in plain differentiable PyTorch."""
    for layer, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        x = x @ weight.mT + bias[:, None]
        if layer < len(weights) - 1:
            x = x.relu()
            if keep is not None:
                x = x * keep[layer] * scale[:, None, None]
    p = x.softmax(-1).gather(2, y[..., None])
    return -p.log().mean((1, 2))


def autograd(stack, x, y, keep, scale, dtype):
    parameters = [p.to(dtype).requires_grad_() for p in stack.parameters]
    n_layers = len(stack.weights)
    masks = None if keep is None else [mask.to(dtype) for mask in keep]
    scale = None if scale is None else scale.to(dtype)
    loss = losses(parameters[:n_layers], parameters[n_layers:], x.to(dtype), y, masks, scale)
    return loss.detach(), torch.autograd.grad(loss.sum(), parameters)


SIZES = (20, 16, 12, 8, 5)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.float64, 1e-4)])
@pytest.mark.parametrize("with_dropout", [False, True])
@pytest.mark.parametrize("n_networks", [1, 3])
def test_gradients_equal_automatic_differentiation(n_networks, with_dropout, dtype, tolerance):
    stack = random_stack(SIZES, n_networks)
    x, y = random_batch(SIZES, n_networks, 32)
    rates = [0.5, 0.0, 0.2][:n_networks]
    keep, scale = dropout_masks(SIZES, n_networks, 32, rates) if with_dropout else (None, None)
    found, _, derivatives = gradients(stack, x, y, keep, scale)
    loss, expected = autograd(stack, x, y, keep, scale, dtype)
    torch.testing.assert_close(found.float(), loss.float(), rtol=1e-5, atol=1e-6)
    for ours, theirs in zip(derivatives, expected, strict=True):
        torch.testing.assert_close(ours, theirs.float(), rtol=tolerance, atol=1e-6)


def test_gradients_equal_central_differences():
    stack = random_stack(SIZES, 1, seed=1)
    x, y = random_batch(SIZES, 1, 64, seed=1)
    _, _, derivatives = gradients(stack, x, y)
    generator = torch.Generator().manual_seed(0)
    n_layers, step = len(stack.weights), 1e-6
    for index, gradient in enumerate(derivatives):
        direction = torch.randn(gradient.shape, generator=generator, dtype=torch.float64)
        ends = []
        for sign in (1, -1):
            parameters = [p.double() for p in stack.parameters]
            parameters[index] = parameters[index] + sign * step * direction
            ends.append(losses(parameters[:n_layers], parameters[n_layers:], x.double(), y))
        slope = (ends[0] - ends[1]).item() / (2 * step)
        assert (gradient.double() * direction).sum().item() == pytest.approx(slope, rel=1e-3, abs=1e-5)


def test_a_network_has_the_same_gradients_alone_and_in_a_stack():
    stack = random_stack(SIZES, 3, seed=2)
    x, y = random_batch(SIZES, 3, 16, seed=2)
    _, correct, together = gradients(stack, x, y)
    for n in range(3):
        part = Stack([w[n : n + 1] for w in stack.weights], [b[n : n + 1] for b in stack.biases])
        _, hits, alone = gradients(part, x[n : n + 1], y[n : n + 1])
        assert correct[n] == hits[0]
        for a, b in zip(together, alone, strict=True):
            torch.testing.assert_close(a[n], b[0], rtol=1e-5, atol=1e-7)


def test_hits_are_counted():
    stack = random_stack(SIZES, 2, seed=3)
    x, y = random_batch(SIZES, 2, 50, seed=3)
    chosen = logits(stack, x).argmax(-1)
    assert gradients(stack, x, y)[1].tolist() == (chosen == y).sum(1).tolist()
    assert gradients(stack, x, chosen)[1].tolist() == [50, 50]


def test_gradients_leave_their_arguments_alone():
    stack = random_stack(SIZES, 2)
    x, y = random_batch(SIZES, 2, 8)
    keep, scale = dropout_masks(SIZES, 2, 8, [0.5, 0.5])
    arguments = [*stack.parameters, x, y, *keep, scale]
    before = [tensor.clone() for tensor in arguments]
    gradients(stack, x, y, keep, scale)
    for tensor, copy in zip(arguments, before, strict=True):
        assert torch.equal(tensor, copy)


@given(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9), st.integers(1, 9), st.booleans(), st.booleans())
def test_linear_equals_a_batched_product(n, batch, width, out, with_bias, relu):
    generator = torch.Generator().manual_seed(n + 10 * batch + 100 * width + 1000 * out)
    x = torch.randn(n, batch, width, generator=generator)
    weight = torch.randn(n, out, width, generator=generator)
    bias = torch.randn(n, out, generator=generator)
    expected = torch.baddbmm(bias[:, None] * with_bias, x, weight.mT)
    expected = expected.relu() if relu else expected
    result = linear(x, weight, bias if with_bias else None, relu=relu)
    torch.testing.assert_close(result, expected, rtol=1e-5, atol=1e-5)


def test_logits_equal_those_of_torch_modules():
    stack = random_stack(SIZES, 2, seed=4)
    x, _ = random_batch(SIZES, 2, 10, seed=4)
    for n in range(2):
        expected = sequential(MLP(SIZES), stack.network(n))(x[n]).detach()
        torch.testing.assert_close(logits(stack, x)[n], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("fan_out", "fan_in"), [(256, 784), (10, 256), (300, 300)])
def test_glorot_weights_have_their_bounds_and_variance(fan_out, fan_in):
    weight = glorot_uniform((fan_out, fan_in), torch.Generator().manual_seed(0))
    limit = np.sqrt(6 / (fan_in + fan_out))
    assert weight.shape == (fan_out, fan_in)
    assert 0.98 * limit < weight.abs().max() <= limit * (1 + 1e-6)
    n = fan_in * fan_out
    # Deviations of the mean and of the variance of n uniform numbers, five of each allowed.
    assert abs(weight.mean()) < 5 * limit / np.sqrt(3 * n)
    assert abs(weight.var() - limit**2 / 3) < 5 * limit**2 * np.sqrt(4 / 45 / n)


def test_untrained_networks_have_zero_biases_and_follow_their_own_generator():
    stack = untrained_stack(MLP((6, 5, 4)), generators(3))
    assert [tuple(w.shape) for w in stack.weights] == [(3, 5, 6), (3, 4, 5)]
    assert all((bias == 0).all() for bias in stack.biases)
    alone = untrained_stack(MLP((6, 5, 4)), generators(1, first=2))
    for together, single in zip(stack.weights, alone.weights, strict=True):
        assert torch.equal(together[2], single[0])
        assert not torch.equal(together[0], together[1])


def test_a_network_taken_from_a_stack_is_a_copy_of_its_own_parameters():
    stack = random_stack((4, 3, 2), 3)
    network = stack.network(1)
    for taken, stacked in zip([*network.weights, *network.biases], stack.parameters, strict=True):
        assert np.array_equal(taken, stacked[1].numpy())
        taken[:] = 7
        assert not (stacked == 7).any()


def test_a_network_is_named_by_its_layers():
    cases = [
        ((784, 256, 256, 256, 256, 10), "mlp 784-256x4-10"),
        ((784, 256, 10), "mlp 784-256-10"),
        ((2, 8, 4, 1), "mlp 2-8-4-1"),
        ((3, 3), "mlp 3-3"),
        ((64, 16, 16, 10), "mlp 64-16x2-10"),
    ]
    for sizes, name in cases:
        assert MLP(sizes).name == name


def test_layers_that_make_no_network_are_refused():
    for sizes in [(5,), (), (5, 0, 3), (5, -1)]:
        with pytest.raises(InputError, match="layer sizes"):
            MLP(sizes)


@pytest.mark.parametrize("n_networks", [1, 3])
def test_gradients_of_the_squared_error_equal_automatic_differentiation(n_networks):
    stack = random_stack(SIZES, n_networks)
    x, _ = random_batch(SIZES, n_networks, 32)
    y = torch.randn(n_networks, 32, SIZES[-1], generator=torch.Generator().manual_seed(3))
    found, correct, derivatives = gradients(stack, x, y)
    parameters = [p.clone().requires_grad_() for p in stack.parameters]
    weights, biases = parameters[: len(stack.weights)], parameters[len(stack.weights) :]
    activation = x
    for layer, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        activation = torch.baddbmm(bias[:, None], torch.relu(activation) if layer else activation, weight.mT)
    loss = (activation - y).square().mean((1, 2))
    expected = torch.autograd.grad(loss.sum(), parameters)
    torch.testing.assert_close(found.float(), loss.detach(), rtol=1e-5, atol=1e-6)
    for ours, theirs in zip(derivatives, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)
    assert not correct.any()


def test_reading_an_npz_does_not_import_torch(tmp_path):
    np.savez(tmp_path / "net.npz", layer0=np.ones((3, 2)), bias0=np.ones(3))
    code = (
        "import sys; from pathlib import Path; from clusterability.networks.files import read_network; "
        f"read_network(Path({str(tmp_path / 'net.npz')!r})); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
