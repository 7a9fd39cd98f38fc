"""Small files beside the rows: made once, made again when what they hold changes."""

import numpy as np
import pytest

from clusterability.base.errors import InputError
from clusterability.clustering.measure import Measurement, measure
from clusterability.data import load as datasets
from clusterability.experiments import compute, store
from clusterability.experiments import grid as experiments
from clusterability.experiments import run as running
from clusterability.graphs.layered import LayeredGraph
from clusterability.training.train import Training


@pytest.fixture(autouse=True)
def paper(monkeypatch):
    monkeypatch.setenv("CLUSTERABILITY_STORE", "paper")


def test_arrays_are_made_once_for_a_key(project):
    made = []

    def make():
        made.append(1)
        return {"a": np.arange(3)}

    for key in ("one", "one", "two", "two"):
        np.testing.assert_array_equal(store.kept("figure", key, make)["a"], np.arange(3))
    assert len(made) == 2
    assert [p.name for p in (project / "data" / "artefacts").iterdir()] == ["figure.npz"]


def runs(**changes):
    fields = {
        "datasets": ["digits"], "conditions": {"Control": {}}, "n_replicates": 1, "hidden": [16, 16],
        "training": Training(epochs=1, pruning_epochs=1), "pruned": True, "measurement": Measurement(3, 3), "seed": 0,
    }  # fmt: skip
    return experiments.grid(**{**fields, **changes})


def test_kept_weights_are_those_that_were_measured(project, monkeypatch):
    [run] = runs()
    [row] = running.run("figure", [run]).to_dict("records")
    weights = running.weights("figure", run)
    assert measure(LayeredGraph.of(weights), Measurement(3, 0), 0).ncut == pytest.approx(row["ncut"])
    monkeypatch.setattr(compute, "train", lambda *a, **k: pytest.fail("trained again"))
    monkeypatch.setattr(datasets, "load", lambda name: pytest.fail("data are asked for"))
    for again, first in zip(running.weights("figure", run), weights, strict=True):
        np.testing.assert_array_equal(again, first)
    assert (project / "data" / "artefacts" / "figure.npz").is_file()


def test_weights_of_another_network_are_not_taken(project):
    unpruned = running.weights("figure", runs(pruned=False)[0])
    pruned = running.weights("figure", runs()[0])
    assert (unpruned[0] != 0).mean() > 0.9
    assert (pruned[0] != 0).mean() < 0.2


def test_examples_are_the_first_ones_in_bytes(project, digits):
    images, labels = running.examples("figure", ["digits", "line_8"], 4)["digits"]
    np.testing.assert_array_equal(labels, digits.y_train[:4])
    np.testing.assert_array_equal(images, np.rint(digits.x_train[:4] * (255 / 16)).astype(np.uint8))


def test_unknown_data_sets_are_refused_by_name(project):
    with pytest.raises(InputError, match="mnits"):
        running.examples("figure", ["mnits"], 4)
