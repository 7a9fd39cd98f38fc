"""Numbers along training, and along the number of clusters; every network a line."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from clusterability.data.catalogue import TITLES
from clusterability.papers.words import STATES
from clusterability.report.style import PUBLISHED, STYLES, handle, legend, new_figure, styles


def along_training(
    rows: pd.DataFrame,
    panels: list[tuple[str, str, list[tuple[int | None, str, str]]]],
    published: pd.DataFrame | None = None,
) -> Figure:
    """Numbers against the epochs passed, a column of panels a data set and condition.

    Parameters
    ----------
    rows : DataFrame
        Result rows of networks measured along training and pruning.
    panels : list of (label, scale, curves)
        For every row of panels the vertical axis's label, its scale ("linear" or "log"), and its
        curves: number of clusters (None: any), column, name for the legend.
    published : DataFrame, optional
        ``dataset``, ``epoch``, and published means in columns COLUMN_mean, their deviations in COLUMN_sd.
    """
    places = list(rows[["dataset", "condition"]].drop_duplicates().itertuples(index=False))
    names = list(dict.fromkeys(name for _, _, curves in panels for _, _, name in curves))
    looks = styles(names)
    with new_figure(1 + 2.9 * len(places), 0.9 + 2.0 * len(panels)) as figure:
        axes = figure.subplots(len(panels), len(places), sharex="col", sharey="row", squeeze=False)
        for column, (dataset, condition) in enumerate(places):
            networks = rows[(rows["dataset"] == dataset) & (rows["condition"] == condition)]
            for panel, (label, scale, curves) in zip(axes[:, column], panels, strict=True):
                for n_clusters, number, name in curves:
                    chosen = networks if n_clusters is None else networks[networks["n_clusters"] == n_clusters]
                    for _, network in chosen.drop_duplicates(["seed", "epoch"]).groupby("seed"):
                        network = network.sort_values("epoch")
                        panel.plot(
                            network["epoch"], network[number], color=looks[name][0], marker=looks[name][1],
                            markersize=2.5, linewidth=0.9, alpha=0.7,
                        )  # fmt: skip
                    if published is not None and f"{number}_mean" in published:
                        there = published[published["dataset"] == dataset]
                        panel.errorbar(
                            there["epoch"], there[f"{number}_mean"], there[f"{number}_sd"], color=PUBLISHED,
                            marker="P", markersize=6, linestyle="none", capsize=2, zorder=3,
                        )  # fmt: skip
                if networks["pruning_epochs"].any():
                    panel.axvline(networks["epochs"].iloc[0], color="0.6", linewidth=0.8, linestyle=":")
                panel.set_yscale(scale)
                if column == 0:
                    panel.set_ylabel(label)
            axes[0, column].set_title(f"{TITLES[dataset]}, {condition}", fontsize=10)
            axes[-1, column].set_xlabel("epochs passed")
            axes[-1, column].xaxis.get_major_locator().set_params(integer=True)
        handles = [handle(name, *look) for name, look in looks.items()]
        if published is not None and len(published):
            handles.append(handle("published mean ± sd", PUBLISHED, "P"))
        legend(figure, handles, columns=max(2, 3 * len(places) // 2))
    return figure


def z_by_clusters(rows: pd.DataFrame) -> Figure:
    """z-score against the number of clusters, a column a data set, a row a pruning state."""
    datasets, states = rows["dataset"].unique(), rows["pruned"].unique()
    looks = styles(list(rows["condition"].unique()))
    counts = sorted(rows["n_clusters"].unique())
    with new_figure(max(6.4, 4.2 * len(datasets)), 0.9 + 3.1 * len(states)) as figure:
        panels = figure.subplots(len(states), len(datasets), sharey="row", sharex=True, squeeze=False)
        for (row, column), panel in np.ndenumerate(panels):
            chosen = rows[(rows["dataset"] == datasets[column]) & (rows["pruned"] == states[row])]
            panel.axhline(0, color="0.75", linewidth=0.8, zorder=0)
            for (condition, _), network in chosen.groupby(["condition", "seed"], sort=False):
                colour, marker = looks[condition]
                network = network.sort_values("n_clusters")
                panel.plot(
                    [counts.index(k) for k in network["n_clusters"]], network["z"], color=colour, marker=marker,
                    markersize=4, linewidth=0.7, alpha=0.7,
                )  # fmt: skip
            panel.set_yscale("symlog", linthresh=10)
            panel.set_title(f"{TITLES[datasets[column]]}, {STATES[states[row]]}")
            panel.set_xticks(range(len(counts)), counts)
        for panel in panels[-1]:
            panel.set_xlabel("number of clusters, k")
        for panel in panels[:, 0]:
            panel.set_ylabel("z-score")
        legend(figure, [handle(condition, *look) for condition, look in looks.items()])
    return figure


def over_starts(rows: pd.DataFrame, column: str, label: str, published: pd.DataFrame) -> Figure:
    """A number against the starts of k-means, a row of panels a data set, a column a condition.

    Parameters
    ----------
    rows : DataFrame
        Result rows of networks measured with several ``n_starts``.
    column, label : str
        The number and its axis label.
    published : DataFrame
        ``dataset``, ``condition`` and the published value as ``column``; a dashed line.
    """
    datasets, conditions = rows["dataset"].unique(), rows["condition"].unique()
    counts = sorted(rows["n_starts"].unique())
    colour, marker = STYLES[0]
    with new_figure(0.9 + 2.4 * len(conditions), 0.9 + 2.2 * len(datasets)) as figure:
        panels = figure.subplots(len(datasets), len(conditions), sharex=True, squeeze=False)
        for (row, place), panel in np.ndenumerate(panels):
            dataset, condition = datasets[row], conditions[place]
            here = rows[(rows["dataset"] == dataset) & (rows["condition"] == condition)]
            for _, network in here.groupby("seed"):
                network = network.sort_values("n_starts")
                panel.plot(
                    [counts.index(n) for n in network["n_starts"]], network[column], color=colour, marker=marker,
                    markersize=4, linewidth=0.7, alpha=0.7,
                )  # fmt: skip
            there = published[(published["dataset"] == dataset) & (published["condition"] == condition)]
            for value in there[column]:
                panel.axhline(value, color=PUBLISHED, linewidth=1, linestyle="--", zorder=0)
            panel.set_title(f"{TITLES[dataset]}, {condition}", fontsize=9)
            panel.set_xticks(range(len(counts)), counts)
        figure.supylabel(label, fontsize=10)
        for panel in panels[-1]:
            panel.set_xlabel("starts of k-means")
        handles = [handle("networks", colour, marker)]
        if len(published):
            handles.append(Line2D([], [], color=PUBLISHED, linestyle="--", linewidth=1, label="published mean"))
        legend(figure, handles)
    return figure
