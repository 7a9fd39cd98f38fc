"""Rows of every kind of network, computed anew: they are those that the present arithmetic gave first.

``golden.csv`` holds them as tables do, with the processor and the software that computed them:
where these are the same, every text must be; elsewhere, numbers agree as far as rounding lets them. It does not for
pruned networks, where the last bit decides which of two weights stays, nor for those rounded to bfloat16. After a
change that is meant to move numbers, ``python tests/test_golden.py`` writes the file anew.
"""

import os
import platform
import tempfile
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
import pytest

from clusterability import CNN, MLP, Measurement, Training, grid, untrained_grid
from clusterability.base import files
from clusterability.clustering.gauge_search import GAUGES
from clusterability.experiments import store
from clusterability.experiments.run import run
from clusterability.graphs.gauge import CANONICAL
from clusterability.graphs.null_models import NULL_MODELS

GOLDEN = Path(__file__).with_name("golden.csv")
PASSING = ["seconds", "date", "version"]  # may differ from one computation to the next
MACHINE = ["processor", "libraries", "software"]


def kinds_of_networks():
    """Runs of small networks on the bundled digits, by the table that they are kept in."""
    digits = {"datasets": ["digits"], "seed": 3}
    training = Training(epochs=12, pruning_epochs=8, learning_rate=3e-3)
    of_mlps = {**digits, "hidden": [24] * 3, "training": training, "measurement": Measurement(5, 6)}
    plain = {"Control": {}, "Dropout": {"dropout": 0.5}}
    others = {
        "L1 Reg": {"l1": 5e-5, "regrowth": True},
        "L2 Reg": {"l2": 5e-5, "first_layer_l1": 5e-5},
        "Clusterable Init": {"initial_groups": 4},
        "Cluster Gradient": {"cluster_gradient": 0.1, "cluster_halved": True, "rescaling": True},
        "Assigned groups": {"cut_gradient": 1.0},
    }
    mlps = grid(**of_mlps, n_replicates=2, pruned=False, conditions=plain)
    mlps += grid(**of_mlps, n_replicates=1, pruned=True, conditions={**plain, **others})
    mlps.append(replace(mlps[0], condition="Trimmed", measurement=Measurement(5, 6, "nonzero"), trimmed=0.5))
    mlps += [
        replace(mlps[4], condition=null_model, measurement=Measurement(5, 6, null_model))
        for null_model in NULL_MODELS
    ]
    mlps.append(replace(mlps[4], condition="Rewound", rewound=True))
    mlps += [
        replace(mlps[0], condition=gauge, gauge=gauge, gauge_strength=2.0 * (gauge not in CANONICAL))
        for gauge in GAUGES
    ]
    of_cnns = {**digits, "n_replicates": 1, "hidden": [16], "blocks": [[8, 8], [8]], "measurement": Measurement(4, 5)}
    training = Training(epochs=8, pruning_epochs=4, learning_rate=3e-3, batch_size=64)
    dropped = {"dropout": 0.5, "convolution_dropout": [0.25] * 3, "augmentation": True}
    cnns = grid(**of_cnns, pruned=False, training=training, conditions={"Control": {}, "Dropout": dropped})
    cnns.append(replace(cnns[0], pruned=True))
    training = replace(training, bfloat16=True)
    cnns += grid(**of_cnns, pruned=False, training=training, conditions={"Normalized": {}}, batch_norm=True)
    cnns.append(replace(cnns[-1], condition="Folded", fold_normalization=True))
    return {"mlps": mlps, "cnns": cnns}


def compute(home):
    """The rows of all kinds as they are written, and the names that trained networks are kept under."""
    by_table = kinds_of_networks()
    whole, pruned = by_table["mlps"][:1], by_table["mlps"][4:5]
    tables = []
    with mock.patch.dict(os.environ, CLUSTERABILITY_LOCAL=str(home), CLUSTERABILITY_STORE="golden"):
        by_table["lesions"] = [replace(one, kind="lesions", n_controls=20) for one in whole]
        by_table["pairs"] = [replace(one, kind="conditional", n_controls=20) for one in pruned]
        by_table["clusters"] = [replace(one, kind="clusters") for one in whole]
        by_table["stability"] = [replace(one, kind="stability") for one in whole]
        for table, runs in by_table.items():
            run(table, runs)
            tables.append(as_text(store.own(table)).assign(table=table))
        networks = sorted(file.stem for file in files.networks_folder().glob("*.npz"))
    tables.append(pd.DataFrame({"key": networks, "table": "kept networks"}))
    rows = pd.concat(tables, ignore_index=True).fillna("").drop(columns=PASSING)
    processor, libraries = machine()
    rows = rows.assign(processor=processor, libraries=libraries)
    return rows[["table", *(column for column in rows if column != "table")]]


def as_text(file):
    return pd.read_csv(file, dtype=str, keep_default_na=False)


def machine():
    """The processor's name and family, and the versions of what computes beside PyTorch and numpy."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    told = dict(line.replace("\t", "").split(":", 1) for line in lines if ":" in line)
    processor = " ".join(told.get(name, "").strip() for name in ("model name", "cpu family", "model"))
    libraries = ", ".join(f"{name} {version(name)}" for name in ("scipy", "numba", "scikit-learn"))
    return processor or platform.processor(), libraries


def on_golden_machine():
    return as_text(GOLDEN)[MACHINE[:2]].drop_duplicates().to_numpy().tolist() == [list(machine())]


def assert_close(found, expected):
    """Two tables hold the same texts, or numbers that differ by rounding."""
    assert found.shape == expected.shape
    for column in found:
        for one, other in zip(found[column], expected[column], strict=True):
            try:
                numbers = [np.array(text.split(), dtype=float) for text in (one, other)]
            except ValueError:
                assert one == other, column
            else:
                np.testing.assert_allclose(*numbers, rtol=1e-3, atol=1e-3, err_msg=column)


def test_rows_of_every_kind_of_network_are_the_same_as_ever(tmp_path):
    expected, found = as_text(GOLDEN), compute(tmp_path)
    if on_golden_machine() and found["software"].equals(expected["software"]):
        pd.testing.assert_frame_equal(found, expected)
    names = ["table", "dataset", "condition", "pruned", "seed", "architecture", "data", "key"]
    pd.testing.assert_frame_equal(*(rows[names].drop_duplicates(ignore_index=True) for rows in (found, expected)))
    found, expected = (
        rows[(rows["pruned"] == "False") & ~rows["condition"].isin(["Normalized", "Folded"])]
        for rows in (found, expected)
    )
    assert len(expected) > 20
    assert_close(found.drop(columns=MACHINE), expected.drop(columns=MACHINE))


@pytest.fixture
def computed_again(tmp_path, monkeypatch):
    """The rows of runs, computed anew, and those stored in a table, both without what tells machines apart; and
    whether the software is the same."""
    monkeypatch.setenv("CLUSTERABILITY_LOCAL", str(tmp_path))
    monkeypatch.setenv("CLUSTERABILITY_STORE", "again")

    def of(table, runs):
        run(table, runs, recompute=True)
        found = as_text(store.own(table))
        stored = as_text(store.committed(table)).set_index("key", drop=False)
        expected = stored.loc[found["key"]].reset_index(drop=True)
        apart = [*PASSING, "device", "software"]
        same_software = found["software"].equals(expected["software"])
        return found.drop(columns=apart), expected.drop(columns=apart), same_software

    return of


def test_stored_rows_of_untrained_networks_are_computed_again(computed_again):
    conditions = {
        "Control": {},
        "Clusterable Init": {"initial_groups": 10, "initial_first_layer": True},
        "Clusterable Init, first layer left alone": {"initial_groups": 10},
    }
    of_channels = {"Control": {}, "Clusterable Init": {"initial_groups": 10, "initial_damping": 0.8}}
    shared = {"measurement": Measurement(12, 0), "seed": 0}
    runs = [
        *untrained_grid(conditions, 2, MLP((784, *[256] * 4, 10)), **shared),
        *untrained_grid(of_channels, 1, CNN((1, 28, 28), [[64, 64], [64]], (128,)), **shared),
    ]
    found, expected, _ = computed_again("random-init", runs)
    assert len(found) == len(runs) == 8
    (pd.testing.assert_frame_equal if on_golden_machine() else assert_close)(found, expected)


@pytest.mark.skipif("GOLDEN_AT_SIZE" not in os.environ, reason="takes a minute: make golden")
def test_a_stored_network_of_the_papers_size_is_trained_again(computed_again):
    lines = {"Lines": {"dataset": "line"}}  # drawn by the library itself: no download
    runs = grid(
        [""], lines, 1, hidden=[256] * 4, seed=0, pruned=(False, True), training=Training(20, 20),
        measurement=Measurement(12, 50),
    )  # fmt: skip
    found, expected, same_software = computed_again("alternative-datasets", runs)
    assert len(found) == 2
    if on_golden_machine() and same_software:
        pd.testing.assert_frame_equal(found, expected)
    assert_close(*(rows[rows["pruned"] == "False"] for rows in (found, expected)))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        compute(Path(folder)).to_csv(GOLDEN, index=False, lineterminator="\n")
