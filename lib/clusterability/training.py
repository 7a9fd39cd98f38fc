"""Train networks, then train them further while pruning; many at once.

Every network owns its random numbers (initial weights, order of examples, dropout) and its part of
every product, so a network's result does not depend on which others train beside it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from clusterability.assigned import random_groups
from clusterability.catalogue import Dataset
from clusterability.errors import InputError
from clusterability.networks import Stack, clusterable, gradients, initialize, logits, output_errors, rescale
from clusterability.pruning import magnitude_mask, sparsity_at
from clusterability.regularization import Penalties
from clusterability.specs import SCORES, SHARED_IN_STACK, NetworkSpec, States, TrainedNetwork, Training

Progress = Callable[[float], None]


def train(
    specs: Sequence[NetworkSpec],
    dataset: Dataset,
    device: str = "cpu",
    *,
    keep_epochs: Sequence[int] = (),
    workers: int | None = None,
    stack_size: int = 128,
    progress: Progress | None = None,
) -> Iterator[tuple[int, States]]:
    """Train networks together and yield each with its position in ``specs`` as soon as it is done.

    Kept of each are the network at the end of training, at the end of pruning, and after the
    ``keep_epochs``.

    On a CPU, ``workers`` threads (by default one a core) train one network each; on a GPU, stacks of
    up to ``stack_size`` networks run as batched products.

    Parameters
    ----------
    specs : sequence of NetworkSpec
        They must agree in architecture, epochs, batch size, learning rate and pruning schedule; seeds
        and regularization may differ.
    keep_epochs : sequence of int
        Epochs passed, counted through training and pruning; 0: before the first step.
    progress : callable, optional
        Called with every finished share of the work, in networks; the shares sum to ``len(specs)``.

    Raises
    ------
    InputError
        Specifications that cannot share a stack, or that do not fit the data set.
    """
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
    stop: list[bool] = []

    def tell(share: float) -> None:
        if stop:
            raise _Cancelled
        if progress is not None:
            progress(share)

    def run(positions: range) -> list[tuple[int, States]]:
        with one_thread():
            results = _train_stack([specs[i] for i in positions], data, device, keep_epochs, tell)
        return list(zip(positions, results, strict=True))

    with ThreadPoolExecutor(workers) as pool:
        pending = {pool.submit(run, positions) for positions in stacks}
        try:
            while pending:
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in done:
                    yield from future.result()
        finally:
            stop.append(True)
            for future in pending:
                future.cancel()


class _Cancelled(Exception):
    """Ends a worker thread whose results nobody waits for any more."""


def available_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def one_thread() -> Iterator[None]:
    """PyTorch's operations started by this thread run on this thread alone, denormal numbers as zero.

    Sums then always run in the same order, so results do not depend on the number of cores. Weights
    that an L2 penalty lets decay reach zero instead of lingering below 1e-38, as under TensorFlow,
    which the released experiments used; and arithmetic on denormal numbers would be slow.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
        torch.set_num_threads(before)


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


class _Randomness:
    """One network's random numbers, drawn from streams of its own."""

    def __init__(self, seed: int, device: str) -> None:
        streams = np.random.SeedSequence(seed).generate_state(3, np.uint64).astype(np.int64).tolist()
        self.weights = torch.Generator().manual_seed(streams[0])
        self.order = torch.Generator().manual_seed(streams[1])
        self.dropout = torch.Generator(device).manual_seed(streams[2])


def _train_stack(
    specs: Sequence[NetworkSpec],
    data: dict[str, tuple[Tensor, Tensor]],
    device: str,
    keep_epochs: Sequence[int],
    tell: Progress,
) -> list[States]:
    randomness = [_Randomness(spec.seed, device) for spec in specs]
    training = specs[0].training
    states: dict[int, list[TrainedNetwork]] = {}
    with torch.no_grad():
        stack = _initial(specs, randomness).to(device)
        phases = _Phases(specs, stack, randomness, data, device, keep_epochs, tell)
        if 0 in keep_epochs or not training.epochs:
            states[0] = phases.snapshot([math.nan] * len(specs))
        states |= phases.run(training.epochs, pruning=False)
        if training.pruning_epochs:
            states |= phases.run(training.pruning_epochs, pruning=True)
    return [{epoch: networks[n] for epoch, networks in states.items()} for n in range(len(specs))]


def _initial(specs: Sequence[NetworkSpec], randomness: Sequence[_Randomness]) -> Stack:
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


def _members(specs: Sequence[NetworkSpec], randomness: Sequence[_Randomness]) -> list[Tensor]:
    """Groups of all neurons for the cut of assigned groups (N, neurons, groups), a layer each."""
    n_groups = specs[0].training.cut_groups
    groups = [
        random_groups(spec.architecture.sizes, n_groups, r.weights) for spec, r in zip(specs, randomness, strict=True)
    ]
    return [torch.nn.functional.one_hot(torch.stack(layer), n_groups).float() for layer in zip(*groups, strict=True)]


def untrained(spec: NetworkSpec) -> TrainedNetwork:
    """The network before its first step, without scores: no data are needed."""
    stack = _initial([spec], [_Randomness(spec.seed, "cpu")])
    return TrainedNetwork(*stack.network(0), dict.fromkeys(SCORES, math.nan))


class _Phases:
    """The training loop over one stack; run once to train and once more to prune."""

    def __init__(self, specs, stack: Stack, randomness, data, device: str, keep_epochs, tell: Progress) -> None:
        self.specs, self.stack, self.randomness = specs, stack, randomness
        self.data, self.device, self.tell = data, device, tell
        self.keep_epochs = set(keep_epochs)
        self.training: Training = specs[0].training
        rates = torch.tensor([spec.training.dropout for spec in specs])
        self.dropped = [n for n, rate in enumerate(rates.tolist()) if rate > 0]
        self.scale = (1 / (1 - rates)).to(device)
        # Units stay where a uniform 16-bit integer reaches this value.
        self.thresholds = ((rates * 65536).round() - 32768).clamp(max=32767).to(torch.int16).to(device)
        members = [m.to(device) for m in _members(specs, randomness)]
        self.penalties = Penalties([spec.training for spec in specs], members)
        self.rescaled = torch.tensor([spec.training.rescaling for spec in specs]).to(device)
        self.rescales = bool(self.rescaled.any())

    def run(self, epochs: int, *, pruning: bool) -> dict[int, list[TrainedNetwork]]:
        """Train, or prune, for so many epochs; the networks after those to keep and after the last."""
        stack, training = self.stack, self.training
        x, y = self.data["train"]
        n_networks, n_examples = len(self.specs), len(x)
        steps_per_epoch = -(-n_examples // training.batch_size)
        last_step = epochs * steps_per_epoch
        optimizer = torch.optim.Adam(stack.parameters, lr=training.learning_rate, eps=1e-7, fused=True)
        share = n_networks / max(1, training.epochs + training.pruning_epochs)
        before = training.last_epoch(False) if pruning else 0
        step = 0
        masks: list[Tensor] = []
        states = {}
        for epoch in range(1, epochs + 1):
            order = torch.stack([torch.randperm(n_examples, generator=r.order) for r in self.randomness])
            order = order.to(self.device)
            correct = torch.zeros(n_networks, device=self.device)
            for batch in order.split(training.batch_size, dim=1):
                if self.rescales:
                    rescale(stack, self.rescaled, masks)
                if pruning:
                    if step % training.mask_interval == 0:
                        masks = self._new_masks(masks, step, last_step)
                    self._apply(masks)
                # Networks of a stack see different examples; gathering flat is one copy for all.
                inputs = x.index_select(0, batch.reshape(-1)).view(n_networks, batch.shape[1], -1)
                keep = self._dropout_masks(batch.shape[1]) if self.dropped else None
                result = gradients(stack, inputs, y[batch], keep, self.scale)
                self.penalties.add(result.weights, stack.weights, step)
                for parameter, gradient in zip(stack.parameters, [*result.weights, *result.biases], strict=True):
                    parameter.grad = gradient
                optimizer.step()
                correct += result.correct
                step += 1
            if pruning and epoch == epochs:
                masks = self._new_masks(masks, last_step, last_step)
            if epoch == epochs or before + epoch in self.keep_epochs:
                running = (correct / n_examples).tolist() if not y.is_floating_point() else [math.nan] * n_networks
                states[before + epoch] = self.snapshot(running, masks)
            self.tell(share)
        return states

    def _new_masks(self, masks: list[Tensor], step: int, last_step: int) -> list[Tensor]:
        training = self.training
        if not training.regrowth:
            self._apply(masks)
        sparsity = sparsity_at(step, last_step, training.initial_sparsity, training.final_sparsity)
        return [magnitude_mask(weight, sparsity) for weight in self.stack.weights]

    def _apply(self, masks: list[Tensor]) -> None:
        for weight, mask in zip(self.stack.weights, masks, strict=False):  # no masks before the first
            weight.mul_(mask)

    def _dropout_masks(self, batch_size: int) -> list[Tensor]:
        """0/1 masks (N, batch, width), a hidden layer each; networks without dropout draw nothing."""
        widths = [weight.shape[1] for weight in self.stack.weights[:-1]]
        n_units = batch_size * sum(widths)
        n_words = -(-n_units // 4)  # four 16-bit integers a 64-bit word
        words = torch.zeros(len(self.specs), n_words, dtype=torch.int64, device=self.device)
        for n in self.dropped:
            words[n].random_(-(2**63), None, generator=self.randomness[n].dropout)
        bits = words.view(torch.int16)[:, :n_units]
        kept = (bits >= self.thresholds[:, None]).to(torch.float32)
        layers = kept.split([batch_size * width for width in widths], dim=1)
        return [layer.view(len(self.specs), batch_size, -1) for layer in layers]

    def snapshot(self, running_accuracy: list[float], masks: Sequence[Tensor] = ()) -> list[TrainedNetwork]:
        """Copies and scores of all networks, their pruned weights at zero."""
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
