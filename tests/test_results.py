import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clusterability import paths
from clusterability.errors import InputError
from clusterability.results import (
    CLUSTER_LESIONS,
    CONDITIONAL,
    LESIONS,
    NETWORKS,
    changes,
    key_of,
    listed,
    merge,
    numbers,
    read,
    read_all,
)

COLUMNS = list(NETWORKS.columns)


def row(key, **changes):
    """A row with plausible values; further columns hold text."""
    values = {
        "dataset": "mnist", "condition": "Control", "pruned": True, "seed": 0, "n_clusters": 12, "ncut": 8.5,
        "shuffled_mean": 9.0, "shuffled_sd": 0.02, "z": -25.0, "p": 1 / 51, "train_accuracy": 0.99,
        "test_accuracy": 0.98, "train_loss": 0.01, "test_loss": 0.08, "running_train_accuracy": 0.99,
        "penalty": 0.0, "in_out_ratio": 0.2, "vertices": 1800, "architecture": "mlp 784-256x4-10", "epochs": 20,
        "pruning_epochs": 20, "epoch": 40, "n_eigenvectors": 12, "n_starts": 25,
        "effective_clusters": 8.4, "small_weights": 0.1,
        "null_model": "layer", "n_shuffles": 50, "device": "cpu", "seconds": 12.3,
        "date": "2024-01-31", "version": "0.1.0", "data": "0123456789ab", "key": key,
    }  # fmt: skip
    assert set(values) <= set(COLUMNS)
    return {**dict.fromkeys(COLUMNS, "text"), **values, **changes}


@pytest.fixture
def table(tmp_path):
    return tmp_path / "deep" / "figure.csv"


def test_a_table_that_is_not_there_is_empty(table):
    assert list(read(table).columns) == COLUMNS
    assert len(read(table)) == 0


def test_rows_are_read_back_as_they_were_written(table):
    rows = [row("a", seed=1), row("b", seed=2, pruned=False, z=float("nan"), in_out_ratio=float("inf"))]
    merge(table, rows)
    back = read(table)
    expected = pd.DataFrame(rows, columns=COLUMNS).sort_values("pruned", ignore_index=True)
    pd.testing.assert_frame_equal(back, expected, rtol=1e-7)


@given(st.lists(st.floats(1e-9, 100), min_size=1, max_size=20))
def test_rows_that_stay_are_written_again_as_they_were(tmp_path_factory, numbers):
    table = tmp_path_factory.mktemp("numbers") / "figure.csv"
    merge(table, [row(f"{i:02}", seed=i, ncut=number) for i, number in enumerate(numbers)])
    np.testing.assert_allclose(read(table)["ncut"], numbers, rtol=1e-7)
    before = table.read_text()
    for later in range(3):
        merge(table, [row(f"later {later}", seed=100 + later)])
    assert table.read_text().startswith(before)


@pytest.mark.parametrize("key", ["000000000012", "123456789012", "1e5000000000", "abcdef012345", "0000000e0000"])
def test_keys_stay_text(table, key):
    merge(table, [row(key, data=key, version="1.10")])
    merge(table, [row(key, data=key, version="1.10")])
    back = read(table)
    assert back[["key", "data", "version"]].to_numpy().tolist() == [[key, key, "1.10"]]


@pytest.mark.parametrize("name", ["Dropout + L2", "0.50", "None", "NA", 'with "quotes", and commas', "λ = 0.1"])
def test_names_of_conditions_are_read_back_as_they_were_written(table, name):
    merge(table, [row("a", condition=name)])
    assert read(table)["condition"].tolist() == [name]


def test_conditions_named_by_numbers_can_be_added_one_at_a_time(table):
    for key, name in (("a", "0.5"), ("b", "0.1")):
        merge(table, [row(key, condition=name)])
    assert sorted(read(table)["key"]) == ["a", "b"]


def test_a_row_with_the_same_key_is_replaced_and_others_stay(table):
    merge(table, [row("a", ncut=1.0), row("b", seed=1, ncut=2.0)])
    merge(table, [row("b", seed=1, ncut=3.0), row("c", seed=2, ncut=4.0)])
    assert dict(read(table)[["key", "ncut"]].to_numpy()) == {"a": 1.0, "b": 3.0, "c": 4.0}


def test_merging_the_same_rows_again_does_not_change_the_file(table):
    rows = [row("a", ncut=1 / 3), row("b", seed=1, z=float("nan")), row("c", pruned=False)]
    merge(table, rows)
    before = table.read_bytes()
    merge(table, rows)
    merge(table, rows[1:])
    merge(table, [])
    assert table.read_bytes() == before


def test_merging_nothing_leaves_every_byte_of_the_stored_tables(tmp_path):
    tables = sorted((paths.data_folder() / "results").glob("*.csv"))
    assert len(tables) >= 33
    for table in tables:
        columns = tuple(pd.read_csv(table, nrows=0).columns)
        [schema] = [known for known in (NETWORKS, LESIONS, CONDITIONAL, CLUSTER_LESIONS) if known.columns == columns]
        copy = shutil.copy(table, tmp_path)
        merge(Path(copy), [], schema)
        assert Path(copy).read_bytes() == table.read_bytes(), table.name


@given(st.permutations(range(6)), st.integers(0, 6))
def test_the_file_does_not_depend_on_the_order_of_rows(tmp_path_factory, order, first):
    rows = [
        row(
            f"{i}",
            dataset=["mnist", "digits"][i % 2],
            condition=["B", "A", "C"][i % 3],
            seed=i // 3,
            pruned=i > 2,
        )
        for i in range(6)
    ]
    folder = tmp_path_factory.mktemp("orders")
    merge(folder / "sorted.csv", rows)
    for part in (order[:first], order[first:]):
        merge(folder / "permuted.csv", [rows[i] for i in part])
    assert (folder / "permuted.csv").read_bytes() == (folder / "sorted.csv").read_bytes()
    table = read(folder / "sorted.csv")
    place = list(table[["dataset", "condition", "pruned", "seed"]].itertuples(index=False, name=None))
    assert place == sorted(place)


@pytest.mark.parametrize("failure", [KeyboardInterrupt, OSError])
def test_a_write_that_is_cut_off_leaves_the_old_table_and_nothing_else(table, monkeypatch, failure):
    merge(table, [row("a")])
    before = table.read_bytes()

    def half_written(self, path, **options):
        path.write_text("dataset,condi")
        raise failure

    with monkeypatch.context() as patch:
        patch.setattr(pd.DataFrame, "to_csv", half_written)
        with pytest.raises(failure):
            merge(table, [row("b", seed=1)])
    assert table.read_bytes() == before
    assert [path.name for path in table.parent.iterdir()] == ["figure.csv"]
    merge(table, [row("b", seed=1)])
    assert read(table)["key"].tolist() == ["a", "b"]


@pytest.mark.parametrize("content", ["a,b\n1,2\n", "hello\n", ",".join(COLUMNS[:-1]) + "\n", ""])
def test_other_tables_are_refused(table, content):
    table.parent.mkdir()
    table.write_text(content)
    with pytest.raises(InputError, match=r"figure\.csv"):
        read(table)
    with pytest.raises(InputError, match=r"figure\.csv"):
        merge(table, [row("a")])
    assert table.read_text() == content


def test_of_rows_with_the_same_key_the_first_table_s_counts(tmp_path):
    first, second = tmp_path / "first.csv", tmp_path / "second.csv"
    assert len(read_all(first, second)) == 0
    merge(second, [row("a", ncut=1.0), row("b", seed=1, ncut=2.0)])
    assert dict(read_all(first, second)[["key", "ncut"]].to_numpy()) == {"a": 1.0, "b": 2.0}
    merge(first, [row("b", seed=1, ncut=3.0), row("c", seed=2, ncut=4.0)])
    both = read_all(first, second)
    assert list(both.columns) == COLUMNS
    assert dict(both[["key", "ncut"]].to_numpy()) == {"a": 1.0, "b": 3.0, "c": 4.0}


def test_further_columns_are_left_out(table):
    merge(table, [row("a")])
    pd.read_csv(table).assign(note="mine").to_csv(table, index=False)
    assert list(read(table).columns) == COLUMNS


@given(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5) | st.booleans(), max_size=5))
def test_keys_do_not_depend_on_order_but_on_every_value(specification):
    key = key_of(specification)
    assert len(key) == 12
    assert set(key) <= set("0123456789abcdef")
    assert key_of(dict(reversed(specification.items()))) == key
    assert key_of({**specification, "another field": 1}) != key
    for name in specification:
        assert key_of({**specification, name: "another value"}) != key


def test_changes_are_those_from_one_epoch_to_another():
    rows = pd.DataFrame(
        {"dataset": "mnist", "condition": "Control", "seed": [0, 0, 0, 1, 1, 1], "epoch": [0, 2, 4] * 2,
         "ncut": [10.0, 9.5, 8.0, 11.0, 11.0, 7.0]}
    )  # fmt: skip
    table = changes(rows, ["ncut"], {"training": (0, 2), "pruning": (2, 4)})
    found = table.set_index(["seed", "phase"])["ncut"].to_dict()
    assert found == {(0, "training"): -0.5, (0, "pruning"): -1.5, (1, "training"): 0.0, (1, "pruning"): -4.0}


@given(st.lists(st.floats(-1e6, 1e6), max_size=20))
def test_listed_numbers_come_back(numbers_):
    np.testing.assert_allclose(numbers(listed(numbers_)), numbers_, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("n_shuffles", [20, 50, 200, 1000])
def test_the_smallest_p_stays_exactly_that(table, n_shuffles):
    merge(table, [row("a", p=1 / (1 + n_shuffles), n_shuffles=n_shuffles)])
    merge(table, [row("b", seed=1, p=1.0)])
    assert read(table)["p"].iloc[0] == 1 / (1 + n_shuffles)
