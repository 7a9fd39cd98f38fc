"""Convolutional networks: their shape, parameters and forward pass, and the matrices that are clustered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain, groupby, pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from clusterability.base.errors import InputError
from clusterability.base.records import as_declared
from clusterability.graphs.channels import check_norm, kernel_norms
from clusterability.networks.mlp import glorot_uniform, group_factors

if TYPE_CHECKING:
    from clusterability.networks.network import TrainedNetwork

KERNEL = (3, 3)
# As Keras normalizes: PyTorch counts the momentum from the other end.
_MOMENTUM, _EPSILON = 0.99, 1e-3


@dataclass(frozen=True)
class CNN:
    """A chain of 3×3 convolutions in blocks, then dense layers, all with ReLU but the last.

    Convolutions keep the size of their input; a 2×2 max-pool ends every block.

    Attributes
    ----------
    image : (int, int, int)
        Channels, height and width of the input.
    blocks : tuple of tuple of int
        Channels of every convolution, block by block.
    dense : tuple of int
        Units of the dense hidden layers.
    n_outputs : int
    batch_norm : bool
        Whether every convolution, after its ReLU and its pool if one follows, and the first dense hidden
        layer are normalized, as in the papers' VGG-16.

    >>> CNN((1, 28, 28), ((64, 64), (64,)), (128,)).name
    'cnn 1x28x28-64x2-P-64-P-128-10'
    >>> CNN((3, 32, 32), ((64, 64), (128, 128), (256,) * 3), (512, 512), batch_norm=True).name
    'cnn 3x32x32-64x2-P-128x2-P-256x3-P-512x2-10 bn'
    """

    image: tuple[int, int, int]
    blocks: tuple[tuple[int, ...], ...]
    dense: tuple[int, ...] = ()
    n_outputs: int = 10
    batch_norm: bool = False

    def __post_init__(self) -> None:
        as_declared(self)
        object.__setattr__(self, "image", tuple(self.image))
        object.__setattr__(self, "blocks", tuple(tuple(block) for block in self.blocks))
        object.__setattr__(self, "dense", tuple(self.dense))
        if len(self.image) != 3 or min(self.image) < 1:
            raise InputError(f"image {list(self.image)}: channels, height and width are needed, each at least 1")
        if not self.blocks or not all(self.blocks) or min(chain(*self.blocks)) < 1:
            blocks = [list(block) for block in self.blocks]
            raise InputError(f"blocks {blocks}: at least one block, each of at least one convolution of one channel")
        if min((*self.dense, self.n_outputs)) < 1:
            raise InputError(f"dense layers {[*self.dense, self.n_outputs]}: each needs at least one unit")
        if min(self.image[1:]) < 2 ** len(self.blocks):
            height, width = self.image[1:]
            raise InputError(f"images of {height}×{width} are too small for {len(self.blocks)} max-pools")

    @property
    def name(self) -> str:
        blocks = [*map(_repeated, self.blocks), _repeated(self.dense)]
        parts = ["x".join(map(str, self.image)), *(part for block in blocks[:-1] for part in (*block, "P"))]
        return "cnn " + "-".join([*parts, *blocks[-1], str(self.n_outputs)]) + (" bn" if self.batch_norm else "")

    @property
    def channels(self) -> tuple[int, ...]:
        """Output channels of every convolution."""
        return tuple(chain(*self.blocks))

    @property
    def pooled(self) -> tuple[bool, ...]:
        """Whether a max-pool follows, a convolution each."""
        return tuple(i == len(block) - 1 for block in self.blocks for i in range(len(block)))

    @property
    def n_vertices(self) -> int:
        """Channels, which are clustered: the image's are not."""
        return sum(self.channels)

    @property
    def n_flat(self) -> int:
        """Numbers in the last convolution's output, flattened."""
        height, width = (side // 2 ** len(self.blocks) for side in self.image[1:])
        return self.channels[-1] * height * width

    @property
    def n_normalized(self) -> int:
        """Layers with batch normalization, which are the first ones."""
        return len(self.channels) + bool(self.dense) if self.batch_norm else 0


def _repeated(widths: Sequence[int]) -> list[str]:
    """Widths as text, equal neighbours together."""
    runs = [(width, len(list(run))) for width, run in groupby(widths)]
    return [f"{width}x{n}" if n > 1 else str(width) for width, n in runs]


@dataclass
class Parameters:
    """Parameters of one network.

    Attributes
    ----------
    weights : list of Tensor float32, a layer each
        Kernels (out, in, 3, 3), then matrices (out, in).
    biases : list of Tensor (out,) float32, a layer each
    scales : list of Tensor (2, units) float32, a normalized layer each
        γ and β of batch normalization.
    statistics : list of Tensor (2, units) float32, a normalized layer each
        Running mean and variance.
    """

    weights: list[Tensor]
    biases: list[Tensor]
    scales: list[Tensor]
    statistics: list[Tensor]

    @property
    def trained(self) -> list[Tensor]:
        """Those that an optimizer changes."""
        return [*self.weights, *self.biases, *self.scales]

    def to(self, device: str | torch.device) -> Parameters:
        """Copies on a device, kernels with their channels last in memory, which convolutions are faster on."""
        parts = (self.weights, self.biases, self.scales, self.statistics)
        return Parameters(*([_channels_last(tensor).to(device) for tensor in part] for part in parts))

    def arrays(self) -> tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]]:
        """Copies of weights, biases, and normalizations (4, units), see
        :class:`clusterability.training.spec.TrainedNetwork`."""
        normalizations = [torch.cat(pair) for pair in zip(self.scales, self.statistics, strict=True)]
        weights, biases, normalizations = (
            [np.array(tensor.detach().cpu().numpy(), order="C") for tensor in part]
            for part in (self.weights, self.biases, normalizations)
        )
        return weights, biases, normalizations


def _channels_last(tensor: Tensor) -> Tensor:
    # By copying: PyTorch takes a kernel of one channel for any layout, and its convolution for the slower one.
    layout = torch.channels_last if tensor.ndim == 4 else torch.contiguous_format
    return torch.empty_like(tensor, memory_format=layout).copy_(tensor)


def initialize(architecture: CNN, generator: torch.Generator) -> Parameters:
    """An untrained network: Glorot-uniform weights, zero biases, normalizations that change nothing.

    >>> parameters = initialize(CNN((1, 4, 4), ((8, 6),), (5,), 2), torch.Generator().manual_seed(0))
    >>> [tuple(weight.shape) for weight in parameters.weights]
    [(8, 1, 3, 3), (6, 8, 3, 3), (5, 24), (2, 5)]
    """
    channels = pairwise((architecture.image[0], *architecture.channels))
    units = pairwise((architecture.n_flat, *architecture.dense, architecture.n_outputs))
    weights = [
        *(glorot_uniform(n_out, n_in, generator, KERNEL) for n_in, n_out in channels),
        *(glorot_uniform(n_out, n_in, generator) for n_in, n_out in units),
    ]
    biases = [torch.zeros(len(weight)) for weight in weights]
    normalized = biases[: architecture.n_normalized]
    scales = [torch.stack([torch.ones_like(b), torch.zeros_like(b)]) for b in normalized]
    statistics = [torch.stack([torch.zeros_like(b), torch.ones_like(b)]) for b in normalized]
    return Parameters(weights, biases, scales, statistics)


def clusterable_weights(
    architecture: CNN,
    weights: Sequence[Tensor],
    n_groups: int,
    damping: float,
    generator: torch.Generator,
    *,
    first_layer: bool = False,
) -> list[Tensor]:
    """Clusterable initialization, see :func:`clusterability.networks.mlp.clusterable`, of groups of channels.

    Kernels are scaled, each as a whole; the dense layers stay as they are (C, section 3.3).
    """
    scaled = list(weights)
    n_channels = [architecture.image[0], *architecture.channels]
    groups = [torch.randint(n_groups, (n,), generator=generator) for n in n_channels]
    for layer, (before, after) in enumerate(pairwise(groups)):
        if layer or first_layer:
            factors = group_factors(before, after, n_groups, damping)
            scaled[layer] = weights[layer] * factors[:, :, None, None]
    return scaled


def logits(
    architecture: CNN,
    parameters: Parameters,
    x: Tensor,
    *,
    training: bool = False,
    drop: Callable[[Tensor, int], Tensor] | None = None,
) -> Tensor:
    """Outputs before the softmax; can be differentiated.

    Parameters
    ----------
    x : Tensor (batch, channels, height, width)
    training : bool
        Whether batches are normalized by their own mean and variance, which then change the running
        ones, instead of by the running ones.
    drop : callable, optional
        Makes from a hidden layer's output, after its pool, and its number what the next layer reads.

    Returns
    -------
    Tensor (batch, out)
    """
    pooled = architecture.pooled
    for layer, (weight, bias) in enumerate(zip(parameters.weights[:-1], parameters.biases[:-1], strict=True)):
        convolution = layer < len(pooled)
        x = (F.conv2d(x, weight, bias, padding=1) if convolution else F.linear(x, weight, bias)).relu_()
        if convolution and pooled[layer]:
            x = F.max_pool2d(x, 2)
        if layer < len(parameters.scales):
            scale, statistics = parameters.scales[layer], parameters.statistics[layer]
            x = F.batch_norm(x, *statistics, *scale, training, 1 - _MOMENTUM, _EPSILON)
        if drop is not None:
            x = drop(x, layer)
        if layer == len(pooled) - 1:
            x = x.flatten(1)
    return F.linear(x, parameters.weights[-1], parameters.biases[-1])


def channel_matrices(
    architecture: CNN, network: TrainedNetwork, norm: str = "induced", fold: bool = False
) -> list[np.ndarray]:
    """What is clustered of a convolutional network: the norms of its kernels, a matrix a convolution.

    The first convolution, which reads the image, and the dense layers are left out (C, section 2.1).

    Parameters
    ----------
    norm : str
        See :func:`clusterability.graphs.channels.kernel_norms`.
    fold : bool
        Whether a channel's norms are multiplied by |γ| / sqrt(σ² + ε) of its batch normalization.

    Returns
    -------
    list of ndarray (out, in) float64

    Raises
    ------
    InputError
        An unknown norm, or fewer than two convolutions.
    """
    check_norm(norm)
    check_channels(architecture)
    matrices = []
    for layer in range(1, len(architecture.channels)):
        norms = kernel_norms(network.weights[layer], norm)
        if fold and network.normalizations:
            gamma, _, _, variance = network.normalizations[layer].astype(np.float64)
            norms *= (np.abs(gamma) / np.sqrt(variance + _EPSILON))[:, None]
        matrices.append(norms)
    return matrices


def check_channels(architecture: CNN) -> None:
    """Raise InputError unless two convolutions follow each other, so that kernels join channels."""
    if len(architecture.channels) < 2:
        raise InputError(f"{architecture.name} has one convolution: at least two are needed to join channels")
