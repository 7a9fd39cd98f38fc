"""Weight graphs of traced models: a vertex a unit, an edge where one layer reads another (C, section 2.1).

Adjacency is not filled in. The kernel norms of a layer stand once, however many layers it reads through
a sum: a residual network of 26,000 channels has tens of millions of edges, and its norms fit in a
hundred megabytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse
import scipy.sparse.csgraph
import scipy.sparse.linalg

from clusterability.base.errors import InputError
from clusterability.graphs.graph import Graph, permuted

if TYPE_CHECKING:
    from clusterability.graphs.tracing import Layer

NORMS = ("induced", "entrywise", "frobenius")
PARTS = ("convolutional", "dense", "all")


@dataclass(frozen=True, eq=False)
class Connection:
    """What one layer reads."""

    units: np.ndarray  # (units,) of int64: vertices of the layer that reads
    norms: np.ndarray | scipy.sparse.csr_array  # (units, positions) of float64, not negative; sparse if grouped
    reads: scipy.sparse.csr_array  # (positions, n_vertices): 1 where a vertex stands, at a sum several, never none

    @cached_property
    def read_by(self) -> scipy.sparse.csc_array:
        """``reads`` transposed: kept, for products ask for it in every step."""
        return self.reads.T

    @property
    def entries(self) -> np.ndarray:
        """The norms that exist, in one axis: what a null model permutes. Not a copy."""
        return self.norms.data if scipy.sparse.issparse(self.norms) else self.norms.reshape(-1)

    def with_entries(self, entries: np.ndarray) -> Connection:
        """The same connection with other norms at the places of :attr:`entries`."""
        if scipy.sparse.issparse(self.norms):
            norms = scipy.sparse.csr_array((entries, self.norms.indices, self.norms.indptr), self.norms.shape)
        else:
            norms = entries.reshape(self.norms.shape)
        return replace(self, norms=norms)

    def trimmed(self) -> Connection:
        """The same connection without the positions at which no vertex stands."""
        read = np.diff(self.reads.indptr) > 0
        return self if read.all() else Connection(self.units, self.norms[:, read], self.reads[read])

    @property
    def n_edges(self) -> int:
        """Pairs of vertices that a norm joins which is not zero; those that two positions join count once."""
        joined = self.norms != 0
        if self.reads.sum(axis=0).max(initial=0) <= 1:  # no vertex stands at two positions
            return int(joined.sum(axis=0) @ np.diff(self.reads.indptr))
        return (scipy.sparse.csr_array(joined) @ self.reads).nnz


@dataclass(frozen=True, eq=False)
class ChannelGraph(Graph):
    """A weighted undirected graph, kept as what every layer reads."""

    layer_names: tuple[str, ...]  # paths of modules; "input"
    layer_sizes: tuple[int, ...]
    connections: tuple[Connection, ...]
    blocks = None

    @property
    def n_edges(self) -> int:
        return sum(connection.n_edges for connection in self.connections)

    @cached_property
    def degree(self) -> np.ndarray:
        return self.times(np.ones((self.n_vertices, 1)))[:, 0]

    def times(self, vectors: np.ndarray) -> np.ndarray:
        result = np.zeros_like(vectors)
        for connection in self.connections:
            result[connection.units] += connection.norms @ (connection.reads @ vectors)
            result += connection.read_by @ (connection.norms.T @ vectors[connection.units])
        return result

    def scaled(self, scale: np.ndarray) -> scipy.sparse.linalg.LinearOperator:
        n = self.n_vertices

        def times(vectors: np.ndarray) -> np.ndarray:
            return scale[:, None] * self.times(scale[:, None] * vectors.reshape(n, -1))

        return scipy.sparse.linalg.LinearOperator((n, n), times, matmat=times, dtype=np.float64)

    @property
    def adjacency(self) -> scipy.sparse.csr_array:
        vertices = scipy.sparse.eye_array(self.n_vertices, format="csr")
        one_way = sum(vertices[:, c.units] @ scipy.sparse.csr_array(c.norms) @ c.reads for c in self.connections)
        return one_way + one_way.T

    def components(self) -> np.ndarray:
        ends, n_nodes = [], self.n_vertices  # nodes are the vertices, and the positions of every connection
        for connection in self.connections:
            norms, n_positions = connection.norms, connection.norms.shape[1]
            if not scipy.sparse.issparse(norms) and norms.size and norms.all():  # a star joins what all edges join
                rows = np.append(np.arange(norms.shape[0]), np.zeros(n_positions, int))
                columns = np.append(np.zeros(norms.shape[0], int), np.arange(n_positions))
            else:
                rows, columns = norms.nonzero()
            positions, vertices = connection.reads.nonzero()
            joined = (np.bincount(columns, minlength=n_positions) > 0)[positions]
            ends.append((connection.units[rows], n_nodes + columns))
            ends.append((n_nodes + positions[joined], vertices[joined]))
            n_nodes += n_positions
        first, second = (np.concatenate(side) for side in zip(*ends, strict=True))
        pairs = scipy.sparse.coo_array((np.ones(len(first), bool), (first, second)), (n_nodes, n_nodes))
        labels = scipy.sparse.csgraph.connected_components(pairs, directed=False)[1]
        return np.unique(labels[: self.n_vertices], return_inverse=True)[1]

    def shuffled(self, null_model: str, rng: np.random.Generator) -> ChannelGraph:
        moved = (c.with_entries(permuted(c.entries, null_model, rng)) for c in self.connections)
        return replace(self, connections=tuple(moved))

    def without_isolated(self) -> tuple[ChannelGraph, list[np.ndarray]]:
        kept = self.degree > 0
        present = self.by_layer(kept)
        if kept.all():
            return self, present
        numbers, connections = np.cumsum(kept) - 1, []
        for connection in self.connections:
            rows = kept[connection.units]
            left = Connection(numbers[connection.units[rows]], connection.norms[rows], connection.reads[:, kept])
            connections.append(left.trimmed())
        return ChannelGraph(self.layer_names, tuple(int(p.sum()) for p in present), tuple(connections)), present


def channel_graph(
    layers: Sequence[Layer], *, part: str | None = None, input_layer: bool | None = None, norm: str = "induced"
) -> ChannelGraph:
    """The weight graph of a traced model.

    Parameters
    ----------
    part : {"convolutional", "dense", "all"}, optional
        Whose units are vertices; by default the convolutions', as in C, or all of a model without any.
    input_layer : bool, optional
        Whether the units that the part reads from outside are vertices too: the model's input, or the
        convolutions before a dense part. By default only where there is no convolution.
    norm : str
        See :func:`kernel_norms`.

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
        if any(source in first for source in layer.sources):
            units = first[index] + np.arange(layer.n_units)
            # What is read from outside the part is no edge, nor to be shuffled among the edges.
            connections.append(Connection(units, _norms(layer, norm), _reads(layer, first, sum(sizes))).trimmed())
    if not any(connection.entries.any() for connection in connections):
        raise InputError(f"the {part} part of the model has no edge: none of its layers reads another one of it")
    graph = ChannelGraph(tuple(layers[index].name for index in chosen), tuple(sizes), tuple(connections))
    with np.errstate(over="ignore"):
        if not np.isfinite(graph.degree.sum()):
            raise InputError("the model holds weights too large to be added up")
    return graph


def check_part(part: str | None) -> None:
    """Raise InputError if a model has no such part."""
    if part is not None and part not in PARTS:
        raise InputError(f"no part of a model is called {part!r}: choose from {', '.join(PARTS)}")


def kernel_norms(kernel: np.ndarray, norm: str = "induced") -> np.ndarray:
    """Norm (units, positions) of every kernel (units, positions, ...), in float64.

    "induced": the largest sum of absolute values in a column, as released; "entrywise": the sum of all;
    "frobenius": the root of the sum of squares. The same for a single number.

    >>> kernel = np.array([[[[1.0, -2.0], [3.0, 0.0]]]])
    >>> [round(float(kernel_norms(kernel, norm)[0, 0]), 4) for norm in NORMS]
    [4.0, 6.0, 3.7417]
    """
    check_norm(norm)
    behind = tuple(range(2, kernel.ndim))
    sizes = np.abs(kernel, dtype=np.float64)
    if norm == "frobenius":
        exponent = np.frexp(sizes.max(behind, keepdims=True))[1]  # so that no square leaves the range of numbers
        squares = np.square(np.ldexp(sizes, -exponent)).sum(behind)
        return np.ldexp(np.sqrt(squares), exponent.reshape(squares.shape))
    if norm == "induced" and kernel.ndim > 4:
        raise InputError(
            f"the induced norm is one of matrices, not of kernels with {kernel.ndim - 2} axes: choose another"
        )
    return sizes.sum(2).max(2) if norm == "induced" and kernel.ndim == 4 else sizes.sum(behind)


def check_norm(norm: str) -> None:
    """Raise InputError if no kernel norm has this name."""
    if norm not in NORMS:
        raise InputError(f"no kernel norm is called {norm!r}: choose from {', '.join(NORMS)}")


def _reads(layer: Layer, first: dict[int, int], n_vertices: int) -> scipy.sparse.csr_array:
    """Which vertices stand at each position of a layer, of the layers whose first vertices are given."""
    read = [(units, first[source]) for source, units in layer.sources.items() if source in first]
    positions = np.concatenate([np.flatnonzero(units >= 0) for units, _ in read])
    vertices = np.concatenate([units[units >= 0] + start for units, start in read])
    order = np.argsort(positions, kind="stable")  # a sum adds in the order of its terms
    ends = np.searchsorted(positions[order], np.arange(len(read[0][0]) + 1))
    return scipy.sparse.csr_array((np.ones(len(order)), vertices[order], ends), (len(ends) - 1, n_vertices))


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
    n_units, per_group = norms.shape
    group = np.arange(n_units) // (n_units // layer.groups)
    if layer.unit_scale is not None:
        norms = norms * layer.unit_scale[:, None]
    if layer.position_scale is not None:
        norms = norms * layer.position_scale.reshape(layer.groups, per_group)[group]
    if layer.groups == 1:
        return norms
    columns = group[:, None] * per_group + np.arange(per_group)
    ends = np.arange(n_units + 1) * per_group
    return scipy.sparse.csr_array((norms.ravel(), columns.ravel(), ends), (n_units, per_group * layer.groups))
