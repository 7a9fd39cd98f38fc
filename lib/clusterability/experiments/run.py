"""Rows of a figure's runs: those at hand are read, the others computed and stored at once."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from types import ModuleType

import numpy as np
import pandas as pd

from clusterability.data import load as data
from clusterability.data.catalogue import BASES, entry
from clusterability.data.constructed import as_bytes
from clusterability.experiments import store
from clusterability.experiments.grid import Run
from clusterability.experiments.rows import ROWS


def run(
    figure: str, runs: Sequence[Run], *, shared: Sequence[str] = (), device: str = "cpu", recompute: bool = False
) -> pd.DataFrame:
    """Rows of all runs, in their order: those at hand reused, the others computed and stored.

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
    DataFrame
        Columns of :mod:`clusterability.experiments.rows`, and of networks those that :func:`described` adds.

    Raises
    ------
    InputError
        Before any long work: a device that is not there, data that cannot be had, rows that may not be computed.
    """
    if device != "cpu":
        _computing().check_device(device)
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
        _computing().compute(figure, missing, device, recompute)
        stored = _stored(figure, runs, shared)
    return _in_order(stored, runs)


def at_hand(figure: str, runs: Sequence[Run], *, shared: Sequence[str] = ()) -> pd.DataFrame:
    """The rows of those runs that are stored already, in their order; nothing is computed. See :func:`run`."""
    return _in_order(_stored(figure, runs, shared), runs)


def _computing() -> ModuleType:
    """What trains and measures; it loads PyTorch, which takes longer than all that reading rows needs."""
    from clusterability.experiments import compute

    return compute


def _stored(figure: str, runs: Sequence[Run], shared: Sequence[str]) -> pd.DataFrame:
    places = [place(table) for table in (figure, *shared) for place in (store.own, store.committed)]
    return store.read(dict.fromkeys(places), ROWS[runs[0].kind if runs else "network"])


def _reusable(table: pd.DataFrame, prints: Mapping[str, str | None]) -> set[str]:
    """Keys of stored rows computed from the data at hand; without data at hand, of all stored rows."""
    known = {name: fingerprint for name, fingerprint in prints.items() if fingerprint is not None}
    same = table["dataset"].map(known).fillna(table["data"]) == table["data"]
    return set(table.loc[same, "key"])


def _in_order(stored: pd.DataFrame, runs: Sequence[Run]) -> pd.DataFrame:
    """Rows in the order of runs; a run may have none, as pairs of sub-modules where there are not two."""
    known = set(stored["key"])
    keys = [run.key for run in runs if run.key in known]
    rows = stored.set_index("key", drop=False).loc[keys].reset_index(drop=True)
    return described(rows) if "shuffled_ncuts" in rows else rows


def described(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of networks with what follows from their columns.

    ``largest_volume`` and ``largest_neurons``, the shares of the volume and of the neurons in the cluster of the
    largest volume; ``negligible_clusters``, the number of those that hold less than about 10⁻⁸ of the volume, and
    ``negligible_vertices`` in them; ``penalized_test_loss``; ``gap``, the n-cut less the mean of the
    shuffles'; ``beyond_all``: no shuffle has as small an n-cut.
    """
    empty = [shares == 0 for shares in rows["volume_shares"]]
    in_empty = [shares[mask].sum() for shares, mask in zip(rows["vertex_shares"], empty, strict=True)]
    return rows.assign(
        largest_volume=[shares[0] for shares in rows["volume_shares"]],
        largest_neurons=[shares[0] for shares in rows["vertex_shares"]],
        negligible_clusters=[int(mask.sum()) for mask in empty],
        negligible_vertices=np.rint(np.array(in_empty, float) * rows["vertices"]).astype(int),
        penalized_test_loss=rows["test_loss"] + rows["penalty"],
        gap=rows["ncut"] - rows["shuffled_mean"],
        beyond_all=rows["p"] <= 1 / (1 + rows["n_shuffles"]),
    )


def on_base(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows in which a variant of a data set, as its Halves, goes by the name of the data set itself."""
    return rows.assign(dataset=rows["dataset"].map(BASES))


def changes(rows: pd.DataFrame, columns: Sequence[str], phases: Mapping[str, tuple[int, int]]) -> pd.DataFrame:
    """How the ``columns`` of networks measured along training change in every phase, named with its first and last
    epoch: ``dataset``, ``condition``, ``seed``, ``phase`` and the changes, a row a network and phase."""
    table = rows.set_index(["dataset", "condition", "seed", "epoch"])[list(columns)].unstack("epoch")
    parts = [
        (table.xs(last, axis=1, level="epoch") - table.xs(first, axis=1, level="epoch")).assign(phase=phase)
        for phase, (first, last) in phases.items()
    ]
    return pd.concat(parts).reset_index()


def weights(figure: str, run: Run, *, device: str = "cpu") -> list[np.ndarray]:
    """Weight matrices (out, in) of the network that a run measures, from a figure's file or trained."""

    def make() -> dict[str, np.ndarray]:
        trained = _computing().train_once(run, device)
        return {f"layer{layer}": weight for layer, weight in enumerate(trained.weights)}

    arrays = store.kept(figure, store.key_of({"network": run.network.as_dict(), "epoch": run.epoch}), make)
    return [arrays[f"layer{layer}"] for layer in range(len(arrays))]


def examples(figure: str, names: Sequence[str], n_examples: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The first training examples of data sets by name, from a figure's file or from the data: intensities between 0
    and 255, (n_examples, ...) of uint8, and labels (n_examples,) of int64. InputError for an unknown data set, or one
    that cannot be had."""
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
