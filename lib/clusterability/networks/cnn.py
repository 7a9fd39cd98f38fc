"""Convolutional networks: their shape, and the graph of their channels."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, groupby, pairwise

import numpy as np

from clusterability.base.errors import InputError
from clusterability.base.records import as_declared
from clusterability.data.catalogue import Dataset
from clusterability.graphs.channels import check_norm, kernel_norms
from clusterability.graphs.layered import LayeredGraph
from clusterability.networks.network import Architecture, TrainedNetwork

KERNEL = (3, 3)
EPSILON = 1e-3  # added to variances before they divide, as in Keras


@dataclass(frozen=True)
class CNN(Architecture):
    """A chain of 3×3 convolutions in blocks, then dense layers, all with ReLU but the last.

    Convolutions keep the size of their input; a 2×2 max-pool ends every block. With batch normalization, every
    convolution, after its ReLU and its pool if one follows, and the first dense hidden layer are normalized, as
    in the papers' VGG-16. InputError for layers without units, or an image too small for the max-pools.

    >>> CNN((1, 28, 28), ((64, 64), (64,)), (128,)).name
    'cnn 1x28x28-64x2-P-64-P-128-10'
    >>> CNN((3, 32, 32), ((64, 64), (128, 128), (256,) * 3), (512, 512), batch_norm=True).name
    'cnn 3x32x32-64x2-P-128x2-P-256x3-P-512x2-10 bn'
    """

    image: tuple[int, int, int]  # channels, height and width of the input
    blocks: tuple[tuple[int, ...], ...]  # channels of every convolution, block by block
    dense: tuple[int, ...] = ()  # units of the dense hidden layers
    n_outputs: int = 10
    batch_norm: bool = False

    unsupported = ("first_layer_l1", "cluster_gradient", "cut_gradient", "rescaling")

    def __post_init__(self) -> None:
        as_declared(self)
        object.__setattr__(self, "image", tuple(self.image))
        object.__setattr__(self, "blocks", tuple(tuple(block) for block in self.blocks))
        object.__setattr__(self, "dense", tuple(self.dense))
        if len(self.image) != 3 or min(self.image) < 1:
            raise InputError(f"image {list(self.image)}: channels, height and width are needed, each at least 1")
        if not self.blocks or not all(self.blocks) or min(self.channels) < 1:
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
        return tuple(chain(*self.blocks))

    @property
    def pooled(self) -> tuple[bool, ...]:
        """Whether a max-pool follows, a convolution each."""
        return tuple(i == len(block) - 1 for block in self.blocks for i in range(len(block)))

    @property
    def n_vertices(self) -> int:
        """Channels, which are clustered: the image's are not."""
        return sum(self.channels)

    def layout(self) -> tuple[list[tuple[int, ...]], tuple[int, ...], int]:
        units = (self.image[0], *self.channels)
        shapes: list[tuple[int, ...]] = [(n_out, n_in, *KERNEL) for n_in, n_out in pairwise(units)]
        shapes += [(n_out, n_in) for n_in, n_out in pairwise((self.n_flat, *self.dense, self.n_outputs))]
        return shapes, units, self.n_normalized

    @property
    def n_flat(self) -> int:
        """Numbers in the last convolution's output, flattened."""
        height, width = (side // 2 ** len(self.blocks) for side in self.image[1:])
        return self.channels[-1] * height * width

    @property
    def n_normalized(self) -> int:
        """Layers with batch normalization, which are the first ones."""
        return len(self.channels) + bool(self.dense) if self.batch_norm else 0

    def check_measurable(self, *, norm: str = "induced", fold: bool = False) -> None:
        check_norm(norm)
        if fold and not self.batch_norm:
            raise InputError(f"fold_normalization: {self.name} has no batch normalization")
        if len(self.channels) < 2:
            raise InputError(f"{self.name} has one convolution: at least two are needed to join channels")

    def check_fits(self, dataset: Dataset) -> None:
        if self.image != dataset.image_shape or self.n_outputs < dataset.n_outputs:
            shape = "×".join(map(str, dataset.image_shape))
            raise InputError(
                f"{self.name} does not fit {dataset.name}: images of {shape} and {dataset.n_outputs} outputs"
            )

    def graph(
        self, network: TrainedNetwork, *, norm: str = "induced", fold: bool = False, seed: int = 0
    ) -> LayeredGraph:
        """Every channel is a vertex; an edge weighs a norm, see :func:`clusterability.graphs.channels.kernel_norms`.

        The first convolution, which reads the image, and the dense layers are left out (C, section 2.1). With
        ``fold``, a channel's norms are multiplied by |γ| / sqrt(σ² + ε) of its batch normalization.
        """
        self.check_measurable(norm=norm, fold=fold)
        matrices = [kernel_norms(kernel, norm) for kernel in network.weights[1 : len(self.channels)]]
        if fold:
            for matrix, normalization in zip(matrices, network.normalizations[1:], strict=False):
                gamma, _, _, variance = normalization.astype(np.float64)
                matrix *= (np.abs(gamma) / np.sqrt(variance + EPSILON))[:, None]
        return LayeredGraph.of(matrices)


def _repeated(widths: Sequence[int]) -> list[str]:
    """Widths as text, equal neighbours together."""
    runs = [(width, len(list(run))) for width, run in groupby(widths)]
    return [f"{width}x{n}" if n > 1 else str(width) for width, n in runs]
