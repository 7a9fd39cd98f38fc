"""The rows that every page asks for: those that are stored, and under the same keys as ever.

``page_keys.json`` holds, for every page, preset and table, how many keys are asked and their digest. Those of
the presets "paper" and "small" name rows that took weeks to compute and must never change; those of "quick"
change when the preset does: ``python tests/test_page_keys.py`` writes the file anew.
"""

import ast
import hashlib
import json
from collections import defaultdict
from functools import cache
from pathlib import Path
from unittest import mock

import nbformat
import numpy as np
import pandas as pd

from clusterability import notebooks
from clusterability.base import files
from clusterability.experiments import run as running
from clusterability.experiments import store
from clusterability.experiments.grid import presets
from clusterability.experiments.rows import ROWS

STORED = Path(__file__).with_name("page_keys.json")
RESULTS = files.data_folder() / "results"
PRESETS = ("paper", "small", "quick")


class Asked:
    """What one page asks of its preset: keys by table, and the architectures that keys belong to."""

    def __init__(self):
        self.computed = {}  # table → keys that are computed if they are not stored
        self.at_hand = {}  # table → keys shown if they are stored
        self.served_by = {}  # table → tables whose rows serve as well
        self.architectures = {}  # key → name of the network's architecture
        self.artefacts = {}  # file → keys of its arrays

    def digests(self):
        return {
            **{table: digest(keys) for table, keys in self.computed.items()},
            **{f"{table}, at hand": digest(keys) for table, keys in self.at_hand.items()},
            **{f"{name}, artefact": digest(keys) for name, keys in self.artefacts.items()},
        }


# What follows up to the next such line depends on how pages name and pass on what they ask for.

ASKING = {"rows", "at_hand", "weights", "examples"}


@cache
def pages():
    """Pages that ask for rows of their own: not those that sum up others."""
    return {name: page for name, page in notebooks.figures().items() if not page.last}


def default_preset(page):
    """What the page's own parameters are: the paper's, or a smaller size where the preset "paper" changes them."""
    return "small" if "paper" in presets(page.name) else "paper"


@cache
def table_of(figure, row_type):
    rows = store.read([RESULTS / f"{figure}.csv"], row_type)
    return running.described(rows) if "shuffled_ncuts" in rows else rows


@cache
def asked(name, preset):
    """Run a page's code up to what it asks of a preset; None: it has no such preset."""
    page = pages()[name]
    if preset not in (default_preset(page), *presets(name)):
        return None
    content = nbformat.read(page.path, as_version=4)
    cells = [cell for cell in content.cells if cell.cell_type == "code"]
    [parameters] = [cell.source for cell in cells if "parameters" in cell.metadata.get("tags", [])]
    code = "\n".join(cell.source for cell in cells)
    found = Asked()

    def note(figure, runs, into, shared):
        into.setdefault(figure, set()).update(run.key for run in runs)
        found.served_by.setdefault(figure, set()).update({figure, *shared})
        found.architectures.update({run.key: run.network.architecture.name for run in runs})
        table = table_of(figure, ROWS[runs[0].kind if runs else "network"]).drop_duplicates("key")
        rows = table.set_index("key", drop=False).reindex([run.key for run in runs]).reset_index(drop=True)
        names = {"dataset": [run.network.dataset for run in runs], "condition": [run.condition for run in runs],
                 "pruned": [run.pruned for run in runs]}  # fmt: skip
        return rows.assign(**names)

    def run(figure, runs, *, shared=(), **_):
        return note(figure, runs, found.computed, shared)

    def at_hand(figure, runs, *, shared=()):
        return note(figure, runs, found.at_hand, shared)

    def kept(figure, key, make):
        found.artefacts.setdefault(figure, set()).add(key)
        return defaultdict(float)

    with (
        mock.patch.object(running, "run", run),
        mock.patch.object(running, "at_hand", at_hand),
        mock.patch.object(store, "kept", kept),
    ):
        namespace = {}
        exec(parameters, namespace)
        namespace |= presets(name).get(preset, {})
        exec(up_to_what_is_asked(code.replace(parameters, "", 1)), namespace)
    return found


# What follows knows nothing of the library.


def up_to_what_is_asked(code):
    """The statements that ask for rows and those that they need: tables and figures are left out."""
    needed, kept = set(), []
    for statement in reversed(ast.parse(code).body):
        nodes = list(ast.walk(statement))
        asks = any(
            isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", None)) in ASKING
            for node in nodes
        )
        gives = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
        changed = [
            node.value for node in nodes if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store)
        ]
        gives |= {node.id for node in changed if isinstance(node, ast.Name)}
        gives |= {node.asname or node.name for node in nodes if isinstance(node, ast.alias)}
        gives |= {node.name for node in nodes if isinstance(node, ast.FunctionDef)}
        if asks or gives & needed:
            kept.append(statement)
            needed |= {node.id for node in nodes if isinstance(node, ast.Name)}
    return compile(ast.Module(kept[::-1], []), "page", "exec")


def digest(keys):
    return [len(keys), hashlib.sha256("\n".join(sorted(keys)).encode()).hexdigest()]


def all_digests():
    return {
        name: {preset: found.digests() for preset in PRESETS if (found := asked(name, preset)) is not None}
        for name in pages()
    }


@cache
def stored(*tables):
    """Keys of committed tables."""
    files = (RESULTS / f"{table}.csv" for table in tables)
    return set().union(*(pd.read_csv(file, usecols=["key"], dtype=str)["key"] for file in files if file.is_file()))


def test_pages_ask_for_the_same_keys_as_ever():
    expected, found = json.loads(STORED.read_text()), all_digests()
    assert {name for name in expected | found if expected.get(name) != found.get(name)} == set()


def test_what_pages_compute_is_stored_and_what_they_show_may_be_absent_only_of_cnns_at_full_scale():
    for name, page in pages().items():
        found = asked(name, default_preset(page))
        assert found.computed or found.artefacts
        for table, keys in found.computed.items():
            assert keys - stored(*found.served_by[table]) == set(), name
        for table, keys in found.at_hand.items():
            absent = keys - stored(*found.served_by[table])
            assert {found.architectures[key].split()[0] for key in absent} <= {"cnn"}, name
        for file, keys in found.artefacts.items():
            with np.load(files.data_folder() / "artefacts" / f"{file}.npz") as arrays:
                assert {str(arrays["key"])} == keys, name


def test_no_stored_row_is_one_that_no_page_asks_for():
    wanted = defaultdict(set)
    for found in (asked(name, preset) for name in pages() for preset in ("paper", "small")):
        for table, keys in (*found.computed.items(), *found.at_hand.items()) if found else ():
            for serving in found.served_by[table]:
                wanted[serving] |= keys
    tables = [file.stem for file in RESULTS.glob("*.csv")]
    assert len(tables) >= 33
    assert {table for table in tables if not stored(table) or stored(table) - wanted[table]} == set()


if __name__ == "__main__":
    STORED.write_text(json.dumps(all_digests(), indent=1) + "\n")
