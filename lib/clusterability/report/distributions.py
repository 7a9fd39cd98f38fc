"""Distributions over networks and over shuffles."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from clusterability.base.statistics import numbers
from clusterability.data.catalogue import TITLES
from clusterability.papers.words import STATES
from clusterability.report.style import PUBLISHED, STYLES, handle, legend, new_figure


def strips(
    rows: pd.DataFrame,
    columns: dict[str, str],
    *,
    by: str,
    colour_by: str | None = None,
    published: pd.DataFrame | None = None,
) -> Figure:
    """One line a group with every network as a point; a panel a number.

    Parameters
    ----------
    rows : DataFrame
        Result rows; groups appear in their order, from the top.
    columns : dict
        The numbers to draw and their axis labels.
    by : str
        The column that groups the rows.
    colour_by : str, optional
        A column of at most seven values that colours the points.
    published : DataFrame, optional
        Has ``by`` as a column, and ``NAME_mean`` and ``NAME_sd`` for the numbers it knows.
    """
    groups = list(rows[by].unique())
    kinds = list(rows[colour_by].unique()) if colour_by else [None]
    with new_figure(2.4 + 3.4 * len(columns), 1.5 + 0.42 * len(groups)) as figure:
        panels = figure.subplots(1, len(columns), sharey=True, squeeze=False)[0]
        for panel, (column, label) in zip(panels, columns.items(), strict=True):
            if column == "z":
                panel.axvline(0, color="0.75", linewidth=0.8, zorder=0)
            for place, group in enumerate(groups):
                members = rows[rows[by] == group]
                for number, kind in enumerate(kinds):
                    colour, marker = STYLES[number % len(STYLES)]
                    values = members if kind is None else members[members[colour_by] == kind]
                    centre = place + 0.34 * ((number + 0.5) / len(kinds) - 0.5) * (len(kinds) > 1)
                    panel.scatter(
                        values[column], centre + _jitter(len(values), 0.5 / len(kinds)), color=colour, marker=marker,
                        s=24, alpha=0.7, linewidths=0,
                    )  # fmt: skip
                if published is not None and f"{column}_mean" in published:
                    for _, mean in published[published[by] == group].iterrows():
                        panel.errorbar(
                            mean[f"{column}_mean"], place - 0.36, xerr=mean[f"{column}_sd"], color=PUBLISHED,
                            marker="|", markersize=8, linewidth=1, zorder=1,
                        )  # fmt: skip
            panel.set_xlabel(label)
            panel.grid(axis="y", color="0.92", linewidth=0.6)
            panel.set_axisbelow(True)
        panels[0].set_yticks(range(len(groups)), groups)
        panels[0].set_ylim(len(groups) - 0.5, -0.5)
        handles = [] if colour_by is None else [handle(str(k), *STYLES[n]) for n, k in enumerate(kinds)]
        if published is not None:
            handles.append(handle("published mean ± sd", PUBLISHED, "|", markersize=10))
        if handles:
            legend(figure, handles)
    return figure


def violins(rows: pd.DataFrame, null_names: dict[str, str]) -> Figure:
    """Violins of the shuffled n-cuts, each network's own n-cut beside them.

    Parameters
    ----------
    rows : DataFrame
        Result rows under one or more null models; networks of a condition share a violin.
    null_names : dict
        Names of the null models for readers.
    """
    datasets, states = rows["dataset"].unique(), rows["pruned"].unique()
    conditions, nulls = list(rows["condition"].unique()), list(rows["null_model"].unique())
    with new_figure(max(6.4, 4.2 * len(datasets)), 0.9 + 3.3 * len(states)) as figure:
        panels = figure.subplots(len(states), len(datasets), sharey="row", squeeze=False)
        for (row, column), panel in np.ndenumerate(panels):
            chosen = rows[(rows["dataset"] == datasets[column]) & (rows["pruned"] == states[row])]
            for place, condition in enumerate(conditions):
                members = chosen[chosen["condition"] == condition]
                if members.empty:
                    continue
                for number, null in enumerate(nulls):
                    shuffled = [
                        numbers(text) for text in members.loc[members["null_model"] == null, "shuffled_ncuts"]
                    ]
                    body = panel.violinplot(
                        np.concatenate(shuffled), [place + 0.1 + 0.3 * number], widths=0.27, showextrema=False
                    )["bodies"][0]
                    body.set(facecolor=STYLES[number + 1][0], edgecolor=STYLES[number + 1][0], alpha=0.6)
                own = members.drop_duplicates("seed")["ncut"]
                panel.scatter(
                    place - 0.22 + _jitter(len(own), 0.16), own, color=STYLES[0][0], s=24, alpha=0.8, linewidths=0
                )
            panel.set_title(f"{TITLES[datasets[column]]}, {STATES[states[row]]}")
            panel.set_xticks(range(len(conditions)), conditions)
        for panel in panels[:, 0]:
            panel.set_ylabel("n-cut (lower: more clusterable)")
        handles = [handle("trained networks", *STYLES[0])]
        handles += [handle(f"shuffled: {null_names[n]}", STYLES[i + 1][0], "s") for i, n in enumerate(nulls)]
        legend(figure, handles, columns=3)
    return figure


def spectra(rows: pd.DataFrame, n_clusters: int, groups: pd.Series) -> Figure:
    """n-cut of every network, and the eigenvalues around the last one that its embedding uses.

    Parameters
    ----------
    rows : DataFrame
        Result rows of one condition and one number of clusters.
    n_clusters : int
        Number of clusters and of eigenvectors used.
    groups : Series of str, indexed as ``rows``
        What colours the networks.
    """
    datasets, names = rows["dataset"].unique(), list(groups.unique())
    first = max(2, n_clusters - 3)
    with new_figure(max(6.4, 4.4 * len(datasets)), 4.2) as figure:
        panels = figure.subplots(1, len(datasets), squeeze=False)[0]
        for panel, dataset in zip(panels, datasets, strict=True):
            for index, row in rows[rows["dataset"] == dataset].iterrows():
                colour, marker = STYLES[names.index(groups[index])]
                values = numbers(row["eigenvalues"])[first - 1 :]
                panel.plot(
                    np.arange(first, first + len(values)), values, color=colour, marker=marker, markersize=3.5,
                    linewidth=0.8, alpha=0.65,
                )  # fmt: skip
            panel.axvline(n_clusters + 0.5, color="0.6", linewidth=0.8, linestyle=":")
            panel.set_title(TITLES[dataset])
            panel.set_xlabel("number of the eigenvalue (the first is 0)")
        panels[0].set_ylabel("eigenvalue of the normalized Laplacian")
        legend(figure, [handle(name, *STYLES[n]) for n, name in enumerate(names)])
    return figure


def forest(table: pd.DataFrame, label: str, colours: dict[str, str]) -> Figure:
    """Differences with their confidence intervals, a line a comparison.

    Parameters
    ----------
    table : DataFrame
        Columns ``name``, ``difference``, ``low``, ``high`` and ``verdict``.
    label : str
        Of the horizontal axis.
    colours : dict
        Colour of every verdict, in the order of the legend.
    """
    with new_figure(7.6, 1.2 + 0.24 * len(table)) as figure:
        panel = figure.subplots()
        panel.axvline(0, color="0.6", linewidth=0.8, zorder=0)
        markers = dict(zip(colours, "os^D", strict=False))
        for place, row in enumerate(table.itertuples()):
            colour = colours[row.verdict]
            panel.plot([row.low, row.high], [place, place], color=colour, linewidth=1.2)
            panel.plot(row.difference, place, color=colour, marker=markers[row.verdict], markersize=4.5)
        panel.set_yticks(range(len(table)), table["name"], fontsize=8.5)
        panel.set_ylim(len(table) - 0.4, -0.6)
        panel.set_xlabel(label)
        legend(
            figure, [handle(v, c, markers[v]) for v, c in colours.items() if v in set(table["verdict"])], columns=4
        )
    return figure


def _jitter(n: int, width: float) -> np.ndarray:
    """Offsets that tell points of nearly the same value apart; always the same ones."""
    return ((np.arange(n) * 0.618034) % 1 - 0.5) * width
