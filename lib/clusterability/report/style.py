"""What all figures share: colours and shapes, settings, and how they are written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import matplotlib
from IPython.display import SVG
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from clusterability.base.files import written_whole

# Okabe & Ito's palette; a shape beside every colour, for print in grey.
STYLES = [("#0072B2", "o"), ("#D55E00", "s"), ("#009E73", "^"), ("#CC79A7", "D"), ("#E69F00", "v"),
          ("#56B4E9", "P"), ("#000000", "X")]  # fmt: skip
"""Colour and marker of the first, second … condition."""
PUBLISHED = "0.35"
"""Grey of published values."""

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


@contextmanager
def new_figure(width: float, height: float) -> Iterator[Figure]:
    """An empty figure, inches wide and high, in the settings of all figures."""
    with matplotlib.rc_context(_SETTINGS):
        yield Figure(figsize=(width, height), layout="constrained")


def styles(names: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Colour and marker of every name."""
    return dict(zip(names, STYLES * len(names), strict=False))


def handle(label: str, colour: str, marker: str, **options) -> Line2D:
    """A point for a legend."""
    return Line2D([], [], color=colour, marker=marker, linestyle="none", label=label, **options)


def legend(figure: Figure, handles: Sequence[Line2D], columns: int = 6) -> None:
    """A legend below the panels."""
    figure.legend(handles=handles, loc="outside lower center", ncols=min(columns, len(handles)), frameon=False)


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
