"""Initial weights: Glorot's, and clusterable ones, larger within groups of units than between them."""

from collections.abc import Sequence
from itertools import pairwise
from math import prod

import torch
from torch import Tensor


def random_groups(
    sizes: Sequence[int], n_groups: int, generator: torch.Generator, *, outputs: bool = True
) -> list[Tensor]:
    """A random group for every neuron of every layer; a group each for the ``outputs``, if there are enough."""
    groups = [torch.randint(n_groups, (size,), generator=generator) for size in sizes]
    if outputs and sizes[-1] <= n_groups:
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
    is, for a pixel has no fixed meaning. ``groups`` (units,) are given a layer of units; layers of weights
    (out, in, ...) beyond these stay.

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
