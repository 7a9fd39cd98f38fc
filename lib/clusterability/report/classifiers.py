"""n-cuts of single large networks beside those of their shuffles."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from clusterability.base.statistics import numbers
from clusterability.report.style import PUBLISHED, STYLES, handle, legend, new_figure


def beside_shuffles(rows: pd.DataFrame, published: pd.DataFrame, by: str) -> Figure:
    """One line a network: its n-cut, its shuffles' n-cuts below it, and both as published.

    Parameters
    ----------
    rows : DataFrame
        Result rows, one a network and condition.
    published : DataFrame
        Published rows, at most one a network.
    by : str
        The column, of both, that names the network.
    """
    names, conditions = list(rows[by].unique()), list(rows["condition"].unique())
    lanes = np.linspace(-0.16, 0.16, len(conditions) + 1)  # a line's: the conditions', then the published
    with new_figure(7.4, 1.6 + 0.55 * len(names)) as figure:
        panel = figure.subplots()
        for place, name in enumerate(names):
            for number, condition in enumerate(conditions):
                colour, marker = STYLES[number]
                height = place + lanes[number]
                for row in rows[(rows[by] == name) & (rows["condition"] == condition)].itertuples():
                    shuffled = numbers(row.shuffled_ncuts)
                    levels = np.full(len(shuffled), height)
                    panel.scatter(shuffled, levels, color=colour, marker="|", s=170, linewidths=0.6)
                    panel.scatter(row.ncut, height, color=colour, marker=marker, s=36, linewidths=0, zorder=3)
            height = place + lanes[-1]
            for mean in published[published[by] == name].itertuples():
                panel.errorbar(
                    mean.shuffled_ncut_mean, height, xerr=mean.shuffled_ncut_sd, color=PUBLISHED, marker="|",
                    markersize=13, markeredgewidth=0.6, linewidth=1,
                )  # fmt: skip
                panel.scatter(mean.ncut_mean, height, color=PUBLISHED, marker="P", s=36, linewidths=0, zorder=3)
        panel.set_yticks(range(len(names)), names)
        panel.set_ylim(len(names) - 0.5, -0.5)
        panel.grid(axis="y", color="0.92", linewidth=0.6)
        panel.set_axisbelow(True)
        panel.set_xlabel("n-cut (lower: more clusterable)")
        handles = [handle(f"{condition.lower()}, here", *STYLES[n]) for n, condition in enumerate(conditions)]
        if len(published):
            handles.append(handle("pretrained, published", PUBLISHED, "P"))
        handles.append(handle("shuffled weights (published: mean ± sd)", PUBLISHED, "|", markersize=9))
        legend(figure, handles, columns=2)
    return figure
