"""A figure's experiment: a grid of network specifications × replicates, computed once and kept.

Trained networks are cached under a key of their whole specification; result rows are kept in a table
under a key of specification and measurement. What has a matching key is not computed again, and what is
finished is on disk at once, so a run that is killed goes on where it stopped.
"""

from __future__ import annotations

import datetime
import json
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import groupby, product
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from clusterability import __version__, datasets, paths, results
from clusterability.clustering import check_n_clusters
from clusterability.datasets import Dataset
from clusterability.errors import InputError
from clusterability.networks import MLP, Stack
from clusterability.progress import Bar, say
from clusterability.pruning import trimmed
from clusterability.significance import Measurement, measure
from clusterability.training import (
    SHARED_IN_STACK,
    NetworkSpec,
    States,
    TrainedNetwork,
    Training,
    available_cores,
    evaluate,
    train,
)

# Releases that change numbers change the minor version; keys hold major and minor only.
_KEY_VERSION = ".".join(__version__.split(".")[:2])
# Share of a network's time that training takes, for the progress bar only.
_TRAINING_SHARE = 0.85


@dataclass(frozen=True)
class Run:
    """One row to be: a network, the moment at which it is measured, and how.

    Attributes
    ----------
    condition : str
        The name of what was varied.
    network : NetworkSpec
    pruned : bool
    measurement : Measurement
    trimmed : float
        Share of the first layer's weights smaller than one optimizer step that are set to zero before
        the network is scored and measured, the smallest first.
    """

    condition: str
    network: NetworkSpec
    pruned: bool
    measurement: Measurement
    trimmed: float = 0.0

    def __post_init__(self) -> None:
        if self.pruned and not self.network.training.pruning_epochs:
            raise InputError("0 pruning_epochs: pruned networks need at least 1")

    @property
    def key(self) -> str:
        """Name of everything that determines the row but the data's content."""
        return results.key_of(
            {
                "condition": self.condition,
                "network": self.network.as_dict(),
                "pruned": self.pruned,
                "measurement": asdict(self.measurement),
                "version": _KEY_VERSION,
                **({"trimmed": self.trimmed} if self.trimmed else {}),
            }
        )


def grid(
    *,
    datasets: Sequence[str],
    conditions: Mapping[str, Mapping],
    n_replicates: int,
    hidden: Sequence[int],
    training: Training,
    pruned: bool,
    measurement: Measurement,
    seed: int,
) -> list[Run]:
    """Every combination of data set, condition and replicate.

    Parameters
    ----------
    datasets : sequence of str
    conditions : mapping of str to mapping
        For each condition's name, the fields of ``training`` that it changes.
    n_replicates : int
        Networks a condition; replicate i has the seed ``seed + i``.
    hidden : sequence of int
        Neurons of every hidden layer; inputs and outputs follow from the data set.
    training : Training
        What all conditions share.

    Raises
    ------
    InputError
        An unknown data set or field, a value out of range, or nothing to run.
    """
    if n_replicates < 1:
        raise InputError(f"n_replicates {n_replicates}: at least 1 is needed")
    if seed < 0:
        raise InputError(f"seed {seed}: it cannot be negative")
    if not datasets or not conditions:
        raise InputError("nothing to run: at least one data set and one condition are needed")
    known = {field.name for field in fields(Training)}
    trainings = {}
    for condition, changes in conditions.items():
        unknown = sorted(set(changes) - known)
        if unknown:
            raise InputError(f"condition {condition!r} changes {unknown[0]!r}, which is no field of Training")
        trainings[condition] = Training(**{**asdict(training), **changes})
    architectures = {name: architecture(name, hidden) for name in datasets}
    for mlp in architectures.values():
        check_n_clusters(measurement.n_clusters, sum(mlp.sizes))
    return [
        Run(
            condition,
            NetworkSpec(name, architectures[name], trainings[condition], seed + replicate),
            pruned,
            measurement,
        )
        for name, condition, replicate in product(datasets, trainings, range(n_replicates))
    ]


def architecture(dataset: str, hidden: Sequence[int]) -> MLP:
    """The MLP with these hidden layers that fits a data set, known without loading it.

    >>> architecture("mnist", [256] * 4).name
    'mlp 784-256x4-10'
    """
    n_inputs, n_outputs = datasets.dimensions(dataset)
    return MLP((n_inputs, *hidden, n_outputs))


def select(known: Mapping[str, Mapping], chosen: Sequence[str]) -> dict[str, Mapping]:
    """The chosen conditions, in the order chosen.

    Raises
    ------
    InputError
        A name that is not among ``known``.
    """
    for name in chosen:
        if name not in known:
            raise InputError(f"no condition is called {name!r}: choose from {', '.join(known)}")
    return {name: known[name] for name in chosen}


def check_device(device: str) -> None:
    """Raise InputError unless PyTorch can compute on ``device``."""
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as failure:
        raise InputError(f"device {device!r} cannot be used here: try 'cpu'") from failure


@dataclass(frozen=True)
class Settings:
    """What a notebook runs: a preset's values, some of them replaced by the reader.

    Attributes
    ----------
    values : dict
    store : str
        Where new rows go: the preset's name, or "custom" if the reader replaced a value.
    """

    values: dict
    store: str

    def __getattr__(self, name: str):
        try:
            return self.values[name]
        except KeyError:
            raise AttributeError(name) from None


def settings(presets: Mapping[str, Mapping], preset: str, **replacements) -> Settings:
    """The values of a preset, with those replaced that are not None.

    Raises
    ------
    InputError
        There is no such preset.

    >>> chosen = settings({"paper": {"epochs": 20, "seed": 0}}, "paper", epochs=None, seed=3)
    >>> chosen.epochs, chosen.seed, chosen.store
    (20, 3, 'custom')
    """
    if preset not in presets:
        raise InputError(f"no preset is called {preset!r}: choose from {', '.join(presets)}")
    given = {name: value for name, value in replacements.items() if value is not None}
    values = {**presets[preset], **given}
    return Settings(values, preset if values == dict(presets[preset]) else "custom")


def run(
    figure: str,
    runs: Sequence[Run],
    *,
    store: str = "paper",
    device: str = "cpu",
    recompute: bool = False,
) -> pd.DataFrame:
    """Rows of all runs: those at hand reused, the others computed and stored.

    Parameters
    ----------
    figure, store : str
        Name the table of new rows, see :func:`clusterability.paths.results_file`; the committed
        table is read as well.
    device : str
        Where networks train, in PyTorch's words; rows computed elsewhere are reused all the same.
    recompute : bool
        Compute every row, and train every network, anew.

    Returns
    -------
    DataFrame with the columns of :data:`clusterability.results.COLUMNS`, a row a run, in their order
        Seconds, dates and devices are those of the computation, not of this call.

    Raises
    ------
    InputError
        A device that is not there, or a data set that cannot be had, before any long work.
    """
    check_device(device)
    table = paths.results_file(figure, store)
    at_hand = {name: datasets.available(name) for name in {run.network.dataset: None for run in runs}}
    stored = results.read_all(table, paths.results_file(figure, "paper"))
    reusable = set() if recompute else _reusable(stored, at_hand)
    missing = [run for run in runs if run.key not in reusable]
    say(f"{figure}: {len(runs) - len(missing)} of {len(runs)} rows at hand, {len(missing)} to compute")
    if missing:
        for name in {run.network.dataset: None for run in missing}:
            at_hand[name] = at_hand[name] or datasets.load(name)
        _compute(missing, at_hand, device, recompute, lambda rows: results.merge(table, rows))
        stored = results.read_all(table, paths.results_file(figure, "paper"))
    rows = stored.set_index("key", drop=False)
    return rows.loc[[run.key for run in runs]].reset_index(drop=True)


def _reusable(table: pd.DataFrame, at_hand: Mapping[str, Dataset | None]) -> set[str]:
    """Keys of stored rows computed from the data at hand; without data at hand, of all stored rows."""
    prints = {name: dataset.fingerprint for name, dataset in at_hand.items() if dataset is not None}
    same = table["dataset"].map(prints).fillna(table["data"]) == table["data"]
    return set(table.loc[same, "key"])


def _compute(
    runs: Sequence[Run],
    data: Mapping[str, Dataset],
    device: str,
    recompute: bool,
    store: Callable[[list[dict]], None],
) -> None:
    by_network: dict[NetworkSpec, list[Run]] = {}
    for run in runs:
        by_network.setdefault(run.network, []).append(run)
    bar = Bar(len(by_network), "networks")

    def together(spec: NetworkSpec) -> tuple:
        """What networks must share to train in one stack."""
        shared = (getattr(spec.training, name) for name in SHARED_IN_STACK)
        return spec.dataset, spec.architecture.sizes, *shared

    try:
        for _, group in groupby(sorted(by_network, key=together), key=together):
            specs = list(group)
            dataset = data[specs[0].dataset]
            for spec, states, seconds in _networks(specs, dataset, device, recompute, bar):
                rows = [_row(run, states, seconds, dataset, device) for run in by_network[spec]]
                store(rows)
                bar.advance(1 - _TRAINING_SHARE)
    finally:
        bar.close()


def _networks(specs: Sequence[NetworkSpec], dataset: Dataset, device: str, recompute: bool, bar: Bar):
    """Yield (spec, states, seconds of training): first those in the cache, then those to train."""
    files = {spec: _cache_file(spec, dataset, device) for spec in specs}
    to_train = [spec for spec in specs if recompute or not files[spec].is_file()]
    for spec in specs:
        if spec not in to_train:
            states, seconds = _load_network(files[spec])
            bar.advance(_TRAINING_SHARE)
            yield spec, states, seconds
    n_cores = available_cores() if torch.device(device).type == "cpu" else 1
    before = time.perf_counter()
    for done, (position, states) in enumerate(
        train(to_train, dataset, device, progress=lambda share: bar.advance(_TRAINING_SHARE * share)), 1
    ):
        seconds = (time.perf_counter() - before) * min(n_cores, len(to_train)) / done
        _save_network(files[to_train[position]], states, seconds)
        yield to_train[position], states, seconds


def _row(run: Run, states: States, training_seconds: float, dataset: Dataset, device: str) -> dict:
    network = _trimmed(states[run.pruned], run, dataset) if run.trimmed else states[run.pruned]
    started = time.perf_counter()
    measured = measure(network.weights, run.measurement, run.network.seed, workers=available_cores())
    training = run.network.training
    share = training.epochs / (training.epochs + training.pruning_epochs)
    magnitudes = np.concatenate([np.abs(weight[weight != 0]) for weight in network.weights])
    return {
        "dataset": run.network.dataset,
        "condition": run.condition,
        "pruned": run.pruned,
        "seed": run.network.seed,
        **asdict(run.measurement),
        "ncut": measured.ncut,
        "shuffled_mean": measured.shuffled_ncuts.mean(),
        "shuffled_sd": measured.shuffled_ncuts.std(),
        "z": measured.z,
        "p": measured.p,
        **network.scores,
        "in_out_ratio": measured.in_out_ratio,
        "vertices": measured.n_vertices,
        "small_weights": float(np.mean(magnitudes < training.learning_rate)),
        "architecture": run.network.architecture.name,
        "epochs": training.epochs,
        "pruning_epochs": training.pruning_epochs,
        "device": device if torch.device(device).type == "cpu" else torch.cuda.get_device_name(device),
        "seconds": round(training_seconds * (1 if run.pruned else share) + time.perf_counter() - started, 1),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "version": __version__,
        "software": f"Python {platform.python_version()}, torch {torch.__version__}, numpy {np.__version__}",
        "data": dataset.fingerprint,
        "key": run.key,
    }


def _trimmed(network: TrainedNetwork, run: Run, dataset: Dataset) -> TrainedNetwork:
    """The network without its smallest first-layer weights, scored anew."""
    first = trimmed(network.weights[0], run.network.training.learning_rate, run.trimmed)
    weights = [first, *network.weights[1:]]
    stack = Stack(*([torch.from_numpy(array)[None] for array in arrays] for arrays in (weights, network.biases)))
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
            "version": _KEY_VERSION,
        }
    )
    return paths.networks_folder() / f"{key}.npz"


def _save_network(path: Path, states: States, seconds: float) -> None:
    arrays: dict[str, np.ndarray] = {"seconds": np.array(seconds)}
    for pruned, network in states.items():
        moment = "pruned" if pruned else "unpruned"
        arrays[f"{moment}_scores"] = np.array(json.dumps(network.scores))
        for layer, (weight, bias) in enumerate(zip(network.weights, network.biases, strict=True)):
            arrays[f"{moment}_weight{layer}"], arrays[f"{moment}_bias{layer}"] = weight, bias
    with paths.written_whole(path) as temporary:
        np.savez_compressed(temporary, **arrays)


def _load_network(path: Path) -> tuple[States, float]:
    states: States = {}
    with np.load(path, allow_pickle=False) as file:
        for pruned, moment in ((False, "unpruned"), (True, "pruned")):
            if f"{moment}_scores" not in file:
                continue
            n_layers = sum(name.startswith(f"{moment}_weight") for name in file)
            states[pruned] = TrainedNetwork(
                weights=[file[f"{moment}_weight{layer}"] for layer in range(n_layers)],
                biases=[file[f"{moment}_bias{layer}"] for layer in range(n_layers)],
                scores=json.loads(str(file[f"{moment}_scores"])),
            )
        return states, float(file["seconds"])
