"""Train and measure what rows are still missing; keep the trained networks.

Networks are cached under a key of their whole specification, with the moments that were asked for.
"""

from __future__ import annotations

import datetime
import math
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch

from clusterability import __version__
from clusterability.base import files as paths
from clusterability.base.progress import Bar
from clusterability.base.statistics import listed
from clusterability.base.threads import available_cores
from clusterability.clustering.measure import measure
from clusterability.clustering.ncut import n_starts
from clusterability.data import load as datasets
from clusterability.data.catalogue import NONE, Dataset
from clusterability.experiments import store as results
from clusterability.experiments.runs import KEY_VERSION, Run
from clusterability.graphs.channels import ChannelGraph
from clusterability.networks.cnn import CNN
from clusterability.networks.mlp import Stack
from clusterability.networks.network import States, TrainedNetwork
from clusterability.networks.torchvision import Classifier
from clusterability.training.checkpoint import Checkpoint, load_states, save_states
from clusterability.training.mlp import evaluate
from clusterability.training.pruning import trimmed
from clusterability.training.spec import SHARED_IN_STACK, NetworkSpec
from clusterability.training.train import train, untrained

Tell = Callable[[float], None]
"""Called with every finished share of something's work; the shares sum to 1."""


@dataclass(frozen=True)
class Kind:
    """What is computed of every network.

    Attributes
    ----------
    schema : results.Schema
        Of the rows' table.
    rows : callable
        From a run, its network at that moment, its data set (None: none), the columns that all kinds
        share, and a :data:`Tell`: the run's rows, each a dictionary.
    training_share : float
        Share of a network's time that training takes, for the progress bar only.
    """

    schema: results.Schema
    rows: Callable[[Any, TrainedNetwork, Dataset | None, dict, Tell], list[dict]]
    training_share: float


def compute(runs: Sequence, kind: Kind, device: str, recompute: bool, store: Callable[[list[dict]], None]) -> None:
    """Train and measure what ``runs`` ask for.

    Parameters
    ----------
    runs : sequence of Run
        Or of what has the same attributes and suits ``kind``.
    device : str
        Where networks train.
    recompute : bool
        Train every network anew, even those in the cache.
    store : callable
        Called with the rows of a network as soon as it is measured.

    Raises
    ------
    InputError
        A data set that cannot be had, before any long work.
    """
    for name in {run.network.dataset: None for run in runs}:
        if datasets.fingerprint(name) is None:
            datasets.load(name)
    by_network: dict[NetworkSpec, list] = {}
    for run in runs:
        by_network.setdefault(run.network, []).append(run)
    bar = Bar(len(by_network), "networks")

    def together(spec: NetworkSpec) -> tuple:
        """What networks must share to train in one stack."""
        shared = (getattr(spec.training, name) for name in SHARED_IN_STACK)
        return spec.dataset, spec.architecture.name, *shared

    def tell_training(share: float) -> None:
        bar.advance(kind.training_share * share)

    try:
        for _, group in groupby(sorted(by_network, key=together), key=together):
            specs = list(group)
            name = specs[0].dataset
            dataset = None if name == NONE else datasets.load(name)
            keep = sorted({run.epoch for spec in specs for run in by_network[spec]})
            for spec, states, seconds in _networks(specs, dataset, device, keep, recompute, tell_training):
                rows, share = [], (1 - kind.training_share) / len(by_network[spec])
                for run in by_network[spec]:
                    rows += _rows(kind, run, states, seconds, dataset, device, lambda part: bar.advance(share * part))  # noqa: B023
                store(rows)
    finally:
        bar.close()


def trained_network(spec: NetworkSpec, epoch: int, device: str) -> TrainedNetwork:
    """The network after so many epochs, from the cache or trained.

    Raises
    ------
    InputError
        A data set that cannot be had.
    """
    bar = Bar(1, "networks")
    try:
        [(_, states, _)] = _networks([spec], datasets.load(spec.dataset), device, [epoch], False, bar.advance)
    finally:
        bar.close()
    return states[epoch]


def _networks(
    specs: Sequence[NetworkSpec],
    dataset: Dataset | None,
    device: str,
    keep: Sequence[int],
    recompute: bool,
    tell: Tell,
) -> Iterator[tuple[NetworkSpec, States, float]]:
    """Every specification's network after the epochs to keep, and the seconds of its training: first
    those in the cache, then those to train."""
    if dataset is None:
        for spec in specs:
            tell(1)
            yield spec, {0: untrained(spec)}, 0.0
        return
    files = {spec: _cache_file(spec, dataset, device) for spec in specs}
    to_train = []
    for spec in specs:
        cached = None if recompute else load_states(files[spec], keep)
        if cached is None:
            to_train.append(spec)
            continue
        tell(1)
        yield spec, *cached
    n_cores = available_cores() if torch.device(device).type == "cpu" else 1
    checkpoints = [Checkpoint(files[spec].with_suffix(".checkpoint.pt")) for spec in to_train]
    if recompute:
        for checkpoint in checkpoints:
            checkpoint.remove()
    before = time.perf_counter()
    trained = train(to_train, dataset, device, keep_epochs=keep, progress=tell, checkpoints=checkpoints)
    for done, (position, states) in enumerate(trained, 1):
        seconds = (time.perf_counter() - before) * min(n_cores, len(to_train)) / done
        seconds += checkpoints[position].earlier_seconds
        save_states(files[to_train[position]], states, seconds)
        checkpoints[position].remove()
        yield to_train[position], states, seconds


def _rows(
    kind: Kind, run: Any, states: States, training_seconds: float, dataset: Dataset | None, device: str, tell: Tell
) -> list[dict]:
    started = time.perf_counter()
    training = run.network.training
    shared = {
        "dataset": run.network.dataset,
        "condition": run.condition,
        "pruned": run.pruned,
        "seed": run.network.seed,
        "architecture": run.network.architecture.name,
        "epochs": training.epochs,
        "pruning_epochs": training.pruning_epochs,
        "device": device if torch.device(device).type == "cpu" else torch.cuda.get_device_name(device),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "version": __version__,
        "software": f"Python {platform.python_version()}, torch {torch.__version__}, numpy {np.__version__}",
        "data": NONE if dataset is None else dataset.fingerprint,
        "key": run.key,
    }
    rows = kind.rows(run, states[run.epoch], dataset, shared, tell)
    share = run.epoch / max(1, training.last_epoch(True))
    seconds = round(training_seconds * share + time.perf_counter() - started, 1)
    return [{**row, "seconds": seconds} for row in rows]


def _measured(run: Run, network: TrainedNetwork, dataset: Dataset | None, shared: dict, tell: Tell) -> list[dict]:
    """A network's clusterability, in one row."""
    if run.trimmed:
        network = _trimmed(network, run, dataset)
    measured = measure(clustered(run, network), run.measurement, run.network.seed, workers=available_cores())
    tell(1)
    magnitudes = [np.abs(weight[weight != 0]) for weight in network.weights]
    small = math.nan if not magnitudes else np.mean(np.concatenate(magnitudes) < run.network.training.learning_rate)
    return [
        {
            **shared,
            **asdict(run.measurement),
            "n_eigenvectors": run.measurement.n_eigenvectors or run.measurement.n_clusters,
            "n_starts": run.measurement.n_starts or n_starts(measured.n_vertices),
            "ncut": measured.ncut,
            "shuffled_mean": measured.shuffled_ncuts.mean() if run.measurement.n_shuffles else math.nan,
            "shuffled_sd": measured.shuffled_ncuts.std() if run.measurement.n_shuffles else math.nan,
            "z": measured.z,
            "p": measured.p,
            **network.scores,
            "in_out_ratio": measured.in_out_ratio,
            "vertices": measured.n_vertices,
            "effective_clusters": measured.effective_clusters,
            "small_weights": float(small),
            "epoch": run.epoch,
            "eigenvalues": listed(measured.eigenvalues),
            "late_shares": listed(measured.late_shares),
            "shuffled_ncuts": listed(measured.shuffled_ncuts),
            "volume_shares": listed(measured.volume_shares),
            "vertex_shares": listed(measured.vertex_shares),
        }
    ]


def clustered(run: Run, network: TrainedNetwork) -> list[np.ndarray] | ChannelGraph:
    """What is clustered of a run's network: a matrix (out, in) a layer, of weights or of norms of kernels; or,
    of one of torchvision's classifiers, its graph."""
    architecture = run.network.architecture
    if isinstance(architecture, Classifier):
        return architecture.graph(network, norm=run.kernel_norm, fold=run.fold_normalization, seed=run.network.seed)
    if isinstance(architecture, CNN):
        return list(architecture.graph(network, norm=run.kernel_norm, fold=run.fold_normalization).blocks)
    return network.weights


NETWORK_ROWS = Kind(results.NETWORKS, _measured, training_share=0.85)
"""Clusterability: one row a network and moment."""


def _trimmed(network: TrainedNetwork, run: Run, dataset: Dataset) -> TrainedNetwork:
    """The network without its smallest first-layer weights, scored anew."""
    first = trimmed(network.weights[0], run.network.training.learning_rate, run.trimmed)
    weights = [first, *network.weights[1:]]
    stack = Stack.of([TrainedNetwork(weights, network.biases)])
    scores = dict(network.scores)
    with torch.no_grad():
        for split in ("train", "test"):
            [scores[f"{split}_accuracy"]], [scores[f"{split}_loss"]] = evaluate(
                stack, *map(torch.from_numpy, dataset.flat(split))
            )
    return TrainedNetwork(weights, network.biases, scores)


def _cache_file(spec: NetworkSpec, dataset: Dataset, device: str) -> Path:
    key = results.key_of(
        {
            "network": spec.as_dict(),
            "data": dataset.fingerprint,
            "device": torch.device(device).type,
            "version": KEY_VERSION,
        }
    )
    return paths.networks_folder() / f"{key}.npz"
