"""Train networks, then train them further while pruning; many at once.

Every network owns its random numbers (initial weights, order of examples, dropout) and its part of
every product, so a network's result does not depend on which others train beside it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from clusterability.base.errors import InputError
from clusterability.base.threads import available_cores, one_thread
from clusterability.data.catalogue import Dataset
from clusterability.networks.cnn import CNN
from clusterability.networks.mlp import Stack, clusterable, gradients, initialize, logits, output_errors, rescale
from clusterability.networks.network import SCORES, States, TrainedNetwork, random_groups
from clusterability.networks.torchvision import Classifier
from clusterability.training.checkpoint import Checkpoint
from clusterability.training.cnn import train_images, untrained_images
from clusterability.training.loop import (
    Phases,
    Progress,
    Randomness,
    Timed,
    dropout_thresholds,
    random_bits,
    side_by_side,
)
from clusterability.training.loss_terms import Penalties
from clusterability.training.spec import SHARED_IN_STACK, NetworkSpec, Training

__all__ = ["NetworkSpec", "Training", "available_cores", "evaluate", "one_thread", "train", "untrained"]


def train(
    specs: Sequence[NetworkSpec],
    dataset: Dataset,
    device: str = "cpu",
    *,
    keep_epochs: Sequence[int] = (),
    workers: int | None = None,
    stack_size: int = 128,
    progress: Progress | None = None,
    checkpoints: Sequence[Checkpoint] = (),
    timed: Timed | None = None,
) -> Iterator[tuple[int, States]]:
    """Train networks together and yield each with its position in ``specs`` as soon as it is done.

    Kept of each are the network at the end of training, at the end of pruning, and after the
    ``keep_epochs``.

    On a CPU, ``workers`` threads (by default one a core) train one network each; on a GPU, stacks of
    up to ``stack_size`` networks run as batched products. Convolutional networks train in
    :func:`clusterability.training.cnn.train_images`, one after the other on a GPU.

    Parameters
    ----------
    specs : sequence of NetworkSpec
        They must agree in architecture, epochs, batch size, learning rate and pruning schedule; seeds
        and regularization may differ. Convolutional networks need not agree.
    keep_epochs : sequence of int
        Epochs passed, counted through training and pruning; 0: before the first step.
    progress : callable, optional
        Called with every finished share of the work, in networks; the shares sum to ``len(specs)``.
    checkpoints : sequence of Checkpoint, one a network
        Where convolutional networks, which train for long, go on after they were stopped.
    timed : callable, optional
        Called before a network is yielded, see :data:`clusterability.training.loop.Timed`.

    Raises
    ------
    InputError
        Specifications that cannot share a stack, or that do not fit the data set.
    """
    if any(isinstance(spec.architecture, CNN) for spec in specs):
        yield from train_images(
            specs, dataset, device,
            keep_epochs=keep_epochs, workers=workers, progress=progress, checkpoints=checkpoints, timed=timed,
        )  # fmt: skip
        return
    _check_together(specs, dataset)
    if not specs:
        return
    if torch.device(device).type == "cpu":
        workers = workers or available_cores()
        stack_size = 1
    else:
        workers = 1
    arrays = {split: dataset.flat(split) for split in ("train", "test")}
    data = {
        split: (torch.from_numpy(x).to(device), torch.from_numpy(y).to(device)) for split, (x, y) in arrays.items()
    }
    stacks = [range(i, min(i + stack_size, len(specs))) for i in range(0, len(specs), stack_size)]

    def train_group(positions: Sequence[int], tell: Progress) -> list[States]:
        return _train_stack([specs[i] for i in positions], data, device, keep_epochs, tell)

    yield from side_by_side(stacks, train_group, workers, progress, timed)


def _check_together(specs: Sequence[NetworkSpec], dataset: Dataset) -> None:
    for spec in specs:
        sizes = spec.architecture.sizes
        wrong_outputs = sizes[-1] != dataset.n_outputs if dataset.regression else sizes[-1] < dataset.n_outputs
        if sizes[0] != dataset.n_features or wrong_outputs:
            raise InputError(
                f"{spec.architecture.name} does not fit {dataset.name}: "
                f"{dataset.n_features} inputs and {dataset.n_outputs} outputs"
            )
    first = specs[0] if specs else None
    for spec in specs:
        if spec.architecture != first.architecture:
            raise InputError(f"{spec.architecture.name} and {first.architecture.name} cannot train together")
        for name in SHARED_IN_STACK:
            if getattr(spec.training, name) != getattr(first.training, name):
                raise InputError(f"networks that train together must agree in {name}")


def _train_stack(
    specs: Sequence[NetworkSpec],
    data: dict[str, tuple[Tensor, Tensor]],
    device: str,
    keep_epochs: Sequence[int],
    tell: Progress,
) -> list[States]:
    randomness = [Randomness(spec.seed, device) for spec in specs]
    with torch.no_grad():
        stack = _initial(specs, randomness).to(device)
        return _StackPhases(specs, stack, randomness, data, keep_epochs, tell).results()


def _initial(specs: Sequence[NetworkSpec], randomness: Sequence[Randomness]) -> Stack:
    stack = initialize(specs[0].architecture, [r.weights for r in randomness])
    for n, (spec, r) in enumerate(zip(specs, randomness, strict=True)):
        training = spec.training
        if training.initial_groups:
            scaled = clusterable(
                [weight[n] for weight in stack.weights], training.initial_groups, training.initial_damping,
                r.weights, first_layer=training.initial_first_layer,
            )  # fmt: skip
            for weight, new in zip(stack.weights, scaled, strict=True):
                weight[n] = new
    return stack


def _members(specs: Sequence[NetworkSpec], randomness: Sequence[Randomness]) -> list[Tensor]:
    """Groups of all neurons for the cut of assigned groups (N, neurons, groups), a layer each."""
    n_groups = specs[0].training.cut_groups
    groups = [
        random_groups(spec.architecture.sizes, n_groups, r.weights) for spec, r in zip(specs, randomness, strict=True)
    ]
    return [torch.nn.functional.one_hot(torch.stack(layer), n_groups).float() for layer in zip(*groups, strict=True)]


def untrained(spec: NetworkSpec) -> TrainedNetwork:
    """The network before its first step, without scores: no data are needed."""
    if isinstance(spec.architecture, CNN):
        return untrained_images(spec)
    if isinstance(spec.architecture, Classifier):  # large: made where it is measured
        return TrainedNetwork([], [], dict.fromkeys(SCORES, math.nan))
    stack = _initial([spec], [Randomness(spec.seed, "cpu")])
    return TrainedNetwork(*stack.network(0), dict.fromkeys(SCORES, math.nan))


class _StackPhases(Phases):
    """The training loop over one stack."""

    def __init__(self, specs, stack: Stack, randomness, data, keep_epochs, tell: Progress) -> None:
        super().__init__(specs, stack.parameters, stack.weights, randomness, data["train"][1], keep_epochs, tell)
        self.stack, self.data = stack, data
        self.device = stack.weights[0].device
        rates = torch.tensor([spec.training.dropout for spec in specs])
        self.dropped = [n for n, rate in enumerate(rates.tolist()) if rate > 0]
        self.scale = (1 / (1 - rates)).to(self.device)
        self.thresholds = dropout_thresholds(rates).to(self.device)
        members = [m.to(self.device) for m in _members(specs, randomness)]
        self.penalties = Penalties([spec.training for spec in specs], members)
        self.rescaled = torch.tensor([spec.training.rescaling for spec in specs]).to(self.device)
        self.rescales = bool(self.rescaled.any())

    def prepare(self, masks: Sequence[Tensor]) -> None:
        if self.rescales:
            rescale(self.stack, self.rescaled, masks)

    def compute_gradients(self, batch: Tensor, step: int) -> Tensor:
        x, y = self.data["train"]
        # Networks of a stack see different examples; gathering flat is one copy for all.
        inputs = x.index_select(0, batch.reshape(-1)).view(*batch.shape, -1)
        keep = self._dropout_masks(batch.shape[1]) if self.dropped else None
        result = gradients(self.stack, inputs, y[batch], keep, self.scale)
        self.penalties.add(result.weights, self.stack.weights, step)
        for parameter, gradient in zip(self.parameters, [*result.weights, *result.biases], strict=True):
            parameter.grad = gradient
        return result.correct

    def _dropout_masks(self, batch_size: int) -> list[Tensor]:
        """0/1 masks (N, batch, width), a hidden layer each; networks without dropout draw nothing."""
        widths = [weight.shape[1] for weight in self.stack.weights[:-1]]
        n_units = batch_size * sum(widths)
        bits = torch.zeros(len(self.specs), n_units, dtype=torch.int16, device=self.device)
        for n in self.dropped:
            bits[n] = random_bits(n_units, self.randomness[n].noise)
        kept = (bits >= self.thresholds[:, None]).to(torch.float32)
        layers = kept.split([batch_size * width for width in widths], dim=1)
        return [layer.view(len(self.specs), batch_size, -1) for layer in layers]

    def snapshot(self, running_accuracy: list[float], masks: Sequence[Tensor] = ()) -> list[TrainedNetwork]:
        stack = self.stack
        if masks:
            stack = Stack([w * mask for w, mask in zip(stack.weights, masks, strict=True)], stack.biases)
        penalty = self.penalties.value(stack.weights)
        train, test = (evaluate(stack, *self.data[split]) for split in ("train", "test"))
        return [
            TrainedNetwork(
                *stack.network(n),
                dict(zip(SCORES, (train[0][n], test[0][n], train[1][n], test[1][n], *rest), strict=True)),
            )
            for n, rest in enumerate(zip(running_accuracy, penalty.tolist(), strict=True))
        ]


def evaluate(stack: Stack, x: Tensor, y: Tensor, batch_size: int = 2000) -> tuple[list[float], list[float]]:
    """Accuracy and mean loss of every network of a stack, without dropout.

    Parameters
    ----------
    x : Tensor (examples, in)
    y : Tensor (examples,) of int64, or (examples, out) of float32

    Returns
    -------
    accuracies : list of float
        NaN for regressions.
    losses : list of float
        Cross-entropy in nats, or squared error.
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
