"""What all networks have in common: what an architecture can do, and a trained network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import nan, prod
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from clusterability.data.catalogue import Dataset
    from clusterability.graphs.channels import ChannelGraph
    from clusterability.graphs.layered import LayeredGraph

SCORES = ("train_accuracy", "test_accuracy", "train_loss", "test_loss", "running_train_accuracy", "penalty")
"""Names of a network's scores, see :class:`TrainedNetwork`."""


@dataclass(frozen=True, eq=False)
class TrainedNetwork:
    """Weights and scores of one network at one moment.

    Accuracies and losses (mean cross-entropy in nats, or mean squared error) are those with dropout off;
    ``running_train_accuracy`` is the mean over the last epoch's batches with dropout on; ``penalty`` the value
    of the penalties. NaN for what there is not: accuracies of regressions, a running mean before the first epoch.
    """

    weights: list[np.ndarray]  # float32: kernels (out, in, height, width), then matrices (out, in), a layer each
    biases: list[np.ndarray]  # (out,) float32, a layer each
    scores: dict[str, float] = field(default_factory=lambda: dict.fromkeys(SCORES, nan))
    normalizations: list[np.ndarray] = field(default_factory=list)
    # (4, units) float32: γ, β, running mean and variance of the normalized layers, which are the first


States = dict[int, TrainedNetwork]
"""One network's results by the epochs passed."""


class Architecture(Protocol):
    """The shape of a network: a frozen dataclass, whose fields are part of what names a network."""

    unsupported: tuple[str, ...]  # fields of Training that such networks do not have
    batch_norm: bool  # whether there is batch normalization
    fully_connected: bool  # whether the edges of its graph are its weights, which can then be trimmed and lesioned

    @property
    def name(self) -> str: ...

    @property
    def channels(self) -> tuple[int, ...]:
        """Output channels of every convolution that dropout may follow."""

    @property
    def n_vertices(self) -> int:
        """Vertices of its graph, isolated ones included."""

    def check_measurable(self, *, norm: str = "induced", fold: bool = False) -> None:
        """Raise InputError unless :meth:`graph` can be had so."""

    def check_fits(self, dataset: Dataset) -> None:
        """Raise InputError unless such a network can learn the data set."""

    def untrained(
        self, generator: torch.Generator, *, groups: int = 0, damping: float = 0.6, first_layer: bool = False
    ) -> TrainedNetwork:
        """A network before its first step; with ``groups``, started :func:`clusterable`."""

    def graph(
        self, network: TrainedNetwork, *, norm: str = "induced", fold: bool = False, seed: int = 0
    ) -> LayeredGraph | ChannelGraph:
        """What is clustered; edges of kernels weigh their norm, with batch normalization folded in where asked."""


def random_groups(sizes: Sequence[int], n_groups: int, generator: torch.Generator) -> list[Tensor]:
    """A random group for every neuron of every layer; a group each for the outputs, if there are enough.

    >>> groups = random_groups((5, 4, 3), 3, torch.Generator().manual_seed(0))
    >>> [len(group) for group in groups], groups[-1].tolist()
    ([5, 4, 3], [0, 1, 2])
    """
    groups = [torch.randint(n_groups, (size,), generator=generator) for size in sizes]
    if sizes[-1] <= n_groups:
        groups[-1] = torch.arange(sizes[-1])
    return groups


def glorot_uniform(shape: Sequence[int], generator: torch.Generator) -> Tensor:
    """Weights (out, in, ...), uniform on ±sqrt(6 / (fan_in + fan_out)) (Glorot & Bengio, 2010).

    As in Keras, a unit's fans are the units that it joins times the entries of a kernel.
    """
    limit = (6 / (sum(shape[:2]) * prod(shape[2:]))) ** 0.5
    return torch.empty(*shape).uniform_(-limit, limit, generator=generator)


def clusterable(
    weights: Sequence[Tensor], groups: Sequence[Tensor], n_groups: int, damping: float, *, first_layer: bool = False
) -> list[Tensor]:
    """Clusterable initialization: weights within groups of units grow, the others shrink (C, section 3.3).

    Those inside a group are multiplied by 1 + (1 − damping)(n_groups − 1), the others by ``damping``, so that the
    mean weight stays where groups are random. The papers leave the first layer of networks that are trained as it
    is, for a pixel has no fixed meaning.

    Parameters
    ----------
    weights : sequence of Tensor (out, in, ...)
        First layer first. Kernels are scaled as a whole.
    groups : sequence of Tensor of int64
        Group of every unit, an array a layer of units; layers of weights beyond these stay.
    damping : float in [0, 1]

    >>> [scaled] = clusterable([torch.ones(2, 2)], [torch.arange(2)] * 2, 4, 0.6, first_layer=True)
    >>> scaled.round(decimals=4).tolist()
    [[2.200000047683716, 0.6000000238418579], [0.6000000238418579, 2.200000047683716]]
    """
    scaled, factors = list(weights), torch.tensor([damping, 1 + (1 - damping) * (n_groups - 1)])
    for layer, (before, after) in enumerate(pairwise(groups)):
        if layer or first_layer:
            chosen = factors[(after[:, None] == before).long()]
            scaled[layer] = weights[layer] * chosen.view(*chosen.shape, *[1] * (weights[layer].ndim - 2))
    return scaled
