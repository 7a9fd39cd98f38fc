"""Figures draw every network, and the same numbers give the same bytes."""

import re

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PathCollection
from matplotlib.container import ErrorbarContainer

from clusterability import figures, published, summary, tables


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


def test_axes_are_labelled_in_words_and_panels_named(rows, theirs):
    figure = figures.ncut_against_z(rows, theirs)
    assert [panel.get_title() for panel in figure.axes] == ["MNIST", "Fashion-MNIST"]
    assert "z-score" in figure.axes[0].get_xlabel()
    assert "n-cut" in figure.axes[0].get_ylabel()


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
