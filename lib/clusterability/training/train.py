"""Train networks, then train them further while pruning; many at once.

Every network owns its random numbers (initial weights, order of examples, dropout) and its part of
every product, so a network's result does not depend on which others train beside it.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait

import torch

from clusterability.base.threads import available_cores, one_thread
from clusterability.data.catalogue import Dataset
from clusterability.networks.cnn import CNN
from clusterability.networks.mlp import MLP
from clusterability.networks.network import States, TrainedNetwork
from clusterability.training import loop
from clusterability.training.checkpoint import Checkpoint
from clusterability.training.cnn import ImageLearner
from clusterability.training.loop import Learner, Progress, Randomness
from clusterability.training.mlp import StackLearner
from clusterability.training.spec import NetworkSpec, Training

__all__ = ["NetworkSpec", "Training", "train", "untrained"]

_LEARNERS: dict[type, type[Learner]] = {MLP: StackLearner, CNN: ImageLearner}

Timed = Callable[[int, float], None]
"""Told a network's position and the seconds of its training: of those that train as one, an equal share each."""


def train(
    specs: Sequence[NetworkSpec], dataset: Dataset, device: str = "cpu",
    *, keep_epochs: Sequence[int] = (), workers: int | None = None, stack_size: int | None = None,
    progress: Progress | None = None, checkpoints: Sequence[Checkpoint] = (), timed: Timed | None = None,
) -> Iterator[tuple[int, States]]:  # fmt: skip
    """Train networks side by side and yield each, by the epochs passed, with its position in ``specs`` as soon as it
    is done.

    Kept of each are the network at the end of training, at the end of pruning, and after the ``keep_epochs``.
    A caller that stops asking cancels what has not started, and what has at its next sign of progress. InputError for
    a network that does not fit the data set, before any work.

    Parameters
    ----------
    keep_epochs : sequence of int
        Epochs passed, counted through training and pruning; 0: before the first step.
    workers : int, optional
        Threads on a CPU, each of which trains one network at a time; by default one a core.
    stack_size : int, optional
        How many perceptrons alike may train as one, by batched products; by default one on a CPU, and up to 128
        elsewhere. Convolutional networks train one after the other there.
    progress : callable, optional
        Called with every finished share of the work, in networks; the shares sum to ``len(specs)``.
    checkpoints : sequence of Checkpoint, one a network, optional
        Where convolutional networks, which train for long, go on after they were stopped.
    timed : callable, optional
        Called before a network is yielded, see :data:`Timed`.

    >>> from clusterability.data.load import load
    >>> spec = NetworkSpec("digits", MLP((64, 16, 10)), Training(epochs=2, pruning_epochs=1), seed=0)
    >>> [(position, states)] = train([spec], load("digits"))
    >>> position, sorted(states), states[2].weights[0].shape
    (0, [2, 3], (16, 64))
    """
    for spec in specs:
        spec.check_fits(dataset)
    on_cpu = torch.device(device).type == "cpu"
    alike: dict[tuple, list[int]] = {}  # positions of networks that can take their steps together
    for position, spec in enumerate(specs):
        alike.setdefault(spec.shared_in_stack(), []).append(position)
    stacks, data = [], {}
    for positions in alike.values():
        learner = _LEARNERS[type(specs[positions[0]].architecture)]
        size = min(learner.stack_size, stack_size or (1 if on_cpu else learner.stack_size))
        stacks += [(learner, positions[i : i + size]) for i in range(0, len(positions), size)]
        if learner not in data:
            data[learner] = learner.load(dataset, device)
    stopped: list[bool] = []

    def tell(share: float) -> None:
        if stopped:
            raise _Cancelled
        if progress is not None:
            progress(share)

    def train_stack(kind: type[Learner], positions: Sequence[int]) -> list[tuple[int, States]]:
        started = time.perf_counter()
        with one_thread():
            learner = kind([specs[position] for position in positions], data[kind], device)
            checkpoint = checkpoints[positions[0]] if checkpoints and kind.resumable else None
            results = loop.run(learner, keep_epochs, tell, checkpoint)
        seconds = (time.perf_counter() - started) / len(positions)
        if timed is not None:
            for position in positions:
                timed(position, seconds)
        return list(zip(positions, results, strict=True))

    with ThreadPoolExecutor((workers or available_cores()) if on_cpu else 1) as pool:
        pending = {pool.submit(train_stack, *stack) for stack in stacks}
        try:
            while pending:
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in done:
                    yield from future.result()
        finally:
            stopped.append(True)
            for future in pending:
                future.cancel()


class _Cancelled(Exception):
    """Ends a worker thread whose results nobody waits for any more."""


def untrained(spec: NetworkSpec) -> TrainedNetwork:
    """The network before its first step, without scores: no data are needed."""
    return spec.untrained(Randomness(spec.seed, "cpu").weights)
