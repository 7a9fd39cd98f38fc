"""What all networks have in common: what an architecture can do, and a trained network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import nan
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

    from clusterability.data.catalogue import Dataset
    from clusterability.graphs.graph import Graph

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


class Architecture(ABC):
    """The shape of a network: a frozen dataclass, whose fields are part of what names a network."""

    unsupported: tuple[str, ...] = ("convolution_dropout", "augmentation", "bfloat16")  # fields of Training
    batch_norm = False  # whether there is batch normalization
    fully_connected = False  # whether the edges of its graph are its weights, which can then be trimmed and lesioned

    @property
    @abstractmethod
    def name(self) -> str: ...

    @property
    def channels(self) -> tuple[int, ...]:
        """Output channels of every convolution that dropout may follow."""
        return ()

    @property
    @abstractmethod
    def n_vertices(self) -> int:
        """Vertices of its graph, isolated ones included."""

    @abstractmethod
    def check_measurable(self, *, norm: str = "induced", fold: bool = False) -> None:
        """Raise InputError unless :meth:`graph` can be had so."""

    @abstractmethod
    def check_fits(self, dataset: Dataset) -> None:
        """Raise InputError unless such a network can learn the data set."""

    @abstractmethod
    def graph(self, network: TrainedNetwork, *, norm: str = "induced", fold: bool = False, seed: int = 0) -> Graph:
        """What is clustered; edges of kernels weigh their norm, with batch normalization folded in where asked."""

    def layout(self) -> tuple[Sequence[tuple[int, ...]], tuple[int, ...], int]:
        """Shapes of all weights (out, in, ...), units of the layers that a clusterable initialization divides into
        groups, and how many layers, the first ones, are normalized."""
        return (), (), 0

    def untrained(
        self, generator: torch.Generator, *, groups: int = 0, damping: float = 0.6, first_layer: bool = False
    ) -> TrainedNetwork:
        """A network before its first step: Glorot-uniform weights, zero biases, normalizations that change nothing;
        with ``groups``, a clusterable one."""
        from clusterability.networks.initialize import clusterable, glorot_uniform, random_groups

        shapes, units, n_normalized = self.layout()
        weights = [glorot_uniform(shape, generator) for shape in shapes]
        if groups:
            of_units = random_groups(units, groups, generator, outputs=self.fully_connected)
            weights = clusterable(weights, of_units, groups, damping, first_layer=first_layer)
        neutral = np.array([[1], [0], [0], [1]], np.float32)
        return TrainedNetwork(
            [weight.numpy() for weight in weights],
            [np.zeros(len(weight), np.float32) for weight in weights],
            normalizations=[neutral.repeat(len(weight), axis=1) for weight in weights[:n_normalized]],
        )
