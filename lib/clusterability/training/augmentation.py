"""Training images turned, shifted and flipped at random, as the papers' VGG-16 saw them (C, appendix)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

_DEGREES = 15.0
_SHIFT = 0.1  # of a side


def moved(images: Tensor, angles: Tensor, shifts: Tensor, flips: Tensor) -> Tensor:
    """Images seen through a turned, shifted and mirrored frame; beyond the border, its pixels go on.

    Parameters
    ----------
    images : Tensor (n, channels, height, width)
    angles : Tensor (n,)
        In radians, about the centre; positive ones turn what is seen counterclockwise.
    shifts : Tensor (n, 2)
        Of the frame, to the right and downwards, in widths and heights.
    flips : Tensor (n,) of bool
        Left and right of the result exchanged.

    Returns
    -------
    Tensor (n, channels, height, width)
        Interpolated linearly, so within the range of the image.
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
    """Every image :func:`moved` at random: by up to 15° and 10 % of each side; every other one flipped.

    Parameters
    ----------
    images : Tensor (n, channels, height, width), on the generator's device
    """
    uniform = torch.rand(4, len(images), generator=generator, device=images.device)
    angles = (2 * uniform[0] - 1) * math.radians(_DEGREES)
    shifts = (2 * uniform[1:3] - 1) * _SHIFT
    return moved(images, angles, shifts.T, uniform[3] < 0.5)
