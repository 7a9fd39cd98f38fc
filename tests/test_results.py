import csv
import multiprocessing
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clusterability.base import files
from clusterability.base.errors import InputError
from clusterability.base.statistics import listed, numbers
from clusterability.experiments import store
from clusterability.experiments.rows import ROWS, NetworkRow
from clusterability.experiments.run import changes
from clusterability.experiments.store import _kinds, key_of, merge
from helpers import blank

COLUMNS = list(_kinds(NetworkRow))


def row(key, **changes):
    return blank(NetworkRow, **{"key": key, "seed": 0, "ncut": 8.5, "z": -25.0, **changes})


def read(*tables):
    return store.read(tables, NetworkRow)


@pytest.fixture
def table(tmp_path):
    return tmp_path / "deep" / "figure.csv"


def test_a_table_that_is_not_there_is_empty(table):
    assert list(read(table).columns) == COLUMNS
    assert len(read(table)) == 0


def test_rows_are_read_back_as_they_were_written(table):
    shares = np.array([0.5, 0.25, 0.25])
    rows = [
        row("a", seed=1, volume_shares=shares),
        row("b", seed=2, pruned=False, z=float("nan"), in_out_ratio=float("inf"), volume_shares=shares),
    ]
    merge(table, rows)
    back = read(table)
    expected = pd.DataFrame([{name: getattr(r, name) for name in COLUMNS} for r in rows[::-1]])
    columns = [name for name, kind in _kinds(NetworkRow).items() if kind is not store.Numbers]
    pd.testing.assert_frame_equal(back[columns], expected[columns], rtol=1e-7)
    np.testing.assert_array_equal(np.stack(back["volume_shares"]), [shares, shares])


@given(st.lists(st.floats(1e-9, 100), min_size=1, max_size=20))
def test_rows_that_stay_are_written_again_as_they_were(tmp_path_factory, numbers):
    table = tmp_path_factory.mktemp("numbers") / "figure.csv"
    merge(table, [row(f"{i:02}", seed=i, ncut=number) for i, number in enumerate(numbers)])
    np.testing.assert_allclose(read(table)["ncut"], numbers, rtol=1e-7)
    before = table.read_text()
    for later in range(3):
        merge(table, [row(f"later {later}", seed=100 + later)])
    assert table.read_text().startswith(before)


def test_keys_stay_text(table):
    for key in ["000000000012", "123456789012", "1e5000000000", "abcdef012345", "0000000e0000"]:
        table.unlink(missing_ok=True)
        merge(table, [row(key, data=key, version="1.10")])
        merge(table, [row(key, data=key, version="1.10")])
        back = read(table)
        assert back[["key", "data", "version"]].to_numpy().tolist() == [[key, key, "1.10"]]


def test_names_of_conditions_are_read_back_as_they_were_written(table):
    for name in ["Dropout + L2", "0.50", "None", "NA", 'with "quotes", and commas', "λ = 0.1"]:
        table.unlink(missing_ok=True)
        merge(table, [row("a", condition=name)])
        assert read(table)["condition"].tolist() == [name]


def test_conditions_named_by_numbers_can_be_added_one_at_a_time(table):
    for key, name in (("a", "0.5"), ("b", "0.1")):
        merge(table, [row(key, condition=name)])
    assert sorted(read(table)["key"]) == ["a", "b"]


def merge_one_by_one(path, name, barrier):
    barrier.wait()
    for number in range(20):
        merge(path, [row(f"{name}{number}", seed=number)])


def test_processes_that_add_to_one_table_lose_no_rows(table):
    spawn = multiprocessing.get_context("spawn")
    barrier = spawn.Barrier(2)
    processes = [spawn.Process(target=merge_one_by_one, args=(table, name, barrier)) for name in "ab"]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]
    assert sorted(read(table)["key"]) == sorted(f"{name}{number}" for name in "ab" for number in range(20))
    assert list(table.parent.glob("[!.]*")) == [table]


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


def test_merging_nothing_or_a_row_that_is_there_leaves_every_byte_of_the_stored_tables(tmp_path):
    tables = sorted((files.data_folder() / "results").glob("*.csv"))
    assert len(tables) >= 33
    for table in tables:
        columns = list(pd.read_csv(table, nrows=0).columns)
        [row_type] = [kind for kind in ROWS.values() if kind.COLUMNS.split() == columns]
        copy = Path(shutil.copy(table, tmp_path))
        rows = store.read([copy], row_type)
        again = rows[rows["key"] == rows["key"].iloc[len(rows) // 2]]
        for merged in ([], [row_type(**line) for line in again.to_dict("records")]):
            merge(copy, merged)
            assert copy.read_bytes() == table.read_bytes(), table.name


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

    def half_written(self, rows):
        raise failure

    with monkeypatch.context() as patch:
        patch.setattr(csv.DictWriter, "writerows", half_written)
        with pytest.raises(failure):
            merge(table, [row("b", seed=1)])
    assert table.read_bytes() == before
    assert [path.name for path in table.parent.glob("[!.]*")] == ["figure.csv"]
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
    assert len(read(first, second)) == 0
    merge(second, [row("a", ncut=1.0), row("b", seed=1, ncut=2.0)])
    assert dict(read(first, second)[["key", "ncut"]].to_numpy()) == {"a": 1.0, "b": 2.0}
    merge(first, [row("b", seed=1, ncut=3.0), row("c", seed=2, ncut=4.0)])
    both = read(first, second)
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


def test_the_smallest_p_stays_exactly_that(table):
    for n_shuffles in [20, 50, 200, 1000]:
        merge(table, [row("a", p=1 / (1 + n_shuffles), n_shuffles=n_shuffles)])
        merge(table, [row("b", seed=1, p=1.0)])
        assert read(table)["p"].iloc[0] == 1 / (1 + n_shuffles)
