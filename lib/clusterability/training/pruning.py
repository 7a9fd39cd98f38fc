"""Magnitude pruning on a polynomial schedule (Zhu & Gupta, 2017)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from clusterability.base.errors import InputError


def sparsity_at(step: int, last_step: int, initial: float = 0.5, final: float = 0.9) -> float:
    """Share of zero weights that the schedule asks for: final + (initial − final)(1 − step/last)³.

    >>> sparsity_at(0, 100), sparsity_at(100, 100)
    (0.5, 0.9)
    """
    return final + (initial - final) * (1 - step / last_step) ** 3


def check_sparsity(sparsity: float) -> None:
    """Raise InputError unless 0 <= sparsity < 1."""
    if not 0 <= sparsity < 1:
        raise InputError(f"sparsity {sparsity:g}: it must be at least 0 and below 1")


def magnitude_mask(weights: Tensor, sparsity: float) -> Tensor:
    """Mask of the weights that stay: in every layer, all but the smallest in absolute value.

    Parameters
    ----------
    weights : Tensor (N, out, in, ...)
        Each of the N layers is pruned by itself.
    sparsity : float in [0, 1)
        Share of each layer that becomes zero, rounded to whole weights.

    Returns
    -------
    Tensor (N, out, in, ...) of 0 and 1, in the type of ``weights``
        Weights equal to the largest removed one go with it.

    >>> magnitude_mask(torch.tensor([[[1.0, -4.0], [3.0, 2.0]]]), 0.5)
    tensor([[[0., 1.],
             [1., 0.]]])
    """
    check_sparsity(sparsity)
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


class PruningMasks:
    """The weights that stay, through one phase of pruning.

    Parameters
    ----------
    weights : sequence of Tensor (N, out, in, ...)
        A layer each, of N networks; changed in place.
    last_step : int
        The optimizer steps of the phase, of which the schedule is a function.
    initial, final : float
        Sparsities where the schedule starts and ends.
    interval : int
        Steps between two choices of masks.
    regrowth : bool
        Whether new masks are chosen from the weights as the optimizer left them, else from the masked ones.

    Attributes
    ----------
    masks : list of Tensor (N, out, in, ...) of 0 and 1
        A layer each; empty before the first step.
    """

    def __init__(
        self,
        weights: Sequence[Tensor],
        last_step: int,
        *,
        initial: float,
        final: float,
        interval: int,
        regrowth: bool,
    ) -> None:
        self.weights, self.last_step, self.interval, self.regrowth = weights, last_step, interval, regrowth
        self.initial, self.final = initial, final
        self.masks: list[Tensor] = []

    def before_step(self, step: int) -> None:
        """Set to zero what is pruned, by new masks where it is time for them."""
        if step % self.interval == 0:
            self.renew(step)
        self._apply()

    def renew(self, step: int) -> None:
        """Choose masks of the sparsity that the schedule asks for at this step."""
        if not self.regrowth:
            self._apply()
        sparsity = sparsity_at(step, self.last_step, self.initial, self.final)
        self.masks = [magnitude_mask(weight, sparsity) for weight in self.weights]

    def _apply(self) -> None:
        for weight, mask in zip(self.weights, self.masks, strict=False):  # no masks before the first
            weight.mul_(mask)


def trimmed(weights: np.ndarray, below: float, share: float) -> np.ndarray:
    """A copy of ``weights`` without a share of its small entries, the smallest ones.

    Parameters
    ----------
    weights : ndarray
    below : float
        Nonzero entries of less magnitude are small.
    share : float in [0, 1]
        Share of the small entries that become zero, rounded to whole entries.

    >>> trimmed(np.array([0.5, -0.01, 0.02, 0.0, 0.03]), below=0.1, share=2 / 3).tolist()
    [0.5, 0.0, 0.0, 0.0, 0.03]
    """
    if not 0 <= share <= 1:
        raise InputError(f"share {share:g} of the small weights: it must lie between 0 and 1")
    result = weights.copy()
    flat = result.reshape(-1)
    small = np.flatnonzero((flat != 0) & (np.abs(flat) < below))
    flat[small[np.argsort(np.abs(flat[small]), kind="stable")][: round(share * len(small))]] = 0
    return result
