"""n-cut and other numbers against each other: every network a point, published means with error bars."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter

from clusterability.report.style import GREY, NCUT, ZERO, drawing, facets, handle, legend, named, styles, symlog

_BARS = {"markerfacecolor": "none", "markersize": 7, "markeredgewidth": 1.2, "linewidth": 1.2}
_ARROW = {"arrowstyle": "-|>", "linewidth": 1, "shrinkA": 0, "shrinkB": 0}


@drawing
def ncut_against_z(
    rows: pd.DataFrame,
    published: pd.DataFrame,
    *,
    title: str = "",
    only: Sequence[str] = (),
    among: Sequence[str] = (),
) -> Figure:
    """n-cut against z-score, a column of panels a data set, a row a pruning state; published means where they are.

    ``published`` is as :func:`clusterability.papers.published.load` gives it; empty or lacking conditions is fine.
    ``title`` is what the picture must say wherever it is shown. ``only`` some conditions are drawn, with the looks
    that they have ``among`` others (by default: all, among those of the rows).
    """
    shown = set(only or rows["condition"])
    looks = {name: look for name, look in styles(among or rows["condition"]).items() if name in shown}
    drawn, theirs = (named(table[table["condition"].isin(list(looks))]) for table in (rows, published))
    grid = facets(
        "scatter", drawn, looks, "condition", x="z", y="ncut", col="dataset", row="pruned", sharex=False,
        sharey="row", titles="{col_name}, {row_name}" if drawn["pruned"].nunique() > 1 else "{col_name}",
    )  # fmt: skip
    grid.refline(x=0, **ZERO)
    theirs = theirs[[place in grid.axes_dict for place in zip(theirs["pruned"], theirs["dataset"], strict=True)]]
    for mean in theirs.itertuples():
        colour, marker = looks[mean.condition]
        grid.axes_dict[mean.pruned, mean.dataset].errorbar(
            mean.z_mean, mean.ncut_mean, mean.ncut_sd, mean.z_sd, color=colour, marker=marker, zorder=0.8, **_BARS
        )
    grid.set_axis_labels("z-score against shuffled weights\n(below 0: more clusterable than chance)", NCUT)
    bar = [handle("published mean ± sd", GREY, "o", linestyle="-", **_BARS)] if len(theirs) else []
    legend(grid.figure, looks, *bar, columns=3 if drawn["dataset"].nunique() == 1 else 6)
    grid.figure.suptitle(title, fontsize="medium", fontweight="bold")
    return grid.figure


@drawing
def ncut_against_accuracy(rows: pd.DataFrame) -> Figure:
    """n-cut against test accuracy, a panel a data set; filled points are pruned networks."""
    looks, drawn = styles(rows["condition"]), named(rows).assign(accuracy=100 * rows["test_accuracy"])
    grid = facets(
        "scatter", drawn, looks, "condition", x="accuracy", y="ncut", col="dataset", sharex=False, height=3.6,
        aspect=1.0, titles="{col_name}",
    )  # fmt: skip
    for dataset, panel in grid.axes_dict.items():
        [points] = panel.collections
        colours, pruned = points.get_facecolors(), rows.loc[drawn["dataset"] == dataset, "pruned"].to_numpy()
        filled = np.where(pruned[:, None], colours, [0, 0, 0, 0])
        points.set(alpha=None, edgecolors=colours, linewidths=1.2, facecolors=filled)
    grid.set_axis_labels("test accuracy, %", NCUT)
    fills = {"unpruned": "none", "pruned": "full"}
    kinds = [(f"{name}, {state}", look, fills[state]) for name, look in looks.items() for state in fills]
    legend(grid.figure, {}, *(handle(name, *look, fillstyle=fill) for name, look, fill in kinds), columns=4)
    return grid.figure


@drawing
def against_error(rows: pd.DataFrame, columns: Mapping[str, str]) -> Figure:
    """Numbers against test error, a column of panels a data set; sweeps are joined at their means.

    Rows have ``series``, what is swept or the condition by itself, and ``strength``, the coefficient, or NaN for a
    condition by itself. ``columns`` are the numbers to draw and their axis labels, a row of panels each. Sweeps
    have colours, an arrow towards the largest coefficient, and their range in the legend; conditions are grey.
    """
    swept = rows["strength"].notna()
    sweeps, others = (styles(part["series"]) for part in (rows[swept], rows[~swept]))
    looks = {name: (GREY, marker) for name, (_, marker) in others.items()} | sweeps
    drawn = named(rows).assign(error=100 * (1 - rows["test_accuracy"]))
    drawn = drawn.melt(["dataset", "series", "strength", "error"], list(columns), "number")
    grid = facets(
        "scatter", drawn, looks, "series", x="error", y="value", col="dataset", row="number", sharex="col",
        sharey="row", margin_titles=True, height=2.7, aspect=1.55, s=22, alpha=0.6,
    )  # fmt: skip
    means = drawn.groupby(["number", "dataset", "series", "strength"])[["error", "value"]].mean()
    for (number, dataset, series), curve in means.groupby(level=[0, 1, 2]):
        panel, colour = grid.axes_dict[number, dataset], looks[series][0]
        panel.plot(curve["error"], curve["value"], color=colour, linewidth=1, alpha=0.8)
        if len(curve) > 1:
            panel.annotate("", curve.iloc[-1], curve.iloc[-2], arrowprops=_ARROW | {"color": colour})
    for (number, _), panel in grid.axes_dict.items():
        panel.set_xscale("log")
        panel.grid()
        panel.xaxis.set_major_formatter("{x:g}")
        panel.xaxis.set_minor_formatter(LogFormatter(minor_thresholds=(2.5, 0.8)))  # fewer over a decade
        if number == "z":
            panel.axhline(0, **ZERO)
            symlog(panel, 10)
    grid.set_titles(col_template="{col_name}", row_template="")
    for panel, label in zip(grid.axes[:, 0], columns.values(), strict=True):
        panel.set_ylabel(label)
    grid.set_xlabels("test error, % (logarithmic; left: more accurate)")
    ranges = rows[swept].groupby("series")["strength"].agg(lambda s: f", {s.min():g} to {s.max():g}")
    legend(grid.figure, {name + ranges.get(name, ""): look for name, look in looks.items()}, columns=3)
    return grid.figure
