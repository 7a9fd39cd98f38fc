"""Claims are shown when, and only when, the rows say so beyond noise."""

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from clusterability.papers import claims
from clusterability.papers.claims import every, mean
from clusterability.report import Page

NAN = float("nan")


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


def sample(values, condition="Control", dataset="mnist", column="z"):
    return pd.DataFrame({"dataset": dataset, "condition": condition, column: values})


def test_one_exception_contradicts_a_claim_about_every_network(rows):
    assert every("", rows, "Dropout", "z", "<", 0).verdict == "shown"
    failed = every("", rows, "Control", "z", "<", 0)
    assert failed.verdict == "contradicted"
    assert "MNIST: z < 0 in 2 of 2 networks" in failed.numbers
    assert "Digits: z < 0 in 1 of 2 networks" in failed.numbers


def test_exceptions_that_are_no_more_than_the_published_ones_contradict_nothing():
    ours = sample([-1.0] * 4 + [1.0])
    for theirs, verdict in (([-1.0] * 5, "cannot tell"), ([-1.0] * 100, "contradicted"), ([1.0] * 5, "cannot tell")):
        claim = every("", ours, "Control", "z", "<", 0, theirs=sample(theirs))
        assert claim.verdict == verdict
        n_theirs = sum(value < 0 for value in theirs)
        assert f"in 4 of 5 networks (28 to 99 %), published {n_theirs} of {len(theirs)}, p" in claim.numbers
        p = scipy.stats.fisher_exact([[4, 1], [n_theirs, len(theirs) - n_theirs]], alternative="less").pvalue
        assert claim.numbers.endswith(f"p {p:.2g}")
    assert every("", ours, "Control", "z", "<", 0, theirs=sample([-1.0], "Dropout")).verdict == "contradicted"
    in_part = pd.concat([ours, sample([-1.0] * 5, dataset="digits")])
    assert every("", in_part, "Control", "z", "<", 0, theirs=sample([-1.0] * 5)).verdict == "shown in part"


def test_networks_beyond_all_their_shuffles_are_counted_as_the_published_are():
    ours = sample([0.02, 0.5], column="p").assign(n_shuffles=49)
    theirs = sample([True, False], column="beyond_all")
    claim = every("", ours, "Control", "beyond_all", theirs=theirs)
    assert claim.numbers.startswith("MNIST: p ≤ 0.02 in 1 of 2 networks (1 to 99 %), published 1 of 2, p")


MANY = st.lists(st.floats(-5, 5).map(lambda value: round(value, 3)), min_size=3, max_size=8, unique=True)


@given(MANY, MANY, st.sampled_from("<>≤≥"))
def test_a_claim_of_means_is_welch_s_one_sided_test(ours, theirs, relation):
    both = pd.concat([sample(ours), sample(theirs, "Dropout")])
    alternative = "less" if relation in "<≤" else "greater"
    p = scipy.stats.ttest_ind(ours, theirs, equal_var=False, alternative=alternative).pvalue
    expected = "shown" if p < 0.05 else "contradicted" if p > 0.95 else "cannot tell"
    assert mean("", both, "Control", "z", relation, "Dropout").verdict == expected
    p = scipy.stats.ttest_1samp(ours, 0.5, alternative=alternative).pvalue
    expected = "shown" if p < 0.05 else "contradicted" if p > 0.95 else "cannot tell"
    assert mean("", both, "Control", "z", relation, 0.5).verdict == expected


@given(MANY, MANY)
def test_a_claim_of_spreads_is_an_f_test(ours, theirs):
    both = pd.concat([sample(ours), sample(theirs, "Dropout")])
    p = scipy.stats.f.sf(np.var(ours, ddof=1) / np.var(theirs, ddof=1), len(ours) - 1, len(theirs) - 1)
    expected = "shown" if p < 0.05 else "contradicted" if p > 0.95 else "cannot tell"
    assert mean("", both, "Control", "z", ">", "Dropout", statistic="std").verdict == expected


@given(MANY, MANY, st.floats(0.1, 5))
def test_what_is_alike_is_shown_by_two_tests_and_contradicted_beyond_the_margin(ours, theirs, margin):
    both = pd.concat([sample(ours), sample(theirs, "Dropout")])
    a, b = np.array(ours), np.array(theirs)
    low, high = (scipy.stats.ttest_ind(a, b + side * margin, equal_var=False, alternative=alternative).pvalue
                 for side, alternative in ((-1, "greater"), (1, "less")))  # fmt: skip
    p, opposite = max(low, high), min(1 - low, 1 - high)
    verdict = mean("", both, "Control", "z", "≈", "Dropout", margin=margin).verdict
    assert verdict == ("shown" if p < 0.05 else "contradicted" if opposite < 0.05 else "cannot tell")


@pytest.mark.parametrize(("n", "verdict"), [(2, "cannot tell"), (5, "shown")])
def test_without_any_spread_it_is_counted(n, verdict):
    """n equal values below a number: so would n fair coins with 1 / 2ⁿ; below n others, 1 / (2n choose n)."""
    both = pd.concat([sample([0.0] * n), sample([1.0] * n, "Dropout")])
    assert mean("", both, "Control", "z", "<", 0.5).verdict == verdict
    assert mean("", both, "Control", "z", "<", "Dropout").verdict == verdict
    assert mean("", both, "Control", "z", ">", "Dropout").verdict == {"shown": "contradicted"}.get(verdict, verdict)


def test_data_sets_together_give_one_word():
    low, high, wide = [-3.0, -2.9, -3.1], [3.0, 2.9, 3.1], [-3.0, 0.1, 3.0]
    for first, second, verdict in (
        (low, low, "shown"), (low, wide, "shown in part"), (low, high, "contradicted"), (wide, wide, "cannot tell"),
        (wide, high, "contradicted"), (low, [-3.0], "shown in part"), (low, [NAN, NAN], "shown in part"),
    ):  # fmt: skip
        rows = pd.concat([sample(first), sample(second, dataset="digits")])
        assert mean("", rows, "Control", "z", "<", 0).verdict == verdict


def test_accuracies_are_said_in_per_cent(rows):
    rows = rows.assign(test_accuracy=0.9751)
    assert "test accuracy in % 97.51 ± 0 (n = 2)" in mean("", rows, "Control", "test_accuracy", ">", 0).numbers
    moments = every("", rows, "Control", "test_accuracy", ">", 0.9, noun="moments")
    assert "test accuracy in % > 90 in 2 of 2 moments" in moments.numbers


def test_claims_about_absent_conditions_are_not_evaluated(rows):
    for claim in (
        every("", rows, "L1 Reg", "z", "<", 0),
        mean("", rows, "L1 Reg", "z", "<", "Control"),
        mean("", rows, "L1 Reg", "z", "<", 0),
    ):
        assert claim.verdict == "not evaluated"
        assert "L1 Reg" in claim.numbers
        shown = Page("page").claims(claim, every("", rows, "Control", "z", ">", 9), only_decided=True).data
        assert "contradicted" in shown
        assert "not evaluated" not in shown


def test_a_smaller_scale_stands_beside_the_word(rows):
    shown = Page("page").claims(every("", rows, "Dropout", "z", "<", 0), at="at a smaller scale").data
    assert "<td>shown, at a smaller scale</td>" in shown


def test_a_comparison_gives_means_spreads_and_numbers_of_networks(rows):
    claim = mean("", rows[rows["dataset"] == "mnist"], "Dropout", "ncut", "<", "Control")
    assert claim.numbers == "MNIST: Dropout n-cut 9.3 ± 0.42 (n = 2), Control n-cut 10.1 ± 0.14 (n = 2), p 0.1"


@pytest.mark.parametrize(
    ("values", "verdict", "numbers"),
    [
        ([-1.0, -2.0, NAN], "cannot tell", "MNIST: z < 0 in 2 of 3 networks (16 to 100 %), undefined in 1"),
        ([-1.0, 2.0, NAN], "contradicted", "MNIST: z < 0 in 1 of 3 networks (1 to 99 %), undefined in 1"),
        ([NAN] * 3, "not evaluated", "MNIST: z < 0 in 0 of 3 networks, undefined in 3"),
    ],
)
def test_an_undefined_number_decides_no_claim_about_every(values, verdict, numbers):
    claim = every("", sample(values), "Control", "z", "<", 0)
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
    assert mean("", undefined, "Control", "z", "≈", "Dropout", margin=1).verdict == "not evaluated"


def test_a_mean_says_how_many_networks_it_is_not_over():
    claim = mean("", sample([-3.0, NAN, -3.1, -2.9]), "Control", "z", "<", 0)
    assert claim.verdict == "shown"
    assert claim.numbers.startswith("MNIST: z −3 ± 0.1 (n = 4, undefined in 1), p ")


def test_a_margin_is_added_before_two_conditions_are_compared():
    rows = pd.concat([sample([0.980, 0.981, 0.979]), sample([0.977, 0.9771, 0.9769], "Dropout")])
    for margin, verdict in ((0.0, "contradicted"), (-0.005, "shown")):
        assert mean("As good.", rows, "Dropout", "z", ">", "Control", margin=margin).verdict == verdict


def test_a_claim_for_every_value_needs_them_all():
    rows = pd.DataFrame(
        {"dataset": "mnist", "condition": "Control", "n_clusters": [2, 4, 4], "z": [-3.0, -1.0, -2.0]}
    )

    def evaluate(part):
        return claims.every("Clusterable.", part, "Control", "z", "<", 0)

    claim = claims.for_every("n_clusters", rows, evaluate)
    assert claim.verdict == "shown"
    assert claim.numbers == "shown for 2, 4"
    worse = claims.for_every("n_clusters", rows.assign(z=[3.0, -1.0, -2.0]), evaluate)
    assert worse.verdict == "contradicted"
    assert worse.numbers.startswith("shown for 4; contradicted for 2 (MNIST")
    absent = claims.for_every("n_clusters", rows.assign(condition="Other"), evaluate)
    assert absent.verdict == "not evaluated"
    undefined = claims.for_every("n_clusters", rows.assign(z=[NAN, -1.0, -2.0]), evaluate)
    assert (undefined.verdict, "undefined in 1" in undefined.numbers) == ("shown in part", True)
    failed = claims.for_every("n_clusters", rows.assign(z=[NAN, 1.0, -2.0]), evaluate)
    assert failed.verdict == "contradicted"
    assert failed.numbers.startswith("contradicted for 4 (MNIST")
    in_part = claims.for_every("n_clusters", pd.concat([rows, rows.assign(dataset="digits")]), lambda part: mean(
        "Clusterable.", part, "Control", "z", "<", 0))  # fmt: skip
    assert in_part.verdict == "cannot tell"


def test_a_claim_for_every_value_of_no_rows_is_not_evaluated():
    rows = pd.DataFrame({"dataset": [], "condition": [], "n_clusters": [], "z": []})
    for evaluate in (
        lambda part: every("Clusterable.", part, "Control", "z", "<", 0),
        lambda part: mean("Clusterable.", part, "Control", "z", "<", 0),
        lambda part: mean("Clusterable.", part, "Dropout", "z", "<", "Control"),
    ):
        claim = claims.for_every("n_clusters", rows, evaluate)
        assert claim == claims.Claim("Clusterable.", "not evaluated", "there are no rows")


def test_conditions_on_data_of_their_own_are_compared_across_them():
    rows = pd.DataFrame({"dataset": ["mnist"] * 2 + ["line"] * 2, "condition": ["MNIST"] * 2 + ["Lines"] * 2,
                         "z": [-8.0, -8.1, -4.0, -4.1]})  # fmt: skip
    assert claims.mean("Closer.", rows, "Lines", "z", ">", "MNIST").verdict == "not evaluated"
    across = claims.mean("Closer.", rows, "Lines", "z", ">", "MNIST", by_dataset=False)
    assert across.verdict == "shown"
    assert across.numbers == "Lines z −4.05 ± 0.071 (n = 2), MNIST z −8.05 ± 0.071 (n = 2), p 0.00016"
