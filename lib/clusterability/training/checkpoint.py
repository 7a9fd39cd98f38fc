"""Trained networks in files of plain arrays: those that are done, and those still training."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clusterability.base import files as paths
from clusterability.base.errors import InputError
from clusterability.base.files import read_npz
from clusterability.networks.network import States, TrainedNetwork

_PARTS = {"weights": "weight", "biases": "bias", "normalizations": "normalization"}


def save_states(path: Path, states: States, seconds: float) -> None:
    """Write a network at all its moments, and the seconds of its training."""
    with paths.written_whole(path) as temporary:
        np.savez_compressed(temporary, seconds=np.array(seconds), **_as_arrays(states))


def load_states(path: Path, epochs: Sequence[int]) -> tuple[States, float] | None:
    """The stored network after these epochs, and the seconds of its training; None if one lacks."""
    if not path.is_file():
        return None
    with np.load(path, allow_pickle=False) as file:
        if any(f"epoch{epoch}_scores" not in file for epoch in epochs):
            return None
        return _from_arrays(file, epochs), float(file["seconds"])


@dataclass(frozen=True)
class UnderWay:
    """Where a network's training stands at the end of an epoch.

    Attributes
    ----------
    pruning : bool
        Whether it is in its second phase.
    epoch : int
        Epochs of that phase that have passed.
    arrays : dict of list of ndarray
        All that the rest of the phase depends on, by what it is.
    states : States
        What is kept of the network so far.
    """

    pruning: bool
    epoch: int
    arrays: Mapping[str, Sequence[np.ndarray]]
    states: States


class Checkpoint:
    """A network's file of where its training stands, from which it goes on after it was stopped.

    Parameters
    ----------
    path : Path
    interval : float
        Seconds from one writing to the next, at least.

    Attributes
    ----------
    earlier_seconds : float
        What the training had taken when it was stopped.
    """

    def __init__(self, path: Path, interval: float = 60.0) -> None:
        self.path, self.interval, self.earlier_seconds = path, interval, 0.0
        self._started = self._written = time.perf_counter()

    @property
    def due(self) -> bool:
        """Whether it is time to write again."""
        return time.perf_counter() - self._written >= self.interval

    def read(self, keep_epochs: Sequence[int]) -> UnderWay | None:
        """Where the training stood, if the same epochs were to be kept; from here on its time counts."""
        self._started = self._written = time.perf_counter()
        if not self.path.is_file():
            return None
        try:
            arrays = read_npz(self.path)
        except InputError:  # not worth more than the time to train again
            return None
        facts = json.loads(str(arrays["facts"]))
        if facts["keep_epochs"] != list(keep_epochs):
            return None
        self.earlier_seconds = facts["seconds"]
        lists = {
            name: [arrays[f"{name}{number}"] for number in range(length)] for name, length in facts["lengths"].items()
        }
        return UnderWay(facts["pruning"], facts["epoch"], lists, _from_arrays(arrays, facts["kept"]))

    def write(self, under_way: UnderWay, keep_epochs: Sequence[int]) -> None:
        """Replace what was written before."""
        now = time.perf_counter()
        facts = {
            "pruning": under_way.pruning,
            "epoch": under_way.epoch,
            "lengths": {name: len(arrays) for name, arrays in under_way.arrays.items()},
            "kept": list(under_way.states),
            "keep_epochs": list(keep_epochs),
            "seconds": self.earlier_seconds + now - self._started,
        }
        numbered = {
            f"{name}{number}": array
            for name, arrays in under_way.arrays.items()
            for number, array in enumerate(arrays)
        }
        with paths.written_whole(self.path) as temporary:
            np.savez(temporary, facts=np.array(json.dumps(facts)), **numbered, **_as_arrays(under_way.states))
        self._written = time.perf_counter()

    def remove(self) -> None:
        """Forget where the training stood."""
        self.path.unlink(missing_ok=True)


def _as_arrays(states: States) -> dict[str, np.ndarray]:
    arrays = {}
    for epoch, network in states.items():
        arrays[f"epoch{epoch}_scores"] = np.array(json.dumps(network.scores))
        for part, name in _PARTS.items():
            for layer, array in enumerate(getattr(network, part)):
                arrays[f"epoch{epoch}_{name}{layer}"] = array
    return arrays


def _from_arrays(arrays: Mapping[str, np.ndarray], epochs: Sequence[int]) -> States:
    states = {}
    for epoch in epochs:
        parts = {
            part: [arrays[key] for key in _numbered(arrays, f"epoch{epoch}_{name}")] for part, name in _PARTS.items()
        }
        states[epoch] = TrainedNetwork(**parts, scores=json.loads(str(arrays[f"epoch{epoch}_scores"])))
    return states


def _numbered(names: Mapping[str, np.ndarray], prefix: str) -> list[str]:
    """Those of the names that are the prefix and a number, by number."""
    return [f"{prefix}{number}" for number in range(sum(name.startswith(prefix) for name in names))]
