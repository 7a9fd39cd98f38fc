"""Convolutional networks as PyTorch modules."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clusterability.networks.cnn import CNN, EPSILON, KERNEL
from clusterability.networks.network import TrainedNetwork

_MOMENTUM = 0.99  # as Keras normalizes: PyTorch counts it from the other end


def sequential(
    architecture: CNN, network: TrainedNetwork, device: str = "cpu", dropout: Sequence[nn.Module | None] = ()
) -> nn.Sequential:
    """The module with a network's weights; behind every hidden layer, its module of ``dropout``, if any."""
    layers: list[nn.Module] = []
    n_convolutions, last = len(architecture.channels), len(network.weights) - 1
    for layer, arrays in enumerate(zip(network.weights, network.biases, strict=True)):
        n_out, n_in = arrays[0].shape[:2]
        convolution = layer < n_convolutions
        # On the device "meta", nothing is drawn from PyTorch's global random numbers.
        with torch.device("meta"):
            own = nn.Conv2d(n_in, n_out, KERNEL, padding=1) if convolution else nn.Linear(n_in, n_out)
        own.weight, own.bias = (nn.Parameter(_channels_last(torch.from_numpy(array)).to(device)) for array in arrays)
        layers.append(own)
        if layer < last:
            layers.append(nn.ReLU(inplace=True))
        if convolution and architecture.pooled[layer]:
            layers.append(nn.MaxPool2d(2))
        if layer < architecture.n_normalized:
            layers.append(Normalization(torch.from_numpy(network.normalizations[layer]).to(device)))
        if layer < len(dropout) and dropout[layer] is not None:
            layers.append(dropout[layer])
        if layer == n_convolutions - 1:
            layers.append(nn.Flatten())
    return nn.Sequential(*layers)


class Normalization(nn.Module):
    """Batch normalization whose γ and β are one parameter, from γ, β, running mean and variance (4, units).

    As an optimizer rounds by a tensor's place in memory, one tensor keeps stored networks as they are.
    """

    def __init__(self, start: Tensor) -> None:
        super().__init__()
        self.scale = nn.Parameter(start[:2].clone())
        self.register_buffer("running", start[2:].clone())

    def forward(self, x: Tensor) -> Tensor:
        return F.batch_norm(x, *self.running, *self.scale, self.training, 1 - _MOMENTUM, EPSILON)


def _channels_last(tensor: Tensor) -> Tensor:
    """A copy; of kernels, with their channels last in memory, which convolutions are faster on."""
    # PyTorch takes a kernel of one channel for any layout, and its convolution for the slower one.
    layout = torch.channels_last if tensor.ndim == 4 else torch.contiguous_format
    return torch.empty_like(tensor, memory_format=layout).copy_(tensor)


def weighted(model: nn.Sequential) -> list[nn.Module]:
    """Convolutions and dense layers of a module."""
    return [layer for layer in model if isinstance(layer, nn.Conv2d | nn.Linear)]


def taken(model: nn.Sequential, scores: dict[str, float]) -> TrainedNetwork:
    """A copy of what :func:`sequential` made a module of."""
    layers = weighted(model)
    normalizations = [torch.cat([layer.scale, layer.running]) for layer in model if isinstance(layer, Normalization)]
    parts = [layer.weight for layer in layers], [layer.bias for layer in layers], normalizations
    copies = [[np.array(tensor.detach().cpu().numpy(), order="C") for tensor in part] for part in parts]
    return TrainedNetwork(*copies[:2], scores, copies[2])
