"""Result tables: one row a network and pruning state, plain CSV, sorted, written whole."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from clusterability.errors import InputError
from clusterability.paths import written_whole

COLUMNS = [
    "dataset", "condition", "pruned", "seed", "n_clusters", "ncut", "shuffled_mean", "shuffled_sd", "z", "p",
    "train_accuracy", "test_accuracy", "train_loss", "test_loss", "running_train_accuracy", "penalty",
    "in_out_ratio", "vertices", "small_weights", "architecture", "epochs", "pruning_epochs", "null_model",
    "n_shuffles", "device", "seconds", "date", "version", "software", "data", "key",
]  # fmt: skip
"""Columns of every table. ``seconds`` is the time this row's training and measuring took while other
networks shared the machine; ``data`` is the fingerprint of the data set; ``key`` names everything that
determines the row; ``small_weights`` is the share of the nonzero weights that are smaller than one full
step of the optimizer."""

_TEXTS = [
    "dataset", "condition", "architecture", "null_model", "device", "date", "version", "software", "data", "key",
]  # fmt: skip
_ORDER = ["dataset", "condition", "pruned", "seed", "n_clusters", "null_model", "n_shuffles", "key"]


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


def merge(path: Path, rows: Iterable[dict]) -> None:
    """Add rows to the table in ``path``, in place of those with the same key; sort; write whole."""
    new = pd.DataFrame(list(rows), columns=COLUMNS)
    old = read(path)
    old = old[~old["key"].isin(new["key"])]
    table = pd.concat([old, new]) if len(old) else new
    table = table.sort_values(_ORDER, kind="stable")
    with written_whole(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")
