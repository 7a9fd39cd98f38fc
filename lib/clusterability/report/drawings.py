"""Pictures of a network's clusters, and of what networks see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from clusterability.report.style import handle, legend, new_figure

# Twelve colours that differ in lightness too; further clusters repeat them.
_CLUSTERS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442", "#882255",
             "#44AA99", "#999933", "#AA4499"]  # fmt: skip
_ISOLATED = "0.85"
# Edges drawn between two layers: the heaviest.
_EDGES = 500


def network_in_modules(weights: Sequence[np.ndarray], labels: Sequence[np.ndarray], matrix: int) -> Figure:
    """A network drawn layer by layer, neurons sorted and coloured by cluster; beside it one layer's
    weights, neurons in their own order and sorted by cluster.

    Parameters
    ----------
    weights : sequence of ndarray (out, in)
    labels : sequence of ndarray of int
        Cluster of every neuron, an array a layer; −1 for isolated neurons.
    matrix : int
        Which of the weight matrices is shown.
    """
    orders = [np.argsort(np.where(layer < 0, np.iinfo(int).max, layer), kind="stable") for layer in labels]
    n_clusters = 1 + max(int(layer.max()) for layer in labels)
    colours = [_CLUSTERS[c % len(_CLUSTERS)] for c in range(n_clusters)]
    with new_figure(10.4, 6.6) as figure:
        grid = figure.add_gridspec(2, 2, width_ratios=[1.35, 1])
        _draw_layers(figure.add_subplot(grid[:, 0]), weights, labels, orders, colours)
        largest = float(np.abs(weights[matrix]).max())
        sorted_weights = weights[matrix][orders[matrix + 1]][:, orders[matrix]]
        for place, (title, image) in enumerate(
            {"neurons in their own order": weights[matrix], "sorted by cluster": sorted_weights}.items()
        ):
            panel = figure.add_subplot(grid[place, 1])
            panel.imshow(
                np.sqrt(np.abs(image) / largest), cmap=colormaps["Greys"], vmin=0, vmax=1, aspect="auto",
                interpolation="none", rasterized=True,
            )  # fmt: skip
            panel.set_title(title, fontsize=10)
            panel.set_ylabel(f"neuron of layer {matrix + 2}")
            panel.set_xlabel(f"neuron of layer {matrix + 1}")
            if place:
                _mark_borders(panel, labels[matrix][orders[matrix]], labels[matrix + 1][orders[matrix + 1]], colours)
        handles = [handle(f"cluster {c + 1}", colour, "o", markersize=5) for c, colour in enumerate(colours)]
        legend(figure, [*handles, handle("isolated", _ISOLATED, "o", markersize=5)], columns=7)
    return figure


def _draw_layers(panel, weights, labels, orders, colours) -> None:
    places = [np.empty(len(order)) for order in orders]
    for place, order in zip(places, orders, strict=True):
        place[order] = (np.arange(len(order)) + 0.5) / len(order)
    for layer, weight in enumerate(weights):
        size = np.abs(weight)
        heaviest = np.sort(np.argpartition(size, -min(_EDGES, size.size), axis=None)[-_EDGES:])
        after, before = np.unravel_index(heaviest[size.ravel()[heaviest] > 0], size.shape)
        within = (labels[layer][before] == labels[layer + 1][after])[:, None]
        own = np.array([to_rgb(colours[c]) for c in labels[layer][before]])
        segments = np.stack(
            [
                np.column_stack([np.full(len(before), layer), places[layer][before]]),
                np.column_stack([np.full(len(after), layer + 1), places[layer + 1][after]]),
            ],
            axis=1,
        )
        shade = np.where(within, own, 0.8)
        # Edges between clusters go below those within.
        for kind, zorder in ((~within[:, 0], 0), (within[:, 0], 1)):
            panel.add_collection(
                LineCollection(segments[kind], colors=shade[kind], linewidths=0.35, alpha=0.5, zorder=zorder)
            )
    for layer, (place, label) in enumerate(zip(places, labels, strict=True)):
        shade = [colours[c] if c >= 0 else _ISOLATED for c in label]
        panel.scatter(np.full(len(place), layer), place, c=shade, s=7, marker="s", linewidths=0, zorder=2)
    panel.set_xticks(
        range(len(labels)), ["pixels", *(f"hidden {n}" for n in range(1, len(labels) - 1)), "outputs"], fontsize=9
    )
    panel.set_yticks([])
    panel.set_ylim(1.01, -0.01)
    panel.spines["left"].set_visible(False)
    panel.set_ylabel("neurons, sorted by cluster")


def _mark_borders(panel, columns: np.ndarray, rows: np.ndarray, colours: Sequence[str]) -> None:
    """A box around the block of every cluster."""
    for cluster, colour in enumerate(colours):
        x, y = np.flatnonzero(columns == cluster), np.flatnonzero(rows == cluster)
        if len(x) and len(y):
            corner = (x[0] - 0.5, y[0] - 0.5)
            panel.add_patch(Rectangle(corner, len(x), len(y), fill=False, edgecolor=colour, linewidth=1.2))


def gallery(images: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Figure:
    """Examples of data sets, a row each, with their labels.

    Parameters
    ----------
    images : mapping of str to (ndarray (n, rows, columns) of uint8, ndarray (n,) of int)
        Names for readers, intensities between 0 and 255, and class labels.
    """
    n_columns = max(len(labels) for _, labels in images.values())
    with new_figure(1.9 + 0.72 * n_columns, 0.2 + 0.88 * len(images)) as figure:
        panels = figure.subplots(len(images), n_columns, squeeze=False)
        for row, (name, (pictures, labels)) in zip(panels, images.items(), strict=True):
            for panel in row:
                panel.set(xticks=[], yticks=[])
                panel.spines[:].set(visible=True, color="0.7", linewidth=0.6)
            for panel, picture, label in zip(row, pictures, labels, strict=False):
                panel.imshow(picture, cmap=colormaps["gray"], vmin=0, vmax=255, interpolation="none")
                panel.set_title(str(label), fontsize=8, pad=2)
            row[0].text(-0.25, 0.5, name, ha="right", va="center", fontsize=9, transform=row[0].transAxes, wrap=False)
    return figure
