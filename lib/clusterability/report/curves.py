"""Numbers along training, and over numbers of clusters and of starts; every network a line."""

from textwrap import fill

import pandas as pd
from matplotlib.figure import Figure

from clusterability.report.style import GREY, STYLES, ZERO, drawing, facets, handle, legend, named, styles, symlog


@drawing
def along_training(
    rows: pd.DataFrame,
    panels: list[tuple[str, str, list[tuple[int | None, str, str]]]],
    published: pd.DataFrame | None = None,
) -> Figure:
    """Numbers against the epochs passed, a column of panels a data set and condition.

    For every row, ``panels`` has the vertical axis's label, its scale ("linear" or "log"), and its curves: number
    of clusters (None: any), column, name for the legend. ``published`` has ``dataset``, ``epoch``, and means in
    columns COLUMN_mean, their deviations in COLUMN_sd.
    """
    rows = rows.assign(place=named(rows)["dataset"] + ", " + rows["condition"])
    looks = styles(name for _, _, curves in panels for _, _, name in curves)
    drawn = pd.concat(
        rows[rows["n_clusters"].eq(k) | (k is None)].drop_duplicates(["place", "seed", "epoch"])
        .assign(panel=label, curve=name, value=lambda table, column=column: table[column])
        for label, _, curves in panels for k, column, name in curves
    )  # fmt: skip
    grid = facets(
        "line", drawn, looks, "curve", x="epoch", y="value", col="place", row="panel", units="seed", sharex="col",
        sharey="row", row_order=[label for label, _, _ in panels], col_order=list(rows["place"].unique()),
        height=2.1, aspect=1.4, margin_titles=True, markersize=3,
    )  # fmt: skip
    grid.set_titles(col_template="{col_name}", row_template="")
    for (label, scale, curves), line in zip(panels, grid.axes, strict=True):
        line[0].set(ylabel=label, yscale=scale)
        for panel, (_, networks) in zip(line, rows.groupby("place", sort=False), strict=True):
            if networks["pruning_epochs"].any():
                panel.axvline(networks["epochs"].iloc[0], color="0.6", linewidth=0.8, linestyle=":")
            for number in [] if published is None else [c for _, c, _ in curves if f"{c}_mean" in published]:
                theirs = published[published["dataset"] == networks["dataset"].iloc[0]]
                panel.errorbar(
                    theirs["epoch"], theirs[f"{number}_mean"], theirs[f"{number}_sd"], color=GREY,
                    marker="P", markersize=6, linestyle="none", capsize=2, zorder=3,
                )  # fmt: skip
            panel.xaxis.get_major_locator().set_params(integer=True)
    grid.set_xlabels("epochs passed")
    mean = [] if published is None or published.empty else [handle("published mean ± sd", GREY, "P")]
    legend(grid.figure, looks, *mean, columns=max(2, 3 * grid.axes.shape[1] // 2))
    return grid.figure


def _in_order(counts: pd.Series) -> pd.Categorical:
    """Numbers as evenly spaced places."""
    return pd.Categorical(counts.astype(str), [str(count) for count in sorted(counts.unique())])


@drawing
def z_by_clusters(rows: pd.DataFrame) -> Figure:
    """z-score against the number of clusters, a column a data set, a row a pruning state."""
    looks, drawn = styles(rows["condition"]), named(rows).assign(k=_in_order(rows["n_clusters"]))
    grid = facets(
        "line", drawn, looks, "condition", x="k", y="z", units="seed", col="dataset", row="pruned", sharey="row",
        titles="{col_name}, {row_name}",
    )  # fmt: skip
    for panel in grid.axes[:, 0]:
        symlog(panel, 10)
    grid.refline(y=0, **ZERO)
    grid.set_axis_labels("number of clusters, k", "z-score against shuffled weights")
    legend(grid.figure, looks)
    return grid.figure


@drawing
def over_starts(rows: pd.DataFrame, column: str, label: str, published: pd.DataFrame) -> Figure:
    """A number against the starts of k-means, a row a data set, a column a condition; dashed: as published."""
    looks, drawn = {"networks": STYLES[0]}, named(rows).assign(starts=_in_order(rows["n_starts"]), who="networks")
    grid = facets(
        "line", drawn, looks, "who", x="starts", y=column, col="condition", row="dataset", units="seed", sharey=False,
        margin_titles=True, height=2.4, aspect=1.1,
    )  # fmt: skip
    theirs = named(published).set_index(["dataset", "condition"])[column]
    for place in theirs.index.intersection(list(grid.axes_dict)):
        grid.axes_dict[place].axhline(theirs[place], color=GREY, linewidth=1, linestyle="--", zorder=0)
    grid.set_axis_labels("starts of k-means", fill(label, 30))
    mean = [handle("published mean", GREY, "", linestyle="--", linewidth=1)] if len(published) else []
    legend(grid.figure, looks, *mean)
    return grid.figure
