"""Magnitude pruning on a polynomial schedule (Zhu & Gupta, 2017)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from clusterability.base.errors import InputError
from clusterability.training.spec import Training


def sparsity_at(step: int, last_step: int, initial: float = 0.5, final: float = 0.9) -> float:
    """Share of zero weights that the schedule asks for: final + (initial − final)(1 − step/last)³."""
    return final + (initial - final) * (1 - step / last_step) ** 3


def magnitude_mask(weights: Tensor, sparsity: float) -> Tensor:
    """Mask of the weights that stay: in every layer, all but the smallest in absolute value.

    Each of the N layers of weights (N, out, in, ...) is pruned by itself; a share ``sparsity`` in [0, 1) of it
    becomes zero, rounded to whole weights. Weights equal to the largest removed one go with it. The mask of 0 and 1
    has the type of ``weights``."""
    if not 0 <= sparsity < 1:
        raise InputError(f"sparsity {sparsity:g}: it must be at least 0 and below 1")
    magnitudes = weights.abs().flatten(1)
    n_removed = round(sparsity * magnitudes.shape[1])
    if n_removed == 0:
        return torch.ones_like(weights)
    if magnitudes.device.type == "cpu":  # numpy selects some twenty times faster than kthvalue
        partitioned = np.partition(magnitudes.numpy(), n_removed - 1, axis=1)
        thresholds = torch.from_numpy(partitioned[:, n_removed - 1].copy())
    else:
        thresholds = magnitudes.kthvalue(n_removed, dim=1).values
    return (weights.abs() > thresholds.reshape(-1, *[1] * (weights.ndim - 1))).to(weights.dtype)


def pruned(weights: Sequence[np.ndarray], sparsity: float) -> list[np.ndarray]:
    """Weights (out, in) of one network, of which the smallest of every layer are set to zero.

    >>> pruned([np.array([[1.0, -4.0], [3.0, 2.0]])], 0.5)[0].tolist()
    [[0.0, -4.0], [3.0, 0.0]]
    """
    return [weight * magnitude_mask(torch.from_numpy(weight)[None], sparsity)[0].numpy() for weight in weights]


@dataclass
class PruningMasks:
    """The weights that stay, through one phase of pruning."""

    weights: Sequence[Tensor]  # (N, out, in, ...), a layer each, of N networks; changed in place
    last_step: int  # the optimizer steps of the phase, of which the schedule is a function
    training: Training  # of which the sparsities, the interval between two choices of masks, and regrowth
    masks: list[Tensor] = field(default_factory=list)  # of 0 and 1, shaped as the weights; none before the first step
    # (N, 1, 1), a layer each: the least magnitude that stays, at first 0; none unless neurons are rescaled by it
    cutoffs: list[Tensor] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.training.rescaling_by_cutoff:
            self.cutoffs = [torch.zeros_like(weight.flatten(1)[:, :1]).view(-1, 1, 1) for weight in self.weights]

    @property
    def counted(self) -> list[Tensor]:
        """What weights are multiplied by where neurons are rescaled: masks, or cutoffs in their place."""
        return self.cutoffs or self.masks

    def before_step(self, step: int) -> None:
        """Set to zero what is pruned, by new masks where it is time for them."""
        if step % self.training.mask_interval == 0:
            self.renew(step)
        self._apply()

    def renew(self, step: int) -> None:
        """Choose masks of the sparsity that the schedule asks for at this step."""
        if not self.training.regrowth:
            self._apply()
        sparsity = sparsity_at(step, self.last_step, self.training.initial_sparsity, self.training.final_sparsity)
        self.masks = [magnitude_mask(weight, sparsity) for weight in self.weights]
        if self.training.rescaling_by_cutoff:
            kept = [
                weight.abs().where(mask > 0, math.inf) for weight, mask in zip(self.weights, self.masks, strict=True)
            ]
            self.cutoffs = [magnitudes.amin((1, 2), keepdim=True) for magnitudes in kept]

    def _apply(self) -> None:
        for weight, mask in zip(self.weights, self.masks, strict=False):  # no masks before the first
            weight.mul_(mask)


def trimmed(weights: np.ndarray, below: float, share: float) -> np.ndarray:
    """A copy of ``weights`` without a ``share`` in [0, 1], rounded to whole entries, of its nonzero entries of less
    magnitude than ``below``, the smallest ones."""
    if not 0 <= share <= 1:
        raise InputError(f"share {share:g} of the small weights: it must lie between 0 and 1")
    result = weights.copy()
    flat = result.reshape(-1)
    small = np.flatnonzero((flat != 0) & (np.abs(flat) < below))
    flat[small[np.argsort(np.abs(flat[small]), kind="stable")][: round(share * len(small))]] = 0
    return result
