"""What training has in common for all architectures: random streams, and the loop over epochs."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from clusterability.data.catalogue import Dataset
from clusterability.networks.network import States, TrainedNetwork
from clusterability.training.checkpoint import Checkpoint
from clusterability.training.pruning import PruningMasks
from clusterability.training.spec import NetworkSpec

Progress = Callable[[float], None]
"""Called with every finished share of the work, in networks."""
Data = dict[str, tuple[Tensor, Tensor]]
"""Inputs and targets of "train" and "test", on the training device."""


class Randomness:
    """One network's random numbers, drawn from streams of its own."""

    def __init__(self, seed: int, device: str) -> None:
        streams = np.random.SeedSequence(seed).generate_state(3, np.uint64).astype(np.int64).tolist()
        self.weights = torch.Generator().manual_seed(streams[0])  # for what is drawn before training
        self.order = torch.Generator().manual_seed(streams[1])  # of examples
        self.noise = torch.Generator(device).manual_seed(streams[2])  # for dropout and augmentation


def random_bits(n: int, generator: torch.Generator) -> Tensor:
    """Uniform 16-bit integers (n,), on the generator's device; several times faster than as many floats."""
    words = torch.empty(-(-n // 4), dtype=torch.int64, device=generator.device)  # four of them a 64-bit word
    return words.random_(-(2**63), None, generator=generator).view(torch.int16)[:n]


def dropout_thresholds(rates: Tensor) -> Tensor:
    """16-bit integers that random ones reach with probability 1 − rate, see :func:`random_bits`."""
    return ((rates * 65536).round() - 32768).clamp(max=32767).to(torch.int16)


class Learner(ABC):
    """N networks that take their steps together, and how they take them."""

    stack_size: ClassVar[int]  # how many networks may learn as one on an accelerator
    resumable: ClassVar[bool]  # whether a step depends on nothing but what the loop keeps of ``module``

    parameters: list[Tensor]  # all that the optimizer changes
    weights: list[Tensor]  # (N, out, in, ...): what is pruned of them, a layer each
    module: torch.nn.Sequential  # all that a step changes, of learners that are resumable

    def __init__(self, specs: Sequence[NetworkSpec], data: Data, device: str) -> None:
        self.specs, self.training, self.data = specs, specs[0].training, data
        self.randomness = [Randomness(spec.seed, device) for spec in specs]

    @staticmethod
    @abstractmethod
    def examples(dataset: Dataset, split: str) -> tuple[np.ndarray, np.ndarray]:
        """Inputs and targets of "train" or "test" as the networks read them."""

    @classmethod
    def load(cls, dataset: Dataset, device: str) -> Data:
        """The whole data set on a device."""
        splits = {split: cls.examples(dataset, split) for split in ("train", "test")}
        return {split: tuple(torch.from_numpy(array).to(device) for array in own) for split, own in splits.items()}

    @abstractmethod
    def set_gradients(self, batch: Tensor, step: int) -> Tensor:
        """Set all parameters' gradients on a batch of example numbers (N, batch), and count the hits (N,)."""

    @abstractmethod
    def scored(self, running_accuracies: Sequence[float]) -> list[TrainedNetwork]:
        """Copies and scores of all networks."""

    def prepare(self, masks: Sequence[Tensor]) -> None:  # noqa: B027
        """Change the parameters before a step, ahead of the masks; by default not at all."""

    def snapshot(self, masks: Sequence[Tensor], running_accuracies: Sequence[float]) -> list[TrainedNetwork]:
        """The same with pruned weights at zero."""
        before = [weight.clone() for weight, _ in zip(self.weights, masks, strict=False)]
        for weight, mask in zip(self.weights, masks, strict=False):
            weight.mul_(mask)
        networks = self.scored(running_accuracies)
        for weight, own in zip(self.weights, before, strict=False):
            weight.copy_(own)
        return networks


@torch.no_grad()
def run(
    learner: Learner, keep_epochs: Sequence[int], tell: Progress, checkpoint: Checkpoint | None = None
) -> list[States]:
    """Train, then prune: every network at both ends and after the epochs to keep.

    With a checkpoint, a network that was stopped goes on with the same results.
    """
    training, targets = learner.training, learner.data["train"][1]
    n_networks, n_examples = len(learner.specs), len(targets)
    keep, steps = sorted(set(keep_epochs)), -(-n_examples // training.batch_size)
    share = n_networks / max(1, training.last_epoch(True))
    states: dict[int, list[TrainedNetwork]] = {}
    standing = checkpoint.read(keep) if checkpoint else None
    if standing:
        states = {epoch: [network] for epoch, network in standing["states"].items()}
        tell(share * (training.epochs * standing["pruning"] + standing["epoch"]))
    elif 0 in keep or not training.epochs:
        states[0] = learner.snapshot([], [math.nan] * n_networks)
    for pruning, epochs in ((False, training.epochs), (True, training.pruning_epochs)):
        if standing and standing["pruning"] != pruning:
            continue  # it was pruning when it was stopped
        pruned = PruningMasks(learner.weights, epochs * steps, training)
        optimizer = torch.optim.Adam(learner.parameters, lr=training.learning_rate, eps=1e-7, fused=True)
        before, passed = training.epochs * pruning, 0
        if standing:
            passed, standing = _restore(standing, learner, optimizer, pruned), None
        for epoch in range(passed + 1, epochs + 1):
            order = torch.stack([torch.randperm(n_examples, generator=r.order) for r in learner.randomness])
            correct = torch.zeros(n_networks, device=targets.device)
            for place, batch in enumerate(order.to(targets.device).split(training.batch_size, dim=1)):
                step = (epoch - 1) * steps + place
                learner.prepare(pruned.counted if pruning else [])
                if pruning:
                    pruned.before_step(step)
                correct += learner.set_gradients(batch, step)
                optimizer.step()
            if pruning and epoch == epochs:
                pruned.renew(pruned.last_step)
            if epoch == epochs or before + epoch in keep:
                regression = targets.is_floating_point()
                running = [math.nan] * n_networks if regression else (correct / n_examples).tolist()
                states[before + epoch] = learner.snapshot(pruned.masks, running)
            if checkpoint and epoch < epochs and checkpoint.due:
                checkpoint.write(
                    {
                        "pruning": pruning,
                        "epoch": epoch,
                        "module": learner.module.state_dict(),
                        "optimizer": optimizer.state_dict(),
                        "masks": pruned.masks,
                        "streams": [stream.get_state() for stream in _streams(learner)],
                        "states": {moment: network for moment, [network] in states.items()},
                    },
                    keep,
                )
            tell(share)
    return [{epoch: networks[n] for epoch, networks in states.items()} for n in range(n_networks)]


def _restore(
    standing: dict[str, Any], learner: Learner, optimizer: torch.optim.Optimizer, pruned: PruningMasks
) -> int:
    """Take a checkpoint's place in a phase; its epochs that have passed."""
    learner.module.load_state_dict(standing["module"])
    optimizer.load_state_dict(standing["optimizer"])
    pruned.masks = [mask.to(weight.device) for mask, weight in zip(standing["masks"], learner.weights, strict=False)]
    for stream, state in zip(_streams(learner), standing["streams"], strict=True):
        stream.set_state(state)
    return standing["epoch"]


def _streams(learner: Learner) -> list[torch.Generator]:
    """Random numbers that are drawn while training."""
    return [stream for own in learner.randomness for stream in (own.order, own.noise)]
