"""Result tables: plain CSV, sorted, written whole."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from filelock import FileLock

from clusterability.errors import InputError
from clusterability.paths import written_whole


@dataclass(frozen=True)
class Schema:
    """The columns of a kind of table.

    Attributes
    ----------
    texts : tuple of str
        Columns of text, names of several numbers each among them, see :func:`numbers`.
    floats : tuple of str
        Columns of floating-point numbers, written to eight digits.
    exact : tuple of str
        Those written in full: a p-value is compared with 1 / (1 + shuffles).
    columns : tuple of str
        All columns in their order, the others of whole numbers and of truth values.
    order : tuple of str
        What rows are sorted by. ``key`` names everything that determines a row, or a network's rows.
    """

    columns: tuple[str, ...]
    texts: tuple[str, ...]
    floats: tuple[str, ...]
    order: tuple[str, ...]
    exact: tuple[str, ...] = ("p",)


_PROVENANCE = ("device", "seconds", "date", "version", "software", "data", "key")
_WHICH = ("dataset", "condition", "architecture", "device", "date", "version", "software", "data", "key")
_LISTS = ("eigenvalues", "late_shares", "shuffled_ncuts", "volume_shares", "vertex_shares")

NETWORKS = Schema(
    columns=(
        "dataset", "condition", "pruned", "seed", "n_clusters", "ncut", "shuffled_mean", "shuffled_sd", "z", "p",
        "train_accuracy", "test_accuracy", "train_loss", "test_loss", "running_train_accuracy", "penalty",
        "in_out_ratio", "vertices", "effective_clusters", "small_weights", "architecture", "epochs",
        "pruning_epochs", "epoch", "null_model", "n_shuffles", "n_eigenvectors", "n_starts", *_PROVENANCE, *_LISTS,
    ),
    texts=(*_WHICH, "null_model", *_LISTS),
    floats=(
        "ncut", "shuffled_mean", "shuffled_sd", "z", "train_accuracy", "test_accuracy", "train_loss", "test_loss",
        "running_train_accuracy", "penalty", "in_out_ratio", "effective_clusters", "small_weights", "seconds",
    ),
    order=("dataset", "condition", "pruned", "seed", "epoch", "n_clusters", "n_eigenvectors", "null_model",
           "n_shuffles", "n_starts", "key"),
)  # fmt: skip
"""One row a network and moment. ``seconds`` is the time this row's training and measuring took while other
networks shared the machine; ``data`` is the fingerprint of the data set; ``epoch`` counts the epochs passed,
through training and pruning; ``small_weights`` is the share of the nonzero weights that are smaller than one
full step of the optimizer. The last five hold several numbers each, see :func:`numbers`: the smallest
eigenvalues, how much of their eigenvectors lies in the later half of the layers, every shuffle's n-cut, and
the clusters' shares of volume and of vertices."""

_LESIONED = (
    "dataset", "condition", "pruned", "seed", "n_clusters", "clustering", "layer", "cluster", "n_neurons",
    "layer_neurons",
)  # fmt: skip
_COST = ("test_accuracy", "accuracy", "control_mean", "control_sd", "z", "released_p", "p", "n_controls")

LESIONS = Schema(
    columns=(*_LESIONED, *_COST, "architecture", "epochs", "pruning_epochs", *_PROVENANCE, "class_drops"),
    texts=(*_WHICH, "clustering", "class_drops"),
    floats=("test_accuracy", "accuracy", "control_mean", "control_sd", "z", "seconds"),
    order=("dataset", "condition", "pruned", "seed", "n_clusters", "clustering", "layer", "cluster", "key"),
    exact=("released_p", "p"),
)
"""One row a sub-module of a network, see :class:`clusterability.lesions.Lesion`. ``clustering`` is "spectral",
or "random" for a partition of the same sizes; ``layer_neurons`` counts those that are not isolated;
``test_accuracy`` is that of the whole network; ``class_drops`` is the accuracy lost on every class, empty for
random clusterings."""

CONDITIONAL = Schema(
    columns=(*_LESIONED, "given_layer", "given_cluster", "given_accuracy", *_COST, "architecture", "epochs",
             "pruning_epochs", *_PROVENANCE),
    texts=(*_WHICH, "clustering"),
    floats=("test_accuracy", "given_accuracy", "accuracy", "control_mean", "control_sd", "z", "seconds"),
    order=("dataset", "condition", "pruned", "seed", "n_clusters", "clustering", "given_layer", "given_cluster",
           "layer", "cluster", "key"),
    exact=("released_p", "p"),
)  # fmt: skip
"""One row an ordered pair of sub-modules: what a lesion costs once another, with ``given_accuracy``, is made."""

CLUSTER_LESIONS = Schema(
    columns=("dataset", "condition", "pruned", "seed", "n_clusters", "test_accuracy", "architecture", "epochs",
             "pruning_epochs", *_PROVENANCE, "cluster_drops", "hidden_neurons", "volume_shares"),
    texts=(*_WHICH, "cluster_drops", "hidden_neurons", "volume_shares"),
    floats=("test_accuracy", "seconds"),
    order=("dataset", "condition", "pruned", "seed", "n_clusters", "key"),
    exact=(),
)  # fmt: skip
"""One row a network: for every cluster, the largest volume first, the accuracy lost when it is silenced in all
hidden layers, its number of hidden neurons, and its share of the volume."""

_DIGITS = 8


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


def read(path: Path, schema: Schema = NETWORKS) -> pd.DataFrame:
    """Rows stored in ``path``; an empty table if there is no such file.

    Raises
    ------
    InputError
        The file is empty or lacks a column.
    """
    columns = list(schema.columns)
    if not path.is_file():
        return pd.DataFrame(columns=columns)
    absent = {column: [""] for column in columns if column not in schema.texts}
    try:
        table = pd.read_csv(path, dtype=dict.fromkeys(schema.texts, str), keep_default_na=False, na_values=absent)
    except pd.errors.EmptyDataError as failure:
        raise InputError(f"{path} is no table of results: it is empty") from failure
    missing = [column for column in columns if column not in table]
    if missing:
        raise InputError(f"{path} is no table of results: it lacks the column {missing[0]!r}")
    return table[columns]


def read_all(*files: Path, schema: Schema = NETWORKS) -> pd.DataFrame:
    """Rows of several tables; where two have rows of the same key, the first table's."""
    tables, known = [], set()
    for file in files:
        table = read(file, schema)
        table = table[~table["key"].isin(known)]
        known |= set(table["key"])
        if len(table):
            tables.append(table)
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(schema.columns))


def keys(path: Path) -> set[str]:
    """Keys of a table of any kind: one for each network measured at one moment."""
    return set(pd.read_csv(path, usecols=["key"])["key"]) if path.is_file() else set()


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")


def merge(path: Path, rows: Iterable[dict], schema: Schema = NETWORKS) -> None:
    """Add rows to the table in ``path``, in place of those with the same key; sort; write whole.

    Numbers are written to eight digits, so that rounding of the last bit does not change the file. Processes
    that add to one table take turns.
    """
    new = pd.DataFrame(list(rows), columns=list(schema.columns))
    with _alone(path):
        _merge(path, new, schema)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Wait until no other process changes ``path``, and keep others waiting."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = path.with_suffix(".lock")
    with FileLock(lock):
        try:
            yield
        finally:
            with suppress(OSError):  # where an open file cannot be removed
                lock.unlink()  # still locked: who waited for it sees that it is gone, and locks another


def _merge(path: Path, new: pd.DataFrame, schema: Schema) -> None:
    old = read(path, schema)
    old = old[~old["key"].isin(new["key"])]
    table = pd.concat([old, new]) if len(old) else new
    table = table.astype(dict.fromkeys((*schema.floats, *schema.exact), float))
    floats = list(schema.floats)
    table[floats] = table[floats].map(_rounded)
    table = table.sort_values(list(schema.order), kind="stable")
    with written_whole(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")


def with_largest_shares(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of :data:`NETWORKS` with ``largest_volume`` and ``largest_neurons``: the shares of the volume and of
    the neurons in the cluster of the largest volume.

    >>> rows = pd.DataFrame({"volume_shares": ["0.6 0.4"], "vertex_shares": ["0.3 0.7"]})
    >>> with_largest_shares(rows)[["largest_volume", "largest_neurons"]].to_numpy().tolist()
    [[0.6, 0.3]]
    """
    return rows.assign(
        largest_volume=rows["volume_shares"].map(lambda text: numbers(text)[0]),
        largest_neurons=rows["vertex_shares"].map(lambda text: numbers(text)[0]),
    )


def with_negligible_clusters(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of :data:`NETWORKS` with ``negligible_clusters``, the number of clusters that hold less than about 10⁻⁸
    of the volume, and ``negligible_vertices``, the number of vertices in them.

    >>> rows = pd.DataFrame({"volume_shares": ["0.6 0.4 0"], "vertex_shares": ["0.5 0.3 0.2"], "vertices": [10]})
    >>> with_negligible_clusters(rows)[["negligible_clusters", "negligible_vertices"]].to_numpy().tolist()
    [[1, 2]]
    """
    empty = [numbers(text) == 0 for text in rows["volume_shares"]]
    shares = [numbers(text)[mask].sum() for text, mask in zip(rows["vertex_shares"], empty, strict=True)]
    return rows.assign(
        negligible_clusters=[int(mask.sum()) for mask in empty],
        negligible_vertices=np.rint(np.array(shares) * rows["vertices"]).astype(int),
    )


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
