"""Weight graphs of traced models: a vertex a unit, an edge where one layer reads another (C, section 2.1).

Adjacency is not filled in. The kernel norms of a layer stand once, however many layers it reads through
a sum: a residual network of 26,000 channels has tens of millions of edges, and its norms fit in a
hundred megabytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse
import scipy.sparse.csgraph

from clusterability.base.errors import InputError
from clusterability.graphs.kernels import check_norm, kernel_norms
from clusterability.graphs.tracing import Layer

PARTS = ("convolutional", "dense", "all")


@dataclass(frozen=True, eq=False)
class Connection:
    """What one layer reads.

    Attributes
    ----------
    units : ndarray (units,) of int64
        Vertices of the layer that reads.
    norms : ndarray or csr_array (units, positions) of float64
        Nonnegative; sparse for grouped convolutions, whose units read some positions only.
    sources : tuple of ndarray (positions,) of int64
        For every layer that is read, which vertex stands at each position, none at two of them; −1: none.
    """

    units: np.ndarray
    norms: np.ndarray | scipy.sparse.csr_array
    sources: tuple[np.ndarray, ...]

    def entries(self) -> np.ndarray:
        """The norms that exist, in one axis: what a null model permutes. Not a copy."""
        return self.norms.data if scipy.sparse.issparse(self.norms) else self.norms.reshape(-1)

    def with_entries(self, entries: np.ndarray) -> Connection:
        """The same connection with other norms at the places of :meth:`entries`."""
        if scipy.sparse.issparse(self.norms):
            norms = scipy.sparse.csr_array((entries, self.norms.indices, self.norms.indptr), self.norms.shape)
        else:
            norms = entries.reshape(self.norms.shape)
        return Connection(self.units, norms, self.sources)

    def trimmed(self) -> Connection:
        """The same connection without the positions at which no vertex stands."""
        read = np.any([source >= 0 for source in self.sources], axis=0)
        return Connection(self.units, _columns(self.norms, read), tuple(source[read] for source in self.sources))

    @property
    def n_edges(self) -> int:
        """Pairs of vertices joined; those that two positions join count once."""
        read = np.concatenate([source[source >= 0] for source in self.sources])
        vertices = np.unique(read)
        if len(vertices) == len(read):
            return sum(int((_columns(self.norms, source >= 0) != 0).sum()) for source in self.sources)
        joined = np.zeros((len(self.units), len(vertices)), bool)
        nonzero = self.norms.toarray() != 0 if scipy.sparse.issparse(self.norms) else self.norms != 0
        for source in self.sources:
            present = source >= 0
            joined[:, np.searchsorted(vertices, source[present])] |= nonzero[:, present]
        return int(joined.sum())


@dataclass(frozen=True, eq=False)
class ChannelGraph:
    """A weighted undirected graph, kept as what every layer reads.

    Attributes
    ----------
    layer_names : tuple of str
        Paths of modules; "input".
    layer_sizes : tuple of int
        Vertices of every layer; they are numbered layer by layer.
    connections : tuple of Connection
    """

    layer_names: tuple[str, ...]
    layer_sizes: tuple[int, ...]
    connections: tuple[Connection, ...]

    @property
    def n_vertices(self) -> int:
        return sum(self.layer_sizes)

    @property
    def n_edges(self) -> int:
        """Pairs of vertices that a weight joins which is not zero."""
        return sum(connection.n_edges for connection in self.connections)

    @cached_property
    def degree(self) -> np.ndarray:
        """Sum of edge weights at every vertex (n_vertices,)."""
        return self.times(np.ones((self.n_vertices, 1)))[:, 0]

    def times(self, vectors: np.ndarray) -> np.ndarray:
        """Adjacency times vectors (n_vertices, q) of float64."""
        result = np.zeros_like(vectors)
        padded = np.concatenate([vectors, np.zeros_like(vectors[:1])])  # where −1 points
        for connection in self.connections:
            read = sum(padded[source] for source in connection.sources)
            result[connection.units] += connection.norms @ read
            back = connection.norms.T @ vectors[connection.units]
            for source in connection.sources:
                present = source >= 0
                result[source[present]] += back[present]
        return result

    @property
    def adjacency(self) -> scipy.sparse.csr_array:
        """Symmetric adjacency (n_vertices, n_vertices), filled in."""
        one_way = scipy.sparse.csr_array((self.n_vertices, self.n_vertices))
        for connection in self.connections:
            for source in connection.sources:
                present = source >= 0
                block = scipy.sparse.coo_array(_columns(connection.norms, present))
                rows, columns = block.coords
                places = (connection.units[rows], source[present][columns])
                one_way = one_way + scipy.sparse.coo_array((block.data, places), one_way.shape).tocsr()
        return one_way + one_way.T

    def components(self) -> np.ndarray:
        """Which connected component every vertex is in (n_vertices,) of int64."""
        ends, n_nodes = [], self.n_vertices  # nodes are the vertices, and the positions of every connection
        for connection in self.connections:
            norms, positions = connection.norms, n_nodes + np.arange(connection.norms.shape[1])
            n_nodes += len(positions)
            if not scipy.sparse.issparse(norms) and norms.all():  # a star joins what all edges join
                rows = np.append(np.arange(norms.shape[0]), np.zeros(norms.shape[1], int))
                columns = np.append(np.zeros(norms.shape[0], int), np.arange(norms.shape[1]))
            else:
                rows, columns = norms.nonzero()
            ends.append((connection.units[rows], positions[columns]))
            is_read = np.bincount(columns, minlength=len(positions)) > 0
            for source in connection.sources:
                chosen = is_read & (source >= 0)
                ends.append((positions[chosen], source[chosen]))
        first, second = (np.concatenate(side) for side in zip(*ends, strict=True))
        joined = scipy.sparse.coo_array((np.ones(len(first), bool), (first, second)), (n_nodes, n_nodes))
        labels = scipy.sparse.csgraph.connected_components(joined, directed=False)[1]
        return np.unique(labels[: self.n_vertices], return_inverse=True)[1]

    def without_isolated(self) -> tuple[ChannelGraph, list[np.ndarray]]:
        """Delete the vertices of degree 0 (C, section 2.1).

        Returns
        -------
        graph : ChannelGraph
        present : list of ndarray of bool
            Which vertices of every original layer are left.
        """
        kept = self.degree > 0
        present = np.split(kept, np.cumsum(self.layer_sizes)[:-1])
        if kept.all():
            return self, present
        numbers = np.append(np.where(kept, np.cumsum(kept) - 1, -1), -1)
        connections = []
        for connection in self.connections:
            rows = kept[connection.units]
            sources = tuple(numbers[source] for source in connection.sources)
            connections.append(Connection(numbers[connection.units[rows]], connection.norms[rows], sources).trimmed())
        sizes = tuple(int(layer.sum()) for layer in present)
        return ChannelGraph(self.layer_names, sizes, tuple(connections)), present


def _columns(norms: np.ndarray | scipy.sparse.csr_array, chosen: np.ndarray):
    """The chosen columns; all of them without a copy."""
    return norms if chosen.all() else norms[:, chosen]


def channel_graph(
    layers: Sequence[Layer], *, part: str | None = None, input_layer: bool | None = None, norm: str = "induced"
) -> ChannelGraph:
    """The weight graph of a traced model.

    Parameters
    ----------
    layers : sequence of Layer
        As :func:`clusterability.graphs.tracing.trace` gives them.
    part : {"convolutional", "dense", "all"}, optional
        Whose units are vertices; by default the convolutions', as in C, or all of a model without any.
    input_layer : bool
        Whether the units that the part reads from outside are vertices too: the model's input, or the
        convolutions before a dense part. By default only where there is no convolution.
    norm : str
        Of kernels, see :func:`clusterability.graphs.kernels.kernel_norms`.

    Raises
    ------
    InputError
        An unknown part or norm, a part that the model lacks or that has no edge, or weights that are
        not finite.

    >>> from torch import nn
    >>> from clusterability.graphs.tracing import trace
    >>> model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3))
    >>> graph = channel_graph(trace(model, (3, 8, 8)))
    >>> graph.layer_names, graph.n_vertices, graph.n_edges
    (('0', '2'), 12, 32)
    """
    check_part(part)
    check_norm(norm)
    kinds = {layer.kind for layer in layers}
    convolutional = "convolution" in kinds
    part = part or ("convolutional" if convolutional else "all")
    input_layer = not convolutional if input_layer is None else input_layer
    wanted = {"convolutional": ("convolution",), "dense": ("linear",), "all": ("convolution", "linear")}[part]
    inside = [index for index, layer in enumerate(layers) if layer.kind in wanted]
    if not inside:
        raise InputError(f"the model has no {part} part: its layers are of the kinds {', '.join(sorted(kinds))}")
    outside = {source for index in inside for source in layers[index].sources} - set(inside) if input_layer else set()
    chosen = sorted({*inside, *outside})
    sizes = [layers[index].n_units for index in chosen]
    first = dict(zip(chosen, np.cumsum([0, *sizes]).tolist(), strict=False))
    connections = []
    for index in inside:
        layer = layers[index]
        sources = tuple(
            np.where(places >= 0, places + first[source], -1)
            for source, units in layer.sources.items()
            if source in first
            for places in _once_each(units)
        )
        if sources:
            units = first[index] + np.arange(layer.n_units)
            # What is read from outside the part is no edge, nor to be shuffled among the edges.
            connections.append(Connection(units, _norms(layer, norm), sources).trimmed())
    if not any(connection.entries().any() for connection in connections):
        raise InputError(f"the {part} part of the model has no edge: none of its layers reads another one of it")
    return ChannelGraph(tuple(layers[index].name for index in chosen), tuple(sizes), tuple(connections))


def _once_each(units: np.ndarray) -> list[np.ndarray]:
    """Units by position, split so that none stands twice in an array: a concatenation may repeat a layer.

    >>> [part.tolist() for part in _once_each(np.array([0, 1, 1, -1]))]
    [[0, 1, -1, -1], [-1, -1, 1, -1]]
    """
    parts = []
    while (units >= 0).any():
        first = np.zeros(len(units), bool)
        first[np.unique(units, return_index=True)[1]] = True
        parts.append(np.where(first, units, -1))
        units = np.where(first, -1, units)
    return parts


def check_part(part: str | None) -> None:
    """Raise InputError if a model has no such part."""
    if part is not None and part not in PARTS:
        raise InputError(f"no part of a model is called {part!r}: choose from {', '.join(PARTS)}")


def _norms(layer: Layer, norm: str) -> np.ndarray | scipy.sparse.csr_array:
    """Norms of a layer's kernels (units, positions), scaled by batch normalization."""
    try:
        norms = kernel_norms(layer.kernel, norm)
    except InputError as failure:
        raise InputError(f"layer {layer.name!r}: {failure}") from failure
    scales = [scale for scale in (layer.unit_scale, layer.position_scale) if scale is not None]
    if not np.isfinite(norms).all():
        raise InputError(f"layer {layer.name!r} holds weights that are NaN or infinite")
    if not all(np.isfinite(scale).all() for scale in scales):
        raise InputError(f"layer {layer.name!r} meets a batch normalization that is NaN or infinite")
    if layer.unit_scale is not None:
        norms = norms * layer.unit_scale[:, None]
    if layer.groups > 1:
        n_units, per_group = norms.shape
        group = np.arange(n_units) // (n_units // layer.groups)
        columns = group[:, None] * per_group + np.arange(per_group)
        ends = np.arange(n_units + 1) * per_group
        norms = scipy.sparse.csr_array(
            (norms.reshape(-1), columns.reshape(-1), ends), (n_units, per_group * layer.groups)
        )
    if layer.position_scale is None:
        return norms
    if layer.groups == 1:
        return norms * layer.position_scale
    return (norms @ scipy.sparse.diags_array(layer.position_scale)).tocsr()
