"""Convolutional networks learn, each by itself, from images that may be turned, shifted and flipped at random."""

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clusterability.data.catalogue import Dataset
from clusterability.networks.network import SCORES, TrainedNetwork
from clusterability.networks.sequential import sequential, taken, weighted
from clusterability.training.loop import Data, Learner, dropout_thresholds, random_bits
from clusterability.training.spec import NetworkSpec

_DEGREES = 15.0
_SHIFT = 0.1  # of a side


class Dropout(nn.Module):
    """Sets units to zero by random bits of a generator of its own; the others grow so that the mean stays."""

    def __init__(self, rate: float, generator: torch.Generator) -> None:
        super().__init__()
        self.rate, self.generator = rate, generator
        self.threshold = dropout_thresholds(torch.tensor(rate)).item()

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        kept = random_bits(x.numel(), self.generator) >= self.threshold
        factors = torch.where(kept, 1 / (1 - self.rate), 0.0).to(x.dtype)
        if x.ndim == 4:  # in the order of memory, channels last
            return x * factors.view(len(x), *x.shape[2:], -1).permute(0, 3, 1, 2)
        return x * factors.view_as(x)


def dropout_rates(spec: NetworkSpec) -> list[float]:
    """Rates behind hidden layers; of normalized networks' dense layers, only the first, normalized too, has one."""
    architecture, training = spec.architecture, spec.training
    on_convolutions = training.convolution_dropout or (0.0,) * len(architecture.channels)
    n_dense = len(architecture.dense)
    n_dropped = min(1, n_dense) if architecture.batch_norm else n_dense
    return [*on_convolutions, *[training.dropout] * n_dropped, *[0.0] * (n_dense - n_dropped)]


class ImageLearner(Learner):
    """One convolutional network."""

    stack_size, resumable = 1, True

    def __init__(self, specs: Sequence[NetworkSpec], data: Data, device: str) -> None:
        super().__init__(specs, data, device)
        [spec], [randomness] = specs, self.randomness
        self.noise = randomness.noise
        dropout = [Dropout(rate, self.noise) if rate else None for rate in dropout_rates(spec)]
        self.module = sequential(spec.architecture, spec.untrained(randomness.weights), device, dropout)
        self.parameters = list(self.module.parameters())
        # The same memory without gradients, and with the axis of networks that pruning expects.
        self.weights = [layer.weight.detach()[None] for layer in weighted(self.module)]

    @staticmethod
    def examples(dataset: Dataset, split: str) -> tuple[np.ndarray, np.ndarray]:
        """Images (examples, height, width, channels) and labels."""
        x, y = dataset.images(split)
        return x.transpose(0, 2, 3, 1), y

    def set_gradients(self, batch: Tensor, step: int) -> Tensor:
        x, y = self.data["train"]
        images, labels = x.index_select(0, batch[0]).permute(0, 3, 1, 2), y[batch[0]]
        if self.training.augmentation:
            images = augmented(images, self.noise).contiguous(memory_format=torch.channels_last)
        for parameter in self.parameters:
            parameter.grad = None
        self.module.train()
        with torch.enable_grad():
            outputs = self._outputs(images)
            F.cross_entropy(outputs.float(), labels).backward()
        for weight in (layer.weight for layer in weighted(self.module)):
            if self.training.l1:
                weight.grad.add_(weight.sign(), alpha=self.training.l1)
            if self.training.l2:
                weight.grad.add_(weight, alpha=2 * self.training.l2)
        return (outputs.argmax(1) == labels).sum()[None]

    def scored(self, running_accuracies: Sequence[float]) -> list[TrainedNetwork]:
        train, test = (self._evaluated(*self.data[split]) for split in ("train", "test"))
        penalty, (l1, l2) = 0.0, (self.training.l1, self.training.l2)
        if l1 or l2:
            penalty = sum((l1 * w.abs().sum() + l2 * w.square().sum()).item() for w in self.weights)
        scores = (train[0], test[0], train[1], test[1], *running_accuracies, penalty)
        return [taken(self.module, dict(zip(SCORES, scores, strict=True)))]

    def _outputs(self, images: Tensor) -> Tensor:
        """Outputs before the softmax, by products of numbers as exact as the training asks for."""
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.training.bfloat16):
            return self.module(images)

    def _evaluated(self, x: Tensor, y: Tensor, batch_size: int = 500) -> tuple[float, float]:
        """Accuracy and mean cross-entropy (nats), without dropout and with the running normalizations."""
        self.module.eval()
        hits, total = 0, 0.0
        for images, labels in zip(x.split(batch_size), y.split(batch_size), strict=True):
            outputs = self._outputs(images.permute(0, 3, 1, 2))
            hits += (outputs.argmax(1) == labels).sum().item()
            total += F.cross_entropy(outputs.float(), labels, reduction="sum").item()
        return hits / len(x), total / len(x)


def moved(images: Tensor, angles: Tensor, shifts: Tensor, flips: Tensor) -> Tensor:
    """Images (n, channels, height, width) seen through a turned, shifted and mirrored frame.

    Interpolated linearly; beyond the border, its pixels go on. ``angles`` (n,) in radians, about the centre, turn
    what is seen counterclockwise; ``shifts`` (n, 2) of the frame go to the right and downwards, in widths and
    heights; ``flips`` (n,) of bool exchange left and right of the result.
    """
    height, width = images.shape[2:]
    cosines, sines = angles.cos(), angles.sin()
    mirror = 1 - 2 * flips.to(cosines.dtype)
    # Where the frame's pixels lie in the image, which spans -1 to 1 whatever its sides.
    across = torch.stack([cosines * mirror, -sines * (height / width), 2 * shifts[:, 0]], dim=1)
    down = torch.stack([sines * (width / height) * mirror, cosines, 2 * shifts[:, 1]], dim=1)
    grid = F.affine_grid(torch.stack([across, down], dim=1), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def augmented(images: Tensor, generator: torch.Generator) -> Tensor:
    """Every image :func:`moved` at random, as the papers' VGG-16 saw them (C, appendix): by up to 15° and 10 % of
    each side; every other one flipped."""
    uniform = torch.rand(4, len(images), generator=generator, device=images.device)
    angles = (2 * uniform[0] - 1) * math.radians(_DEGREES)
    shifts = (2 * uniform[1:3] - 1) * _SHIFT
    return moved(images, angles, shifts.T, uniform[3] < 0.5)
