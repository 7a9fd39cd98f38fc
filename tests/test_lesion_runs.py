"""Rows of lesions: computed once, kept, and right."""

import numpy as np
import pandas as pd
import pytest

from clusterability.base import files as paths
from clusterability.base.errors import InputError
from clusterability.base.statistics import numbers
from clusterability.clustering.measure import Measurement, measure
from clusterability.experiments import grid as experiments
from clusterability.experiments import lesion_rows as lesion_runs
from clusterability.experiments import store as results
from clusterability.experiments.compute import trained_network
from clusterability.experiments.lesion_rows import CLUSTER_ROWS, CONDITIONAL_ROWS, LESION_ROWS
from clusterability.graphs.layered import LayeredGraph
from clusterability.lesions import importance
from clusterability.lesions import lesion as lesions
from clusterability.training.train import Training

TRAINING = Training(epochs=30, pruning_epochs=10, final_sparsity=0.5)


def grid(**changes):
    fields = {
        "datasets": ["digits"], "conditions": {"Control": {}, "Dropout": {"dropout": 0.2}}, "n_replicates": 1,
        "hidden": [40, 40], "training": TRAINING, "pruned": True, "measurement": Measurement(3, 0), "seed": 0,
    }  # fmt: skip
    return experiments.grid(**{**fields, **changes})


def run(runs, kind, **options):
    return experiments.run("figure", runs, kind=kind, **options)


@pytest.fixture
def forbidden(monkeypatch):
    def forbid():
        def nothing(*arguments, **options):
            raise AssertionError("computed again")

        for name in ("single_lesions", "conditional_lesions", "cluster_accuracies"):
            monkeypatch.setattr(lesion_runs, name, nothing)

    return forbid


def test_single_lesions_are_those_of_the_library_and_kept(project, digits, forbidden):
    runs = lesion_runs.lesion_runs(grid(), 20)
    rows = run(runs, LESION_ROWS)
    assert list(rows.columns) == list(results.LESIONS.columns)
    network = trained_network(runs[0].network, 40, "cpu")
    labels = measure(LayeredGraph.of(network.weights), Measurement(3, 0), 0).labels
    modules = lesions.sub_modules(labels)
    own = rows[(rows["condition"] == "Control") & (rows["clustering"] == "spectral")]
    assert own[["layer", "cluster", "n_neurons"]].to_numpy().tolist() == [
        [module.layer, module.cluster, len(module.neurons)] for module in modules
    ]
    on_test = lesions.LesionedNetwork(network.weights, network.biases, *digits.flat("test"))
    for row, module in zip(own.itertuples(), modules, strict=True):
        silenced = np.zeros((1, 40), bool)
        silenced[0, module.neurons] = True
        by_class = on_test.class_accuracies(module.layer, silenced)
        assert row.accuracy == pytest.approx(on_test.accuracy_of(by_class)[0])
        whole = on_test.class_accuracies(module.layer, np.zeros((1, 40), bool))
        np.testing.assert_allclose(numbers(row.class_drops), (whole - by_class)[0], atol=1e-5)
        assert row.z == pytest.approx((row.accuracy - row.control_mean) / row.control_sd, rel=1e-4, nan_ok=True)
        assert 1 / 21 <= row.released_p <= row.p <= 1
    np.testing.assert_allclose(own["test_accuracy"], network.scores["test_accuracy"])
    random = rows[(rows["condition"] == "Control") & (rows["clustering"] == "random")]
    assert random["n_neurons"].tolist() == own["n_neurons"].tolist()
    assert not random["class_drops"].any()

    before = paths.results_file("figure", "paper").read_bytes()
    forbidden()
    pd.testing.assert_frame_equal(run(runs, LESION_ROWS), rows)
    assert paths.results_file("figure", "paper").read_bytes() == before


def test_pairs_are_of_sub_modules_that_are_neither_small_nor_complete(project, monkeypatch):
    monkeypatch.setattr(lesion_runs, "SMALL", 5)
    runs = grid(conditions={"Control": {}})
    pairs = run(lesion_runs.lesion_runs(runs, 10, conditional=True), CONDITIONAL_ROWS)
    assert list(pairs.columns) == list(results.CONDITIONAL.columns)
    assert len(pairs)
    assert (pairs["n_neurons"] > 5).all()
    assert (pairs["n_neurons"] < pairs["layer_neurons"]).all()
    assert (pairs["layer"] != pairs["given_layer"]).all()
    names = set(zip(pairs["layer"], pairs["cluster"], strict=True))
    assert names == set(zip(pairs["given_layer"], pairs["given_cluster"], strict=True))
    assert len(pairs) == sum(a[0] != b[0] for a in names for b in names)


def test_clusters_silenced_as_a_whole_come_with_their_volume(project, digits):
    [one] = grid(conditions={"Control": {}})
    row = run([one], CLUSTER_ROWS).iloc[0]
    network = trained_network(one.network, 40, "cpu")
    measured = measure(LayeredGraph.of(network.weights), Measurement(3, 0), 0)
    np.testing.assert_allclose(numbers(row["volume_shares"]), measured.volume_shares, rtol=1e-5)
    sizes = [sum(int((layer == cluster).sum()) for layer in measured.labels[1:-1]) for cluster in range(3)]
    assert sorted(numbers(row["hidden_neurons"])) == sorted(sizes)
    accuracies = lesions.cluster_accuracies(network.weights, network.biases, measured.labels, *digits.flat("test"))
    drops = network.scores["test_accuracy"] - accuracies
    np.testing.assert_allclose(sorted(numbers(row["cluster_drops"])), sorted(drops), atol=1e-6)
    assert importance.clusters_that_matter(pd.DataFrame([row])).iloc[0] == (drops >= 0.01).sum()


def test_everything_that_determines_lesions_is_in_their_key():
    [one] = grid(conditions={"Control": {}})
    [other] = grid(conditions={"Control": {}}, measurement=Measurement(4, 0))
    keys = [
        lesion_runs.LesionRun(one, 20).key, lesion_runs.LesionRun(one, 21).key, lesion_runs.LesionRun(other, 20).key,
        lesion_runs.LesionRun(one, 20, conditional=True).key, one.key,
    ]  # fmt: skip
    assert len(set(keys)) == len(keys)


def test_lesions_need_a_control():
    with pytest.raises(InputError, match="n_controls 0"):
        lesion_runs.lesion_runs(grid(), 0)


def test_tables_of_several_rows_a_key_keep_them_together(tmp_path):
    def rows(key, accuracy):
        blank = dict.fromkeys(results.LESIONS.columns, 0)
        texts = dict.fromkeys(results.LESIONS.texts, "x")
        return [{**blank, **texts, "key": key, "cluster": c, "accuracy": accuracy} for c in range(3)]

    first, second = tmp_path / "first.csv", tmp_path / "second.csv"
    results.merge(first, rows("a", 0.1), results.LESIONS)
    results.merge(second, rows("a", 0.2) + rows("b", 0.3), results.LESIONS)
    both = results.read_all(first, second, schema=results.LESIONS)
    assert both["key"].tolist() == ["a"] * 3 + ["b"] * 3
    assert both["accuracy"].tolist() == [0.1] * 3 + [0.3] * 3
    results.merge(first, rows("a", 0.5)[:2], results.LESIONS)
    assert results.read(first, results.LESIONS)["accuracy"].tolist() == [0.5] * 2
    assert (results.keys(second), results.keys(tmp_path / "none.csv")) == ({"a", "b"}, set())
