"""What training has in common for all architectures: random streams, threads, and the loop over epochs."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait

import numpy as np
import torch
from torch import Tensor

from clusterability.base.threads import one_thread
from clusterability.networks.network import States, TrainedNetwork
from clusterability.training.checkpoint import Checkpoint, UnderWay
from clusterability.training.pruning import PruningMasks
from clusterability.training.spec import NetworkSpec

Progress = Callable[[float], None]
Timed = Callable[[int, float], None]
"""Told a network's position and the seconds of its training: of those that train as one, an equal share each."""


class Randomness:
    """One network's random numbers, drawn from streams of its own.

    Attributes
    ----------
    weights, order : torch.Generator
        For what is drawn before training, and for the order of examples.
    noise : torch.Generator on the training device
        For dropout and augmentation.
    """

    def __init__(self, seed: int, device: str) -> None:
        streams = np.random.SeedSequence(seed).generate_state(3, np.uint64).astype(np.int64).tolist()
        self.weights = torch.Generator().manual_seed(streams[0])
        self.order = torch.Generator().manual_seed(streams[1])
        self.noise = torch.Generator(device).manual_seed(streams[2])


def random_bits(n: int, generator: torch.Generator) -> Tensor:
    """Uniform 16-bit integers (n,), on the generator's device; several times faster than as many floats."""
    words = torch.empty(-(-n // 4), dtype=torch.int64, device=generator.device)  # four of them a 64-bit word
    return words.random_(-(2**63), None, generator=generator).view(torch.int16)[:n]


def dropout_thresholds(rates: Tensor) -> Tensor:
    """16-bit integers that random ones reach with probability 1 − rate, see :func:`random_bits`."""
    return ((rates * 65536).round() - 32768).clamp(max=32767).to(torch.int16)


def side_by_side(
    groups: Sequence[Sequence[int]],
    train_group: Callable[[Sequence[int], Progress], Sequence[States]],
    workers: int,
    progress: Progress | None,
    timed: Timed | None = None,
) -> Iterator[tuple[int, States]]:
    """Train groups of networks in threads, and yield each network with its position once its group is done.

    A caller that stops asking cancels what has not started, and what has at its next sign of progress.

    Parameters
    ----------
    groups : sequence of sequences of int
        Positions of the networks that train together.
    train_group : callable
        From positions, and what to tell finished shares of the work to, every network's results.
    workers : int
        Threads.
    progress : callable, optional
        Called with every finished share of the work.
    timed : callable, optional
        Called before a network is yielded, see :data:`Timed`.
    """
    stop: list[bool] = []

    def tell(share: float) -> None:
        if stop:
            raise _Cancelled
        if progress is not None:
            progress(share)

    def run(positions: Sequence[int]) -> list[tuple[int, States]]:
        started = time.perf_counter()
        with one_thread():
            trained = list(zip(positions, train_group(positions, tell), strict=True))
        seconds = time.perf_counter() - started
        for position in positions:
            if timed is not None:
                timed(position, seconds / len(positions))
        return trained

    with ThreadPoolExecutor(workers) as pool:
        pending = {pool.submit(run, positions) for positions in groups}
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


class Phases(ABC):
    """The training loop over N networks that take their steps together.

    Parameters
    ----------
    specs : sequence of NetworkSpec
        They agree in what :data:`clusterability.training.spec.SHARED_IN_STACK` names.
    parameters : list of Tensor
        All that the optimizer changes.
    weights : list of Tensor (N, out, in, ...)
        What is pruned of them, a layer each.
    randomness : sequence of Randomness
        One a network.
    targets : Tensor (examples, ...)
        Of the training examples: class labels, or floating-point numbers for regressions.
    keep_epochs : sequence of int
    tell : callable
        Called with every finished share of the work, in networks.
    statistics : list of Tensor
        What a step changes besides the parameters.
    checkpoint : Checkpoint, optional
        Where a network that trains by itself goes on after it was stopped, with the same results.
    """

    def __init__(
        self,
        specs: Sequence[NetworkSpec],
        parameters: list[Tensor],
        weights: list[Tensor],
        randomness: Sequence[Randomness],
        targets: Tensor,
        keep_epochs: Sequence[int],
        tell: Progress,
        statistics: Sequence[Tensor] = (),
        checkpoint: Checkpoint | None = None,
    ) -> None:
        self.specs, self.parameters, self.weights, self.randomness = specs, parameters, weights, randomness
        self.targets, self.keep_epochs, self.tell = targets, sorted(set(keep_epochs)), tell
        self.statistics, self.checkpoint = statistics, checkpoint
        self.training = specs[0].training

    @abstractmethod
    def compute_gradients(self, batch: Tensor, step: int) -> Tensor:
        """Set all parameters' gradients on a batch of example numbers (N, batch), and count the hits (N,)."""

    @abstractmethod
    def snapshot(self, running_accuracy: list[float], masks: Sequence[Tensor] = ()) -> list[TrainedNetwork]:
        """Copies and scores of all networks, their pruned weights at zero."""

    def prepare(self, masks: Sequence[Tensor]) -> None:  # noqa: B027
        """Change the parameters before a step, ahead of the masks; by default not at all."""

    def results(self) -> list[States]:
        """Train, then prune: every network at both ends and after the epochs to keep."""
        training = self.training
        under_way = self.checkpoint.read(self.keep_epochs) if self.checkpoint else None
        states: dict[int, list[TrainedNetwork]] = {}
        if under_way is not None:
            states = {epoch: [network] for epoch, network in under_way.states.items()}
            self._tell_epochs(training.last_epoch(False) * under_way.pruning + under_way.epoch)
        elif 0 in self.keep_epochs or not training.epochs:
            states[0] = self.snapshot([math.nan] * len(self.specs))
        if under_way is None or not under_way.pruning:
            self._run(training.epochs, states, under_way, pruning=False)
            under_way = None
        if training.pruning_epochs:
            self._run(training.pruning_epochs, states, under_way, pruning=True)
        return [{epoch: networks[n] for epoch, networks in states.items()} for n in range(len(self.specs))]

    def _run(
        self, epochs: int, states: dict[int, list[TrainedNetwork]], under_way: UnderWay | None, *, pruning: bool
    ) -> None:
        """Train, or prune, for so many epochs; networks after those to keep and the last join ``states``."""
        training, device = self.training, self.parameters[0].device
        n_networks, n_examples = len(self.specs), len(self.targets)
        steps_an_epoch = -(-n_examples // training.batch_size)
        last_step = epochs * steps_an_epoch
        pruned = PruningMasks(
            self.weights, last_step, initial=training.initial_sparsity, final=training.final_sparsity,
            interval=training.mask_interval, regrowth=training.regrowth,
        )  # fmt: skip
        optimizer = torch.optim.Adam(self.parameters, lr=training.learning_rate, eps=1e-7, fused=True)
        before = training.last_epoch(False) if pruning else 0
        passed = 0
        if under_way is not None:
            passed = under_way.epoch
            self._restore(under_way.arrays, pruned, optimizer)
        step = passed * steps_an_epoch
        for epoch in range(passed + 1, epochs + 1):
            order = torch.stack([torch.randperm(n_examples, generator=r.order) for r in self.randomness]).to(device)
            correct = torch.zeros(n_networks, device=device)
            for batch in order.split(training.batch_size, dim=1):
                self.prepare(pruned.masks)
                if pruning:
                    pruned.before_step(step)
                correct += self.compute_gradients(batch, step)
                optimizer.step()
                step += 1
            if pruning and epoch == epochs:
                pruned.renew(last_step)
            if epoch == epochs or before + epoch in self.keep_epochs:
                regression = self.targets.is_floating_point()
                running = [math.nan] * n_networks if regression else (correct / n_examples).tolist()
                states[before + epoch] = self.snapshot(running, pruned.masks)
            if self.checkpoint and epoch < epochs and self.checkpoint.due:
                kept = {moment: network for moment, [network] in states.items()}
                self.checkpoint.write(
                    UnderWay(pruning, epoch, self._standing(pruned, optimizer), kept), self.keep_epochs
                )
            self._tell_epochs(1)

    def _tell_epochs(self, n: int) -> None:
        self.tell(n * len(self.specs) / max(1, self.training.last_epoch(True)))

    def _changing(self, pruned: PruningMasks, optimizer: torch.optim.Adam) -> dict[str, list[Tensor]]:
        """All tensors that the rest of a phase depends on, once there are masks and a step was taken."""
        moments = [optimizer.state[parameter] for parameter in self.parameters]
        return {
            "parameter": self.parameters,
            "statistic": list(self.statistics),
            "mask": pruned.masks,
            **{name: [moment[name] for moment in moments] for name in ("step", "exp_avg", "exp_avg_sq")},
        }

    def _standing(self, pruned: PruningMasks, optimizer: torch.optim.Adam) -> dict[str, list[np.ndarray]]:
        tensors = {name: [t.detach().cpu() for t in part] for name, part in self._changing(pruned, optimizer).items()}
        tensors |= {"stream": [generator.get_state() for generator in self._streams]}
        return {name: [np.array(tensor.numpy(), order="C") for tensor in part] for name, part in tensors.items()}

    def _restore(
        self, arrays: Mapping[str, Sequence[np.ndarray]], pruned: PruningMasks, optimizer: torch.optim.Adam
    ) -> None:
        """Undo what :meth:`_standing` did, in tensors that lie in memory as they did then."""
        device = self.parameters[0].device
        for parameter in self.parameters:
            optimizer.state[parameter] = {
                "step": torch.zeros((), device=device),
                **{name: torch.zeros_like(parameter, requires_grad=False) for name in ("exp_avg", "exp_avg_sq")},
            }
        pruned.masks = [torch.empty_like(weight) for weight, _ in zip(self.weights, arrays["mask"], strict=False)]
        for name, part in self._changing(pruned, optimizer).items():
            for tensor, array in zip(part, arrays[name], strict=True):
                tensor.detach().copy_(torch.from_numpy(array))
        for generator, array in zip(self._streams, arrays["stream"], strict=True):
            generator.set_state(torch.from_numpy(array))

    @property
    def _streams(self) -> list[torch.Generator]:
        """Random numbers that are drawn while training."""
        return [generator for own in self.randomness for generator in (own.order, own.noise)]
