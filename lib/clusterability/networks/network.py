"""What all networks have in common: what an architecture can do, and a trained network."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import nan
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    import torch

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
        """A network before its first step; with ``groups``, a clusterable one."""

    def graph(
        self, network: TrainedNetwork, *, norm: str = "induced", fold: bool = False, seed: int = 0
    ) -> LayeredGraph | ChannelGraph:
        """What is clustered; edges of kernels weigh their norm, with batch normalization folded in where asked."""
