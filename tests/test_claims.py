"""Claims hold when, and only when, the rows say so."""

import pandas as pd
import pytest

from clusterability.papers import claims
from clusterability.papers.claims import every, mean
from clusterability.report import Page


@pytest.fixture
def rows():
    return pd.DataFrame(
        {
            "dataset": ["mnist"] * 4 + ["digits"] * 4,
            "condition": ["Control", "Control", "Dropout", "Dropout"] * 2,
            "ncut": [10.0, 10.2, 9.0, 9.6, 8.0, 8.2, 8.3, 8.5],
            "z": [-3.0, -1.0, -9.0, -8.0, -2.0, 1.0, -5.0, -4.0],
        }
    )


def test_a_claim_about_every_network_fails_by_one_network(rows):
    assert every("", rows, "Dropout", "z", "<", 0).holds is True
    failed = every("", rows, "Control", "z", "<", 0)
    assert failed.holds is False
    assert failed.verdict == "does not hold"
    assert "MNIST: z < 0 in 2 of 2 networks" in failed.numbers
    assert "Digits: z < 0 in 1 of 2 networks" in failed.numbers


def test_a_comparison_must_hold_on_every_data_set(rows):
    mnist = rows[rows["dataset"] == "mnist"]
    assert mean("", mnist, "Dropout", "ncut", "<", "Control").holds is True
    assert mean("", rows, "Dropout", "ncut", "<", "Control").holds is False
    assert mean("", rows, "Dropout", "z", "<", "Control").holds is True


def test_accuracies_are_said_in_per_cent(rows):
    rows = rows.assign(test_accuracy=0.9751)
    assert "test accuracy in % 97.51 ± 0 (n = 2)" in mean("", rows, "Control", "test_accuracy", ">", 0).numbers
    moments = every("", rows, "Control", "test_accuracy", ">", 0.9, noun="moments")
    assert "test accuracy in % > 90 in 2 of 2 moments" in moments.numbers


def test_spreads_can_be_compared(rows):
    mnist = rows[rows["dataset"] == "mnist"]
    assert mean("", mnist, "Dropout", "ncut", ">", "Control", statistic="std").holds is True
    assert mean("", mnist, "Dropout", "z", ">", "Control", statistic="std").holds is False


def test_a_mean_is_compared_on_every_data_set(rows):
    assert mean("", rows, "Control", "z", "<", 0).holds is True
    assert mean("", rows, "Control", "z", "<", -1).holds is False


def test_claims_about_absent_conditions_are_not_evaluated(rows):
    for claim in (
        every("", rows, "L1 Reg", "z", "<", 0),
        mean("", rows, "L1 Reg", "z", "<", "Control"),
        mean("", rows, "L1 Reg", "z", "<", 0),
    ):
        assert claim.holds is None
        assert claim.verdict == "not evaluated"
        assert "L1 Reg" in claim.numbers
        shown = Page("page").claims(claim, every("", rows, "Control", "z", ">", 9), only_decided=True).data
        assert "does not hold" in shown
        assert "not evaluated" not in shown


def test_a_comparison_gives_means_spreads_and_numbers_of_networks(rows):
    claim = mean("", rows[rows["dataset"] == "mnist"], "Dropout", "ncut", "<", "Control")
    assert claim.numbers == "MNIST: Dropout n-cut 9.3 ± 0.42 (n = 2), Control n-cut 10.1 ± 0.14 (n = 2)"


NAN = float("nan")


@pytest.mark.parametrize(
    ("values", "verdict", "numbers"),
    [
        ([-1.0, -2.0, NAN], "not evaluated", "MNIST: z < 0 in 2 of 3 networks, undefined in 1"),
        ([-1.0, 2.0, NAN], "does not hold", "MNIST: z < 0 in 1 of 3 networks, undefined in 1"),
        ([NAN] * 3, "not evaluated", "MNIST: z < 0 in 0 of 3 networks, undefined in 3"),
    ],
)
def test_an_undefined_number_decides_no_claim_about_every(values, verdict, numbers):
    rows = pd.DataFrame({"dataset": "mnist", "condition": "Control", "z": values})
    claim = every("", rows, "Control", "z", "<", 0)
    assert (claim.verdict, claim.numbers) == (verdict, numbers)


@pytest.mark.parametrize("relation", ["<", ">", "≤", "≥"])
def test_an_undefined_mean_or_spread_is_not_evaluated(rows, relation):
    mnist = rows[rows["dataset"] == "mnist"]
    undefined = mnist.assign(z=[NAN, NAN, -9.0, -8.0])
    single = mnist.iloc[1:]  # of one network's n-cut there is no standard deviation
    for claim, words in (
        (mean("", undefined, "Control", "z", relation, 0), "MNIST: z undefined (n = 2)"),
        (mean("", undefined, "Control", "z", relation, "Dropout"), "Control z undefined (n = 2), Dropout z −8.5"),
        (mean("", undefined, "Dropout", "z", relation, "Control"), "Control z undefined (n = 2)"),
        (mean("", single, "Control", "ncut", relation, "Dropout", statistic="std"),
         "Control standard deviation of n-cut undefined (n = 1), Dropout n-cut 9.3 ± 0.42"),
        (mean("", mnist, "Control", "z", relation, "Dropout", margin=NAN), "Control z −2"),
        (mean("", mnist, "Control", "z", relation, NAN), "z −2"),
        (every("", mnist, "Control", "z", relation, NAN), "undefined in 2"),
    ):  # fmt: skip
        assert claim.verdict == "not evaluated"
        assert words in claim.numbers
    assert mean("", undefined, "Control", "z", "≈", "Dropout", margin=1).holds is None


def test_a_claim_that_fails_on_one_data_set_fails_whatever_is_undefined_on_another(rows):
    rows = rows.assign(z=[NAN, NAN, -9.0, -8.0, -2.0, 1.0, -5.0, -4.0])
    assert mean("", rows, "Dropout", "z", "<", "Control").holds is None
    assert mean("", rows, "Dropout", "z", ">", "Control").holds is False
    assert mean("", rows, "Control", "z", ">", 0).holds is False


def test_a_mean_says_how_many_networks_it_is_not_over(rows):
    rows = rows.assign(z=[-3.0, NAN, -9.0, -8.0, -2.0, 1.0, -5.0, -4.0])
    claim = mean("", rows[rows["dataset"] == "mnist"], "Control", "z", "<", 0)
    assert (claim.holds, claim.numbers) == (True, "MNIST: z −3 (n = 2, undefined in 1)")


def test_a_margin_is_added_before_two_conditions_are_compared():
    rows = pd.DataFrame({"dataset": "mnist", "condition": ["Control", "Dropout"], "test_accuracy": [0.98, 0.977]})
    for margin, holds in ((0.0, False), (-0.005, True)):
        claim = claims.mean("As good.", rows, "Dropout", "test_accuracy", ">", "Control", margin=margin)
        assert claim.holds is holds


@pytest.mark.parametrize(("margin", "holds"), [(0.6, True), (0.4, False)])
@pytest.mark.parametrize("order", [("Control", "Dropout"), ("Dropout", "Control")])
def test_conditions_less_than_a_margin_apart_are_alike_in_either_order(order, margin, holds):
    rows = pd.DataFrame({"dataset": "mnist", "condition": ["Control", "Dropout"], "ncut": [8.0, 8.5]})
    assert mean("Alike.", rows, order[0], "ncut", "≈", order[1], margin=margin).holds is holds


def test_a_claim_for_every_value_needs_them_all():
    rows = pd.DataFrame(
        {"dataset": "mnist", "condition": "Control", "n_clusters": [2, 4, 4], "z": [-3.0, -1.0, -2.0]}
    )

    def evaluate(part):
        return claims.every("Clusterable.", part, "Control", "z", "<", 0)

    claim = claims.for_every("n_clusters", rows, evaluate)
    assert claim.holds
    assert claim.numbers == "holds for 2, 4"
    worse = claims.for_every("n_clusters", rows.assign(z=[3.0, -1.0, -2.0]), evaluate)
    assert worse.holds is False
    assert worse.numbers.startswith("holds for 4; not for 2 (MNIST")
    absent = claims.for_every("n_clusters", rows.assign(condition="Other"), evaluate)
    assert absent.holds is None
    undefined = claims.for_every("n_clusters", rows.assign(z=[NAN, -1.0, -2.0]), evaluate)
    assert (undefined.holds, "undefined in 1" in undefined.numbers) == (None, True)
    failed = claims.for_every("n_clusters", rows.assign(z=[NAN, 1.0, -2.0]), evaluate)
    assert failed.holds is False
    assert failed.numbers.startswith("holds for none; not for 4 (MNIST")


def test_a_claim_for_every_value_of_no_rows_is_not_evaluated():
    rows = pd.DataFrame({"dataset": [], "condition": [], "n_clusters": [], "z": []})
    for evaluate in (
        lambda part: every("Clusterable.", part, "Control", "z", "<", 0),
        lambda part: mean("Clusterable.", part, "Control", "z", "<", 0),
        lambda part: mean("Clusterable.", part, "Dropout", "z", "<", "Control"),
    ):
        claim = claims.for_every("n_clusters", rows, evaluate)
        assert claim == claims.Claim("Clusterable.", None, "there are no rows")


def test_conditions_on_data_of_their_own_are_compared_across_them():
    rows = pd.DataFrame({"dataset": ["mnist", "line"], "condition": ["MNIST", "Lines"], "z": [-8.0, -4.0]})
    assert claims.mean("Closer.", rows, "Lines", "z", ">", "MNIST").holds is None
    across = claims.mean("Closer.", rows, "Lines", "z", ">", "MNIST", by_dataset=False)
    assert across.holds
    assert across.numbers == "Lines z −4 (n = 1), MNIST z −8 (n = 1)"
