"""Figures draw every network, and the same numbers give the same bytes."""

import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.collections import PathCollection, QuadMesh
from matplotlib.colors import to_hex
from matplotlib.container import ErrorbarContainer

from clusterability import Measurement, Training, grid
from clusterability import report as figures
from clusterability.base import files
from clusterability.data import constructed
from clusterability.lesions import importance
from clusterability.papers import agreement, published
from clusterability.papers import front_page as summary
from clusterability.papers.words import spread
from clusterability.report import tables


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
                "beyond_all": [True] * 4 + [False],
            }
        )
        for dataset in ("mnist", "fashion_mnist")
        for condition in ("Control", "Dropout")
    ]
    return pd.concat(frames, ignore_index=True)


@pytest.fixture
def theirs():
    return published.load("factors", "mlp 784-256x4-10")


# Okabe & Ito (2008), Color Universal Design: orange, sky blue, bluish green, yellow, blue, vermilion, reddish purple.
OKABE_ITO = {"#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7", "#000000"}


def scatters(figure):
    return [points for panel in figure.axes for points in panel.collections if isinstance(points, PathCollection)]


def points(figure):
    return np.concatenate([scatter.get_offsets() for scatter in scatters(figure)])


def networks(figure):
    """Lines with a marker at every measurement."""
    return [line for panel in figure.axes for line in panel.lines if line.get_marker() in list("os^DvPX")]


def in_legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def heat_maps(panel):
    return [mesh for mesh in panel.collections if isinstance(mesh, QuadMesh)]


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


def test_every_condition_has_a_colour_of_the_palette_and_a_shape(rows, theirs):
    parts = [rows.assign(condition=name) for name in ("L1 Reg", "L2 Reg", "Control", "Dropout", "E", "F", "G")]
    [scatter, _] = scatters(figures.ncut_against_z(pd.concat(parts), theirs))
    colours = [to_hex(colour) for colour in scatter.get_facecolors()]
    shapes = [path.vertices.tobytes() for path in scatter.get_paths()]
    assert set(colours) <= OKABE_ITO
    assert len(set(colours)) == len(set(shapes)) == len(set(zip(colours, shapes, strict=True))) == 7


def test_published_means_have_the_colour_of_their_condition(rows, theirs):
    figure = figures.ncut_against_z(rows, theirs)
    [control, dropout] = (to_hex(points.get_color()) for points in figure.legends[0].get_lines()[:2])
    bars = {bar.lines[0].get_color().lower(): float(bar.lines[0].get_ydata()[0]) for bar in figure.axes[0].containers}
    means = theirs[(theirs["dataset"] == "mnist") & ~theirs["pruned"]].set_index("condition")["ncut_mean"]
    assert bars == {control: means["Control"], dropout: means["Dropout"]}


def test_a_close_up_draws_some_conditions_as_they_look_among_all(rows, theirs):
    rows = rows.assign(condition=rows["condition"].replace("Control", "L1 Reg"))
    whole, part = figures.ncut_against_z(rows, theirs), figures.ncut_against_z(rows, theirs, only=["Dropout"])
    assert in_legend(whole) == ["L1 Reg", "Dropout", "published mean ± sd"]
    assert in_legend(part) == ["Dropout", "published mean ± sd"]
    assert len(points(part)) == 10
    looks = [
        {tuple(place): tuple(look) for place, look in zip(points.get_offsets(), points.get_facecolors(), strict=True)}
        for points in (scatters(whole)[0], scatters(part)[0])
    ]
    assert looks[1].items() <= looks[0].items()


def test_axes_are_labelled_in_words_and_panels_named(rows, theirs):
    figure = figures.ncut_against_z(rows, theirs)
    assert [panel.get_title() for panel in figure.axes] == ["MNIST", "Fashion-MNIST"]
    assert "z-score" in figure.axes[0].get_xlabel()
    assert "n-cut" in figure.axes[0].get_ylabel()
    assert not figure.get_suptitle()
    assert figures.ncut_against_z(rows, theirs, title="Here: 2 epochs.").get_suptitle() == "Here: 2 epochs."


def cells(table):
    heading, *lines = (re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", line, re.S) for line in table.data.split("<tr")[1:])
    return pd.DataFrame(lines, columns=heading)


def test_our_means_stand_beside_the_published_ones(rows, theirs):
    table = cells(tables.beside(rows, theirs, ["ncut", "z"])).set_index(["Data set", "Condition"])
    assert len(table) == 4
    group = rows[(rows["dataset"] == "mnist") & (rows["condition"] == "Dropout")]
    line = table.loc[("MNIST", "Dropout")]
    assert line["n-cut, ours"] == spread(group["ncut"].mean(), group["ncut"].std(ddof=1))
    assert line["n"] == "5"
    fact = theirs[(theirs["dataset"] == "mnist") & (theirs["condition"] == "Dropout") & ~theirs["pruned"]].iloc[0]
    assert line["n-cut, published"] == spread(fact["ncut_mean"], fact["ncut_sd"])
    assert line["z, published"] == spread(fact["z_mean"], fact["z_sd"])
    assert "z, published" not in cells(tables.beside(rows, theirs, ["ncut", "z"], alone=["z"]))
    assert "published" not in tables.beside(rows, None, ["ncut"]).data


def test_the_spread_of_shuffles_beside_the_published_one_is_that_of_one_network(rows, theirs):
    shuffled = rows.assign(shuffled_mean=rows["ncut"] + 1, shuffled_sd=0.25)
    [ours] = [name for name in cells(tables.beside(shuffled, theirs, ["shuffled_mean"])) if "ours" in name]
    assert "one network's shuffles" in ours
    assert cells(tables.beside(shuffled, theirs, ["shuffled_mean"]))[ours].str.endswith("0.25").all()


def test_what_was_not_published_is_a_dash(rows):
    unknown = rows.assign(dataset="digits")
    table = cells(tables.beside(unknown, published.load("factors", "mlp 64-128x4-10"), ["ncut"]))
    assert (table["n-cut, published"] == "–").all()


def test_numbers_for_every_value_of_a_column_stand_in_one_line(rows):
    twice = pd.concat([rows.assign(n_clusters=k, seed=range(20), z=rows["z"] * k) for k in (1, 2)])
    table = cells(tables.spreads(twice, {"z": "z, k = {}"}, by="n_clusters"))
    assert list(table)[-2:] == ["z, k = 1", "z, k = 2"]
    group = rows[(rows["dataset"] == "mnist") & (rows["condition"] == "Control")]["z"]
    assert table["z, k = 2"][0] == spread(2 * group.mean(), 2 * group.std())


def test_the_overview_counts_networks_beyond_all_their_shuffles(rows):
    overview = summary.overview(rows, rows)
    assert list(overview["beyond all shuffles, pruned"]) == ["4 of 5"] * 4
    told = summary.headline(rows, rows.assign(architecture="mlp 784-256x4-10"))
    assert told["control_before"] == "8 of 10"
    theirs = pd.read_csv(files.data_folder() / "published_networks.csv").query(
        "experiment == 'factors' and architecture == 'mlp 784-256x4-10' and condition == 'L2 Reg' and p < 0.02"
    )
    assert told["l2_published_after"] == f"{theirs['pruned'].sum()} of 10"


@pytest.mark.parametrize(
    ("epochs", "words"),
    [(2, "At a smaller scale than published"), (10, "At the published scale"), (20, "At another")],
)
def test_the_scale_of_an_experiment_is_told_in_words(rows, epochs, words, monkeypatch):
    told = {}
    monkeypatch.setattr(figures.Page, "glue", lambda self, **values: told.update(values))

    def runs(epochs, n):
        return grid(["digits"], {"Control": {}}, n, hidden=[8], seed=0, training=Training(epochs, 3),
                    measurement=Measurement(3, 50))  # fmt: skip

    figures.Page("figure").scale(runs(epochs, 2), rows[:4], runs(10, 5))
    assert told["scale"].startswith(words)
    assert (told["epochs"], told["n_replicates"], told["n_shuffles"]) == (f"{epochs} + 3", 2, 50)
    assert (told["n_full"], told["n_full_wanted"]) == (4, 5)


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
            shuffled_ncuts=[rng.uniform(8, 10, 20) for _ in range(len(seeded))],
            eigenvalues=[np.sort(rng.uniform(0, 1, 8)) for _ in range(len(seeded))],
        )
        for epoch in (0, 2, 4) for k in (4, 12) for null in ("layer", "nonzero")
    ]  # fmt: skip
    return pd.concat(parts, ignore_index=True)


@pytest.mark.parametrize(
    "draw",
    [
        lambda rows, theirs: figures.ncut_against_z(rows, theirs),
        lambda rows, theirs: figures.strips(rows, {"ncut": "n-cut"}, by="condition"),
        lambda rows, theirs: figures.violins(rows, {"layer": "all weights", "nonzero": "nonzero weights"}),
    ],
)
def test_the_same_rows_give_the_same_bytes(measured, theirs, draw, tmp_path, monkeypatch):
    rows, contents, state = measured[measured["epoch"] == 2], [], np.random.get_state()[1].copy()  # noqa: NPY002
    for turn in ("first", "second"):
        (tmp_path / turn).mkdir()
        monkeypatch.chdir(tmp_path / turn)
        figures.save(draw(rows, theirs), "drawn")
        contents.append({path.name: path.read_bytes() for path in sorted((tmp_path / turn / "figures").iterdir())})
    assert list(contents[0]) == ["drawn.pdf", "drawn.png", "drawn.svg"]
    assert contents[0] == contents[1]
    assert not plt.get_fignums()  # a notebook would show them a second time
    assert np.array_equal(np.random.get_state()[1], state)  # noqa: NPY002


def test_what_draws_is_loaded_by_drawing_only():
    modules = "clusterability, clusterability.report.tables"
    code = f"import sys, {modules}; print(*({{'matplotlib', 'seaborn'}} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n"


def test_accuracies_and_ncuts_are_those_of_the_networks(measured):
    here = measured[(measured["epoch"] != 0) & (measured["n_clusters"] == 4) & (measured["null_model"] == "layer")]
    figure = figures.ncut_against_accuracy(here)
    drawn = points(figure)
    expected = np.column_stack([100 * here["test_accuracy"], here["ncut"]])
    np.testing.assert_allclose(drawn[np.lexsort(drawn.T)], expected[np.lexsort(expected.T)])
    filled = drawn[np.concatenate([points.get_facecolors()[:, 3] > 0 for points in scatters(figure)])]
    np.testing.assert_allclose(np.sort(filled[:, 1]), np.sort(here.loc[here["pruned"], "ncut"]))


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
        assert [tick.get_text() for tick in figure.axes[0].get_yticklabels()] == ["Control", "Dropout"]
        for place, condition in enumerate(["Control", "Dropout"]):
            here = drawn[np.abs(drawn[:, 1] - place) < 0.5, 0]
            np.testing.assert_allclose(
                np.sort(here), np.sort(measured.loc[measured["condition"] == condition, column])
            )


def test_violins_show_own_ncuts_beside_shuffled_ones(measured):
    here = measured[(measured["epoch"] != 0) & (measured["n_clusters"] == 4)]
    figure = figures.violins(here, {"layer": "all weights", "nonzero": "nonzero weights"})
    titles = [panel.get_title() for panel in figure.axes]
    assert titles == ["MNIST, unpruned", "Fashion-MNIST, unpruned", "MNIST, pruned", "Fashion-MNIST, pruned"]
    assert in_legend(figure) == ["trained networks", "shuffled: all weights", "shuffled: nonzero weights"]
    for panel in figure.axes:  # two conditions' bodies under two null models
        assert len([body for body in panel.collections if not isinstance(body, PathCollection)]) == 4
    own = here.drop_duplicates(["dataset", "condition", "pruned", "seed"])["ncut"]
    np.testing.assert_allclose(np.sort(points(figure)[:, 1]), np.sort(own))


def test_every_network_is_a_line_along_training(measured):
    here = measured[measured["null_model"] == "layer"]
    figure = figures.along_training(here, [("n-cut", "linear", [(4, "ncut", "trained")])])
    drawn = sorted(tuple(line.get_ydata()) for line in networks(figure))
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
    assert "published mean ± sd" in in_legend(figure)


def test_every_network_is_a_line_over_the_numbers_of_clusters(measured):
    here = measured[(measured["epoch"] == 4) & (measured["null_model"] == "layer")]
    figure = figures.z_by_clusters(here)
    drawn = sorted(tuple(line.get_ydata()) for line in networks(figure))
    assert [tick.get_text() for tick in figure.axes[-1].get_xticklabels()] == ["4", "12"]
    own = here.sort_values("n_clusters")
    assert drawn == sorted(tuple(part["z"]) for _, part in own.groupby(["dataset", "condition", "seed"]))


def test_every_network_is_a_line_over_the_starts_of_k_means(measured):
    here = measured[(measured["epoch"] == 0) & (measured["null_model"] == "layer")].assign(
        n_starts=lambda table: table["n_clusters"], shuffled_sd=lambda table: table["ncut"]
    )
    there = pd.DataFrame({"dataset": ["mnist"], "condition": ["Control"], "shuffled_sd": [9.0]})
    figure = figures.over_starts(here, "shuffled_sd", "spread", there)
    drawn = sorted(tuple(line.get_ydata()) for line in networks(figure))
    own = here.sort_values("n_starts")
    assert drawn == sorted(tuple(part["ncut"]) for _, part in own.groupby(["dataset", "condition", "seed"]))
    dashed = [line for panel in figure.axes for line in panel.lines if line.get_linestyle() == "--"]
    assert [list(line.get_ydata()) for line in dashed] == [[9.0, 9.0]]


def test_spectra_show_the_eigenvalues_around_the_last_one_used(measured):
    here = measured[(measured["epoch"] == 0) & (measured["n_clusters"] == 4) & (measured["null_model"] == "layer")]
    figure = figures.spectra(here, 4, here["condition"])
    drawn = networks(figure)
    assert len(drawn) == len(here)
    assert drawn[0].get_xdata().tolist() == list(range(2, 9))
    expected = sorted(tuple(values[1:]) for values in here["eigenvalues"])
    np.testing.assert_allclose(sorted(tuple(line.get_ydata()) for line in drawn), expected)


def test_the_forest_draws_every_comparison_at_its_place():
    table = pd.DataFrame(
        {"name": ["a", "b"], "difference": [0.5, -2.0], "low": [-1.0, -3.0], "high": [2.0, -1.0],
         "verdict": [agreement.AGREES, agreement.DIFFERS]}
    )  # fmt: skip
    [panel] = figures.forest(table, "difference", agreement.COLOURS).axes
    assert [tick.get_text() for tick in panel.get_yticklabels()] == ["a", "b"]
    places = [line.get_xydata().tolist() for line in panel.lines[1:]]
    assert places == [[[-1.0, 0], [2.0, 0]], [[0.5, 0]], [[-3.0, 1], [-1.0, 1]], [[-2.0, 1]]]
    [cut] = figures.forest(table, "difference", agreement.COLOURS, limit=1.8).axes
    lines = {line.get_marker(): line.get_xydata().tolist() for line in cut.lines[1:] if line.get_marker() in "<>"}
    assert lines == {">": [[1.8, 0]], "<": [[-1.8, 1]]}
    assert all(abs(x) <= 1.8 for line in cut.lines[1:] for x in line.get_xdata())


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
    [panel] = figure.axes
    np.testing.assert_array_equal(np.stack([image.get_array() for image in panel.images]), images)
    assert [text.get_text() for text in panel.texts] == [str(number) for number in numbers]
    assert [tick.get_text() for tick in panel.get_yticklabels()] == ["Polynomials"]


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
         "class_drops": np.array([drop, 0.0, -0.1])}
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
    assert set(in_legend(figure)) == set(lesioned["kind"])


def test_heat_maps_show_what_conditional_lesions_cost():
    names = [(1, 0), (1, 1), (3, 2)]
    rows = pd.DataFrame([
        {"layer": a[0], "cluster": a[1], "given_layer": b[0], "given_cluster": b[1], "given_accuracy": 0.9,
         "accuracy": 0.9 - 0.01 * i - 0.1 * j}
        for i, a in enumerate(names) for j, b in enumerate(names) if a[0] != b[0]
    ])  # fmt: skip
    figure = figures.conditional_importance([("MNIST", rows)])
    [mesh] = heat_maps(figure.axes[0])
    shown = np.ma.filled(mesh.get_array(), np.nan)
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
    [mesh] = heat_maps(figure.axes[0])
    np.testing.assert_allclose(mesh.get_array(), [[20, 0, -10], [10, 0, -10]], atol=1e-6)
    without = figures.class_profiles(lesioned.assign(kind="other"))
    assert not heat_maps(without.axes[0])
    assert [text.get_text() for text in without.axes[0].texts] == ["no important sub-module"]


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
    [arrow] = [text for text in figure.axes[0].texts if text.arrow_patch]
    np.testing.assert_allclose(arrow.xy, [15, 1.5])
    assert in_legend(figure) == ["Control", "Sweep, 0.1 to 1"]


def test_shares_of_every_network_fill_a_bar():
    rows = pd.DataFrame({"condition": ["A", "A", "B"], "seed": [0, 1, 0]}).assign(
        volume_shares=list(np.array([[0.7, 0.3], [0.5, 0.5], [1, 0]])),
        vertex_shares=list(np.array([[0.6, 0.4], [0.5, 0.5], [0.9, 0.1]])),
    )
    figure = figures.cluster_shares(rows, by="condition")
    for panel in figure.axes:
        assert len(panel.patches) == 6
        ends = {}
        for bar in panel.patches:
            ends[bar.get_y()] = max(ends.get(bar.get_y(), 0), bar.get_x() + bar.get_width())
        np.testing.assert_allclose(list(ends.values()), [100] * 3)
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["A", "B"]
