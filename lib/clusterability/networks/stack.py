"""Perceptrons, many at once: every parameter carries a leading axis of networks.

One network's forward and backward pass is a handful of matrix products. Stacking the parameters of N
networks turns them into batched products, which is what a GPU wants; on a CPU the same code runs
stacks of one network, a stack a core, which keeps a network's parameters in the core's cache.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from clusterability.networks.network import TrainedNetwork


@dataclass
class Stack:
    """Parameters of N networks of one architecture."""

    weights: list[Tensor]  # (N, out, in) float32, a layer each
    biases: list[Tensor]  # (N, out) float32, a layer each

    @classmethod
    def of(cls, networks: Sequence[TrainedNetwork], device: str = "cpu") -> Self:
        """Copies of networks' parameters."""
        weights = zip(*(network.weights for network in networks), strict=True)
        biases = zip(*(network.biases for network in networks), strict=True)
        return cls(*(
            [torch.stack([torch.from_numpy(array) for array in layer]).to(device) for layer in part]
            for part in (weights, biases)
        ))  # fmt: skip

    @property
    def parameters(self) -> list[Tensor]:
        return [*self.weights, *self.biases]

    def network(self, index: int, **scores: float) -> TrainedNetwork:
        """A copy of one network."""
        weights, biases = ([p[index].cpu().numpy().copy() for p in part] for part in (self.weights, self.biases))
        return TrainedNetwork(weights, biases, scores)


# PyTorch sends float32 products on the CPU to MKL, which uses half of the vector width on AMD
# processors; oneDNN, which PyTorch ships too, uses all of it: twice as fast there, equal on Intel.
_onednn_linear = getattr(torch.ops.mkldnn, "_linear_pointwise", None)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None, *, relu: bool = False) -> Tensor:
    """x (N, batch, in) · weight (N, out, in)ᵀ + bias (N, out), then ReLU where asked. Not differentiable."""
    if x.device.type == "cpu" and x.dtype == torch.float32 and _onednn_linear is not None:
        biases = [None] * len(x) if bias is None else bias
        operation = "relu" if relu else "none"
        products = [
            _onednn_linear(x_n, w_n, b_n, operation, [], "") for x_n, w_n, b_n in zip(x, weight, biases, strict=True)
        ]
        return products[0][None] if len(products) == 1 else torch.stack(products)
    result = torch.bmm(x, weight.mT) if bias is None else torch.baddbmm(bias[:, None], x, weight.mT)
    return result.relu_() if relu else result


def logits(stack: Stack, x: Tensor) -> Tensor:
    """Outputs (N, batch, out) before the softmax, without dropout, for inputs (N, batch, in)."""
    for weight, bias in zip(stack.weights[:-1], stack.biases[:-1], strict=True):
        x = linear(x, weight, bias, relu=True)
    return linear(x, stack.weights[-1], stack.biases[-1])


def rescale(stack: Stack, chosen: Tensor, masks: Sequence[Tensor] = ()) -> None:
    """Bring hidden neurons to one scale, which changes no output (C, section 5).

    A ReLU neuron's incoming weights and bias are divided by s and its outgoing weights multiplied by s,
    layer by layer from the input, with s the 2-norm of weights and bias over √2. A neuron without
    input passes on nothing: its outgoing weights become 0. The networks ``chosen`` (N,) of bool are changed in
    place; pruned weights, 0 in the ``masks`` (N, out, in), do not count in the norm; factors (N, 1, 1) in place of
    masks multiply what does.
    """
    for layer, bias in enumerate(stack.biases[:-1]):
        weight, onward = stack.weights[layer], stack.weights[layer + 1]
        counted = weight * masks[layer] if masks else weight
        scale = torch.sqrt((counted.square().sum(2) + bias.square()) / 2)
        scale = torch.where(chosen[:, None], scale, 1)
        divisor = torch.where(scale > 0, scale, 1)
        weight.div_(divisor[:, :, None])
        bias.div_(divisor)
        onward.mul_(scale[:, None, :])


def output_errors(outputs: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What networks get wrong on a batch: loss (N,), hits (N,), and the loss's derivative by the outputs.

    Softmax cross-entropy (nats, in float64, mean over the batch) for classes ``y`` (N, batch) of int64; for numbers
    ``y`` (N, batch, out), the squared error, mean over the outputs, and no hits. ``outputs`` (N, batch, out) are
    consumed.
    """
    n_examples = outputs.shape[1]
    if y.is_floating_point():
        delta = outputs.sub_(y)
        loss = delta.square().mean((1, 2), dtype=torch.float64)
        return loss, torch.zeros_like(loss), delta.mul_(2 / (n_examples * outputs.shape[2]))
    log_p = outputs.log_softmax(-1)
    loss = -log_p.gather(2, y[..., None]).mean((1, 2), dtype=torch.float64)
    correct = (log_p.argmax(-1) == y).sum(1)
    delta = log_p.exp_()
    delta.scatter_add_(2, y[..., None], torch.full_like(delta[..., :1], -1.0))
    return loss, correct, delta.div_(n_examples)


def gradients(
    stack: Stack, x: Tensor, y: Tensor, keep: Sequence[Tensor] | None = None, scale: Tensor | None = None
) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Loss and hits of every network, see :func:`output_errors`, and the loss's derivatives by the parameters.

    By hand-written back-propagation on inputs (N, batch, in). Dropout keeps the hidden units that are 1 in ``keep``
    (N, batch, width), a hidden layer each; they grow by ``scale`` (N,), 1 / (1 − rate), so that their mean stays.
    """
    activations = [x]
    for layer, (weight, bias) in enumerate(zip(stack.weights[:-1], stack.biases[:-1], strict=True)):
        hidden = linear(activations[-1], weight, bias, relu=True)
        if keep is not None:
            hidden = hidden.mul_(keep[layer]).mul_(scale[:, None, None])
        activations.append(hidden)
    loss, correct, delta = output_errors(linear(activations[-1], stack.weights[-1], stack.biases[-1]), y)
    weights: list[Tensor] = []
    biases: list[Tensor] = []
    for layer in reversed(range(len(stack.weights))):
        weights.append(linear(delta.mT, activations[layer].mT))
        biases.append(delta.sum(1))
        if layer:
            delta = linear(delta, stack.weights[layer].mT)
            # A unit passes gradient where it is positive, that is: active and kept.
            delta = torch.ops.aten.threshold_backward(delta, activations[layer], 0)
            if keep is not None:
                delta.mul_(scale[:, None, None])
    return loss, correct, [*weights[::-1], *biases[::-1]]
