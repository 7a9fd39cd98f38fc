"""What lesions cost: sub-modules as points, pairs of them as heat maps, what depends on what as graphs."""

from collections.abc import Sequence

import networkx
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.cm import ScalarMappable
from matplotlib.colors import SymLogNorm
from matplotlib.figure import Figure

from clusterability.lesions.importance import DEPENDENCIES, KINDS
from clusterability.report.style import ZERO, drawing, facets, handle, legend, named, symlog

_LOOKS = [("#D55E00", "o"), ("#E69F00", "^"), ("#CC79A7", "v"), ("#009E73", "s"), ("0.6", "."), ("#000000", "D"),
          ("#56B4E9", "P")]  # fmt: skip
_ARROWS = dict(zip(DEPENDENCIES, [("#000000", "-"), ("#0072B2", "-"), ("#D55E00", "--")], strict=False))


@drawing
def sub_modules(rows: pd.DataFrame, column: str, label: str, *, linthresh: float) -> Figure:
    """Share of the layer against what a lesion costs: a panel a network, every sub-module a point.

    Rows are as :func:`clusterability.lesions.importance.classified` gives them; ``column`` is drawn upwards, on an
    axis that is linear up to ``linthresh`` and logarithmic beyond.
    """
    seeds = sorted(rows["seed"].unique())
    drawn = named(rows[rows[column].notna()]).assign(
        share=100 * rows["share"],
        network=rows["seed"].map(lambda seed: f"network {seeds.index(seed) + 1}"),
        place=lambda table: table["dataset"] + ",\n" + table["condition"],
    )
    looks = {kind: look for kind, look in zip(KINDS, _LOOKS, strict=True) if kind in set(drawn["kind"])}
    grid = facets(
        "scatter", drawn, looks, "kind", x="share", y=column, row="place", col="network", margin_titles=True,
        height=1.6, aspect=1.1, s=18, alpha=0.85,
    )  # fmt: skip
    grid.set_axis_labels("", "")
    symlog(grid.axes[0, 0], linthresh)  # all share it
    for panel in grid.axes.flat:
        panel.axhline(0, **ZERO)
        panel.grid(axis="y")
    grid.axes[-1, grid.axes.shape[1] // 2].set_xlabel("share of the layer's neurons, %")
    grid.axes[len(grid.axes) // 2, 0].set_ylabel(label)
    legend(grid.figure, looks, columns=4)
    return grid.figure


def _in_two_columns(names: Sequence[str], width: float, height: float) -> tuple[Figure, np.ndarray]:
    """A figure of empty panels under their names, each so many inches wide and high."""
    shape = (-(-len(names) // 2), min(2, len(names)))
    figure, axes = plt.subplots(*shape, squeeze=False, figsize=(width * shape[1], height * shape[0] + 0.6))
    for panel in axes.flat:
        panel.set_axis_off()
    for panel, name in zip(axes.flat, names, strict=False):
        panel.set_title(name)
    return figure, axes


def _heat_maps(tables: dict[str, pd.DataFrame], across: str, upwards: str, height: float, **options) -> Figure:
    """Percentage points lost, in one colour scale for all figures."""
    figure, axes = _in_two_columns(list(tables), 4.8, height)
    scale = {"norm": SymLogNorm(1, vmin=-1, vmax=100), "cmap": "cividis"}
    for panel, table in zip(axes.flat, tables.values(), strict=False):
        if table.empty:
            panel.text(0.5, 0.5, "no important sub-module", ha="center", transform=panel.transAxes)
            continue
        panel.set_axis_on()
        sns.heatmap(table, cbar=False, xticklabels=True, yticklabels=True, ax=panel, **scale, **options)
        panel.set(xlabel=across, ylabel=upwards)
        panel.tick_params(labelsize=7)
        panel.tick_params("y", rotation=0)
        for text in panel.texts:
            text.set(color="white" if float(text.get_text()) < 1 else "black", text=text.get_text().replace("-", "−"))
    bar = figure.colorbar(ScalarMappable(**scale), ax=axes, aspect=50, shrink=0.6, extend="min")
    bar.set_label("accuracy lost, percentage points")
    bar.set_ticks([-1, 0, 1, 10, 100], labels=["−1", "0", "1", "10", "100"])
    return figure


@drawing
def conditional_importance(networks: Sequence[tuple[str, pd.DataFrame]]) -> Figure:
    """Accuracy lost by one sub-module's lesion when another is silent already: a heat map a network, of its name
    and its rows, see :class:`clusterability.experiments.rows.ConditionalRow`."""
    tables = {}
    for name, rows in networks:
        pairs = rows.assign(lost=100 * (rows["given_accuracy"] - rows["accuracy"]))
        table = pairs.pivot(index=["given_layer", "given_cluster"], columns=["layer", "cluster"], values="lost")
        table = table.sort_index().sort_index(axis=1)
        tables[name] = table.set_axis(_labels(table.index)).set_axis(_labels(table.columns), axis=1)
    return _heat_maps(tables, "lesioned: layer.cluster", "silent already: layer.cluster", 4.3)


@drawing
def class_profiles(rows: pd.DataFrame) -> Figure:
    """Accuracy that the lesions of important sub-modules cost every class: a heat map a data set and condition, of
    one network's rows as :func:`clusterability.lesions.importance.classified` gives them."""
    tables = {}
    for (dataset, condition), own in named(rows).groupby(["dataset", "condition"], sort=False):
        own = own[own["kind"] == "important"]
        labels = _labels(zip(own["layer"], own["cluster"], strict=True))
        tables[f"{dataset}, {condition}"] = 100 * pd.DataFrame([*own["class_drops"]], labels)
    return _heat_maps(tables, "class", "lesioned: layer.cluster", 3.4, annot=True, fmt="z.0f", annot_kws={"size": 7})


def _labels(places) -> list[str]:
    return [f"{layer}.{cluster + 1}" for layer, cluster in places]


@drawing
def dependency_graphs(networks: Sequence[tuple[str, networkx.DiGraph]]) -> Figure:
    """Important sub-modules, layer by layer, and which depend on which: a panel a network, of its name and its
    :func:`clusterability.lesions.importance.dependency_graph`."""
    n_layers = 1 + max((layer for _, graph in networks for _, layer in graph.nodes(data="layer")), default=1)
    figure, axes = _in_two_columns([name for name, _ in networks], 4.4, 3.0)
    for panel, (_, graph) in zip(axes.flat, networks, strict=False):
        layers = pd.Series(dict(graph.nodes(data="layer")), dtype=float)
        size = layers.groupby(layers).transform("size")
        heights = 1 - (layers.groupby(layers).cumcount() + 0.5) / size
        places = {node: (layers[node], heights[node]) for node in graph}
        for dependency, (colour, style) in _ARROWS.items():
            edges = [edge for *edge, kind in graph.edges(data="dependency") if kind == dependency]
            networkx.draw_networkx_edges(
                graph, places, edges, ax=panel, edge_color=colour, style=style, arrowsize=7, node_size=260,
                connectionstyle="arc3,rad=0.12",
            )  # fmt: skip
        networkx.draw_networkx_nodes(graph, places, ax=panel, node_size=260, node_color="#F5E6C8", edgecolors="0.4")
        networkx.draw_networkx_labels(graph, places, dict(zip(graph, _labels(graph), strict=True)), 7, ax=panel)
        for layer in range(1, n_layers):
            panel.text(layer, -0.08, f"hidden {layer}", ha="center", fontsize=8, color="0.4")
        panel.set(xlim=(0.6, n_layers - 0.6), ylim=(-0.12, 1.05))
    legend(figure, {}, *(handle(kind, c, "", linestyle=style) for kind, (c, style) in _ARROWS.items()))
    return figure
