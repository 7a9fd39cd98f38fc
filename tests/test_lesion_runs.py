"""Rows of lesions: computed once, kept, and right."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from clusterability.base.errors import InputError
from clusterability.clustering.measure import Measurement, measure
from clusterability.experiments import compute as filling
from clusterability.experiments import grid as experiments
from clusterability.experiments import run as running
from clusterability.experiments import store
from clusterability.experiments.rows import ConditionalRow, LesionRow
from clusterability.graphs.layered import LayeredGraph
from clusterability.lesions import importance, stability
from clusterability.lesions import lesion as lesions
from clusterability.training.train import Training, train
from helpers import blank

TRAINING = Training(epochs=30, pruning_epochs=10, final_sparsity=0.5)


def grid(**changes):
    fields = {
        "datasets": ["digits"], "conditions": {"Control": {}, "Dropout": {"dropout": 0.2}}, "n_replicates": 1,
        "hidden": [40, 40], "training": TRAINING, "pruned": True, "measurement": Measurement(3, 0), "seed": 0,
    }  # fmt: skip
    return experiments.grid(**{**fields, **changes})


def lesioned(runs, n_controls, kind="lesions"):
    return [replace(run, kind=kind, n_controls=n_controls) for run in runs]


def run(runs, figure="figure"):
    return running.run(figure, runs)


def trained(spec, dataset):
    [(_, states)] = train([spec], dataset)
    return states[40]


@pytest.fixture(autouse=True)
def paper(monkeypatch):
    monkeypatch.setenv("CLUSTERABILITY_STORE", "paper")


@pytest.fixture
def forbidden(monkeypatch):
    def forbid():
        def nothing(*arguments, **options):
            raise AssertionError("computed again")

        for name in ("single_lesions", "conditional_lesions", "cluster_accuracies"):
            monkeypatch.setattr(filling, name, nothing)

    return forbid


def test_single_lesions_are_those_of_the_library_and_kept(project, digits, forbidden):
    runs = lesioned(grid(), 20)
    rows = run(runs)
    assert list(rows.columns) == list(store._kinds(LesionRow))
    network = trained(runs[0].network, digits)
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
        np.testing.assert_allclose(row.class_drops, (whole - by_class)[0], atol=1e-5)
        assert row.z == pytest.approx((row.accuracy - row.control_mean) / row.control_sd, rel=1e-4, nan_ok=True)
        assert 1 / 21 <= row.released_p <= row.p <= 1
    np.testing.assert_allclose(own["test_accuracy"], network.scores["test_accuracy"])
    random = rows[(rows["condition"] == "Control") & (rows["clustering"] == "random")]
    assert random["n_neurons"].tolist() == own["n_neurons"].tolist()
    assert not any(len(drops) for drops in random["class_drops"])

    before = store.committed("figure").read_bytes()
    forbidden()
    pd.testing.assert_frame_equal(run(runs), rows)
    assert store.committed("figure").read_bytes() == before


def test_pairs_are_of_sub_modules_that_are_neither_small_nor_complete(project, monkeypatch):
    monkeypatch.setattr(filling, "SMALL", 5)
    runs = grid(conditions={"Control": {}})
    pairs = run(lesioned(runs, 10, "conditional"))
    assert list(pairs.columns) == list(store._kinds(ConditionalRow))
    assert len(pairs)
    assert (pairs["n_neurons"] > 5).all()
    assert (pairs["n_neurons"] < pairs["layer_neurons"]).all()
    assert (pairs["layer"] != pairs["given_layer"]).all()
    names = set(zip(pairs["layer"], pairs["cluster"], strict=True))
    assert names == set(zip(pairs["given_layer"], pairs["given_cluster"], strict=True))
    assert len(pairs) == sum(a[0] != b[0] for a in names for b in names)


def test_a_network_without_two_such_sub_modules_has_no_rows(project, monkeypatch):
    asked = lesioned(grid(conditions={"Control": {}}), 10, "conditional")
    monkeypatch.setattr(filling, "SMALL", 40)
    none = run(asked)
    assert none.empty
    assert list(none.columns) == list(store._kinds(ConditionalRow))
    monkeypatch.setattr(filling, "SMALL", 5)
    both = run([*asked, *lesioned(grid(conditions={"Dropout": {"dropout": 0.2}}), 10, "conditional")])
    assert set(both["condition"]) == {"Control", "Dropout"}


def test_clusters_silenced_as_a_whole_come_with_their_volume(project, digits):
    [one] = grid(conditions={"Control": {}})
    row = run([replace(one, kind="clusters")]).iloc[0]
    network = trained(one.network, digits)
    measured = measure(LayeredGraph.of(network.weights), Measurement(3, 0), 0)
    np.testing.assert_allclose(row["volume_shares"], measured.volume_shares, rtol=1e-5)
    sizes = [sum(int((layer == cluster).sum()) for layer in measured.labels[1:-1]) for cluster in range(3)]
    assert sorted(row["hidden_neurons"]) == sorted(sizes)
    accuracies = lesions.cluster_accuracies(network.weights, network.biases, measured.labels, *digits.flat("test"))
    drops = network.scores["test_accuracy"] - accuracies
    np.testing.assert_allclose(sorted(row["cluster_drops"]), sorted(drops), atol=1e-6)
    assert importance.clusters_that_matter(pd.DataFrame([row])).iloc[0] == (drops >= 0.01).sum()


def test_what_clusters_mean_is_told_of_the_network_and_of_its_weights_shuffled(project, digits):
    [one] = grid(conditions={"Control": {}})
    rows = run([replace(one, kind="stability")]).set_index("weights")
    assert list(rows.index) == ["shuffled", "trained"]
    network = trained(one.network, digits)
    labels, again = stability.found_again(network.weights, network.biases, 3, 0)
    x, y = digits.flat("test")
    of = stability.by_function(network.weights, network.biases, labels, x, y, 0)
    row = rows.loc["trained"]
    assert row["rand_noise"] == pytest.approx(again["noise"])
    assert row["rand_balanced_l1"] == pytest.approx(again["balanced-l1"])
    np.testing.assert_allclose(row["rand_gradients"], of["gradients"], atol=1e-6)
    np.testing.assert_array_equal(row["outer_labels"], [*labels[:64], *labels[-10:]])
    assert len(rows.loc["shuffled", "rand_gradients"]) == 0


def test_a_network_in_another_gauge_scores_the_same_and_has_another_key(project, digits):
    [one] = grid(conditions={"Control": {}})
    moved = [replace(one, condition=f"{gauge} {strength}", gauge=gauge, gauge_strength=strength)
             for gauge, strength in (("balanced", 0.0), ("log-normal", 0.5), ("log-normal", 1.0))]  # fmt: skip
    rewound = replace(one, condition="Rewound", rewound=True)
    rows = run([one, *moved, rewound], figure="gauges")
    assert rows["key"].nunique() == 5
    np.testing.assert_allclose(rows["test_loss"][:4], rows["test_loss"][0], rtol=1e-5)
    assert (rows["test_accuracy"][:4] == rows["test_accuracy"][0]).all()
    assert rows["ncut"].nunique() == 5
    assert rows["test_loss"][4] > rows["test_loss"][0]  # nothing was pruned, so it is untrained
    with pytest.raises(InputError, match="log-normal"):
        replace(one, gauge="log-normal")


def test_everything_that_determines_lesions_is_in_their_key():
    [one] = grid(conditions={"Control": {}})
    [other] = grid(conditions={"Control": {}}, measurement=Measurement(4, 0))
    keys = [run.key for run in (*lesioned([one], 20), *lesioned([one], 21), *lesioned([other], 20),
                                *lesioned([one], 20, "conditional"), one)]  # fmt: skip
    assert len(set(keys)) == len(keys)


def test_lesions_need_a_control():
    with pytest.raises(InputError, match="n_controls 0"):
        lesioned(grid(), 0)


def test_tables_of_several_rows_a_key_keep_them_together(tmp_path):
    def rows(key, accuracy):
        return [blank(LesionRow, key=key, cluster=c, accuracy=accuracy) for c in range(3)]

    first, second = tmp_path / "first.csv", tmp_path / "second.csv"
    store.merge(first, rows("a", 0.1))
    store.merge(second, rows("a", 0.2) + rows("b", 0.3))
    both = store.read([first, second], LesionRow)
    assert both["key"].tolist() == ["a"] * 3 + ["b"] * 3
    assert both["accuracy"].tolist() == [0.1] * 3 + [0.3] * 3
    store.merge(first, rows("a", 0.5)[:2])
    assert store.read([first], LesionRow)["accuracy"].tolist() == [0.5] * 2
    assert (store.keys(second), store.keys(tmp_path / "none.csv")) == ({"a", "b"}, set())
