"""Pictures of a network's clusters, and of what networks see."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgba_array
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from clusterability.report.style import drawing, legend

# Twelve colours that differ in lightness too; further clusters repeat them.
_CLUSTERS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442", "#882255",
             "#44AA99", "#999933", "#AA4499"]  # fmt: skip
_ISOLATED = "0.85"
_EDGES = 500  # drawn between two layers: the heaviest


@drawing
def network_in_modules(weights: Sequence[np.ndarray], labels: Sequence[np.ndarray], matrix: int) -> Figure:
    """A network drawn layer by layer, neurons sorted and coloured by cluster; beside it one layer's weights, neurons
    in their own order and sorted by cluster.

    ``weights`` are (out, in), ``labels`` an array of int a layer, −1 for isolated neurons; ``matrix`` is the number
    of the weights shown.
    """
    figure = plt.figure(figsize=(10.4, 6.6))
    grid = figure.add_gridspec(2, 2, width_ratios=[1.35, 1])
    colours = (_CLUSTERS * (1 + max(layer.max() for layer in labels)))[: 1 + max(layer.max() for layer in labels)]
    shades = to_rgba_array([*colours, _ISOLATED])  # label −1 is the last
    orders = [np.lexsort([layer, layer < 0]) for layer in labels]
    heights = [(np.argsort(order) + 0.5) / len(order) for order in orders]
    panel = figure.add_subplot(grid[:, 0])
    for layer, weight in enumerate(np.abs(weight) for weight in weights):
        heaviest = np.sort(np.argpartition(weight, -min(_EDGES, weight.size), axis=None)[-_EDGES:])
        after, before = np.unravel_index(heaviest[weight.flat[heaviest] > 0], weight.shape)
        ends = np.stack([heights[layer][before], heights[layer + 1][after]], axis=1)
        segments = np.stack([np.broadcast_to([layer, layer + 1], ends.shape), ends], axis=2)
        within = labels[layer][before] == labels[layer + 1][after]
        panel.add_collection(LineCollection(segments[~within], colors="0.8", linewidths=0.35, alpha=0.5, zorder=0))
        own = shades[labels[layer][before[within]]]
        panel.add_collection(LineCollection(segments[within], colors=own, linewidths=0.35, alpha=0.5, zorder=1))
    for layer, (height, label) in enumerate(zip(heights, labels, strict=True)):
        panel.scatter(np.full(len(label), layer), height, c=shades[label], s=7, marker="s", linewidths=0, zorder=2)
    hidden = [f"hidden {layer}" for layer in range(1, len(labels) - 1)]
    panel.set_xticks(range(len(labels)), ["pixels", *hidden, "outputs"], fontsize=9)
    panel.set(yticks=[], ylim=(1.01, -0.01), ylabel="neurons, sorted by cluster")
    panel.spines["left"].set_visible(False)

    own = np.sqrt(np.abs(weights[matrix]) / np.abs(weights[matrix]).max())
    in_order = own[orders[matrix + 1]][:, orders[matrix]]
    for place, (title, image) in enumerate({"in their own order": own, "sorted by cluster": in_order}.items()):
        panel = figure.add_subplot(grid[place, 1])
        panel.imshow(image, cmap="Greys", vmin=0, vmax=1, aspect="auto", interpolation="none", rasterized=True)
        panel.set(ylabel=f"neuron of layer {matrix + 2}", xlabel=f"neuron of layer {matrix + 1}")
        panel.set_title(f"neurons {title}")
    for cluster, colour in enumerate(colours):  # a box around every cluster's block
        x, y = (np.flatnonzero(labels[layer][orders[layer]] == cluster) for layer in (matrix, matrix + 1))
        if len(x) and len(y):
            corner = (x[0] - 0.5, y[0] - 0.5)
            panel.add_patch(Rectangle(corner, len(x), len(y), fill=False, edgecolor=colour, linewidth=1.2))
    looks = {f"cluster {cluster + 1}": (colour, "o") for cluster, colour in enumerate(colours)}
    legend(figure, looks | {"isolated": (_ISOLATED, "o")}, columns=7)
    return figure


@drawing
def gallery(images: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Figure:
    """Examples of data sets, a row each: for every name its images, (n, rows, columns) of uint8, and their labels."""
    n_columns = max(len(labels) for _, labels in images.values())
    figure, panel = plt.subplots(figsize=(1.9 + 0.72 * n_columns, 0.2 + 0.88 * len(images)))
    for row, (pictures, labels) in enumerate(images.values()):
        for column, (picture, label) in enumerate(zip(pictures, labels, strict=False)):
            place = (column, column + 0.92, row + 0.96, row + 0.2)
            panel.imshow(picture, "gray", vmin=0, vmax=255, interpolation="none", extent=place)
            panel.add_patch(Rectangle((column, row + 0.2), 0.92, 0.76, fill=False, edgecolor="0.7", linewidth=0.6))
            panel.text(column + 0.46, row + 0.17, str(label), ha="center", va="bottom", fontsize=8)
    panel.set(xlim=(-0.02, n_columns), ylim=(len(images), 0), xticks=[], aspect="auto")
    panel.set_yticks([row + 0.58 for row in range(len(images))], list(images), fontsize=9)
    panel.tick_params(length=0)
    panel.spines[:].set_visible(False)
    return figure
