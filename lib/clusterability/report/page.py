"""A figure's page: its rows, what was published beside them, its figure, its claims, and where all came from."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
from IPython.display import HTML, SVG
from matplotlib.figure import Figure

from clusterability.experiments import grid, run
from clusterability.experiments.grid import Run
from clusterability.papers.claims import NOT_EVALUATED, Claim
from clusterability.report import style, tables


class Page:
    """What the cells of one figure's notebook call.

    Parameters
    ----------
    name : str
        The notebook's, without suffix; its table and its figure are called the same.
    device : str
        Where networks train, in PyTorch's words.
    recompute : bool
        Compute stored rows anew.
    """

    def __init__(self, name: str, *, device: str = "cpu", recompute: bool = False) -> None:
        self.name = name
        self._options: dict[str, Any] = {"device": device, "recompute": recompute}
        self._tables: list[pd.DataFrame] = []

    def rows(self, runs: Sequence[Run], *, table: str = "", shared: Sequence[str] = ()) -> pd.DataFrame:
        """Rows of all runs, see :func:`clusterability.experiments.run.run`; ``table`` if it is not the page's own."""
        self._tables.append(run.run(table or self.name, runs, shared=shared, **self._options))
        return self._tables[-1]

    def at_hand(self, runs: Sequence[Run], *, table: str = "", shared: Sequence[str] = ()) -> pd.DataFrame:
        """The rows of those runs that are stored; nothing is computed."""
        self._tables.append(run.at_hand(table or self.name, runs, shared=shared))
        return self._tables[-1]

    def preset(self, name: str) -> dict[str, Any]:
        """The parameters that a preset of this page changes."""
        return grid.preset(self.name, name)

    def glue(self, **values: Any) -> None:
        """Numbers for the page's sentences."""
        from myst_nb import glue

        for name, value in values.items():
            glue(name, value, display=False)

    def scale(self, runs: Sequence[Run], full: pd.DataFrame, full_runs: Sequence[Run]) -> str:
        """Glue what the page says of its size, where the published one is too large for every machine: ``scale``, in
        words; ``n_replicates``, ``n_shuffles``; ``epochs``, before and during pruning; ``n_full`` and
        ``n_full_wanted``, how many rows are at hand and wanted at the published scale. Returns what is to stand by
        verdicts: "at a smaller scale", or nothing."""
        here, there = ({(r.network.training.last_epoch(True), r.network.architecture.n_vertices) for r in which}
                       for which in (runs, full_runs))  # fmt: skip
        at = "" if here == there else "at a smaller scale" if max(here) <= max(there) else "at another scale"
        training = runs[0].network.training
        self.glue(
            scale=f"{at.capitalize()} than published" if at else "At the published scale",
            n_replicates=len({run.network.seed for run in runs}),
            n_shuffles=runs[0].measurement.n_shuffles,
            epochs=f"{training.epochs} + {training.pruning_epochs}",
            n_full=len(full),
            n_full_wanted=len(full_runs),
        )
        return at

    beside = staticmethod(tables.beside)

    def figure(self, figure: Figure, suffix: str = "") -> SVG:
        """Write the figure as SVG, PDF and PNG, and show it; ``suffix`` tells further figures of the page apart."""
        return style.save(figure, f"{self.name}-{suffix}" if suffix else self.name)

    def claims(self, *evaluated: Claim, at: str = "", only_decided: bool = False) -> HTML:
        """Claims, what the rows say of each, and the numbers that say so; or only those that rows speak of. ``at``
        names the scale, as :meth:`scale` does, where it is not the published one."""
        shown = [claim for claim in evaluated if claim.verdict != NOT_EVALUATED or not only_decided]
        return tables.html([
            {"Claim": one.statement, "Verdict": f"{one.verdict}, {at}" if at else one.verdict, "Numbers": one.numbers}
            for one in shown
        ])  # fmt: skip

    def provenance(self) -> HTML:
        """Where all rows come from that the page has asked for."""
        return tables.provenance(*self._tables)
