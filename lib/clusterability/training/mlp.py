"""Multi-layer perceptrons learn: stacks of them take each step as one, every network with penalties of its own."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from clusterability.data.catalogue import Dataset
from clusterability.networks.initialize import random_groups
from clusterability.networks.network import SCORES, TrainedNetwork
from clusterability.networks.stack import Stack, gradients, logits, output_errors, rescale
from clusterability.penalties.eigenvalues import Basis, eigenvalue_gradient, smallest_eigenpairs
from clusterability.penalties.given_groups import assigned_cut
from clusterability.training.loop import Data, Learner, dropout_thresholds, random_bits
from clusterability.training.spec import NetworkSpec, Training


class Penalties:
    """L1, L2, the clusterability gradient and the cut of assigned groups, added to the losses of N networks.

    Every neuron's group is given by ``members`` (N, neurons, cut_groups), a layer each, see
    :func:`clusterability.penalties.given_groups.assigned_cut`, on the device of the weights.
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

        The clusterability gradient is computed at steps that are multiples of its interval, and held in between.
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


class StackLearner(Learner):
    """A stack of perceptrons."""

    stack_size, resumable, examples = 128, False, staticmethod(Dataset.flat)

    def __init__(self, specs: Sequence[NetworkSpec], data: Data, device: str) -> None:
        super().__init__(specs, data, device)
        self.stack = Stack.of(
            [spec.untrained(r.weights) for spec, r in zip(specs, self.randomness, strict=True)], device
        )
        self.parameters, self.weights = self.stack.parameters, self.stack.weights
        trainings = [spec.training for spec in specs]
        rates = torch.tensor([training.dropout for training in trainings])
        self.dropped = [n for n, rate in enumerate(rates.tolist()) if rate > 0]
        self.scale = (1 / (1 - rates)).to(device)
        self.thresholds = dropout_thresholds(rates).to(device)
        self.penalties = Penalties(trainings, [members.to(device) for members in self._members()])
        self.rescaled = torch.tensor([training.rescaling for training in trainings]).to(device)
        self.rescales = bool(self.rescaled.any())

    def prepare(self, masks: Sequence[Tensor]) -> None:
        if self.rescales:
            rescale(self.stack, self.rescaled, masks)

    def set_gradients(self, batch: Tensor, step: int) -> Tensor:
        x, y = self.data["train"]
        # Networks of a stack see different examples; gathering flat is one copy for all.
        inputs = x.index_select(0, batch.reshape(-1)).view(*batch.shape, -1)
        keep = self._dropout_masks(batch.shape[1]) if self.dropped else None
        _, correct, derivatives = gradients(self.stack, inputs, y[batch], keep, self.scale)
        self.penalties.add(derivatives[: len(self.weights)], self.weights, step)
        for parameter, gradient in zip(self.parameters, derivatives, strict=True):
            parameter.grad = gradient
        return correct

    def scored(self, running_accuracies: Sequence[float]) -> list[TrainedNetwork]:
        train, test = (evaluate(self.stack, *self.data[split]) for split in ("train", "test"))
        penalties = self.penalties.value(self.weights).tolist()
        columns = (train[0], test[0], train[1], test[1], running_accuracies, penalties)
        return [
            self.stack.network(n, **dict(zip(SCORES, scores, strict=True)))
            for n, scores in enumerate(zip(*columns, strict=True))
        ]

    def _members(self) -> list[Tensor]:
        """Groups of all neurons for the cut of assigned groups (N, neurons, groups), a layer each."""
        n_groups = self.training.cut_groups
        sizes = [self.weights[0].shape[2], *(weight.shape[1] for weight in self.weights)]
        layers = zip(*(random_groups(sizes, n_groups, own.weights) for own in self.randomness), strict=True)
        return [torch.nn.functional.one_hot(torch.stack(layer), n_groups).float() for layer in layers]

    def _dropout_masks(self, batch_size: int) -> list[Tensor]:
        """0/1 masks (N, batch, width), a hidden layer each; networks without dropout draw nothing."""
        widths = [weight.shape[1] for weight in self.weights[:-1]]
        n_units = batch_size * sum(widths)
        bits = torch.zeros(len(self.specs), n_units, dtype=torch.int16, device=self.thresholds.device)
        for n in self.dropped:
            bits[n] = random_bits(n_units, self.randomness[n].noise)
        kept = (bits >= self.thresholds[:, None]).to(torch.float32)
        layers = kept.split([batch_size * width for width in widths], dim=1)
        return [layer.view(len(self.specs), batch_size, -1) for layer in layers]


def evaluate(stack: Stack, x: Tensor, y: Tensor, batch_size: int = 2000) -> tuple[list[float], list[float]]:
    """Accuracies and mean losses of all networks on the same inputs (examples, in), without dropout.

    On labels ``y`` (examples,), cross-entropies in nats; on numbers ``y`` (examples, out), squared errors, and NaN
    for accuracies.
    """
    n_networks = len(stack.weights[0])
    hits = torch.zeros(n_networks, dtype=torch.float64, device=x.device)
    total = torch.zeros(n_networks, dtype=torch.float64, device=x.device)
    for inputs, targets in zip(x.split(batch_size), y.split(batch_size), strict=True):
        outputs = logits(stack, inputs.expand(n_networks, -1, -1))
        loss, correct, _ = output_errors(outputs, targets.expand(n_networks, *targets.shape))
        hits += correct
        total += loss * len(inputs)
    accuracies = [math.nan] * n_networks if y.is_floating_point() else (hits / len(x)).tolist()
    return accuracies, (total / len(x)).tolist()
