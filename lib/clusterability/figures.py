"""Figures: vector files, colours that colour-blind readers can tell apart, every network a point."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import pandas as pd
from IPython.display import SVG
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from clusterability.datasets import TITLES
from clusterability.paths import written_whole

# Okabe & Ito's palette; a shape beside every colour, for print in grey.
_STYLES = [("#0072B2", "o"), ("#D55E00", "s"), ("#009E73", "^"), ("#CC79A7", "D"), ("#E69F00", "v"),
           ("#56B4E9", "P"), ("#000000", "X")]  # fmt: skip
_SETTINGS = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": True,
    "svg.hashsalt": "clusterability",
    "pdf.fonttype": 42,
    "figure.facecolor": "white",
}
# Without dates, the same numbers give the same bytes.
_METADATA = {
    "svg": {"Date": None},
    "pdf": {"CreationDate": None},
    "png": {"Software": None},
}


def ncut_against_z(rows: pd.DataFrame, published: pd.DataFrame) -> Figure:
    """n-cut against z-score, a panel a data set: every network a point, published means as crosses.

    Parameters
    ----------
    rows : DataFrame
        Result rows of one pruning state.
    published : DataFrame
        As :func:`clusterability.published.load` gives it; empty or lacking conditions is fine.
    """
    datasets, conditions = rows["dataset"].unique(), list(rows["condition"].unique())
    styles = dict(zip(conditions, _STYLES * len(conditions), strict=False))
    with matplotlib.rc_context(_SETTINGS):
        figure = Figure(figsize=(max(6.4, 4.2 * len(datasets)), 4.4), layout="constrained")
        panels = figure.subplots(1, len(datasets), sharey=True, squeeze=False)[0]
        any_published = False
        for panel, dataset in zip(panels, datasets, strict=True):
            panel.axvline(0, color="0.75", linewidth=0.8, zorder=0)
            for condition in conditions:
                colour, marker = styles[condition]
                here = (rows["dataset"] == dataset) & (rows["condition"] == condition)
                panel.scatter(
                    rows.loc[here, "z"], rows.loc[here, "ncut"], color=colour, marker=marker,
                    s=34, alpha=0.75, linewidths=0,
                )  # fmt: skip
                match = (published["dataset"] == dataset) & (published["condition"] == condition)
                for _, mean in published[match & (published["pruned"] == rows["pruned"].iloc[0])].iterrows():
                    any_published = True
                    panel.errorbar(
                        mean["z_mean"], mean["ncut_mean"], xerr=mean["z_sd"], yerr=mean["ncut_sd"],
                        color=colour, linewidth=1, capsize=0, zorder=1,
                    )  # fmt: skip
            panel.set_title(TITLES[dataset])
            panel.set_xlabel("z-score against shuffled weights\n(below 0: more clusterable than chance)")
        panels[0].set_ylabel("n-cut (lower: more clusterable)")
        handles = [
            Line2D([], [], color=styles[c][0], marker=styles[c][1], linestyle="none", label=c) for c in conditions
        ]
        if any_published:
            label = "published mean ± sd"
            handles.append(Line2D([], [], color="0.35", marker="+", markersize=11, linestyle="none", label=label))
        figure.legend(
            handles=handles,
            loc="outside lower center",
            ncols=3 if len(datasets) == 1 else len(handles),
            frameon=False,
        )
    return figure


def save(figure: Figure, name: str, formats: Sequence[str] = ("svg", "pdf", "png")) -> SVG:
    """Write ``figures/NAME.svg``, ``.pdf`` and ``.png`` below the working directory; return the SVG.

    The same figure gives the same bytes.
    """
    folder = Path("figures")
    with matplotlib.rc_context(_SETTINGS):
        for suffix in formats:
            with written_whole(folder / f"{name}.{suffix}") as temporary:
                figure.savefig(temporary, format=suffix, dpi=200, metadata=_METADATA[suffix])
    return SVG(filename=str(folder / f"{name}.svg"))
