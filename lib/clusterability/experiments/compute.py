"""What is computed where rows are missing: networks are trained, or found again, then measured or lesioned.

A network's rows are stored as soon as they are there. Trained networks are kept, with the moments that were asked
for, under a key of their whole specification.
"""

from __future__ import annotations

import datetime
import importlib.metadata
import math
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from clusterability.base import files
from clusterability.base.errors import InputError
from clusterability.base.threads import available_cores
from clusterability.clustering import gauge_search
from clusterability.clustering.measure import Clusterability, measure
from clusterability.clustering.ncut import n_starts, shares
from clusterability.data import load as data
from clusterability.data.catalogue import NONE, Dataset
from clusterability.experiments import store
from clusterability.experiments.grid import KEY_VERSION, Run
from clusterability.experiments.rows import ROWS, Row
from clusterability.graphs import null_models
from clusterability.graphs.gauge import rescaled
from clusterability.graphs.graph import Graph
from clusterability.graphs.layered import LayeredGraph
from clusterability.lesions import stability
from clusterability.lesions.importance import SMALL, row_of
from clusterability.lesions.lesion import (
    Lesion,
    LesionedNetwork,
    cluster_accuracies,
    conditional_lesions,
    lesion_beside,
    shuffled_labels,
    single_lesions,
    sub_modules,
)
from clusterability.networks.network import States, TrainedNetwork
from clusterability.networks.stack import Stack
from clusterability.training.checkpoint import Checkpoint, load_states, save_states
from clusterability.training.mlp import evaluate
from clusterability.training.pruning import trimmed
from clusterability.training.spec import NetworkSpec
from clusterability.training.train import train, untrained

Tell = Callable[[float], None]
"""Called with every finished share of something's work; the shares sum to 1."""


def check_device(device: str) -> None:
    """Raise InputError unless PyTorch can compute on ``device``."""
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as failure:
        raise InputError(f"device {device!r} cannot be used here: try 'cpu'") from failure


class _Bar(tqdm):
    """Finished work, in networks, on standard error."""

    def __init__(self, n_networks: int) -> None:
        layout = "{desc} {percentage:3.0f}%|{bar}| {n:.1f}/{total_fmt} [{elapsed} gone, {remaining} left]"
        super().__init__(total=n_networks, desc="networks", bar_format=layout, mininterval=0.5, smoothing=0.05)

    def advance(self, share: float) -> None:
        self.update(min(share, self.total - self.n))


def compute(figure: str, runs: Sequence[Run], device: str = "cpu", recompute: bool = False) -> None:
    """Train and measure what ``runs``, all of one kind, ask for, and add their rows to the figure's table."""
    for name in {run.network.dataset: None for run in runs}:
        if data.fingerprint(name) is None:
            data.load(name)
    by_network: dict[NetworkSpec, list[Run]] = {}
    for run in runs:
        by_network.setdefault(run.network, []).append(run)
    fill, training_share = _KINDS[runs[0].kind]

    with _Bar(len(by_network)) as bar:
        for _, group in groupby(sorted(by_network, key=NetworkSpec.shared_in_stack), key=NetworkSpec.shared_in_stack):
            specs = list(group)
            dataset = None if specs[0].dataset == NONE else data.load(specs[0].dataset)
            keep = sorted({run.epoch for spec in specs for run in by_network[spec]})

            def tell_training(share: float) -> None:
                bar.advance(training_share * share)

            # The generator gets no name: whoever holds an interruption must not keep the training going.
            for spec, states, seconds in _networks(specs, dataset, device, keep, recompute, tell_training):
                rows, share = [], (1 - training_share) / len(by_network[spec])
                for run in by_network[spec]:
                    started = time.perf_counter()
                    own = list(fill(run, states[run.epoch], dataset, lambda part: bar.advance(share * part)))  # noqa: B023
                    trained = seconds * run.epoch / max(1, spec.training.last_epoch(True))
                    seconds_of_run = round(trained + time.perf_counter() - started, 1)
                    rows += _rows(run, own, seconds_of_run, dataset, device)
                store.merge(store.own(figure), rows)


def train_once(run: Run, device: str = "cpu") -> TrainedNetwork:
    """The network that a run measures."""
    with _Bar(1) as bar:
        dataset = data.load(run.network.dataset)
        [(_, states, _)] = _networks([run.network], dataset, device, [run.epoch], False, bar.advance)
    return states[run.epoch]


def _rows(run: Run, filled: Sequence[dict], seconds: float, dataset: Dataset | None, device: str) -> list[Row]:
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
        "seconds": seconds,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "version": importlib.metadata.version("clusterability"),
        "software": f"Python {platform.python_version()}, torch {torch.__version__}, numpy {np.__version__}",
        "data": NONE if dataset is None else dataset.fingerprint,
        "key": run.key,
    }
    return [ROWS[run.kind](**shared, **own) for own in filled]


def _networks(
    specs: Sequence[NetworkSpec],
    dataset: Dataset | None,
    device: str,
    keep: Sequence[int],
    recompute: bool,
    tell: Callable[[float], None],
) -> Iterator[tuple[NetworkSpec, States, float]]:
    """Every specification's network after the epochs to keep, and the seconds of its training: first
    those in the cache, then those to train."""
    if dataset is None:
        for spec in specs:
            tell(1)
            yield spec, {0: untrained(spec)}, 0.0
        return
    cached = {spec: _cache_file(spec, dataset, device) for spec in specs}
    to_train = []
    for spec in specs:
        found = None if recompute else load_states(cached[spec], keep)
        if found is None:
            to_train.append(spec)
            continue
        tell(1)
        yield spec, *found
    checkpoints = [Checkpoint(cached[spec].with_suffix(".checkpoint.pt")) for spec in to_train]
    if recompute:
        for checkpoint in checkpoints:
            checkpoint.remove()
    took: dict[int, float] = {}
    trained = train(
        to_train, dataset, device,
        keep_epochs=keep, progress=tell, checkpoints=checkpoints, timed=took.__setitem__,
    )  # fmt: skip
    for position, states in trained:
        seconds = took[position] + checkpoints[position].earlier_seconds
        save_states(cached[to_train[position]], states, seconds)
        checkpoints[position].remove()
        yield to_train[position], states, seconds


def _cache_file(spec: NetworkSpec, dataset: Dataset, device: str) -> Path:
    key = store.key_of(
        {
            "network": spec.as_dict(),
            "data": dataset.fingerprint,
            "device": torch.device(device).type,
            "version": KEY_VERSION,
        }
    )
    return files.networks_folder() / f"{key}.npz"


_AS_MEASURED = (
    "ncut", "z", "p", "in_out_ratio", "effective_clusters", "eigenvalues", "late_shares", "shuffled_ncuts",
    "volume_shares", "vertex_shares",
)  # fmt: skip


def _measured(run: Run, network: TrainedNetwork, dataset: Dataset | None, tell: Tell) -> Iterator[dict]:
    if run.trimmed or run.gauge or run.rewound:
        network = _changed(network, run, dataset)
    measured = measure(_graph(run, network), run.measurement, run.network.seed, workers=available_cores())
    tell(1)
    magnitudes = [np.abs(weight[weight != 0]) for weight in network.weights]
    small = math.nan if not magnitudes else np.mean(np.concatenate(magnitudes) < run.network.training.learning_rate)
    asked = asdict(run.measurement)
    del asked["volume_epsilon"]
    yield {
        **asked,
        "n_eigenvectors": run.measurement.n_eigenvectors or run.measurement.n_clusters,
        "n_starts": run.measurement.n_starts or n_starts(measured.n_vertices),
        "shuffled_mean": measured.shuffled_ncuts.mean() if run.measurement.n_shuffles else math.nan,
        "shuffled_sd": measured.shuffled_ncuts.std() if run.measurement.n_shuffles else math.nan,
        **network.scores,
        "vertices": measured.n_vertices,
        "small_weights": float(small),
        "epoch": run.epoch,
        **{name: getattr(measured, name) for name in _AS_MEASURED},
    }


def _changed(network: TrainedNetwork, run: Run, dataset: Dataset | None) -> TrainedNetwork:
    """The network as a run wants it, scored anew: without its smallest first-layer weights, with the weights it
    started from where any are left, or in another gauge."""
    weights, biases = list(network.weights), list(network.biases)
    if run.trimmed:
        weights[0] = trimmed(weights[0], run.network.training.learning_rate, run.trimmed)
    if run.rewound:
        start = untrained(run.network)
        weights = [first * (last != 0) for first, last in zip(start.weights, weights, strict=True)]
        biases = start.biases
    if run.gauge:
        seed, k = run.network.seed, run.measurement.n_clusters
        scale = gauge_search.factors(run.gauge, run.gauge_strength, weights, biases, k, seed)
        weights, biases = rescaled(weights, biases, scale)
    weights, biases = ([array.astype(np.float32) for array in arrays] for arrays in (weights, biases))
    scores = dict(network.scores)
    if dataset is not None:
        stack = Stack.of([TrainedNetwork(weights, biases)])
        with torch.no_grad():
            for split in ("train", "test"):
                [scores[f"{split}_accuracy"]], [scores[f"{split}_loss"]] = evaluate(
                    stack, *map(torch.from_numpy, dataset.flat(split))
                )
    return TrainedNetwork(weights, biases, scores)


def _graph(run: Run, network: TrainedNetwork) -> Graph:
    """What is clustered of a run's network."""
    spec = run.network
    return spec.architecture.graph(network, norm=run.kernel_norm, fold=run.fold_normalization, seed=spec.seed)


def _clustering(run: Run, network: TrainedNetwork) -> Clusterability:
    """The network clustered as the run measures it; its shuffles are not needed for that."""
    return measure(_graph(run, network), replace(run.measurement, n_shuffles=0), run.network.seed)


def _on_test(network: TrainedNetwork, dataset: Dataset) -> LesionedNetwork:
    return LesionedNetwork(network.weights, network.biases, *dataset.flat("test"))


def _single(run: Run, network: TrainedNetwork, dataset: Dataset, tell: Tell) -> Iterator[dict]:
    """All sub-modules of the clustering, then those of a random one of the same sizes."""
    labels, on_test = _clustering(run, network).labels, _on_test(network, dataset)
    rng = np.random.default_rng([run.network.seed, 1])
    lesions = single_lesions(
        on_test, sub_modules(labels), run.n_controls, int(rng.integers(2**32)),
        workers=available_cores(), progress=tell,
    )  # fmt: skip
    random = sub_modules(shuffled_labels(labels, rng))
    beside = [lesion_beside(on_test, module, own) for module, own in zip(random, lesions, strict=True)]
    for lesion in lesions:
        yield {**_lesion(run, network, lesion), "clustering": "spectral", "class_drops": lesion.class_drops}
    for lesion in beside:
        yield {**_lesion(run, network, lesion), "clustering": "random", "class_drops": []}


def _pairs(run: Run, network: TrainedNetwork, dataset: Dataset, tell: Tell) -> Iterator[dict]:
    """Pairs of sub-modules that are neither small nor a whole layer."""
    labels, on_test = _clustering(run, network).labels, _on_test(network, dataset)
    modules = [module for module in sub_modules(labels) if len(module.neurons) > SMALL and module.share < 1]
    seed = int(np.random.default_rng([run.network.seed, 2]).integers(2**32))
    for lesion in conditional_lesions(
        on_test, modules, run.n_controls, seed, workers=available_cores(), progress=tell
    ):
        yield {
            **_lesion(run, network, lesion),
            "clustering": "spectral",
            "given_layer": lesion.given.layer,
            "given_cluster": lesion.given.cluster,
            "given_accuracy": lesion.before,
        }


def _lesion(run: Run, network: TrainedNetwork, lesion: Lesion) -> dict:
    return {
        **row_of(lesion),
        "n_clusters": run.measurement.n_clusters,
        "test_accuracy": network.scores["test_accuracy"],
        "control_mean": lesion.controls.mean(),
        "control_sd": lesion.controls.std(),
        "n_controls": run.n_controls,
    }


def _clusters(run: Run, network: TrainedNetwork, dataset: Dataset, tell: Tell) -> Iterator[dict]:
    """Every cluster silenced as a whole."""
    labels = _clustering(run, network).labels
    accuracies = cluster_accuracies(network.weights, network.biases, labels, *dataset.flat("test"))
    tell(1)
    everywhere = np.concatenate(labels)
    degree = LayeredGraph.of(network.weights).degree
    volumes = shares(everywhere[everywhere >= 0], degree[everywhere >= 0])
    order = np.argsort(-volumes, kind="stable")
    hidden = np.concatenate(labels[1:-1])
    yield {
        "n_clusters": run.measurement.n_clusters,
        "test_accuracy": network.scores["test_accuracy"],
        "cluster_drops": network.scores["test_accuracy"] - accuracies[order],
        "hidden_neurons": [(hidden == cluster).sum() for cluster in order],
        "volume_shares": volumes[order],
    }


def _stability(run: Run, network: TrainedNetwork, dataset: Dataset, tell: Tell) -> Iterator[dict]:
    """The network's clusters, then those of its weights shuffled, beside others."""
    k, seed = run.measurement.n_clusters, run.network.seed
    rng = np.random.default_rng([seed, 3])
    shuffled = [null_models.shuffled(np.abs(weight), run.measurement.null_model, rng) for weight in network.weights]
    x, y = (array[: stability.N_EXAMPLES] for array in dataset.flat("test"))
    nothing: dict[str, list[float]] = {name: [] for name in ("activations", "gradients", "classes")}
    for name, weights in (("trained", network.weights), ("shuffled", shuffled)):
        with threadpool_limits(1):
            labels, again = stability.found_again(weights, network.biases, k, seed)
        parameters = network.weights, network.biases
        of = stability.by_function(*parameters, labels, x, y, seed) if name == "trained" else nothing
        tell(0.5)
        yield {
            "weights": name,
            "n_clusters": k,
            "test_accuracy": network.scores["test_accuracy"],
            **{f"rand_{what.replace('-', '_')}": index for what, index in again.items()},
            **{f"rand_{what}": of[what] for what in ("activations", "gradients")},
            "mutual_classes": of["classes"],
            "outer_labels": [*labels[: weights[0].shape[1]], *labels[-len(weights[-1]) :]],
        }


_Fill = Callable[[Run, TrainedNetwork, Any, Tell], Iterator[dict]]
_KINDS: dict[str, tuple[_Fill, float]] = {
    "network": (_measured, 0.85), "lesions": (_single, 0.6), "conditional": (_pairs, 0.2),
    "clusters": (_clusters, 0.95), "stability": (_stability, 0.6),
}  # fmt: skip
"""What fills a run's rows, and training's share of the time, for the progress bar only."""
