"""Multi-layer perceptrons, many at once: every parameter carries a leading axis of networks.

One network's forward and backward pass is a handful of matrix products. Stacking the parameters of N
networks turns them into batched products, which is what a GPU wants; on a CPU the same code runs
stacks of one network, a stack a core, which keeps a network's parameters in the core's cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod

import numpy as np
import torch
from torch import Tensor

from clusterability.base.errors import InputError
from clusterability.networks.network import random_groups


@dataclass(frozen=True)
class MLP:
    """A fully connected ReLU network, named by the number of neurons in every layer.

    >>> MLP((784, 256, 256, 256, 256, 10)).name
    'mlp 784-256x4-10'
    >>> MLP((2, 8, 4, 1)).name
    'mlp 2-8-4-1'
    """

    sizes: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.sizes) < 2 or min(self.sizes) < 1:
            raise InputError(f"layer sizes {list(self.sizes)}: at least two layers of at least one neuron")

    @property
    def name(self) -> str:
        hidden = self.sizes[1:-1]
        if len(hidden) > 1 and len(set(hidden)) == 1:
            hidden = (f"{hidden[0]}x{len(hidden)}",)
        return "mlp " + "-".join(map(str, (self.sizes[0], *hidden, self.sizes[-1])))

    @property
    def n_vertices(self) -> int:
        """Neurons, which are clustered, inputs and outputs included."""
        return sum(self.sizes)


@dataclass
class Stack:
    """Parameters of N networks of one architecture.

    Attributes
    ----------
    weights : list of Tensor (N, out, in) float32, a layer each
    biases : list of Tensor (N, out) float32, a layer each
    """

    weights: list[Tensor]
    biases: list[Tensor]

    @property
    def parameters(self) -> list[Tensor]:
        return [*self.weights, *self.biases]

    def to(self, device: str | torch.device) -> Stack:
        return Stack([w.to(device) for w in self.weights], [b.to(device) for b in self.biases])

    def network(self, index: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Copies of one network's weights (out, in) and biases (out,)."""
        return (
            [w[index].cpu().numpy().copy() for w in self.weights],
            [b[index].cpu().numpy().copy() for b in self.biases],
        )


@dataclass
class Gradients:
    """Loss, hits and gradients of N networks on one batch.

    Attributes
    ----------
    loss : Tensor (N,)
        Mean cross-entropy, in nats.
    correct : Tensor (N,)
        Number of examples classified correctly.
    weights, biases : list of Tensor
        Shaped as in :class:`Stack`.
    """

    loss: Tensor
    correct: Tensor
    weights: list[Tensor]
    biases: list[Tensor]


def glorot_uniform(n_out: int, n_in: int, generator: torch.Generator, kernel: tuple[int, ...] = ()) -> Tensor:
    """Weights (n_out, n_in, *kernel), uniform on ±sqrt(6 / (fan_in + fan_out)) (Glorot & Bengio, 2010).

    As in Keras, a unit's fans are the units that it joins times the entries of a kernel.
    """
    limit = (6 / ((n_in + n_out) * prod(kernel))) ** 0.5
    return torch.empty(n_out, n_in, *kernel).uniform_(-limit, limit, generator=generator)


def initialize(architecture: MLP, generators: Sequence[torch.Generator]) -> Stack:
    """A stack of untrained networks, one a generator: Glorot-uniform weights, zero biases.

    >>> stack = initialize(MLP((4, 3, 2)), [torch.Generator().manual_seed(0)])
    >>> [tuple(w.shape) for w in stack.weights]
    [(1, 3, 4), (1, 2, 3)]
    """
    layers = list(pairwise(architecture.sizes))
    networks = [[glorot_uniform(o, i, generator) for i, o in layers] for generator in generators]
    weights = [torch.stack(matrices) for matrices in zip(*networks, strict=True)]
    return Stack(weights, [torch.zeros(len(networks), o) for _, o in layers])


# PyTorch sends float32 products on the CPU to MKL, which uses half of the vector width on AMD
# processors; oneDNN, which PyTorch ships too, uses all of it: twice as fast there, equal on Intel.
_onednn_linear = getattr(torch.ops.mkldnn, "_linear_pointwise", None)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None, *, relu: bool = False) -> Tensor:
    """x · weightᵀ + bias, then ReLU where asked, for every network of a stack. Not differentiable.

    Parameters
    ----------
    x : Tensor (N, batch, in)
    weight : Tensor (N, out, in)
    bias : Tensor (N, out), optional

    Returns
    -------
    Tensor (N, batch, out)
    """
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
    """Outputs before the softmax, without dropout.

    Parameters
    ----------
    x : Tensor (N, batch, in)

    Returns
    -------
    Tensor (N, batch, out)
    """
    for weight, bias in zip(stack.weights[:-1], stack.biases[:-1], strict=True):
        x = linear(x, weight, bias, relu=True)
    return linear(x, stack.weights[-1], stack.biases[-1])


def clusterable(
    weights: Sequence[Tensor], n_groups: int, damping: float, generator: torch.Generator, *, first_layer: bool = False
) -> list[Tensor]:
    """Clusterable initialization: weights within random groups of neurons grow, the others shrink.

    Every neuron joins one of the groups at random; as many outputs as there are groups, or fewer, go
    to a group each. Weights inside a group are multiplied by 1 + (1 − damping)(groups − 1), the others
    by ``damping``, so that the mean weight stays (C, section 3.3).

    Parameters
    ----------
    weights : sequence of Tensor (out, in)
        One network's, first layer first.
    n_groups : int
    damping : float in [0, 1]
    first_layer : bool
        Whether the first layer changes too; the papers leave it as it is in networks that are trained,
        for a pixel has no fixed meaning.

    >>> [scaled] = clusterable([torch.ones(4, 4)], 4, 0.6, torch.Generator().manual_seed(0), first_layer=True)
    >>> sorted(set(scaled.flatten().round(decimals=4).tolist()))
    [0.6000000238418579, 2.200000047683716]
    """
    sizes = [weights[0].shape[1], *(weight.shape[0] for weight in weights)]
    groups = random_groups(sizes, n_groups, generator)
    scaled = [
        weight * group_factors(before, after, n_groups, damping)
        for weight, before, after in zip(weights, groups[:-1], groups[1:], strict=True)
    ]
    return scaled if first_layer else [weights[0], *scaled[1:]]


def group_factors(before: Tensor, after: Tensor, n_groups: int, damping: float) -> Tensor:
    """What a clusterable initialization multiplies weights (out, in) by, see :func:`clusterable`.

    Parameters
    ----------
    before, after : Tensor (in,) and (out,) of int64
        Groups of the units that a layer reads, and of its own.
    """
    factors = torch.tensor([damping, 1 + (1 - damping) * (n_groups - 1)])
    return factors[(after[:, None] == before).long()]


def rescale(stack: Stack, chosen: Tensor, masks: Sequence[Tensor] = ()) -> None:
    """Bring hidden neurons to one scale, which changes no output (C, section 5).

    A ReLU neuron's incoming weights and bias are divided by s and its outgoing weights multiplied by s,
    layer by layer from the input, with s the 2-norm of weights and bias over √2. A neuron without
    input passes on nothing: its outgoing weights become 0.

    Parameters
    ----------
    stack : Stack
        Changed in place.
    chosen : Tensor (N,) of bool
        Which networks are rescaled.
    masks : sequence of Tensor (N, out, in), optional
        Pruned weights, 0 there, do not count in the norm.
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
    """What networks get wrong on a batch: loss, hits, and the loss's derivative by the outputs.

    Softmax cross-entropy (nats) for classes; for numbers, the squared error, mean over the outputs.

    Parameters
    ----------
    outputs : Tensor (N, batch, out)
        Consumed.
    y : Tensor (N, batch) of int64, or (N, batch, out) of float32

    Returns
    -------
    loss : Tensor (N,) float64
        Mean over the batch.
    correct : Tensor (N,)
        Hits; zeros for numbers.
    delta : Tensor (N, batch, out)
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
) -> Gradients:
    """Loss of every network, see :func:`output_errors`, and its gradient by hand-written back-propagation.

    Parameters
    ----------
    x : Tensor (N, batch, in)
    y : Tensor (N, batch) of int64, or (N, batch, out) of float32
    keep : Tensor (N, batch, width) of 0 and 1, one a hidden layer, optional
        Which hidden units dropout keeps.
    scale : Tensor (N,), needed with ``keep``
        Factor 1 / (1 − rate) by which kept units grow, so that their mean stays.
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
    return Gradients(loss, correct, weights[::-1], biases[::-1])
