"""Rows of a figure's runs: those at hand are read, the others computed and kept at once.

Trained networks are kept too, under a key of their whole specification, with the moments that were asked for.
"""

from __future__ import annotations

import datetime
import importlib.metadata
import platform
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from clusterability.base import files
from clusterability.base.errors import InputError
from clusterability.data import load as data
from clusterability.data.catalogue import BASES, NONE, Dataset, entry
from clusterability.data.constructed import as_bytes
from clusterability.experiments import store
from clusterability.experiments.grid import KEY_VERSION, Run
from clusterability.experiments.rows import KINDS
from clusterability.networks.network import States
from clusterability.training.checkpoint import Checkpoint, load_states, save_states
from clusterability.training.spec import NetworkSpec
from clusterability.training.train import train, untrained


def run(
    figure: str, runs: Sequence[Run], *, shared: Sequence[str] = (), device: str = "cpu", recompute: bool = False
) -> pd.DataFrame:
    """Rows of all runs: those at hand reused, the others computed and kept.

    Parameters
    ----------
    figure : str
        Names the table; see :mod:`clusterability.experiments.store`.
    runs : sequence of Run
        All of one kind.
    shared : sequence of str
        Tables whose rows serve here too, where the networks are the same.
    device : str
        Where networks train, in PyTorch's words; rows computed elsewhere are reused all the same.
    recompute : bool
        Compute every row, and train every network, anew.

    Returns
    -------
    DataFrame with the columns of the kind's rows, see :mod:`clusterability.experiments.rows`, in the order of runs
        Seconds, dates and devices are those of the computation. Of networks, what follows from the other columns
        stands beside them, see :func:`described`.

    Raises
    ------
    InputError
        A device that is not there, a data set that cannot be had, or rows that may not be computed, before any
        long work.
    """
    check_device(device)
    prints = {name: data.fingerprint(name) for name in {run.network.dataset: None for run in runs}}
    stored = _stored(figure, runs, shared)
    reusable = set() if recompute else _reusable(stored, prints)
    missing = [run for run in runs if run.key not in reusable]
    if missing:
        first = missing[0]
        store.check_may_compute(
            f"{figure}: {len(missing)} of {len(runs)} rows are not at hand, the first of {first.condition!r} on "
            f"{first.network.dataset} with seed {first.network.seed}"
        )
        print(f"{figure}: {len(runs) - len(missing)} of {len(runs)} rows at hand", file=sys.stderr)
        _compute(figure, missing, device, recompute)
        stored = _stored(figure, runs, shared)
    return _in_order(stored, runs)


def at_hand(figure: str, runs: Sequence[Run], *, shared: Sequence[str] = ()) -> pd.DataFrame:
    """The rows of those runs that are stored already, in their order; nothing is computed. See :func:`run`."""
    stored = _stored(figure, runs, shared)
    known = set(stored["key"])
    return _in_order(stored, [run for run in runs if run.key in known])


def _stored(figure: str, runs: Sequence[Run], shared: Sequence[str]) -> pd.DataFrame:
    places = [place(table) for table in (figure, *shared) for place in (store.own, store.committed)]
    return store.read(dict.fromkeys(places), KINDS[runs[0].kind if runs else "network"].row)


def _reusable(table: pd.DataFrame, prints: Mapping[str, str | None]) -> set[str]:
    """Keys of stored rows computed from the data at hand; without data at hand, of all stored rows."""
    known = {name: fingerprint for name, fingerprint in prints.items() if fingerprint is not None}
    same = table["dataset"].map(known).fillna(table["data"]) == table["data"]
    return set(table.loc[same, "key"])


def _in_order(stored: pd.DataFrame, runs: Sequence[Run]) -> pd.DataFrame:
    rows = stored.set_index("key", drop=False).loc[[run.key for run in runs]].reset_index(drop=True)
    return described(rows) if "shuffled_ncuts" in rows else rows


def described(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of networks with what follows from their columns.

    ``largest_volume`` and ``largest_neurons``, the shares of the volume and of the neurons in the cluster of the
    largest volume; ``negligible_clusters``, the number of those that hold less than about 10⁻⁸ of the volume, and
    ``negligible_vertices`` in them; ``penalized_test_loss``; ``beyond_all``: no shuffle has as small an n-cut.
    """
    empty = [shares == 0 for shares in rows["volume_shares"]]
    in_empty = [shares[mask].sum() for shares, mask in zip(rows["vertex_shares"], empty, strict=True)]
    return rows.assign(
        largest_volume=[shares[0] for shares in rows["volume_shares"]],
        largest_neurons=[shares[0] for shares in rows["vertex_shares"]],
        negligible_clusters=[int(mask.sum()) for mask in empty],
        negligible_vertices=np.rint(np.array(in_empty, float) * rows["vertices"]).astype(int),
        penalized_test_loss=rows["test_loss"] + rows["penalty"],
        beyond_all=rows["p"] <= 1 / (1 + rows["n_shuffles"]),
    )


def on_base(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows in which a variant of a data set, as its Halves, goes by the name of the data set itself."""
    return rows.assign(dataset=rows["dataset"].map(BASES))


def changes(rows: pd.DataFrame, columns: Sequence[str], phases: Mapping[str, tuple[int, int]]) -> pd.DataFrame:
    """How numbers of networks measured along training change from one epoch to another.

    Parameters
    ----------
    rows : DataFrame
        One row a data set, condition, seed and epoch.
    columns : sequence of str
        The numbers.
    phases : mapping of str to (int, int)
        First and last epoch of every phase.

    Returns
    -------
    DataFrame
        ``dataset``, ``condition``, ``seed``, ``phase`` and the changes, a row a network and phase.
    """
    table = rows.set_index(["dataset", "condition", "seed", "epoch"])[list(columns)].unstack("epoch")
    parts = [
        (table.xs(last, axis=1, level="epoch") - table.xs(first, axis=1, level="epoch")).assign(phase=phase)
        for phase, (first, last) in phases.items()
    ]
    return pd.concat(parts).reset_index()


def weights(figure: str, run: Run, *, device: str = "cpu") -> list[np.ndarray]:
    """Weight matrices (out, in) of the network that a run measures, from a figure's file or trained."""

    def make() -> dict[str, np.ndarray]:
        dataset = data.load(run.network.dataset)
        with _Bar(1) as bar:
            [(_, states, _)] = _networks([run.network], dataset, device, [run.epoch], False, bar.advance)
        return {f"layer{layer}": weight for layer, weight in enumerate(states[run.epoch].weights)}

    arrays = store.kept(figure, store.key_of({"network": run.network.as_dict(), "epoch": run.epoch}), make)
    return [arrays[f"layer{layer}"] for layer in range(len(arrays))]


def examples(figure: str, names: Sequence[str], n_examples: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The first training examples of data sets, from a figure's file or from the data.

    Returns
    -------
    dict of (ndarray (n_examples, ...) of uint8, ndarray (n_examples,) of int64)
        By name, intensities between 0 and 255.

    Raises
    ------
    InputError
        An unknown data set, or one that cannot be had.
    """
    for name in names:
        entry(name)

    def make() -> dict[str, np.ndarray]:
        arrays = {}
        for name in names:
            dataset = data.load(name)
            arrays[f"x_{name}"] = as_bytes(dataset.x_train[:n_examples] * (255 / dataset.maximum))
            arrays[f"y_{name}"] = dataset.y_train[:n_examples]
        return arrays

    arrays = store.kept(figure, store.key_of({"names": list(names), "n_examples": n_examples}), make)
    return {name: (arrays[f"x_{name}"], arrays[f"y_{name}"]) for name in names}


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


def _compute(figure: str, runs: Sequence[Run], device: str, recompute: bool) -> None:
    """Train and measure what ``runs`` ask for; a network's rows are kept as soon as it is measured."""
    for name in {run.network.dataset: None for run in runs}:
        if data.fingerprint(name) is None:
            data.load(name)
    by_network: dict[NetworkSpec, list[Run]] = {}
    for run in runs:
        by_network.setdefault(run.network, []).append(run)
    kind = KINDS[runs[0].kind]

    with _Bar(len(by_network)) as bar:
        for _, group in groupby(sorted(by_network, key=NetworkSpec.shared_in_stack), key=NetworkSpec.shared_in_stack):
            specs = list(group)
            dataset = None if specs[0].dataset == NONE else data.load(specs[0].dataset)
            keep = sorted({run.epoch for spec in specs for run in by_network[spec]})

            def tell_training(share: float) -> None:
                bar.advance(kind.training_share * share)

            # The generator gets no name: whoever holds an interruption must not keep the training going.
            for spec, states, seconds in _networks(specs, dataset, device, keep, recompute, tell_training):
                rows, share = [], (1 - kind.training_share) / len(by_network[spec])
                for run in by_network[spec]:
                    rows += _rows(run, states, seconds, dataset, device, lambda part: bar.advance(share * part))  # noqa: B023
                store.merge(store.own(figure), rows)


def _rows(
    run: Run, states: States, training_seconds: float, dataset: Dataset | None, device: str, tell: Callable
) -> list:
    started = time.perf_counter()
    training, kind = run.network.training, KINDS[run.kind]
    filled = list(kind.fill(run, states[run.epoch], dataset, tell))
    share = run.epoch / max(1, training.last_epoch(True))
    shared = {
        "dataset": run.network.dataset,
        "condition": run.condition,
        "pruned": run.pruned,
        "seed": run.network.seed,
        "architecture": run.network.architecture.name,
        "epochs": training.epochs,
        "pruning_epochs": training.pruning_epochs,
        "device": device if torch.device(device).type == "cpu" else torch.cuda.get_device_name(device),
        "seconds": round(training_seconds * share + time.perf_counter() - started, 1),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "version": importlib.metadata.version("clusterability"),
        "software": f"Python {platform.python_version()}, torch {torch.__version__}, numpy {np.__version__}",
        "data": NONE if dataset is None else dataset.fingerprint,
        "key": run.key,
    }
    return [kind.row(**shared, **own) for own in filled]


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
