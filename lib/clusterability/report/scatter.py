"""n-cut against another number: every network a point, published means as crosses."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from clusterability.data.catalogue import TITLES
from clusterability.papers.words import STATES
from clusterability.report.style import PUBLISHED, handle, legend, new_figure, styles

_NCUT = "n-cut (lower: more clusterable)"


def ncut_against_z(
    rows: pd.DataFrame,
    published: pd.DataFrame,
    *,
    title: str = "",
    only: Sequence[str] = (),
    among: Sequence[str] = (),
) -> Figure:
    """n-cut against z-score, a column of panels a data set, a row a pruning state.

    Parameters
    ----------
    rows : DataFrame
        Result rows.
    published : DataFrame
        As :func:`clusterability.papers.published.load` gives it; empty or lacking conditions is fine.
    title : str
        Above all panels; what the picture must say wherever it is shown.
    only : sequence of str
        Conditions to draw, by default all.
    among : sequence of str
        Conditions whose looks are told apart, by default those of the rows.
    """
    datasets, states = rows["dataset"].unique(), rows["pruned"].unique()
    present = list(rows["condition"].unique())
    looks = styles(list(among) or present)
    looks = {condition: look for condition, look in looks.items() if condition in (only or present)}
    any_published = False
    with new_figure(max(6.4, 4.2 * len(datasets)), 0.9 + 3.5 * len(states)) as figure:
        panels = figure.subplots(len(states), len(datasets), sharey="row", squeeze=False)
        for (row, column), panel in np.ndenumerate(panels):
            dataset, pruned = datasets[column], states[row]
            panel.axvline(0, color="0.75", linewidth=0.8, zorder=0)
            for condition, (colour, marker) in looks.items():
                here = _chosen(rows, dataset, condition, pruned)
                panel.scatter(here["z"], here["ncut"], color=colour, marker=marker, s=34, alpha=0.75, linewidths=0)
                for _, mean in _chosen(published, dataset, condition, pruned).iterrows():
                    any_published = True
                    panel.errorbar(
                        mean["z_mean"], mean["ncut_mean"], xerr=mean["z_sd"], yerr=mean["ncut_sd"],
                        color=colour, linewidth=1, capsize=0, zorder=1,
                    )  # fmt: skip
            panel.set_title(TITLES[dataset] + (f", {STATES[pruned]}" if len(states) > 1 else ""))
        for panel in panels[-1]:
            panel.set_xlabel("z-score against shuffled weights\n(below 0: more clusterable than chance)")
        for panel in panels[:, 0]:
            panel.set_ylabel(_NCUT)
        handles = [handle(condition, *look) for condition, look in looks.items()]
        if any_published:
            handles.append(handle("published mean ± sd", PUBLISHED, "+", markersize=11))
        legend(figure, handles, columns=3 if len(datasets) == 1 else 6)
        if title:
            figure.suptitle(title, fontsize="medium", fontweight="bold")
    return figure


def ncut_against_accuracy(rows: pd.DataFrame) -> Figure:
    """n-cut against test accuracy, a panel a data set; filled points are pruned networks."""
    datasets = rows["dataset"].unique()
    looks = styles(list(rows["condition"].unique()))
    with new_figure(max(6.4, 3.6 * len(datasets)), 4.4) as figure:
        panels = figure.subplots(1, len(datasets), sharey=True, squeeze=False)[0]
        for panel, dataset in zip(panels, datasets, strict=True):
            for condition, (colour, marker) in looks.items():
                for pruned in (False, True):
                    here = _chosen(rows, dataset, condition, pruned)
                    panel.scatter(
                        100 * here["test_accuracy"], here["ncut"], edgecolors=colour, marker=marker, s=34, alpha=0.8,
                        facecolors=colour if pruned else "none", linewidths=1.2,
                    )  # fmt: skip
            panel.set_title(TITLES[dataset])
            panel.set_xlabel("test accuracy, %")
        panels[0].set_ylabel(_NCUT)
        handles = []
        for condition, (colour, marker) in looks.items():
            handles.append(handle(f"{condition}, unpruned", colour, marker, markerfacecolor="none"))
            handles.append(handle(f"{condition}, pruned", colour, marker))
        legend(figure, handles, columns=4)
    return figure


def _chosen(table: pd.DataFrame, dataset: str, condition: str, pruned: bool) -> pd.DataFrame:
    return table[(table["dataset"] == dataset) & (table["condition"] == condition) & (table["pruned"] == pruned)]
