"""What lesions cost: sub-modules as points, pairs of them as heat maps, what depends on what as graphs."""

from __future__ import annotations

from collections.abc import Sequence

import networkx
import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import SymLogNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.ticker import ScalarFormatter

from clusterability.base.statistics import numbers
from clusterability.data.catalogue import TITLES
from clusterability.lesions.importance import DEPENDENCIES, KINDS
from clusterability.report.style import handle, legend, new_figure

_LOOKS = dict(
    zip(
        KINDS,
        [("#D55E00", "o"), ("#E69F00", "^"), ("#CC79A7", "v"), ("#009E73", "s"), ("0.6", "."), ("#000000", "D"),
         ("#56B4E9", "P")],
        strict=True,
    )
)  # fmt: skip
_ARROWS = dict(zip(DEPENDENCIES, [("#000000", "-"), ("#0072B2", "-"), ("#D55E00", "--")], strict=False))
_PLACE = ["dataset", "condition"]


def sub_modules(rows: pd.DataFrame, column: str, label: str, *, linthresh: float) -> Figure:
    """Share of the layer against what a lesion costs: a panel a network, every sub-module a point.

    Parameters
    ----------
    rows : DataFrame
        As :func:`clusterability.lesions.importance.classified` gives them.
    column : str
        What is drawn upwards.
    label : str
        The vertical axis's label.
    linthresh : float
        The axis is linear up to here, and logarithmic beyond.
    """
    places = list(rows[_PLACE].drop_duplicates().itertuples(index=False))
    seeds = sorted(rows["seed"].unique())
    with new_figure(max(6.4, 1.2 + 1.75 * len(seeds)), 1.1 + 1.55 * len(places)) as figure:
        panels = figure.subplots(len(places), len(seeds), sharex=True, sharey=True, squeeze=False)
        for (row, column_number), panel in np.ndenumerate(panels):
            dataset, condition = places[row]
            seed = seeds[column_number]
            here = rows[(rows["dataset"] == dataset) & (rows["condition"] == condition) & (rows["seed"] == seed)]
            panel.axhline(0, color="0.75", linewidth=0.8, zorder=0)
            for kind in reversed(KINDS):
                chosen = here[here["kind"] == kind]
                colour, marker = _LOOKS[kind]
                panel.scatter(
                    100 * chosen["share"], chosen[column], color=colour, marker=marker, s=16, alpha=0.85, linewidths=0
                )
            panel.set_yscale("symlog", linthresh=linthresh)
            panel.yaxis.set_major_formatter(ScalarFormatter())
            panel.grid(axis="y", color="0.92", linewidth=0.6)
            if column_number == 0:
                panel.set_ylabel(f"{TITLES[dataset]},\n{condition}", fontsize=9)
            if row == 0:
                panel.set_title(f"network {column_number + 1}", fontsize=9)
        panels[-1, len(seeds) // 2].set_xlabel("share of the layer's neurons, %")
        figure.supylabel(label, fontsize=10)
        kinds = [kind for kind in KINDS if (rows[column].notna() & (rows["kind"] == kind)).any()]
        legend(figure, [handle(kind, *_LOOKS[kind]) for kind in kinds], columns=4)
    return figure


def conditional_importance(networks: Sequence[tuple[str, pd.DataFrame]]) -> Figure:
    """Accuracy lost by one sub-module's lesion when another is silent already: a heat map a network.

    Parameters
    ----------
    networks : sequence of (str, DataFrame)
        For every network its name and its rows of the schema :data:`clusterability.experiments.store.CONDITIONAL`.
    """
    n_columns = min(2, len(networks))
    n_rows = -(-len(networks) // n_columns)
    with new_figure(4.6 * n_columns + 0.8, 4.3 * n_rows) as figure:
        panels = figure.subplots(n_rows, n_columns, squeeze=False)
        image = None
        for panel in panels.flat[len(networks) :]:
            panel.set_axis_off()
        for panel, (name, rows) in zip(panels.flat, networks, strict=False):
            lost = 100 * (rows["given_accuracy"] - rows["accuracy"])
            table = rows.assign(
                lost=lost,
                lesioned=list(zip(rows["layer"], rows["cluster"], strict=True)),
                given=list(zip(rows["given_layer"], rows["given_cluster"], strict=True)),
            ).pivot(index="given", columns="lesioned", values="lost")
            image = _heat_map(panel, table.to_numpy())
            names = [f"{layer}.{cluster + 1}" for layer, cluster in table.columns]
            panel.set_xticks(range(len(names)), names, rotation=90, fontsize=6)
            panel.set_yticks(range(len(names)), names, fontsize=6)
            panel.set_title(name, fontsize=10)
            panel.set_xlabel("lesioned: layer.cluster", fontsize=9)
            panel.set_ylabel("silent already: layer.cluster", fontsize=9)
        _colour_bar(figure, image, panels)
    return figure


def dependency_graphs(networks: Sequence[tuple[str, networkx.DiGraph]]) -> Figure:
    """Important sub-modules, layer by layer, and which depend on which; a panel a network.

    Parameters
    ----------
    networks : sequence of (str, DiGraph)
        For every network its name and :func:`clusterability.lesions.importance.dependency_graph`.
    """
    n_columns = min(2, len(networks))
    n_rows = -(-len(networks) // n_columns)
    n_layers = 1 + max((data["layer"] for _, graph in networks for _, data in graph.nodes(data=True)), default=1)
    with new_figure(4.4 * n_columns, 0.7 + 3.0 * n_rows) as figure:
        panels = figure.subplots(n_rows, n_columns, squeeze=False)
        for panel in panels.flat:
            panel.set_axis_off()
        for panel, (name, graph) in zip(panels.flat, networks, strict=False):
            panel.set_title(name, fontsize=10)
            places = _layered(graph)
            for dependency, (colour, style) in _ARROWS.items():
                edges = [edge for *edge, kind in graph.edges(data="dependency") if kind == dependency]
                networkx.draw_networkx_edges(
                    graph, places, edges, ax=panel, edge_color=colour, style=style, width=1, arrowsize=7,
                    node_size=260, connectionstyle="arc3,rad=0.12",
                )  # fmt: skip
            networkx.draw_networkx_nodes(
                graph, places, ax=panel, node_size=260, node_color="#F5E6C8", edgecolors="0.4"
            )
            names = {node: f"{node[0]}.{node[1] + 1}" for node in graph}
            networkx.draw_networkx_labels(graph, places, names, ax=panel, font_size=7)
            for layer in range(1, n_layers):
                panel.text(layer, -0.08, f"hidden {layer}", ha="center", fontsize=8, color="0.4")
            panel.set(xlim=(0.6, n_layers - 0.6), ylim=(-0.12, 1.05))
        lines = [Line2D([], [], color=c, linestyle=style, label=kind) for kind, (c, style) in _ARROWS.items()]
        legend(figure, lines, columns=3)
    return figure


def class_profiles(rows: pd.DataFrame) -> Figure:
    """Accuracy that the lesions of important sub-modules cost every class: a panel a data set and condition.

    Parameters
    ----------
    rows : DataFrame
        As :func:`clusterability.lesions.importance.classified` gives them, of one network a panel.
    """
    places = list(rows[_PLACE].drop_duplicates().itertuples(index=False))
    n_columns = min(2, len(places))
    n_rows = -(-len(places) // n_columns)
    with new_figure(4.6 * n_columns + 0.8, 3.4 * n_rows) as figure:
        panels = figure.subplots(n_rows, n_columns, squeeze=False)
        for panel in panels.flat[len(places) :]:
            panel.set_axis_off()
        image = None
        for panel, (dataset, condition) in zip(panels.flat, places, strict=False):
            here = rows[
                (rows["dataset"] == dataset) & (rows["condition"] == condition) & (rows["kind"] == "important")
            ]
            panel.set_title(f"{TITLES[dataset]}, {condition}", fontsize=10)
            if here.empty:
                panel.text(0.5, 0.5, "no important sub-module", ha="center", transform=panel.transAxes)
                panel.set_axis_off()
                continue
            lost = 100 * np.array([numbers(text) for text in here["class_drops"]])
            image = _heat_map(panel, lost)
            names = [f"{row.layer}.{row.cluster + 1}" for row in here.itertuples()]
            panel.set_yticks(range(len(names)), names, fontsize=7)
            panel.set_xticks(range(lost.shape[1]))
            panel.set_xlabel("class", fontsize=9)
            panel.set_ylabel("lesioned: layer.cluster", fontsize=9)
        if image is not None:
            _colour_bar(figure, image, panels)
    return figure


def _heat_map(panel: Axes, lost: np.ndarray) -> AxesImage:
    """Percentage points lost, in one colour scale for all figures."""
    return panel.imshow(lost, cmap=colormaps["cividis"], norm=SymLogNorm(1, vmin=-1, vmax=100), aspect="auto")


def _colour_bar(figure: Figure, image: AxesImage, panels: np.ndarray) -> None:
    bar = figure.colorbar(
        image, ax=panels, label="accuracy lost, percentage points", aspect=50, shrink=0.6, extend="min"
    )
    bar.set_ticks([-1, 0, 1, 10, 100], labels=["−1", "0", "1", "10", "100"])


def _layered(graph: networkx.DiGraph) -> dict:
    """Every node's place: its layer across, evenly spread upwards."""
    places = {}
    for layer in {layer for _, layer in graph.nodes(data="layer")}:
        nodes = [node for node, own in graph.nodes(data="layer") if own == layer]
        for number, node in enumerate(nodes):
            places[node] = (layer, 1 - (number + 0.5) / len(nodes))
    return places
