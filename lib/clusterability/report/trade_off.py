"""What clusterability costs: numbers against test error along a sweep, and how volume is shared."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter, ScalarFormatter

from clusterability.base.statistics import numbers
from clusterability.data.catalogue import TITLES
from clusterability.report.style import handle, legend, new_figure, styles

_SINGLE = "0.35"


def against_error(rows: pd.DataFrame, columns: Mapping[str, str]) -> Figure:
    """Numbers against test error, a column of panels a data set; sweeps are joined at their means.

    Sweeps have colours, with the first and the last coefficient beside them; conditions by themselves are grey.

    Parameters
    ----------
    rows : DataFrame
        Result rows with ``series``, what is swept or the condition by itself, and ``strength``, the
        coefficient; NaN: a condition by itself.
    columns : mapping
        The numbers to draw upwards and their axis labels, a row of panels each.
    """
    datasets = list(rows["dataset"].unique())
    swept = rows["strength"].notna()
    sweeps, others = (list(part["series"].unique()) for part in (rows[swept], rows[~swept]))
    looks = {name: (_SINGLE, marker) for name, (_, marker) in styles(others).items()} | styles(sweeps)
    with new_figure(max(6.4, 4.2 * len(datasets)), 1.0 + 2.7 * len(columns)) as figure:
        panels = figure.subplots(len(columns), len(datasets), sharex="col", sharey="row", squeeze=False)
        for (row, column), panel in np.ndenumerate(panels):
            name, label = list(columns.items())[row]
            here = rows[rows["dataset"] == datasets[column]].assign(error=lambda r: 100 * (1 - r["test_accuracy"]))
            for series, (colour, marker) in looks.items():
                own = here[here["series"] == series]
                panel.scatter(own["error"], own[name], color=colour, marker=marker, s=22, alpha=0.6, linewidths=0)
                means = own.groupby("strength")[["error", name]].mean()
                panel.plot(means["error"], means[name], color=colour, linewidth=1, alpha=0.8)
                if row == 0:
                    for strength, mean in means.iloc[[0, -1]].iterrows() if len(means) else ():
                        panel.annotate(
                            f"{strength:g}", (mean["error"], mean[name]), color=colour, fontsize=7,
                            xytext=(4, 4), textcoords="offset points",
                        )  # fmt: skip
            panel.set_xscale("log")
            panel.grid(color="0.92", linewidth=0.6)
            panel.set_axisbelow(True)
            if name == "z":
                panel.axhline(0, color="0.75", linewidth=0.8, zorder=0)
                panel.set_yscale("symlog", linthresh=10)
                panel.yaxis.set_major_formatter(ScalarFormatter())
            if row == 0:
                panel.set_title(TITLES[datasets[column]])
            if column == 0:
                panel.set_ylabel(label)
        for panel in panels[-1]:
            panel.set_xlabel("test error, % (logarithmic; left: more accurate)")
            panel.xaxis.set_major_formatter("{x:g}")
            panel.xaxis.set_minor_formatter(LogFormatter(minor_thresholds=(2.5, 0.8)))  # fewer over a decade
        legend(figure, [handle(series, *look) for series, look in looks.items()], columns=3)
    return figure


def cluster_shares(rows: pd.DataFrame, by: str) -> Figure:
    """How volume and neurons are shared among clusters: every network a bar of its clusters' shares.

    Parameters
    ----------
    rows : DataFrame
        Result rows of one data set.
    by : str
        The column that groups the networks.
    """
    groups = list(rows[by].unique())
    ordered = rows.assign(place=rows[by].map(groups.index)).sort_values(["place", "seed"])
    gaps = np.cumsum(ordered["place"].diff().fillna(0) > 0) * 0.8
    heights = np.arange(len(ordered)) + gaps.to_numpy()
    with new_figure(9, 1.0 + 0.13 * (heights[-1] + 1)) as figure:
        panels = figure.subplots(1, 2, sharey=True)
        for panel, column, label in zip(
            panels,
            ("volume_shares", "vertex_shares"),
            ("share of the volume, %", "share of the neurons, %"),
            strict=True,
        ):
            shares = 100 * np.array([numbers(text) for text in ordered[column]])
            left = np.zeros(len(ordered))
            for cluster, width in enumerate(shares.T):
                shade = ("#0072B2", "#9CCBE6")[cluster % 2]
                panel.barh(heights, width, left=left, height=0.86, color=shade, edgecolor="white", linewidth=0.3)
                left += width
            panel.set_xlabel(label)
            panel.set_xlim(0, 100)
        middles = [heights[(ordered[by] == group).to_numpy()].mean() for group in groups]
        panels[0].set_yticks(middles, groups, fontsize=9)
        panels[0].set_ylim(heights[-1] + 0.7, -0.7)
    return figure
