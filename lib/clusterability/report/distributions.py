"""Distributions over networks, over their shuffles and over their clusters."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from clusterability.report.style import GREY, NCUT, STYLES, ZERO, drawing, facets, handle, legend, named, styles

_TICK = {"color": GREY, "marker": "|", "markersize": 9, "linestyle": "none"}  # a published mean


@drawing
def strips(
    rows: pd.DataFrame, columns: Mapping[str, str], *, by: str, colour_by: str | None = None,
    published: pd.DataFrame | None = None,
) -> Figure:  # fmt: skip
    """One line a group ``by`` with every network as a point; a panel a number of ``columns`` with its axis label.

    ``colour_by`` names a column that colours the points; ``published`` has ``by`` as a column, and NAME_mean and
    NAME_sd for the numbers it knows.
    """
    rows = rows.assign(look=rows[colour_by].astype(str) if colour_by else "")
    groups, looks = list(rows[by].unique()), styles(rows["look"])
    crowded = rows.groupby([by, "look"]).size().max() > 50
    size = (3.2 + 3.4 * len(columns), 1.5 + (0.65 if crowded else 0.45) * len(groups))
    figure, [axes] = plt.subplots(1, len(columns), sharey=True, squeeze=False, figsize=size)
    theirs = rows[:0] if published is None else published[published[by].isin(groups)]
    places = [groups.index(group) - 0.36 for group in theirs[by]]
    for panel, (column, label) in zip(axes, columns.items(), strict=True):
        for look, (colour, marker) in looks.items():
            sns.stripplot(
                rows[rows["look"] == look], x=column, y=by, order=groups, hue="look", hue_order=list(looks),
                palette=[colour] * len(looks), marker=marker, dodge=len(looks) > 1, jitter=0.22, legend=False,
                size=3 if crowded else 5.5, alpha=0.7, ax=panel,
            )  # fmt: skip
        if f"{column}_mean" in theirs:
            panel.errorbar(theirs[f"{column}_mean"], places, xerr=theirs[f"{column}_sd"], elinewidth=1, **_TICK)
        if column.endswith("z"):
            panel.axvline(0, **ZERO)
        panel.grid(axis="y")
        panel.set(xlabel=label, ylabel="", ylim=(len(groups) - 0.5, -0.5))
    mean = [] if published is None else [handle("published mean ± sd", GREY, "|", markersize=10)]
    if colour_by or mean:
        legend(figure, looks if colour_by else {}, *mean)
    return figure


@drawing
def beside_shuffles(rows: pd.DataFrame, published: pd.DataFrame, by: str) -> Figure:
    """One line a network, named in column ``by``: its n-cut, its shuffles' n-cuts, and both as published."""
    names, looks = list(rows[by].unique()), styles(rows["condition"])
    lanes = dict(zip([*looks, "published"], np.linspace(-0.2, 0.2, len(looks) + 1), strict=True))
    figure, panel = plt.subplots(figsize=(7.4, 1.6 + 0.55 * len(names)))
    for row in rows.to_dict("records"):
        colour, marker = looks[row["condition"]]
        height, shuffled = names.index(row[by]) + lanes[row["condition"]], row["shuffled_ncuts"]
        panel.scatter(shuffled, np.full(len(shuffled), height), color=colour, marker="|", s=170, linewidths=0.6)
        panel.scatter(row["ncut"], height, color=colour, marker=marker, s=36, linewidths=0, zorder=3)
    theirs = published[published[by].isin(names)]
    heights, shuffled = [names.index(name) + lanes["published"] for name in theirs[by]], theirs["shuffled_ncut_mean"]
    panel.errorbar(shuffled, heights, xerr=theirs["shuffled_ncut_sd"], elinewidth=1, **_TICK | {"markersize": 13})
    panel.scatter(theirs["ncut_mean"], heights, color=GREY, marker="P", s=36, linewidths=0, zorder=3)
    panel.set_yticks(range(len(names)), names)
    panel.set(xlabel=NCUT, ylim=(len(names) - 0.5, -0.5))
    panel.grid(axis="y")
    shown = {f"{condition.lower()}, here": look for condition, look in looks.items()}
    shown |= {"pretrained, published": (GREY, "P")} if len(theirs) else {}
    legend(figure, shown | {"shuffled weights (published: mean ± sd)": (GREY, "|")}, columns=2)
    return figure


@drawing
def cluster_shares(rows: pd.DataFrame, by: str) -> Figure:
    """How volume and neurons are shared among clusters: every network a bar, networks grouped by column ``by``."""
    groups = list(rows[by].unique())
    ordered = rows.assign(place=rows[by].map(groups.index)).sort_values(["place", "seed"])
    heights = np.arange(len(ordered)) + 0.8 * ordered["place"].to_numpy()
    figure, axes = plt.subplots(1, 2, sharey=True, figsize=(9, 1.0 + 0.13 * (heights[-1] + 1)))
    for panel, column, label in zip(axes, ("volume_shares", "vertex_shares"), ("volume", "neurons"), strict=True):
        left = np.zeros(len(ordered))
        for cluster, width in enumerate(100 * np.stack([*ordered[column]]).T):
            shade = ("#0072B2", "#9CCBE6")[cluster % 2]
            panel.barh(heights, width, left=left, height=0.86, color=shade, edgecolor="white", linewidth=0.3)
            left += width
        panel.set(xlabel=f"share of the {label}, %", xlim=(0, 100))
    axes[0].set_yticks([heights[ordered[by] == group].mean() for group in groups], groups)
    axes[0].set_ylim(heights[-1] + 0.7, -0.7)
    return figure


@drawing
def violins(rows: pd.DataFrame, null_names: Mapping[str, str]) -> Figure:
    """Violins of the shuffled n-cuts of a condition's networks, a colour a null model, beside their own n-cuts."""
    rows = named(rows).assign(what="shuffled: " + rows["null_model"].map(null_names))
    own = rows.drop_duplicates(["dataset", "condition", "pruned", "seed"]).assign(what="trained networks")
    null = rows.assign(ncut=np.nan, shuffled=rows["shuffled_ncuts"]).explode("shuffled")
    drawn = pd.concat([own, null.astype({"shuffled": float})], ignore_index=True)
    looks = styles(drawn["what"])
    grid = sns.FacetGrid(drawn, row="pruned", col="dataset", sharey="row", height=3.4, aspect=1.2)
    grid.figure.set_figheight(grid.figure.get_figheight() + 0.5)
    shared = {"x": "condition", "order": list(rows["condition"].unique()), "hue": "what", "hue_order": list(looks),
              "palette": [colour for colour, _ in looks.values()], "dodge": True}  # fmt: skip
    grid.map_dataframe(
        sns.violinplot, y="shuffled", cut=0, inner=None, density_norm="width", linewidth=0.6, gap=0.1, saturation=1,
        alpha=0.6, **shared,
    )  # fmt: skip
    grid.map_dataframe(sns.stripplot, y="ncut", jitter=0.2, size=5.5, alpha=0.8, **shared)
    grid.set_titles("{col_name}, {row_name}").set_axis_labels("", NCUT)
    legend(grid.figure, {what: (colour, "os"[place > 0]) for place, (what, (colour, _)) in enumerate(looks.items())})
    return grid.figure


@drawing
def spectra(rows: pd.DataFrame, n_clusters: int, groups: pd.Series) -> Figure:
    """Eigenvalues around the last of the ``n_clusters`` that an embedding uses: every network a line, a panel a
    data set; ``groups``, indexed as the rows, colours the networks."""
    first, looks = max(2, n_clusters - 3), styles(groups)
    values = rows["eigenvalues"].map(lambda values: values[first - 1 :])
    drawn = named(rows).assign(group=groups, network=range(len(rows)), value=values)
    drawn["number"] = values.map(lambda row: range(first, first + len(row)))
    drawn = drawn.explode(["value", "number"]).astype({"value": float, "number": int})
    grid = facets(
        "line", drawn, looks, "group", x="number", y="value", units="network", col="dataset", sharey=False,
        titles="{col_name}", markersize=4,
    )  # fmt: skip
    grid.refline(x=n_clusters + 0.5, color="0.6", linewidth=0.8, linestyle=":")
    grid.set_axis_labels("number of the eigenvalue (the first is 0)", "eigenvalue of the normalized Laplacian")
    legend(grid.figure, looks)
    return grid.figure


@drawing
def forest(table: pd.DataFrame, label: str, colours: Mapping[str, str], limit: float = np.inf) -> Figure:
    """Differences with their confidence intervals, a line a comparison: ``name``, ``difference``, ``low``, ``high``
    and ``verdict``; verdicts have ``colours``, in the order of the legend; ``label`` is the horizontal axis's. What
    lies beyond ± ``limit`` is an arrow there."""
    looks = {verdict: (colours[verdict], marker) for verdict, (_, marker) in zip(colours, STYLES, strict=False)}
    figure, panel = plt.subplots(figsize=(7.6, 1.2 + 0.24 * len(table)))
    panel.axvline(0, **ZERO)
    for place, row in enumerate(table.itertuples()):
        colour, marker = looks[row.verdict]
        panel.plot(np.clip([row.low, row.high], -limit, limit), [place, place], color=colour, linewidth=1.2)
        if abs(row.difference) < limit:
            panel.plot(row.difference, place, color=colour, marker=marker, markersize=4.5)
        for beyond, end, arrow in ((row.low < -limit, -limit, "<"), (row.high > limit, limit, ">")):
            if beyond:
                panel.plot(end, place, color=colour, marker=arrow, markersize=5)
    panel.set_yticks(range(len(table)), table["name"], fontsize=8.5)
    panel.set(xlabel=label, ylim=(len(table) - 0.4, -0.6))
    legend(figure, {verdict: look for verdict, look in looks.items() if verdict in set(table["verdict"])})
    return figure
