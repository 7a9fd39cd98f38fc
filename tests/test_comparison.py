"""Comparisons of samples agree with scipy and with simulation."""

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from clusterability.base import statistics as comparison
from clusterability.base.errors import InputError
from clusterability.base.statistics import Sample
from clusterability.experiments import store
from clusterability.experiments.rows import NetworkRow
from clusterability.papers import agreement, published

samples = st.builds(Sample, st.floats(-10, 10), st.floats(0.5, 5), st.integers(3, 40))


@given(samples, samples)
def test_the_difference_is_antisymmetric_and_in_the_middle_of_its_interval(a, b):
    low, high = comparison.difference_interval(a, b)
    assert low < a.mean - b.mean < high
    assert (low + high) / 2 == pytest.approx(a.mean - b.mean)
    np.testing.assert_allclose(comparison.difference_interval(b, a), (-high, -low))
    assert comparison.cohens_d(b, a) == pytest.approx(-comparison.cohens_d(a, b))


@given(samples, samples)
def test_the_interval_holds_zero_where_the_test_finds_no_difference(a, b):
    low, high = comparison.difference_interval(a, b)
    assert (low < 0 < high) == (comparison.difference_p(a, b) > 0.05)


def test_the_interval_is_scipy_s():
    rng = np.random.default_rng(1)
    a, b = rng.normal(0, 1, 6), rng.normal(1, 3, 9)
    expected = scipy.stats.ttest_ind(a, b, equal_var=False).confidence_interval()
    np.testing.assert_allclose(comparison.difference_interval(Sample.of(a), Sample.of(b)), expected)


def test_the_interval_covers_the_true_difference_as_often_as_it_says():
    rng = np.random.default_rng(0)
    truth, hits = 1.2, 0
    for _ in range(400):
        a, b = Sample.of(rng.normal(truth, 1, 5)), Sample.of(rng.normal(0, 3, 7))
        low, high = comparison.difference_interval(a, b)
        hits += low <= truth <= high
    assert 0.92 <= hits / 400 <= 0.98


def test_many_samples_are_compared_at_once_as_one_by_one():
    rng = np.random.default_rng(2)
    a, b = (Sample(rng.normal(0, 2, 20), rng.uniform(0.5, 3, 20), rng.integers(3, 30, 20)) for _ in range(2))
    for compare in (comparison.cohens_d, comparison.difference_interval, comparison.difference_p,
                    lambda a, b: comparison.equivalence_p(a, b, 0.5)):  # fmt: skip
        one_by_one = [compare(Sample(*x), Sample(*y)) for x, y in zip(np.transpose(a), np.transpose(b), strict=True)]
        np.testing.assert_array_equal(np.transpose(compare(a, b)), one_by_one)


def test_the_p_of_a_difference_is_welch_s():
    rng = np.random.default_rng(1)
    a, b = rng.normal(0, 1, 6), rng.normal(1, 3, 9)
    expected = scipy.stats.ttest_ind(a, b, equal_var=False).pvalue
    assert comparison.difference_p(Sample.of(a), Sample.of(b)) == pytest.approx(expected)


@given(samples, samples, st.floats(0.01, 3))
def test_equivalence_is_two_one_sided_welch_tests(a, b, margin):
    (mean_a, sd_a, n_a), (mean_b, sd_b, n_b) = a, b
    error_a, error_b = sd_a**2 / n_a, sd_b**2 / n_b
    freedom = (error_a + error_b) ** 2 / (error_a**2 / (n_a - 1) + error_b**2 / (n_b - 1))
    distances = np.array([margin + mean_a - mean_b, margin - mean_a + mean_b]) / np.sqrt(error_a + error_b)
    expected = scipy.stats.t.sf(distances, freedom).max()
    assert comparison.equivalence_p(a, b, margin) == pytest.approx(expected, abs=1e-9)


def test_equivalence_is_shown_by_small_spread_not_by_small_samples():
    close = comparison.equivalence_p(Sample(1.0, 0.02, 5), Sample(1.01, 0.02, 5), 0.1)
    loose = comparison.equivalence_p(Sample(1.0, 0.5, 5), Sample(1.01, 0.5, 5), 0.1)
    far = comparison.equivalence_p(Sample(1.0, 0.02, 5), Sample(1.5, 0.02, 5), 0.1)
    assert close < 0.001 < 0.05 < loose < 0.5 < far


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_corrections_raise_p_and_keep_the_order(p_values):
    p_values = np.array(p_values)
    holm, bh = comparison.adjusted(p_values, "holm"), comparison.adjusted(p_values, "bh")
    assert (holm >= bh - 1e-12).all()
    assert (bh >= p_values - 1e-12).all()
    assert holm.max() <= 1
    order = np.argsort(p_values, kind="stable")
    assert (np.diff(holm[order]) >= 0).all()
    assert holm.min() == pytest.approx(min(1, p_values.min() * len(p_values)))


@pytest.mark.parametrize("method", ["holm", "bh"])
def test_corrections_of_known_p_values(method):
    expected = {"holm": [0.03, 0.06, 0.06], "bh": [0.03, 0.04, 0.04]}[method]
    np.testing.assert_allclose(comparison.adjusted([0.01, 0.04, 0.03], method), expected)
    assert comparison.adjusted([], method).shape == (0,)


def test_verdicts_tell_agreement_from_ignorance():
    columns = {"experiment": "factors", "architecture": "mlp 784-256x4-10", "dataset": "mnist", "pruned": False,
               "null_model": "layer", "n_clusters": 12, "n": 5, "published_n": 5, "published_mean": 10.0,
               "as_released": False}  # fmt: skip
    table = pd.DataFrame(
        [
            {"condition": "Same", "mean": 10.0, "sd": 0.02, "published_sd": 0.02},
            {"condition": "Unclear", "mean": 10.1, "sd": 0.5, "published_sd": 0.5},
            {"condition": "Other", "mean": 12.0, "sd": 0.1, "published_sd": 0.1},
            {"condition": "Other by a hair", "mean": 10.03, "sd": 0.001, "published_sd": 0.001},
        ]
    ).assign(**columns)
    judged = agreement.judge(table, np.full(4, 0.1))
    assert judged["verdict"].tolist() == ["agrees", "cannot tell", "differs", "agrees"]
    assert judged["raw_p"].iloc[3] < 0.05
    assert judged["name"].iloc[0] == "MNIST, Same, unpruned"
    assert judged["needed"].iloc[1] == np.inf  # five networks of spread 0.5 cannot be told from any number of ours
    assert (judged["at_most"] >= abs(judged["difference"])).all()
    np.testing.assert_array_equal(judged["at_most"] < 0.1, judged["verdict"] == "agrees")


def test_the_number_of_networks_needed_is_the_first_that_decides():
    columns = {"experiment": "factors", "architecture": "mlp 784-256x4-10", "dataset": "mnist", "pruned": False,
               "null_model": "layer", "n_clusters": 12, "as_released": False, "published_mean": 10.0}  # fmt: skip
    table = pd.DataFrame(
        [{"condition": "A", "mean": 10.02, "sd": 0.2, "n": 5, "published_sd": 0.02, "published_n": 20}]
    )
    [needed] = agreement.judge(table.assign(**columns), np.array([0.1]))["needed"]
    for n, verdict in ((needed, "agrees"), (needed - 1, "cannot tell")):
        assert agreement.judge(table.assign(**columns, n=n), np.array([0.1]))["verdict"].tolist() == [verdict]


def test_margins_shrink_with_the_number_of_clusters_and_grow_with_pruning():
    table = pd.DataFrame({"pruned": [False, True, True], "n_clusters": [12, 12, 6], "published_mean": [1.0, -20, 5]})
    np.testing.assert_allclose(agreement.margins(table), [0.1, 0.25, 0.125])
    np.testing.assert_allclose(agreement.z_margins(table), [2, 5, 2])


def test_two_published_batches_are_pooled_and_compared_with_the_same_networks():
    pooled, pairs = agreement.pooled(), agreement.pairs()
    assert len(pooled) == 8
    assert (pooled["published_n"] == 10).all()
    pairs = pairs[(pairs["experiment"] == "factors") & (pairs["architecture"] == "mlp 784-256x4-10")]
    for row in pooled.itertuples():
        [same] = pairs[(pairs[published.PLACE] == [row.dataset, row.condition, row.pruned]).all(axis=1)].itertuples()
        assert (row.mean, row.n) == (same.mean, same.n)
        two = [published.load(name, "mlp 784-256x4-10", "layer") for name in ("factors", "null models")]
        here = [row.dataset, row.condition, row.pruned]
        means = [table[(table[published.PLACE] == here).all(axis=1)]["ncut_mean"].item() for table in two]
        assert row.published_mean == pytest.approx(np.mean(means), abs=1e-4)
        assert row.batches == pytest.approx(means[0] - means[1], abs=2e-4)


def test_l2_networks_are_compared_as_released_where_they_were_measured_so():
    pairs = agreement.pairs()
    released = pairs[pairs["as_released"]]
    assert set(released["condition"]) == {"L2 Reg"}
    for row in released[released["architecture"] == "mlp 2-256x4-512"].itertuples():
        rows = store.read([store.committed("mlp-polynomials-released")], NetworkRow)
        assert row.mean == pytest.approx(rows[rows["condition"] == "L2 Reg"]["ncut"].mean())
    assert len(released) == 3


@pytest.mark.parametrize("column", ["shuffled_mean", "gap"])
def test_shuffled_n_cuts_and_gaps_are_compared_network_by_network(column):
    pairs = agreement.pairs(column)
    assert len(pairs) > 70
    row = pairs[(pairs["experiment"] == "factors") & (pairs["condition"] == "Dropout") & pairs["pruned"]].iloc[0]
    theirs = published.networks("factors", row.architecture)
    theirs = theirs[(theirs[published.PLACE] == [row.dataset, row.condition, row.pruned]).all(axis=1)]
    values = theirs["shuffled_mean"] if column == "shuffled_mean" else theirs["ncut"] - theirs["shuffled_mean"]
    assert (row.published_mean, row.published_n) == (pytest.approx(values.mean()), len(values))


@pytest.mark.parametrize("column", ["ncut", "z"])
def test_published_conditions_are_compared(column):
    pairs = agreement.pairs(column)
    assert not pairs.duplicated(agreement._CONDITION).any()
    assert (pairs["n"] >= 2).all()
    of_mlps = pairs["architecture"].str.startswith("mlp")
    assert (pairs.loc[of_mlps, "n"] >= 5).all()
    assert of_mlps.sum() >= 39
    for row in pairs.sample(5, random_state=0).itertuples():
        theirs = published.load(row.experiment, row.architecture, row.null_model)
        [fact] = theirs[
            (theirs["dataset"] == row.dataset)
            & (theirs["condition"] == row.condition)
            & (theirs["pruned"] == row.pruned)
            & (theirs["n_clusters"] == row.n_clusters)
        ].to_dict("records")
        assert (row.published_mean, row.published_sd) == (fact[f"{column}_mean"], fact[f"{column}_sd"])


def test_conditions_without_networks_of_that_size_are_named_instead():
    pairs, left_out = agreement.pairs("ncut"), agreement.left_out("ncut")
    keys = agreement._CONDITION
    everything = pd.concat(
        [published.load(*place).query("null_model == 'layer' and ncut_mean.notna()") for place in agreement.TABLES]
    )
    named = pd.concat([pairs, left_out])
    assert len(named) == 111
    assert sorted(named[keys].itertuples(index=False, name=None)) == sorted(
        everything[keys].itertuples(index=False, name=None)
    )


def test_compared_means_are_those_of_the_committed_rows():
    pairs = agreement.pairs("ncut").set_index(["experiment", "dataset", "condition", "pruned"])
    row = pairs[pairs["architecture"] == "mlp 784-256x4-10"].loc[("factors", "mnist", "Dropout", True)]
    rows = store.read([store.committed("mlp-regularization-pruned")], NetworkRow)
    own = rows[(rows["dataset"] == "mnist") & (rows["condition"] == "Dropout")]["ncut"]
    assert row["mean"] == pytest.approx(own.mean())
    assert row["sd"] == pytest.approx(own.std())
    assert row["n"] == len(own)


def test_published_means_are_those_of_the_published_networks():
    keys = ["experiment", "architecture", "dataset", "condition", "pruned", "null_model", "n_clusters"]
    folder = store.committed("x").parents[1]
    means, networks = (
        pd.read_csv(folder / f"{name}.csv").set_index(keys) for name in ("published", "published_networks")
    )
    groups = networks.groupby(keys)
    assert set(networks.index) <= set(means.index)
    means = means.loc[groups.size().index]
    assert (means["n_networks"] == groups.size()).all()
    for column in ("ncut", "z"):
        np.testing.assert_allclose(means[f"{column}_mean"], groups[column].mean(), atol=2e-4)
        np.testing.assert_allclose(means[f"{column}_sd"], groups[column].std(), atol=2e-4)
    least = published.networks("factors", "mlp 784-256x4-10").query("condition == 'Dropout'")
    assert least["beyond_all"].all()


def test_published_lesions_are_classed_as_ours_but_for_what_counts_as_small():
    table = published.lesions()
    assert len(table) == 161
    larger = table[table["n_neurons"] > 20]
    assert (larger["released_kind"] == "important").equals(larger["kind"] == "important")
    assert (table[table["n_neurons"] <= 20]["released_kind"] == "small").all()
    before = (table["accuracy"] + table["drop"]).groupby([table["dataset"], table["condition"]])
    assert (before.max() - before.min() < 1e-3).all()


def test_one_more_value_is_judged_by_its_prediction_interval():
    rng = np.random.default_rng(0)
    seen = [comparison.one_more_p(rng.normal(), Sample.of(rng.normal(size=5))) < 0.05 for _ in range(2000)]
    assert 0.035 < np.mean(seen) < 0.065
    assert np.isnan(comparison.one_more_p(1.0, Sample(1.0, 0.0, 5)))


def test_published_curves_are_of_known_conditions():
    curves = published.curves()
    assert len(curves) == 6
    assert set(curves["dataset"]) == {"mnist", "fashion_mnist"}
    assert curves["ncut"].between(1, 3).all()


def test_batches_are_of_as_many_networks_and_refused_where_there_are_too_few():
    rows = store.read([store.committed("control-distribution")], NetworkRow)
    rows = rows[(rows["n_eigenvectors"] == 12) & (rows["n_shuffles"] == 200)]
    found = agreement.batches(rows, 5).set_index(published.PLACE)
    own = rows[(rows["dataset"] == "mnist") & rows["pruned"]].sort_values("seed")["ncut"].to_numpy()
    means = own.reshape(4, 5).mean(axis=1)
    row = found.loc[("mnist", "Control", True)]
    assert (row["least"], row["most"]) == (pytest.approx(means.min()), pytest.approx(means.max()))
    for size in (0, 1, 11):
        with pytest.raises(InputError, match=f"batches of {size} of 20"):
            agreement.batches(rows, size)


@pytest.mark.parametrize(("margin", "level"), [(0.0, 0.05), (0.1, 0.0), (0.1, 1.0), (float("nan"), 0.05)])
def test_margins_and_levels_out_of_range_are_refused(margin, level):
    compared = agreement.pairs()
    with pytest.raises(InputError, match="level"):
        agreement.judge(compared, np.full(len(compared), margin), level)
