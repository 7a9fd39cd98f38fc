"""Figures draw every network, and the same numbers give the same bytes."""

import re

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PathCollection
from matplotlib.container import ErrorbarContainer

from clusterability import (
    agreement,
    constructed,
    experiments,
    figures,
    importance,
    published,
    results,
    summary,
    tables,
)


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    frames = [
        pd.DataFrame(
            {
                "dataset": dataset,
                "condition": condition,
                "pruned": False,
                "ncut": rng.uniform(8, 10, 5),
                "z": rng.uniform(-9, 3, 5),
                "p": [1 / 51] * 4 + [0.5],
                "n_shuffles": 50,
            }
        )
        for dataset in ("mnist", "fashion_mnist")
        for condition in ("Control", "Dropout")
    ]
    return pd.concat(frames, ignore_index=True)


@pytest.fixture
def theirs():
    return published.load("factors", "mlp 784-256x4-10")


def points(figure):
    scatters = [c for panel in figure.axes for c in panel.collections if isinstance(c, PathCollection)]
    return np.concatenate([scatter.get_offsets() for scatter in scatters])


def test_every_network_is_a_point(rows, theirs):
    drawn = points(figures.ncut_against_z(rows, theirs))
    expected = rows[["z", "ncut"]].to_numpy()
    np.testing.assert_allclose(drawn[np.lexsort(drawn.T)], expected[np.lexsort(expected.T)])


def test_published_means_are_those_of_the_same_pruning_state(rows, theirs):
    figure = figures.ncut_against_z(rows, theirs)
    bars = [c for panel in figure.axes for c in panel.containers if isinstance(c, ErrorbarContainer)]
    drawn = sorted(float(bar.lines[0].get_ydata()[0]) for bar in bars)
    same = theirs[~theirs["pruned"] & theirs["condition"].isin(["Control", "Dropout"])]
    assert drawn == sorted(same["ncut_mean"])


def test_a_close_up_draws_some_conditions_as_they_look_among_all(rows, theirs):
    rows = rows.assign(condition=rows["condition"].replace("Control", "L1 Reg"))
    whole, part = figures.ncut_against_z(rows, theirs), figures.ncut_against_z(rows, theirs, only=["Dropout"])
    names = [[text.get_text() for text in figure.legends[0].get_texts()] for figure in (whole, part)]
    assert names == [["L1 Reg", "Dropout", "published mean ± sd"], ["Dropout", "published mean ± sd"]]
    drawn = [
        [scatter for scatter in figure.axes[0].collections if isinstance(scatter, PathCollection)][-1]
        for figure in (whole, part)
    ]
    assert len(points(part)) == 10
    np.testing.assert_array_equal(*(scatter.get_offsets() for scatter in drawn))
    np.testing.assert_array_equal(*(scatter.get_facecolors() for scatter in drawn))


def test_axes_are_labelled_in_words_and_panels_named(rows, theirs):
    figure = figures.ncut_against_z(rows, theirs)
    assert [panel.get_title() for panel in figure.axes] == ["MNIST", "Fashion-MNIST"]
    assert "z-score" in figure.axes[0].get_xlabel()
    assert "n-cut" in figure.axes[0].get_ylabel()
    assert not figure.get_suptitle()
    assert figures.ncut_against_z(rows, theirs, title="Here: 2 epochs.").get_suptitle() == "Here: 2 epochs."


def test_the_same_figure_gives_the_same_bytes(rows, theirs, tmp_path, monkeypatch):
    contents = []
    for turn in ("first", "second"):
        (tmp_path / turn).mkdir()
        monkeypatch.chdir(tmp_path / turn)
        figures.save(figures.ncut_against_z(rows, theirs), "scatter")
        contents.append({path.name: path.read_bytes() for path in sorted((tmp_path / turn / "figures").iterdir())})
    assert list(contents[0]) == ["scatter.pdf", "scatter.png", "scatter.svg"]
    assert contents[0] == contents[1]


def test_our_means_stand_beside_the_published_ones(rows, theirs):
    table = published.beside(rows, theirs, {"ncut": "ncut", "z": "z"})
    assert len(table) == 4
    group = rows[(rows["dataset"] == "mnist") & (rows["condition"] == "Dropout")]
    line = table.loc[("mnist", "Dropout", False)]
    assert line["ncut_mean"] == pytest.approx(group["ncut"].mean())
    assert line["ncut_sd"] == pytest.approx(group["ncut"].std(ddof=1))
    assert line["n"] == 5
    fact = theirs[(theirs["dataset"] == "mnist") & (theirs["condition"] == "Dropout") & ~theirs["pruned"]]
    assert line["published_ncut_mean"] == fact["ncut_mean"].item()
    assert line["published_z_sd"] == fact["z_sd"].item()


def test_what_was_not_published_is_a_dash(rows):
    unknown = rows.assign(dataset="digits")
    table = published.beside(unknown, published.load("factors", "mlp 64-128x4-10"), {"ncut": "ncut"})
    html = tables.comparison(table, {"ncut": "n-cut"}).data
    assert table["published_ncut_mean"].isna().all()
    assert re.findall(r"<td>–</td>", html)


def test_the_overview_counts_networks_beyond_all_their_shuffles(rows):
    overview = summary.overview(rows, rows)
    assert list(overview["beyond all shuffles, pruned"]) == ["4 of 5"] * 4
    assert summary.headline(rows, rows)["control_before"] == "8 of 10"


@pytest.mark.parametrize(
    ("store", "words"), [("small", "smaller"), ("paper", "the published"), ("custom", "another")]
)
def test_the_scale_of_an_experiment_is_told_in_words(rows, store, words):
    settings = experiments.Settings({"n_replicates": 2, "n_shuffles": 50, "epochs": 2, "pruning_epochs": 3}, store)
    told = summary.scale(settings, rows[:4], list(range(20)))
    assert words in told["scale"].lower()
    assert (told["epochs"], told["n_full"], told["n_full_wanted"]) == ("2 + 3", 4, 20)


def test_provenance_of_several_tables_counts_every_row_once(rows):
    texts = dict.fromkeys(("date", "data", "architecture", "device", "version", "software"), "a")
    table = rows[rows["dataset"] == "mnist"].assign(**texts, seed=range(10), seconds=1.0, key=list("abcdefghij"))
    for given in ((table,), (table[:4], table[:0]), (table[:6], table[3:])):
        n_rows = len(pd.concat(given).drop_duplicates("key"))
        assert re.search(rf"<td>Rows</td>\s*<td>{n_rows}</td>", tables.provenance(*given).data)


def test_provenance_weighs_every_network_once(rows):
    texts = dict.fromkeys(("date", "data", "architecture", "device", "version", "software"), "a")
    networks = rows[rows["dataset"] == "mnist"][:3].assign(
        **texts, seed=range(3), seconds=[10.0, 20.0, 90.0], key=list("abc")
    )
    sub_modules = networks.loc[networks.index.repeat([1, 1, 7])]  # one row each
    for given, n_rows in (((sub_modules,), 9), ((networks[:1], sub_modules), 9), ((sub_modules, networks), 9)):
        text = tables.provenance(*given).data
        assert "<td>20 (10 to 90)</td>" in text
        assert re.search(rf"<td>Rows</td>\s*<td>{n_rows}</td>", text)


@pytest.fixture
def measured(rows):
    """Rows of both pruning states and null models, along training, with all that figures draw."""
    rng = np.random.default_rng(1)
    seeded = rows.assign(seed=list(range(5)) * 4, epochs=2, pruning_epochs=2, n_eigenvectors=4)
    parts = [
        seeded.assign(
            pruned=epoch > 2, epoch=epoch, n_clusters=k, null_model=null, ncut=rng.uniform(8, 10, len(seeded)),
            z=rng.uniform(-9, 3, len(seeded)), test_accuracy=rng.uniform(0.8, 1, len(seeded)), in_out_ratio=0.1,
            train_loss=0.1, test_loss=0.2, shuffled_mean=9.5,
            shuffled_ncuts=[results.listed(rng.uniform(8, 10, 20)) for _ in range(len(seeded))],
            eigenvalues=[results.listed(np.sort(rng.uniform(0, 1, 8))) for _ in range(len(seeded))],
        )
        for epoch in (0, 2, 4) for k in (4, 12) for null in ("layer", "nonzero")
    ]  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def lines(figure):
    return [line for panel in figure.axes for line in panel.lines if len(line.get_xdata()) > 2]


def test_accuracies_and_ncuts_are_those_of_the_networks(measured):
    here = measured[(measured["epoch"] != 0) & (measured["n_clusters"] == 4) & (measured["null_model"] == "layer")]
    drawn = points(figures.ncut_against_accuracy(here))
    expected = np.column_stack([100 * here["test_accuracy"], here["ncut"]])
    np.testing.assert_allclose(drawn[np.lexsort(drawn.T)], expected[np.lexsort(expected.T)])


def test_both_pruning_states_get_panels_of_their_own(measured, theirs):
    here = measured[(measured["epoch"] != 0) & (measured["n_clusters"] == 4) & (measured["null_model"] == "layer")]
    figure = figures.ncut_against_z(here, theirs)
    titles = [panel.get_title() for panel in figure.axes]
    assert titles == ["MNIST, unpruned", "Fashion-MNIST, unpruned", "MNIST, pruned", "Fashion-MNIST, pruned"]
    assert len(points(figure)) == len(here)


def test_strips_place_every_network_in_its_group(measured):
    figure = figures.strips(measured, {"ncut": "n-cut", "z": "z"}, by="condition", colour_by="null_model")
    for panel, column in zip(figure.axes, ("ncut", "z"), strict=True):
        drawn = np.concatenate([scatter.get_offsets() for scatter in panel.collections])
        for place, condition in enumerate(["Control", "Dropout"]):
            here = drawn[np.abs(drawn[:, 1] - place) < 0.5, 0]
            np.testing.assert_allclose(
                np.sort(here), np.sort(measured.loc[measured["condition"] == condition, column])
            )


def test_violins_show_own_ncuts_beside_shuffled_ones(measured):
    here = measured[(measured["epoch"] != 0) & (measured["n_clusters"] == 4)]
    figure = figures.violins(here, {"layer": "all weights", "nonzero": "nonzero weights"})
    assert len(figure.axes) == 4
    own = here.drop_duplicates(["dataset", "condition", "pruned", "seed"])["ncut"]
    np.testing.assert_allclose(np.sort(points(figure)[:, 1]), np.sort(own))


def test_every_network_is_a_line_along_training(measured):
    here = measured[measured["null_model"] == "layer"]
    figure = figures.along_training(here, [("n-cut", "linear", [(4, "ncut", "trained")])])
    drawn = sorted(tuple(line.get_ydata()) for line in lines(figure))
    own = here[here["n_clusters"] == 4].sort_values("epoch")
    assert drawn == sorted(tuple(part["ncut"]) for _, part in own.groupby(["dataset", "condition", "seed"]))


def test_published_means_stand_at_their_epoch(measured):
    here = measured[(measured["null_model"] == "layer") & (measured["dataset"] == "mnist")]
    there = pd.DataFrame({"dataset": ["mnist", "digits"], "epoch": 2, "ncut_mean": [7.5, 1], "ncut_sd": [0.2, 0.5]})
    figure = figures.along_training(here, [("n-cut", "linear", [(4, "ncut", "trained")])], there)
    bars = [bar for panel in figure.axes for bar in panel.containers if isinstance(bar, ErrorbarContainer)]
    assert len(bars) == len(figure.axes) == 2
    for bar in bars:
        assert bar.lines[0].get_xydata().tolist() == [[2, 7.5]]
    assert "published mean ± sd" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_every_network_is_a_line_over_the_numbers_of_clusters(measured):
    here = measured[(measured["epoch"] == 4) & (measured["null_model"] == "layer")]
    figure = figures.z_by_clusters(here)
    drawn = sorted(tuple(line.get_ydata()) for panel in figure.axes for line in panel.lines[1:])
    own = here.sort_values("n_clusters")
    assert drawn == sorted(tuple(part["z"]) for _, part in own.groupby(["dataset", "condition", "seed"]))


def test_every_network_is_a_line_over_the_starts_of_k_means(measured):
    here = measured[(measured["epoch"] == 0) & (measured["null_model"] == "layer")].assign(
        n_starts=lambda table: table["n_clusters"], shuffled_sd=lambda table: table["ncut"]
    )
    there = pd.DataFrame({"dataset": ["mnist"], "condition": ["Control"], "shuffled_sd": [9.0]})
    figure = figures.over_starts(here, "shuffled_sd", "spread", there)
    drawn = sorted(
        tuple(line.get_ydata()) for panel in figure.axes for line in panel.lines if line.get_marker() == "o"
    )
    own = here.sort_values("n_starts")
    assert drawn == sorted(tuple(part["ncut"]) for _, part in own.groupby(["dataset", "condition", "seed"]))
    dashed = [line for panel in figure.axes for line in panel.lines if line.get_linestyle() == "--"]
    assert [list(line.get_ydata()) for line in dashed] == [[9.0, 9.0]]


def test_spectra_show_the_eigenvalues_around_the_last_one_used(measured):
    here = measured[(measured["epoch"] == 0) & (measured["n_clusters"] == 4) & (measured["null_model"] == "layer")]
    figure = figures.spectra(here, 4, here["condition"])
    drawn = lines(figure)
    assert len(drawn) == len(here)
    assert drawn[0].get_xdata().tolist() == list(range(2, 9))
    np.testing.assert_allclose(drawn[0].get_ydata(), results.numbers(here["eigenvalues"].iloc[0])[1:])


def test_the_forest_draws_every_comparison_at_its_place():
    table = pd.DataFrame(
        {"name": ["a", "b"], "difference": [0.5, -2.0], "low": [-1.0, -3.0], "high": [2.0, -1.0],
         "verdict": [agreement.EQUIVALENT, agreement.DIFFERS]}
    )  # fmt: skip
    [panel] = figures.forest(table, "difference", agreement.COLOURS).axes
    assert [tick.get_text() for tick in panel.get_yticklabels()] == ["a", "b"]
    places = [line.get_xydata().tolist() for line in panel.lines[1:]]
    assert places == [[[-1.0, 0], [2.0, 0]], [[0.5, 0]], [[-3.0, 1], [-1.0, 1]], [[-2.0, 1]]]


def test_a_network_is_drawn_with_all_its_neurons():
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=(6, 8)), rng.normal(size=(4, 6))]
    weights[0][:, 0] = 0
    labels = [np.array([-1, 0, 0, 0, 1, 1, 1, 1]), np.array([0, 1, 0, 1, 0, 1]), np.array([0, 0, 1, 1])]
    figure = figures.network_in_modules(weights, labels, 1)
    assert len(points(figure)) == 18
    images = [panel.images[0].get_array() for panel in figure.axes if panel.images]
    np.testing.assert_allclose(np.sort(images[0], axis=None), np.sort(images[1], axis=None))
    np.testing.assert_allclose(images[1][0, 0], np.sqrt(abs(weights[1][0, 0]) / np.abs(weights[1]).max()))


def test_a_gallery_shows_every_example_with_its_label():
    images, numbers = constructed.polynomial_images(3)
    figure = figures.gallery({"Polynomials": (images, numbers)})
    np.testing.assert_array_equal(np.stack([panel.images[0].get_array() for panel in figure.axes]), images)
    assert [panel.get_title() for panel in figure.axes] == [str(number) for number in numbers]


@pytest.fixture
def lesioned():
    """Lesion rows of two networks, with every class among them."""
    floor = 1 / 101
    lines = [(1, 0, 40, 0.2, floor), (1, 1, 5, 0.0, floor), (1, 2, 60, 0.0, 1.0), (2, 0, 250, 0.8, 1.0),
             (3, 0, 40, 0.1, floor), (3, 1, 40, 0.05, 0.5), (3, 2, 40, 0.0, 0.5)]  # fmt: skip
    rows = pd.DataFrame([
        {"dataset": "mnist", "condition": "Control", "pruned": True, "seed": seed, "n_clusters": 3, "z": -2.0 * c,
         "clustering": "spectral", "layer": layer, "cluster": c, "n_neurons": n, "layer_neurons": 250,
         "test_accuracy": 0.98, "accuracy": 0.98 - drop, "released_p": p, "p": p,
         "class_drops": results.listed([drop, 0.0, -0.1])}
        for seed in (0, 1) for layer, c, n, drop, p in lines
    ])  # fmt: skip
    return importance.classified(rows)


def test_every_sub_module_is_a_point_of_its_network_s_panel(lesioned):
    figure = figures.sub_modules(lesioned, "drop", "accuracy lost", linthresh=0.01)
    panels = [panel for panel in figure.axes if panel.collections]
    assert len(panels) == 2
    for panel, (_, own) in zip(panels, lesioned.groupby("seed"), strict=True):
        drawn = np.concatenate([np.asarray(points.get_offsets()) for points in panel.collections])
        expected = np.column_stack([100 * own["share"], own["drop"]])
        np.testing.assert_allclose(drawn[np.lexsort(drawn.T)], expected[np.lexsort(expected.T)])
    legend = {text.get_text() for text in figure.legends[0].get_texts()}
    assert legend == set(lesioned["kind"])


def test_heat_maps_show_what_conditional_lesions_cost():
    names = [(1, 0), (1, 1), (3, 2)]
    rows = pd.DataFrame([
        {"layer": a[0], "cluster": a[1], "given_layer": b[0], "given_cluster": b[1], "given_accuracy": 0.9,
         "accuracy": 0.9 - 0.01 * i - 0.1 * j}
        for i, a in enumerate(names) for j, b in enumerate(names) if a[0] != b[0]
    ])  # fmt: skip
    figure = figures.conditional_importance([("MNIST", rows)])
    [image] = figure.axes[0].images
    shown = np.ma.filled(image.get_array(), np.nan)
    np.testing.assert_allclose(shown, [[np.nan, np.nan, 2], [np.nan, np.nan, 12], [20, 21, np.nan]])
    assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == ["1.1", "1.2", "3.3"]


def test_dependencies_are_arrows_between_layers(lesioned):
    own = lesioned[lesioned["seed"] == 0]
    found = pd.DataFrame([{"earlier": (1, 0), "later": (3, 0), "dependency": "act as one"}])
    graph = importance.dependency_graph(found, own)
    figure = figures.dependency_graphs([("MNIST", graph), ("Empty", importance.dependency_graph(found[:0], own[:0]))])
    texts = {text.get_text() for text in figure.axes[0].texts}
    assert {"1.1", "3.1"} <= texts
    assert len(figure.axes[0].patches) == 1  # the arrow


def test_class_profiles_show_important_sub_modules_only(lesioned):
    figure = figures.class_profiles(lesioned[lesioned["seed"] == 0])
    [image] = figure.axes[0].images
    np.testing.assert_allclose(image.get_array(), [[20, 0, -10], [10, 0, -10]], atol=1e-6)
    without = figures.class_profiles(lesioned.assign(kind="other"))
    assert not without.axes[0].images


def test_sweeps_are_points_joined_at_their_means():
    rows = pd.DataFrame({
        "dataset": "mnist", "series": ["Control"] * 2 + ["Sweep"] * 4, "strength": [np.nan] * 2 + [0.1, 0.1, 1, 1],
        "test_accuracy": [0.98, 0.97, 0.96, 0.95, 0.9, 0.8], "ncut": [10, 9.9, 5, 6, 1, 2],
        "z": [-1, 0, -10, -20, -50, -40],
    })  # fmt: skip
    figure = figures.against_error(rows, {"ncut": "n-cut", "z": "z"})
    drawn = points(figure)
    assert len(drawn) == 2 * len(rows)
    [curve] = [line for line in figure.axes[0].lines if len(line.get_xdata()) == 2]
    np.testing.assert_allclose(curve.get_xydata(), [[4.5, 5.5], [15, 1.5]])
    assert {text.get_text() for text in figure.axes[0].texts} == {"0.1", "1"}


def test_shares_of_every_network_fill_a_bar():
    rows = pd.DataFrame({
        "condition": ["A", "A", "B"], "seed": [0, 1, 0], "volume_shares": ["0.7 0.3", "0.5 0.5", "1 0"],
        "vertex_shares": ["0.6 0.4", "0.5 0.5", "0.9 0.1"],
    })  # fmt: skip
    figure = figures.cluster_shares(rows, by="condition")
    for panel in figure.axes:
        assert len(panel.patches) == 6
        ends = {}
        for bar in panel.patches:
            ends[bar.get_y()] = max(ends.get(bar.get_y(), 0), bar.get_x() + bar.get_width())
        np.testing.assert_allclose(list(ends.values()), [100] * 3)
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["A", "B"]
