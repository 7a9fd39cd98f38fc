"""A trained network, and groups of units drawn at random."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

SCORES = ("train_accuracy", "test_accuracy", "train_loss", "test_loss", "running_train_accuracy", "penalty")
"""Names of a network's scores, see :class:`TrainedNetwork`."""


@dataclass(frozen=True, eq=False)
class TrainedNetwork:
    """Weights and scores of one network at one moment.

    Attributes
    ----------
    weights : list of ndarray float32, a layer each
        Kernels (out, in, height, width) of convolutions, then matrices (out, in) of dense layers.
    biases : list of ndarray (out,) float32
    scores : dict of float
        ``train_accuracy``, ``test_accuracy``, ``train_loss``, ``test_loss`` (mean cross-entropy in
        nats, or mean squared error) with dropout off; ``running_train_accuracy``, the mean over the
        last epoch's batches with dropout on; ``penalty``, the value of the penalties. NaN for
        what there is not: accuracies of regressions, a running mean before the first epoch.
    normalizations : list of ndarray (4, units) float32
        γ, β, running mean and running variance of the layers with batch normalization, which are the first.
    """

    weights: list[np.ndarray]
    biases: list[np.ndarray]
    scores: dict[str, float]
    normalizations: list[np.ndarray] = field(default_factory=list)


States = dict[int, TrainedNetwork]
"""One network's results by the epochs passed."""


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
