"""Result tables: one row a network and pruning state, plain CSV, sorted, written whole."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from clusterability.errors import InputError
from clusterability.paths import written_whole

COLUMNS = [
    "dataset", "condition", "pruned", "seed", "n_clusters", "ncut", "shuffled_mean", "shuffled_sd", "z", "p",
    "train_accuracy", "test_accuracy", "train_loss", "test_loss", "running_train_accuracy", "penalty",
    "in_out_ratio", "vertices", "effective_clusters", "small_weights", "architecture", "epochs",
    "pruning_epochs", "epoch", "null_model", "n_shuffles", "n_eigenvectors", "n_starts", "device", "seconds", "date",
    "version", "software", "data", "key", "eigenvalues", "late_shares", "shuffled_ncuts", "volume_shares",
    "vertex_shares",
]  # fmt: skip
"""Columns of every table. ``seconds`` is the time this row's training and measuring took while other
networks shared the machine; ``data`` is the fingerprint of the data set; ``key`` names everything that
determines the row; ``epoch`` counts the epochs passed, through training and pruning; ``small_weights`` is
the share of the nonzero weights that are smaller than one full step of the optimizer. The last five hold
several numbers each, see :func:`numbers`: the smallest eigenvalues, how much of their eigenvectors lies in
the later half of the layers, every shuffle's n-cut, and the clusters' shares of volume and of vertices."""

_LISTS = ["eigenvalues", "late_shares", "shuffled_ncuts", "volume_shares", "vertex_shares"]
_TEXTS = [
    "dataset", "condition", "architecture", "null_model", "device", "date", "version", "software", "data", "key",
    *_LISTS,
]  # fmt: skip
_FLOATS = [
    "ncut", "shuffled_mean", "shuffled_sd", "z", "p", "train_accuracy", "test_accuracy", "train_loss", "test_loss",
    "running_train_accuracy", "penalty", "in_out_ratio", "effective_clusters", "small_weights", "seconds",
]  # fmt: skip
_DIGITS = 8
_ORDER = ["dataset", "condition", "pruned", "seed", "epoch", "n_clusters", "n_eigenvectors", "null_model",
          "n_shuffles", "n_starts", "key"]  # fmt: skip


def listed(values: Sequence[float]) -> str:
    """Several numbers as one text, to six digits; what is below 1e-8 is rounding.

    >>> listed([0.25, 10.0])
    '0.25 10'
    """
    return " ".join(f"{round(float(value), 8):.6g}" for value in values)


def numbers(text: str) -> np.ndarray:
    """The numbers that :func:`listed` wrote.

    >>> numbers("0.25 10").tolist()
    [0.25, 10.0]
    """
    return np.array(text.split(), dtype=float)


def key_of(specification: dict) -> str:
    """Twelve hexadecimal digits that name a specification (any JSON-serializable dictionary).

    >>> key_of({"a": 1, "b": 2}) == key_of({"b": 2, "a": 1}) != key_of({"a": 1, "b": 3})
    True
    """
    text = json.dumps(specification, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def read(path: Path) -> pd.DataFrame:
    """Rows stored in ``path``; an empty table if there is no such file.

    Raises
    ------
    InputError
        The file is empty or lacks a column.
    """
    if not path.is_file():
        return pd.DataFrame(columns=COLUMNS)
    absent = {column: [""] for column in COLUMNS if column not in _TEXTS}
    try:
        table = pd.read_csv(path, dtype=dict.fromkeys(_TEXTS, str), keep_default_na=False, na_values=absent)
    except pd.errors.EmptyDataError as failure:
        raise InputError(f"{path} is no table of results: it is empty") from failure
    missing = [column for column in COLUMNS if column not in table]
    if missing:
        raise InputError(f"{path} is no table of results: it lacks the column {missing[0]!r}")
    return table[COLUMNS]


def read_all(*files: Path) -> pd.DataFrame:
    """Rows of several tables; of rows with the same key, the first table's."""
    filled = [table for table in map(read, files) if len(table)]
    if not filled:
        return pd.DataFrame(columns=COLUMNS)
    return pd.concat(filled, ignore_index=True).drop_duplicates("key", keep="first", ignore_index=True)


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")


def merge(path: Path, rows: Iterable[dict]) -> None:
    """Add rows to the table in ``path``, in place of those with the same key; sort; write whole.

    Numbers are written to eight digits, so that rounding of the last bit does not change the file.
    """
    new = pd.DataFrame(list(rows), columns=COLUMNS)
    old = read(path)
    old = old[~old["key"].isin(new["key"])]
    table = pd.concat([old, new]) if len(old) else new
    table = table.astype(dict.fromkeys(_FLOATS, float))
    rounded = [column for column in _FLOATS if column != "p"]  # p is compared with 1 / (1 + n_shuffles)
    table[rounded] = table[rounded].map(_rounded)
    table = table.sort_values(_ORDER, kind="stable")
    with written_whole(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")


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
