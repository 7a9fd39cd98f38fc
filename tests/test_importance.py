"""Classes of sub-modules, and what conditional lesions say of pairs."""

import numpy as np
import pandas as pd
import pytest

from clusterability.lesions import importance
from clusterability.lesions.importance import DEPENDENCIES, KINDS, kind
from clusterability.report import tables

NETWORK = {"dataset": "mnist", "condition": "Control", "pruned": True, "seed": 0, "n_clusters": 10}


def test_every_sub_module_has_the_papers_class():
    cases = [
        (250, 0.5, True, 0.0099, "complete"), (12, 0.5, True, 0.0099, "small"), (13, 0.5, True, 0.0099, "important"),
        (40, 0.01, True, 0.0099, "important"), (40, 0.0099, True, 0.0099, "sig-but-not-diff"),
        (40, 0.5, False, 0.0198, "diff-but-not-sig"), (40, 0.5, False, 1.0, "diff-but-not-sig"),
        (40, 0.001, False, 1.0, "prunable"), (40, -0.2, False, 0.99, "other"),
    ]  # fmt: skip
    for n_neurons, drop, significant, p, expected in cases:
        assert kind(n_neurons, 250, drop, significant, p) == expected
        assert expected in KINDS


def singles(lines, clustering="spectral", **changes):
    """Lesion rows from (layer, cluster, neurons, accuracy lost, p)."""
    return pd.DataFrame(
        [
            {**NETWORK, **changes, "clustering": clustering, "layer": layer, "cluster": cluster, "n_neurons": n,
             "layer_neurons": 250, "test_accuracy": 0.98, "accuracy": 0.98 - drop, "released_p": p, "p": p,
             "class_drops": "0 0.5"}
            for layer, cluster, n, drop, p in lines
        ]
    )  # fmt: skip


def test_correction_is_for_the_sub_modules_of_one_network():
    floor = 1 / 101
    one = singles([(1, 0, 40, 0.1, floor), *((1, c, 40, 0.1, 0.9) for c in range(1, 10))])
    two = singles([(1, 0, 40, 0.1, floor)], seed=1)
    table = importance.classified(pd.concat([one, two], ignore_index=True))
    assert table["kind"].tolist() == ["important", *["diff-but-not-sig"] * 9, "important"]
    assert table["corrected_kind"].tolist() == [*["diff-but-not-sig"] * 10, "important"]
    assert table["q"].iloc[0] == pytest.approx(10 * floor)
    assert table["q"].iloc[-1] == pytest.approx(floor)
    assert (table["share"] == 40 / 250).all()


def test_classes_are_counted_a_network():
    table = importance.classified(pd.concat([
        singles([(1, 0, 40, 0.1, 0.0099), (1, 1, 3, 0.1, 0.0099), (2, 0, 250, 0.8, 1.0)]),
        singles([(1, 0, 40, 0.0, 0.5)], seed=1), singles([(1, 0, 40, 0.1, 0.0099)], clustering="random"),
    ], ignore_index=True))  # fmt: skip
    counted = importance.counts(table)
    assert counted.columns.tolist() == list(KINDS)
    assert counted.sum(axis=1).tolist() == [3, 1, 1]
    assert counted.xs("spectral", level="clustering")["important"].tolist() == [1, 0]
    chance = importance.chance(table)
    assert chance.iloc[0].tolist() == [2, 1, 1]
    html = tables.lesion_kinds(table).data
    assert "0.5 ± 0.7" in html.replace("\N{NO-BREAK SPACE}", " ")
    assert "of random clusterings" in tables.chance(table).data


def pairs(lines):
    """Conditional rows from (sub-module, given, extra accuracy lost, p)."""
    return pd.DataFrame(
        [
            {**NETWORK, "layer": a[0], "cluster": a[1], "given_layer": b[0], "given_cluster": b[1],
             "given_accuracy": 0.9, "accuracy": 0.9 - drop, "released_p": p}
            for a, b, drop, p in lines
        ]
    )  # fmt: skip


A, B = (1, 0), (2, 0)
FLOOR = 1 / 101


@pytest.mark.parametrize(
    ("a_given_b", "b_given_a", "expected"),
    [
        ((0.002, FLOOR), (0.0, 0.5), "act as one"),
        ((0.05, FLOOR), (0.05, 0.5), "earlier feeds later and others"),
        ((0.05, 0.02), (0.05, FLOOR), "later has other sources"),
        ((0.01, FLOOR), (0.01, FLOOR), "nothing follows"),
    ],
)
def test_what_a_pair_says(a_given_b, b_given_a, expected):
    own = importance.classified(singles([(*A, 40, 0.1, FLOOR), (*B, 40, 0.1, FLOOR), (2, 1, 40, 0.0, 0.5)]))
    table = pairs([(A, B, *a_given_b), (B, A, *b_given_a), (A, (2, 1), 0.1, FLOOR), ((2, 1), A, 0.1, FLOOR)])
    found = importance.dependencies(table, own)
    assert found[["earlier", "later", "dependency"]].to_numpy().tolist() == [[A, B, expected]]
    graph = importance.dependency_graph(found, own)
    assert set(graph) == {A, B}
    arrows = [] if expected == "nothing follows" else [(A, B, expected)]
    assert list(graph.edges(data="dependency")) == arrows
    assert expected in DEPENDENCIES
    html = tables.dependencies(found.assign(dataset="mnist", condition="Control")).data
    assert expected in html


def test_networks_without_important_sub_modules_have_no_dependencies():
    own = importance.classified(singles([(*A, 40, 0.0, 0.5)]))
    found = importance.dependencies(pairs([]).reindex(columns=pairs([(A, B, 0.0, 1.0)]).columns), own)
    assert found.empty
    assert len(importance.dependency_graph(found, own)) == 0


def test_clusters_that_cost_a_percentage_point_matter():
    rows = pd.DataFrame({"cluster_drops": [np.array([0.5, 0.01, 0.0099, -0.1]), np.array([0.0])]})
    np.testing.assert_array_equal(importance.clusters_that_matter(rows), [2, 0])
