"""What all figures share: colours and shapes, settings, panels, and how they are written."""

from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from itertools import cycle
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import seaborn as sns
from IPython.display import SVG
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator

from clusterability.base.files import written_whole
from clusterability.data.catalogue import TITLES
from clusterability.papers.words import STATES

# Okabe & Ito's palette; a shape beside every colour, for print in grey.
STYLES = [("#0072B2", "o"), ("#D55E00", "s"), ("#009E73", "^"), ("#CC79A7", "D"), ("#E69F00", "v"),
          ("#56B4E9", "P"), ("#000000", "X")]  # fmt: skip
GREY = "0.35"  # of published values
NCUT = "n-cut (lower: more clusterable)"
ZERO = {"color": "0.65", "linewidth": 0.8, "linestyle": "--", "zorder": 0.6}  # the line z = 0, above the grid

_SETTINGS = {"font.family": "DejaVu Sans", "font.size": 10, "axes.titlesize": 10, "axes.spines.top": False,
             "axes.spines.right": False, "axes.axisbelow": True, "grid.color": "0.92", "grid.linewidth": 0.6,
             "svg.hashsalt": "clusterability", "pdf.fonttype": 42, "figure.facecolor": "white"}  # fmt: skip
_METADATA = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {"Software": None}}
_MARKS = {"scatter": {"s": 34, "alpha": 0.75, "linewidth": 0},
          "line": {"markersize": 5, "markeredgewidth": 0, "linewidth": 0.8, "alpha": 0.75, "dashes": False,
                   "estimator": None}}  # fmt: skip


def drawing(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """A function that draws in the settings of all figures, and points at the same places every time."""

    @wraps(draw)
    def drawn(*args, **options) -> Figure:
        state = np.random.get_state()  # noqa: NPY002 (seaborn jitters by NumPy's global generator)
        np.random.seed(0)  # noqa: NPY002
        with matplotlib.rc_context(_SETTINGS):
            figure = draw(*args, **options)
        np.random.set_state(state)  # noqa: NPY002
        figure.set_layout_engine("constrained")
        figure.align_ylabels()
        plt.close(figure)  # else a notebook shows it a second time
        return figure

    return drawn


def styles(names: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Colour and marker of every different name, in their order."""
    return dict(zip(dict.fromkeys(names), cycle(STYLES), strict=False))


def named(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows with data sets and pruning states in words."""
    rows = rows.assign(dataset=rows["dataset"].map(TITLES))
    return rows.assign(pruned=rows["pruned"].map(STATES)) if "pruned" in rows else rows


def facets(
    kind: str, rows: pd.DataFrame, looks: Mapping[str, tuple[str, str]], by: str, *, col: str, titles: str = "",
    height: float = 3.4, aspect: float = 1.2, margin_titles: bool = False, sharex=True, sharey=True, **options,
) -> sns.FacetGrid:  # fmt: skip
    """Panels of a "scatter" or of "line"s; the colours and markers of column ``by`` are its ``looks``."""
    colours, markers = ({name: look[part] for name, look in looks.items()} for part in (0, 1))
    grid = sns.relplot(
        rows.reset_index(drop=True), kind=kind, hue=by, style=by, hue_order=list(looks), style_order=list(looks),
        palette=colours, markers=markers, legend=False, col=col, height=height,
        aspect=max(aspect, 6.4 / height / rows[col].nunique()),
        facet_kws={"margin_titles": margin_titles, "sharex": sharex, "sharey": sharey}, **_MARKS[kind] | options,
    )  # fmt: skip
    grid.figure.set_figheight(grid.figure.get_figheight() + 0.8)  # for the legend
    return grid.set_titles(titles, col_template="{col_name}", row_template="{row_name}")


def symlog(panel: Axes, linthresh: float) -> None:
    """A vertical axis that is linear up to ``linthresh`` and logarithmic beyond, within limits that suit it."""
    panel.set_yscale("symlog", linthresh=linthresh)
    panel.autoscale_view()
    decades = 10.0 ** np.arange(np.ceil(np.log10(linthresh)), 9)
    panel.yaxis.set(major_locator=FixedLocator([*-decades, 0, *decades]), major_formatter="{x:g}")


def handle(label: str, colour: str, marker: str, **options) -> Line2D:
    """A point for a legend."""
    return Line2D([], [], color=colour, marker=marker, label=label, **{"linestyle": "none"} | options)


def legend(figure: Figure, looks: Mapping[str, tuple[str, str]], *others: Line2D, columns: int = 6) -> None:
    """A legend below the panels: names with their colours and markers, then the others."""
    handles = [*(handle(name, *look) for name, look in looks.items()), *others]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(columns, len(handles)), frameon=False)


def save(figure: Figure, name: str) -> SVG:
    """Write ``figures/NAME.svg`` … below the working directory, the same bytes every time; return the SVG."""
    folder = Path("figures")
    with matplotlib.rc_context(_SETTINGS):
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # laid out once for all formats
        for suffix, metadata in _METADATA.items():
            with written_whole(folder / f"{name}.{suffix}") as temporary:
                figure.savefig(temporary, format=suffix, dpi=200, metadata=metadata)
    return SVG(filename=str(folder / f"{name}.svg"))
