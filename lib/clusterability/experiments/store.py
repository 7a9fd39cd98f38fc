"""Where rows are kept: plain CSV tables, sorted, written whole; and the small files that pictures need.

Committed tables lie in ``data/results`` and always serve. New rows go to ``data/local/results/STORE``, with
STORE the environment's ``CLUSTERABILITY_STORE``, by default "custom"; only under "paper" do they go to the
committed tables, and under "none" nothing may be computed.
"""

from __future__ import annotations

import csv
import hashlib
import json
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import numpy as np
import pandas as pd
from filelock import FileLock

from clusterability.base import files
from clusterability.base.errors import InputError
from clusterability.base.statistics import listed, numbers

Exact = Annotated[float, "exact"]
"""A number written in full; others are written to eight digits, so that rounding of the last bit changes no file."""
Numbers = np.ndarray
"""Several numbers in one cell, to six digits each."""


def name() -> str:
    """The store that new rows go to."""
    return os.environ.get("CLUSTERABILITY_STORE") or "custom"


def committed(table: str) -> Path:
    """A figure's table under version control."""
    return files.data_folder() / "results" / f"{table}.csv"


def own(table: str) -> Path:
    """The table that new rows of a figure go to."""
    return committed(table) if name() == "paper" else files.local_folder() / "results" / name() / f"{table}.csv"


def key_of(specification: dict) -> str:
    """Twelve hexadecimal digits that name a specification (any JSON-serializable dictionary).

    >>> key_of({"a": 1, "b": 2}) == key_of({"b": 2, "a": 1}) != key_of({"a": 1, "b": 3})
    True
    """
    text = json.dumps(specification, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _full(value: float) -> str:
    return "" if math.isnan(value) else repr(float(value))


_FORMATS: dict[Any, Callable[[Any], str]] = {
    str: str, int: lambda value: str(int(value)), bool: lambda value: str(bool(value)), Exact: _full,
    float: lambda value: _full(float(f"{value:.8g}")), Numbers: listed,
}  # fmt: skip
_PARSERS: dict[Any, Callable[[str], Any]] = {
    str: str, int: int, bool: "True".__eq__, Exact: lambda text: float(text or "nan"),
    float: lambda text: float(text or "nan"), Numbers: numbers,
}  # fmt: skip


@cache
def _kinds(row_type: type) -> dict[str, Any]:
    """Every column's type, in the table's order."""
    hints = get_type_hints(row_type, include_extras=True)
    return {column: hints[column] for column in row_type.COLUMNS.split()}


def _is_table(path: Path, row_type: type) -> bool:
    """Whether there is such a file; InputError if it is empty or lacks a column."""
    if not path.is_file():
        return False
    with path.open(newline="", encoding="utf-8") as file:
        present = next(csv.reader(file), [])
    if not present:
        raise InputError(f"{path} is no table of results: it is empty")
    missing = [column for column in _kinds(row_type) if column not in present]
    if missing:
        raise InputError(f"{path} is no table of results: it lacks the column {missing[0]!r}")
    return True


def _texts(path: Path, row_type: type) -> list[dict[str, str]]:
    """The rows of a table as they stand; none if there is no such file."""
    if not _is_table(path, row_type):
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [{column: line[column] for column in _kinds(row_type)} for line in csv.DictReader(file)]


def read(tables: Iterable[Path], row_type: type) -> pd.DataFrame:
    """Rows of several tables, typed; where two have rows of the same key, the first table's.

    Columns are the fields of ``row_type``; cells of several numbers are arrays.
    """
    kinds, parts, known = _kinds(row_type), [], set()
    as_text = {column: str for column, kind in kinds.items() if kind in (str, Numbers)}
    absent = {column: [""] for column in kinds if column not in as_text}
    for path in tables:
        if not _is_table(path, row_type):
            continue
        table = pd.read_csv(path, dtype=as_text, keep_default_na=False, na_values=absent)[list(kinds)]
        if table.empty:
            continue
        parts.append(table[~table["key"].isin(known)])
        known |= set(table["key"])
    rows = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(kinds))
    return rows.assign(**{column: rows[column].map(numbers) for column, kind in kinds.items() if kind is Numbers})


def keys(path: Path) -> set[str]:
    """Keys of a table of any kind: one for each network measured at one moment."""
    return set(pd.read_csv(path, usecols=["key"])["key"]) if path.is_file() else set()


def merge(path: Path, rows: Sequence[Any]) -> None:
    """Add rows, all of one type, to the table in ``path``, in place of those with the same key; sort; write whole.

    Other rows keep their text. Processes that merge into one table wait for each other.
    """
    if not rows:
        return
    row_type = type(rows[0])
    kinds, replaced = _kinds(row_type), {row.key for row in rows}
    new = [{name: _FORMATS[kind](getattr(row, name)) for name, kind in kinds.items()} for row in rows]
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f".{path.name}.lock")):
        table = [line for line in _texts(path, row_type) if line["key"] not in replaced] + new
        table.sort(key=lambda line: [_PARSERS[kinds[column]](line[column]) for column in row_type.ORDER.split()])
        with (
            files.written_whole(path) as temporary,
            temporary.open("w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.DictWriter(file, list(kinds), lineterminator="\n")
            writer.writeheader()
            writer.writerows(table)


def kept(figure: str, key: str, make: Callable[[], Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The arrays that a figure draws besides its rows: those stored under ``key``, else made and stored.

    ``key`` names everything that determines the arrays; none of them may be called "key".
    """
    committed_file = files.data_folder() / "artefacts" / f"{figure}.npz"
    local_file = files.local_folder() / "artefacts" / name() / f"{figure}.npz"
    for path in (local_file, committed_file):
        if path.is_file():
            stored = files.read_npz(path)
            if str(stored.pop("key", "")) == key:
                return stored
    check_may_compute(f"the arrays that {figure} draws are not at hand")
    arrays = {name: np.asarray(array) for name, array in make().items()}
    with files.written_whole(committed_file if name() == "paper" else local_file) as temporary:
        np.savez_compressed(temporary, key=np.array(key), **arrays)
    return arrays


def check_may_compute(lack: str) -> None:
    """Raise InputError where nothing may be computed, naming what is lacking."""
    if name() == "none":
        raise InputError(f"{lack}, and CLUSTERABILITY_STORE is none, under which nothing is computed")
