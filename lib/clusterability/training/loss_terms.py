"""What is added to the loss of a stack of networks, each with coefficients of its own."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from clusterability.penalties.eigenvalues import Basis, eigenvalue_gradient, smallest_eigenpairs
from clusterability.penalties.given_groups import assigned_cut
from clusterability.training.spec import Training


class Penalties:
    """L1, L2, the clusterability gradient and the cut of assigned groups.

    Parameters
    ----------
    trainings : sequence of Training
        One a network; those of a stack agree in what :data:`clusterability.training.spec.SHARED_IN_STACK` names.
    members : sequence of Tensor (N, neurons, cut_groups)
        Every neuron's group, a layer each, see :func:`clusterability.penalties.given_groups.assigned_cut`; on the
        device of the weights.
    """

    def __init__(self, trainings: Sequence[Training], members: Sequence[Tensor]) -> None:
        self._shared, self._members = trainings[0], members
        device, n_layers = members[0].device, len(members) - 1
        both = torch.tensor([_coefficients(training, n_layers) for training in trainings], device=device)
        self._l1, self._l2 = ([own[:, i, None, None] for i in range(n_layers)] for own in both.unbind(1))
        self._l1_layers, self._l2_layers = ([i for i, c in enumerate(own) if c.any()] for own in (self._l1, self._l2))
        self._cluster, self._halves, self._cut = torch.tensor(
            [[t.cluster_gradient, 0.5 if t.cluster_halved else 1.0, t.cut_gradient] for t in trainings], device=device
        ).unbind(1)
        self._clusters, self._cuts = bool(self._cluster.any()), bool(self._cut.any())
        self._basis: Basis | None = None
        self._by_eigenvalues: list[Tensor] = []

    def add(self, gradients: Sequence[Tensor], weights: Sequence[Tensor], step: int) -> None:
        """Add the penalties' derivatives by the weights (N, out, in) to those of the loss.

        Parameters
        ----------
        step : int
            Counts the optimizer's steps; the clusterability gradient is computed at multiples of its
            interval, and held in between.
        """
        for layer in self._l1_layers:
            gradients[layer].add_(self._l1[layer] * weights[layer].sign())
        for layer in self._l2_layers:
            gradients[layer].add_(2 * self._l2[layer] * weights[layer])
        if self._clusters:
            if step % self._shared.cluster_interval == 0:
                self._by_eigenvalues = self._eigenvalue_gradients(weights)
            for gradient, addition in zip(gradients, self._by_eigenvalues, strict=True):
                gradient.add_(addition)
        if self._cuts:
            strength = (self._cut / self._shared.cut_groups)[:, None, None]
            for gradient, addition in zip(gradients, assigned_cut(weights, self._members)[1], strict=True):
                gradient.add_(strength * addition)

    def value(self, weights: Sequence[Tensor]) -> Tensor:
        """What the penalties add to every network's loss (N,)."""
        penalty = torch.zeros_like(self._cluster)
        for l1, l2, weight in zip(self._l1, self._l2, weights, strict=True):
            penalty += (l1 * weight.abs() + l2 * weight.square()).sum((1, 2))
        if self._clusters:
            shared = self._shared
            pairs = smallest_eigenpairs(weights, shared.cluster_eigenvalues, offset=shared.cluster_offset)
            penalty += self._cluster * pairs.values.mean(1)
        if self._cuts:
            penalty += self._cut / self._shared.cut_groups * assigned_cut(weights, self._members)[0]
        return penalty

    def _eigenvalue_gradients(self, weights: Sequence[Tensor]) -> list[Tensor]:
        k, offset = self._shared.cluster_eigenvalues, self._shared.cluster_offset
        pairs = smallest_eigenpairs(weights, k, offset=offset, start=self._basis)
        self._basis = pairs.basis
        strength = (self._cluster * self._halves / k)[:, None, None]
        return [strength * gradient for gradient in eigenvalue_gradient(weights, pairs, offset=offset)]


def _coefficients(training: Training, n_layers: int) -> list[list[float]]:
    """Coefficients of Σ|w| and of Σw² in every layer."""
    l1, l2 = [training.l1] * n_layers, [training.l2] * n_layers
    if training.first_layer_l1:
        l1[0], l2[0] = training.first_layer_l1, 0.0
    return [l1, l2]
