"""The n-cut of groups given beforehand, as a penalty with a closed derivative.

Small eigenvalues can come from groups of neurons that do nothing for the network. If every neuron's group
is given instead, the outputs spread over the groups, a low n-cut needs groups that each do their part.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor


def assigned_cut(weights: Sequence[Tensor], members: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """n-cut (N,) of given groups, and its derivative by every weight (N, out, in), a layer each.

    With V a group's volume and I twice the weight inside it, a weight inside a group has the derivative
    −2 (V − I) / V², one between two groups the sum of their I / V²; times the weight's sign. ``members``
    (N, neurons, n_groups), a layer each, are 1 at every neuron's group, else 0. Groups without volume count nothing.

    >>> apart = torch.eye(2)[None]
    >>> assigned_cut([torch.ones(1, 2, 2)], [apart, apart])[0].tolist()
    [1.0]
    """
    volume = weights[0].new_zeros(len(weights[0]), members[0].shape[2])
    inside = torch.zeros_like(volume)
    for weight, (before, after) in zip(weights, pairwise(members), strict=True):
        between = after.mT @ weight.abs() @ before
        volume += between.sum(1) + between.sum(2)
        inside += 2 * between.diagonal(dim1=1, dim2=2)
    present = volume > 0
    volume = torch.where(present, volume, 1)
    ncut = torch.where(present, 1 - inside / volume, 0).sum(1)
    leaving = inside / volume.square()
    table = leaving[:, :, None] + leaving[:, None, :]
    table.diagonal(dim1=1, dim2=2).copy_(-2 * (volume - inside) / volume.square())
    gradients = [
        (after @ table @ before.mT).mul_(weight.sign())
        for weight, (before, after) in zip(weights, pairwise(members), strict=True)
    ]
    return ncut, gradients
