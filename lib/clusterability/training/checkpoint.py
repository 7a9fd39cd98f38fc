"""Trained networks in files: those that are done, as plain arrays, and those still training."""

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils._pytree import tree_map_only

from clusterability.base import files
from clusterability.networks.network import States, TrainedNetwork

_PARTS = {"weights": "weight", "biases": "bias", "normalizations": "normalization"}


def save_states(path: Path, states: States, seconds: float) -> None:
    """Write a network at all its moments, and the seconds of its training."""
    arrays = {"seconds": np.array(seconds)}
    for epoch, network in states.items():
        arrays[f"epoch{epoch}_scores"] = np.array(json.dumps(network.scores))
        for part, name in _PARTS.items():
            arrays |= {f"epoch{epoch}_{name}{layer}": a for layer, a in enumerate(getattr(network, part))}
    with files.written_whole(path) as temporary:
        np.savez_compressed(temporary, **arrays)


def load_states(path: Path, epochs: Sequence[int]) -> tuple[States, float] | None:
    """The stored network after these epochs, and the seconds of its training; None if one lacks."""
    if not path.is_file():
        return None
    with np.load(path, allow_pickle=False) as file:
        if any(f"epoch{epoch}_scores" not in file for epoch in epochs):
            return None
        return {epoch: _network(file, f"epoch{epoch}_") for epoch in epochs}, float(file["seconds"])


def _network(arrays: Mapping[str, np.ndarray], prefix: str) -> TrainedNetwork:
    counts = {name: sum(key.startswith(prefix + name) for key in arrays) for name in _PARTS.values()}
    parts = {part: [arrays[f"{prefix}{name}{i}"] for i in range(counts[name])] for part, name in _PARTS.items()}
    return TrainedNetwork(**parts, scores=json.loads(str(arrays[f"{prefix}scores"])))


class Checkpoint:
    """A network's file of where its training stands, from which it goes on after it was stopped.

    It is one dictionary, see :func:`clusterability.training.loop.run`, written by ``torch.save`` no more often than
    every ``interval`` seconds. A file that cannot be read is not worth more than the time to train again.
    """

    def __init__(self, path: Path, interval: float = 60.0) -> None:
        self.path, self.interval = path, interval
        self.earlier_seconds = 0.0  # what the training had taken when it was stopped
        self._started = self._written = time.perf_counter()

    @property
    def due(self) -> bool:
        """Whether it is time to write again."""
        return time.perf_counter() - self._written >= self.interval

    def read(self, keep_epochs: Sequence[int]) -> dict[str, Any] | None:
        """Where the training stood, if the same epochs were to be kept; from here on its time counts."""
        self._started = self._written = time.perf_counter()
        try:
            standing = torch.load(self.path, map_location="cpu", weights_only=True)
            if standing["keep_epochs"] != list(keep_epochs):
                return None
            states = tree_map_only(torch.Tensor, torch.Tensor.numpy, standing["states"])
            standing["states"] = {epoch: TrainedNetwork(**kept) for epoch, kept in states.items()}
        except Exception:  # a damaged file can raise nearly anything
            return None
        self.earlier_seconds = standing["seconds"]
        return standing

    def write(self, standing: Mapping[str, Any], keep_epochs: Sequence[int]) -> None:
        """Replace what was written before."""
        states = {epoch: vars(network) for epoch, network in standing["states"].items()}
        states = tree_map_only(np.ndarray, torch.from_numpy, states)
        seconds = self.earlier_seconds + time.perf_counter() - self._started
        whole = {**standing, "states": states, "keep_epochs": list(keep_epochs), "seconds": seconds}
        with files.written_whole(self.path) as temporary:
            torch.save(whole, temporary)
        self._written = time.perf_counter()

    def remove(self) -> None:
        """Forget where the training stood."""
        self.path.unlink(missing_ok=True)
