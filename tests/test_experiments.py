import os
import threading
import time
from dataclasses import replace
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pandas as pd
import pytest

from clusterability.base import files as paths
from clusterability.base.errors import InputError
from clusterability.clustering.measure import Measurement, measure
from clusterability.data import load as datasets
from clusterability.experiments import compute as filling
from clusterability.experiments import run as running
from clusterability.experiments import store
from clusterability.experiments.compute import check_device
from clusterability.experiments.grid import Run, architecture, grid, recipes, untrained_grid
from clusterability.experiments.rows import NetworkRow
from clusterability.experiments.run import at_hand
from clusterability.graphs.layered import LayeredGraph
from clusterability.networks.mlp import MLP
from clusterability.training.train import Training, train
from helpers import blank

TRAINING = Training(epochs=1, pruning_epochs=1)
CONDITIONS = {"Control": {}, "Dropout": {"dropout": 0.5}}
FIELDS = {
    "datasets": ["digits"], "conditions": CONDITIONS, "n_replicates": 2, "hidden": [16, 16], "training": TRAINING,
    "pruned": True, "measurement": Measurement(3, 3), "seed": 0,
}  # fmt: skip

# What is measured on a clock may differ from one computation to the next.
TIMED = ["seconds", "date"]


def small_grid(**changes):
    return grid(**{**FIELDS, **changes})


def run(runs, figure="figure", into="paper", **options):
    with mock.patch.dict(os.environ, CLUSTERABILITY_STORE=into):
        return running.run(figure, runs, **options)


def assert_same_numbers(first, second):
    pd.testing.assert_frame_equal(first.drop(columns=TIMED), second.drop(columns=TIMED))


def table_file(into="paper"):
    with mock.patch.dict(os.environ, CLUSTERABILITY_STORE=into):
        return store.own("figure")


def stored(into="paper"):
    return running.described(store.read([table_file(into)], NetworkRow))


def trained_files():
    return sorted(paths.networks_folder().glob("*"))


@pytest.fixture
def computed(monkeypatch):
    """Counts the networks that are trained and the measurements that are made."""
    counts = {"trained": 0, "measured": 0}

    def counting_train(specs, *arguments, **options):
        counts["trained"] += len(specs)
        return train(specs, *arguments, **options)

    def counting_measure(*arguments, **options):
        counts["measured"] += 1
        return measure(*arguments, **options)

    monkeypatch.setattr(filling, "train", counting_train)
    monkeypatch.setattr(filling, "measure", counting_measure)
    return counts


def nothing_may_be_computed(monkeypatch):
    def forbidden(*arguments, **options):
        raise AssertionError("computed again")

    monkeypatch.setattr(filling, "train", forbidden)
    monkeypatch.setattr(filling, "measure", forbidden)


def test_rows_come_in_the_order_of_the_runs_with_all_columns(project):
    runs = small_grid()
    rows = run(runs[::-1])
    assert set(store._kinds(NetworkRow)) <= set(rows.columns)
    assert rows["key"].tolist() == [r.key for r in runs[::-1]]
    assert rows["condition"].tolist() == ["Dropout", "Dropout", "Control", "Control"]
    assert rows["seed"].tolist() == [1, 0, 1, 0]
    assert rows["ncut"].between(0, 3).all()
    assert rows["p"].between(1 / 4, 1).all()
    assert (rows["vertices"] <= 64 + 16 + 16 + 10).all()
    assert set(rows["architecture"]) == {"mlp 64-16x2-10"}
    assert set(rows["data"]) == {datasets.load("digits").fingerprint}
    assert rows["ncut"].nunique() == 4
    z = (rows["ncut"] - rows["shuffled_mean"]) / rows["shuffled_sd"]
    np.testing.assert_allclose(rows["z"], z, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("pruned", [False, True])
def test_a_row_holds_what_training_and_measuring_give(project, digits, pruned):
    [one] = small_grid(conditions={"L1": {"l1": 1e-4}}, n_replicates=1, pruned=pruned, seed=7)
    row = run([one]).iloc[0]
    [(_, states)] = train([one.network], digits)
    network = states[2 if pruned else 1]
    measured = measure(LayeredGraph.of(network.weights), Measurement(3, 3), 7)
    expected = {
        **network.scores, "ncut": measured.ncut, "z": measured.z, "p": measured.p,
        "shuffled_mean": measured.shuffled_ncuts.mean(), "shuffled_sd": measured.shuffled_ncuts.std(),
        "in_out_ratio": measured.in_out_ratio, "vertices": measured.n_vertices, "seed": 7, "n_clusters": 3,
        "n_shuffles": 3, "epochs": 1, "pruning_epochs": 1,
    }  # fmt: skip
    np.testing.assert_allclose(row[list(expected)].astype(float), list(expected.values()), rtol=1e-6)
    words = {"dataset": "digits", "condition": "L1", "pruned": pruned, "null_model": "layer", "device": "cpu"}
    assert row[list(words)].to_dict() == words


def test_what_is_computed_is_stored_in_the_figure_s_table(project):
    rows = run(small_grid())
    in_store = stored().set_index("key", drop=False).loc[rows["key"]].reset_index(drop=True)
    pd.testing.assert_frame_equal(rows, in_store)
    assert len(trained_files()) == 4


def test_other_stores_have_tables_of_their_own(project):
    run(small_grid(n_replicates=1), into="quick")
    assert len(stored()) == 0
    assert len(stored("quick")) == 2
    assert project in table_file("quick").parents


def test_rows_of_the_paper_s_table_serve_other_stores_too(project, computed):
    first = run(small_grid())
    before = table_file().read_bytes()
    more = run(small_grid(n_replicates=3), into="custom")
    assert computed == {"trained": 6, "measured": 6}
    pd.testing.assert_frame_equal(more[more["seed"] < 2].reset_index(drop=True), first)
    assert stored("custom")["seed"].tolist() == [2, 2]
    assert table_file().read_bytes() == before


def test_rows_at_hand_are_those_of_the_paper_s_table_in_the_order_of_the_runs(project, monkeypatch):
    run(small_grid(n_replicates=1))
    run(small_grid(n_replicates=2), into="custom")
    nothing_may_be_computed(monkeypatch)
    wanted = small_grid(n_replicates=3)[::-1]
    rows = at_hand("figure", wanted)
    assert rows[["condition", "seed"]].values.tolist() == [["Dropout", 0], ["Control", 0]]
    assert rows["key"].isin(stored()["key"]).all()
    assert at_hand("another", wanted).empty


def test_a_figure_takes_networks_that_another_has(project, computed):
    first = run(small_grid())
    before = dict(computed)
    shared = run(small_grid(), "another", shared=["figure"])
    assert computed == before
    pd.testing.assert_frame_equal(shared, first)
    pd.testing.assert_frame_equal(at_hand("another", small_grid(), shared=["figure"]), first)
    assert at_hand("another", small_grid()).empty


def test_a_second_call_computes_nothing(project, monkeypatch):
    first = run(small_grid())
    table = table_file().read_bytes()
    nothing_may_be_computed(monkeypatch)
    pd.testing.assert_frame_equal(run(small_grid()), first)
    assert table_file().read_bytes() == table


def test_a_further_replicate_computes_only_the_new_networks(project, computed):
    first = run(small_grid())
    assert computed == {"trained": 4, "measured": 4}
    more = run(small_grid(n_replicates=3))
    assert computed == {"trained": 6, "measured": 6}
    pd.testing.assert_frame_equal(more[more["seed"] < 2].reset_index(drop=True), first)


def test_a_further_condition_computes_only_its_own_networks(project, computed):
    run(small_grid())
    run(small_grid(conditions={**CONDITIONS, "L1": {"l1": 1e-4}}))
    assert computed == {"trained": 6, "measured": 6}


def test_another_measurement_trains_nothing_again(project, computed):
    first = run(small_grid())
    other = run(small_grid(measurement=Measurement(4, 3)))
    unpruned = run(small_grid(pruned=False))
    assert computed == {"trained": 4, "measured": 12}
    assert (other["n_clusters"] == 4).all()
    assert not unpruned["pruned"].any()
    assert len(stored()) == 12
    pd.testing.assert_series_equal(other["test_accuracy"], first["test_accuracy"])
    pd.testing.assert_frame_equal(run(small_grid()), first)
    assert computed == {"trained": 4, "measured": 12}


def test_both_moments_of_a_network_are_trained_once(project, computed):
    rows = run([*small_grid(pruned=False), *small_grid(pruned=True)])
    assert computed == {"trained": 4, "measured": 8}
    assert rows["pruned"].tolist() == [False] * 4 + [True] * 4


@pytest.mark.parametrize("lost", ["table", "networks"])
def test_what_is_lost_is_computed_again_alike(project, computed, lost):
    first = run(small_grid())
    if lost == "table":
        table_file().unlink()
        expected = {"trained": 4, "measured": 8}
    else:
        for file in trained_files():
            file.unlink()
        expected = {"trained": 4, "measured": 4}
    assert_same_numbers(run(small_grid()), first)
    # Networks at hand are not trained again; rows at hand need no networks.
    assert computed == expected


def test_recompute_computes_everything_again_with_the_same_numbers(project, computed):
    first = run(small_grid())
    assert_same_numbers(run(small_grid(), recompute=True), first)
    assert computed == {"trained": 8, "measured": 8}
    assert len(stored()) == 4


def test_networks_that_differ_in_more_than_regularization_run_in_one_call(project, computed):
    conditions = {"Short": {}, "Long": {"epochs": 2}, "Large batches": {"batch_size": 256}}
    rows = run(small_grid(conditions=conditions))
    assert rows["condition"].tolist() == ["Short"] * 2 + ["Long"] * 2 + ["Large batches"] * 2
    assert rows["epochs"].tolist() == [1, 1, 2, 2, 1, 1]
    alone = run(small_grid(conditions={"Long": {"epochs": 2}}), into="alone", recompute=True)
    assert_same_numbers(rows[rows["condition"] == "Long"].reset_index(drop=True), alone)


def test_two_conditions_that_mean_the_same_give_a_row_each(project):
    runs = small_grid(conditions={"Control": {}, "No dropout": {"dropout": 0.0}}, n_replicates=1)
    rows = run(runs)
    assert rows["condition"].tolist() == ["Control", "No dropout"]
    assert rows["ncut"].nunique() == 1


def test_a_renamed_condition_comes_under_its_new_name(project):
    first = run(small_grid(conditions={"Control": {}}))
    renamed = run(small_grid(conditions={"Baseline": {}}))
    assert renamed["condition"].tolist() == ["Baseline", "Baseline"]
    assert renamed["ncut"].tolist() == first["ncut"].tolist()


@pytest.mark.parametrize("n_finished", [1, 2])
def test_a_run_that_is_killed_goes_on_where_it_stopped(project, monkeypatch, n_finished):
    runs = small_grid()
    measured = []

    def interrupted(*arguments, **options):
        if len(measured) == n_finished:
            raise KeyboardInterrupt
        measured.append(1)
        return measure(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(filling, "measure", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(runs)
    assert len(stored()) == n_finished
    n_kept = len(trained_files())
    assert n_kept > n_finished
    assert {path.suffix for path in (project / "data").rglob(".*")} <= {".lock"}

    trained = []

    def counting_train(specs, *arguments, **options):
        trained.extend(specs)
        return train(specs, *arguments, **options)

    monkeypatch.setattr(filling, "train", counting_train)
    rows = run(runs)
    assert len(trained) == 4 - n_kept
    assert_same_numbers(rows, run(runs, into="uninterrupted", recompute=True))


def at_work():
    """Threads that train."""
    return [thread for thread in threading.enumerate() if thread.name.startswith("ThreadPoolExecutor")]


def test_an_interrupted_run_stops_training(project, monkeypatch):
    long = replace(TRAINING, epochs=60)
    monkeypatch.setattr(filling, "measure", interrupt)
    with pytest.raises(KeyboardInterrupt) as interruption:
        run(small_grid(n_replicates=40, training=long))
    deadline = time.monotonic() + 10
    while (left := at_work()) and time.monotonic() < deadline:
        time.sleep(0.05)
    # Whoever holds the exception, as a notebook does, must not thereby keep the training going.
    assert interruption.value is not None
    assert not left


def interrupt(*arguments, **options):
    raise KeyboardInterrupt


def own_mnist(folder, seed):
    rng = np.random.default_rng(seed)
    arrays = {
        name: rng.integers(0, 256 if name[0] == "x" else 10, (n, 28, 28) if name[0] == "x" else n)
        for name, n in {"x_train": 60, "y_train": 60, "x_test": 30, "y_test": 30}.items()
    }
    np.savez(folder / "mnist.npz", **{k: a.astype(np.uint8) for k, a in arrays.items()})


def test_rows_of_other_data_are_computed_again_in_place_of_the_old(project, computed):
    (project / "data").mkdir()
    runs = small_grid(datasets=["mnist"], conditions={"Control": {}}, n_replicates=1)
    own_mnist(project / "data", seed=0)
    first = run(runs)
    run(runs)
    assert computed == {"trained": 1, "measured": 1}
    own_mnist(project / "data", seed=1)
    second = run(runs)
    assert computed == {"trained": 2, "measured": 2}
    assert first["data"].tolist() != second["data"].tolist()
    assert len(stored()) == 1


def test_stored_rows_serve_where_the_data_are_not_at_hand(project, monkeypatch):
    runs = small_grid(datasets=["mnist"])
    rows = [
        blank(NetworkRow, dataset="mnist", condition=r.condition, pruned=True, null_model="layer", key=r.key,
              seed=r.network.seed, ncut=2 + 0.1 * i, data="0123456789ab", volume_shares=[1], vertex_shares=[1])
        for i, r in enumerate(runs)
    ]  # fmt: skip
    store.merge(table_file(), rows)
    monkeypatch.setattr(datasets, "fingerprint", lambda name: None)
    monkeypatch.setattr(datasets, "load", lambda name: pytest.fail("the data set is asked for"))
    nothing_may_be_computed(monkeypatch)
    table = run(runs)
    np.testing.assert_allclose(table["ncut"], [2.0, 2.1, 2.2, 2.3])


def test_missing_rows_of_data_to_be_had_nowhere_are_an_input_error(project, monkeypatch):
    def no_download(name, folder, *, fetch):
        raise OSError("offline")

    monkeypatch.setattr(datasets, "_from_torchvision", no_download)
    with pytest.raises(InputError, match=r"'mnist'.*offline"):
        run(small_grid(datasets=["mnist"]))


def test_a_grid_holds_every_combination_once():
    runs = small_grid(datasets=["digits", "mnist"], n_replicates=3, seed=5)
    places = [(r.network.dataset, r.condition, r.network.seed) for r in runs]
    assert places == [(d, c, s) for d in ("digits", "mnist") for c in CONDITIONS for s in (5, 6, 7)]
    assert len({r.key for r in runs}) == 12
    assert {r.network.training.dropout for r in runs if r.condition == "Dropout"} == {0.5}
    assert {r.network.training.dropout for r in runs if r.condition == "Control"} == {0.0}
    assert {r.network.architecture.sizes for r in runs} == {(64, 16, 16, 10), (784, 16, 16, 10)}


def test_everything_that_determines_a_row_is_in_its_key():
    one = {"conditions": {"Control": {}}, "n_replicates": 1}
    several = [
        {}, {"hidden": [16, 17]}, {"training": replace(TRAINING, learning_rate=1e-2)}, {"pruned": False}, {"seed": 1},
        {"measurement": Measurement(4, 3)}, {"measurement": Measurement(3, 4)}, {"datasets": ["mnist"]},
        {"measurement": Measurement(3, 3, "nonzero")}, {"conditions": {"Control": {"l2": 1e-9}}},
    ]  # fmt: skip
    keys, again = ([run.key for changes in several for run in small_grid(**{**one, **changes})] for _ in range(2))
    assert keys == again
    assert len(set(keys)) == len(several)


@pytest.mark.parametrize("device", ["abacus", "cuda:99"])
def test_devices_that_are_not_there_are_refused(project, device):
    with pytest.raises(InputError, match=device):
        check_device(device)
    with pytest.raises(InputError, match=device):
        run(small_grid(), device=device)


def test_the_architecture_of_digits_is_that_of_its_data(digits):
    assert architecture("digits", [7]).sizes == (digits.n_features, 7, digits.n_outputs)


def test_trimmed_networks_are_rows_of_their_own_with_scores_of_their_own(project):
    [whole] = small_grid(
        n_replicates=1, conditions={"L1": {"l1": 1e-2}}, training=replace(TRAINING, epochs=20), pruned=False
    )
    gone = replace(whole, trimmed=1.0, condition="L1, trimmed")
    rows = run([whole, gone])
    assert rows["condition"].tolist() == ["L1", "L1, trimmed"]
    assert rows["small_weights"].iloc[0] > rows["small_weights"].iloc[1]
    assert rows["vertices"].iloc[0] >= rows["vertices"].iloc[1]
    assert rows["train_loss"].nunique() == 2
    assert len(trained_files()) == 1


def test_networks_along_training_are_measured_after_their_epochs(project, computed, digits):
    [one] = small_grid(conditions={"Control": {}}, n_replicates=1, training=replace(TRAINING, epochs=2))
    moments = [Run("Control", one.network, epoch > 2, Measurement(3, 2), after_epoch=epoch) for epoch in (0, 1, 2, 3)]
    rows = run(moments)
    assert rows["epoch"].tolist() == [0, 1, 2, 3]
    assert rows["pruned"].tolist() == [False, False, False, True]
    assert computed == {"trained": 1, "measured": 4}
    [(_, states)] = train([one.network], digits, keep_epochs=[0, 1])
    for epoch, row in zip(range(4), rows.itertuples(), strict=True):
        assert row.test_accuracy == pytest.approx(states[epoch].scores["test_accuracy"])
        assert row.ncut == pytest.approx(measure(LayeredGraph.of(states[epoch].weights), Measurement(3, 2), 0).ncut)
    run([one])  # the end of training is among them: nothing is trained again
    assert computed == {"trained": 1, "measured": 5}
    run([replace(moments[1], after_epoch=1, measurement=Measurement(4, 2))])
    assert computed["trained"] == 1


def test_epochs_of_another_pruning_state_are_refused():
    for pruned, epoch in [(False, 2), (True, 1), (True, 3), (False, -1)]:
        [one] = small_grid(conditions={"Control": {}}, n_replicates=1)
        with pytest.raises(InputError, match=f"epoch {epoch}"):
            replace(one, pruned=pruned, after_epoch=epoch)


def test_untrained_networks_need_no_data(project, monkeypatch):
    monkeypatch.setattr(datasets, "load", lambda name: pytest.fail("data are asked for"))
    conditions = {"Control": {}, "Clusterable Init": {"initial_groups": 10, "initial_first_layer": True}}
    runs = untrained_grid(conditions, 2, MLP((20, 60, 60, 10)), measurement=Measurement(10, 0), seed=3)
    rows = run(runs)
    assert set(rows["dataset"]) == {"none"}
    assert rows["test_accuracy"].isna().all()
    assert rows["z"].isna().all()
    by_condition = rows.groupby("condition")["ncut"]
    assert by_condition.get_group("Clusterable Init").max() < by_condition.get_group("Control").min()
    nothing_may_be_computed(monkeypatch)
    pd.testing.assert_frame_equal(run(runs), rows)


def test_networks_that_learn_nothing_are_refused_where_there_are_data():
    with pytest.raises(InputError, match="epochs 0"):
        small_grid(training=Training(epochs=0, pruning_epochs=0), pruned=False)


def test_a_row_s_seconds_are_those_of_its_own_training_and_measuring(project, monkeypatch):
    clock = SimpleNamespace(now=0.0)

    def training(specs, *arguments, timed, **options):
        for position, states in train(specs, *arguments, timed=lambda *_: None, **options):
            timed(position, 40.0 + 2 * position)
            yield position, states

    def measuring(*arguments, **options):
        clock.now += 1000
        return measure(*arguments, **options)

    monkeypatch.setattr(filling, "train", training)
    monkeypatch.setattr(filling, "measure", measuring)
    monkeypatch.setattr(filling, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    one = small_grid(conditions={"Control": {}}, n_replicates=3, pruned=False)
    # One of two epochs: half of the training.
    assert sorted(run(one)["seconds"]) == [1020, 1021, 1022]
    both = run([*one, *small_grid(conditions={"Control": {}}, n_replicates=3)])
    assert sorted(both["seconds"]) == [1020, 1021, 1022, 1040, 1042, 1044]


def test_rows_keep_every_shuffle_and_the_spectrum(project):
    row = run(small_grid(n_replicates=1)).iloc[0]
    shuffled = row["shuffled_ncuts"]
    assert len(shuffled) == 3
    assert shuffled.mean() == pytest.approx(row["shuffled_mean"], rel=1e-5)
    assert len(row["eigenvalues"]) == 7
    assert row["volume_shares"].sum() == pytest.approx(1, abs=1e-5)


def test_where_nothing_may_be_computed_a_missing_row_is_named(project, monkeypatch):
    first = run(small_grid(n_replicates=1))
    nothing_may_be_computed(monkeypatch)
    pd.testing.assert_frame_equal(run(small_grid(n_replicates=1), into="none"), first)
    with pytest.raises(InputError, match="2 of 4 rows are not at hand, the first of 'Control' on digits with seed 1"):
        run(small_grid(), into="none")


def test_by_default_new_rows_go_to_a_local_table(project, monkeypatch):
    monkeypatch.delenv("CLUSTERABILITY_STORE", raising=False)
    running.run("figure", small_grid(n_replicates=1))
    assert [path.name for path in project.rglob("*.csv")] == ["figure.csv"]
    assert len(stored("custom")) == 2


def test_conditions_say_what_they_change_and_on_which_data():
    conditions = {
        "Plain": {}, "Twice": {"dataset": "halves_same_{}"}, "Other": {"dataset": "line_8", "l1": 0.5},
        "Slow": {"l1": 0.1, "digits": {"epochs": 7}},
    }  # fmt: skip
    runs = small_grid(conditions=conditions, n_replicates=1)
    assert [r.network.dataset for r in runs] == ["digits", "halves_same_digits", "line_8", "digits"]
    assert [(r.network.training.epochs, r.network.training.l1) for r in runs] == [(1, 0), (1, 0), (1, 0.5), (7, 0.1)]
    [elsewhere] = small_grid(conditions={"Slow": conditions["Slow"]}, n_replicates=1, datasets=["line_8"])
    assert (elsewhere.network.training.epochs, elsewhere.network.training.l1) == (1, 0.1)


def test_the_book_s_conditions_are_fields_of_training_with_their_numbers():
    assert recipes("mlp", ["L2 Reg", "Control"]) == {"L2 Reg": {"l2": 5e-5, "first_layer_l1": 5e-5}, "Control": {}}
    with pytest.raises(InputError, match=r"'L3 Reg'.*Control, L1 Reg"):
        recipes("mlp", ["L3 Reg"])
