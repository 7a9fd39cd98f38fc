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

from clusterability.base.errors import InputError, check_known
from clusterability.graphs.graph import Graph
from clusterability.graphs.null_models import permuted

if TYPE_CHECKING:
    from clusterability.graphs.tracing import Layer

NORMS = ("induced", "entrywise", "frobenius")
PARTS = {"convolutional": ("convolution",), "dense": ("linear",), "all": ("convolution", "linear")}  # kinds of layers


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
        """The norms that exist, in one axis: what a null model permutes."""
        return self.norms.data if scipy.sparse.issparse(self.norms) else self.norms.reshape(-1)

    def shuffled(self, null_model: str, rng: np.random.Generator) -> Connection:
        moved = replace(self, norms=self.norms.copy())  # in one piece, so that its entries are no copy
        moved.entries[:] = permuted(self.entries, null_model, rng)
        return moved

    def among(self, kept: np.ndarray) -> Connection:
        """What is left of it among some vertices (n_vertices,) of bool, numbered anew."""
        rows, numbers = kept[self.units], np.cumsum(kept) - 1
        return Connection(numbers[self.units[rows]], self.norms[rows], self.reads[:, kept]).trimmed()

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
            joined = connection.norms != 0
            if isinstance(joined, np.ndarray) and joined.all():
                joined[1:, 1:] = False  # a star joins what all edges join
            rows, columns = joined.nonzero()
            positions, vertices = connection.reads.nonzero()
            used = np.isin(positions, columns)
            ends += [(connection.units[rows], n_nodes + columns), (n_nodes + positions[used], vertices[used])]
            n_nodes += joined.shape[1]
        first, second = np.concatenate(ends, axis=1)
        pairs = scipy.sparse.coo_array((np.ones(len(first), bool), (first, second)), (n_nodes, n_nodes))
        labels = scipy.sparse.csgraph.connected_components(pairs, directed=False)[1]
        return np.unique(labels[: self.n_vertices], return_inverse=True)[1]

    def shuffled(self, null_model: str, rng: np.random.Generator) -> ChannelGraph:
        return replace(self, connections=tuple(c.shuffled(null_model, rng) for c in self.connections))

    def among(self, kept: np.ndarray) -> ChannelGraph:
        sizes = tuple(int(layer.sum()) for layer in self.by_layer(kept))
        return ChannelGraph(self.layer_names, sizes, tuple(c.among(kept) for c in self.connections))


def channel_graph(
    layers: Sequence[Layer], *, part: str | None = None, input_layer: bool | None = None, norm: str = "induced"
) -> ChannelGraph:
    """The weight graph of a part of a traced model; InputError if it has no such part, or one without edges.

    By default the convolutions are the vertices, as in C, or all layers of a model without any. With
    ``input_layer`` so are the units that the part reads from outside, the model's input or the convolutions
    before a dense part: by default where there is no convolution. For ``norm`` see :func:`kernel_norms`.

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
    inside = [index for index, layer in enumerate(layers) if layer.kind in PARTS[part]]
    if not inside:
        raise InputError(f"the model has no {part} part: its layers are of the kinds {', '.join(sorted(kinds))}")
    outside = {source for index in inside for source in layers[index].sources} - set(inside) if input_layer else set()
    chosen = sorted({*inside, *outside})
    names, sizes = zip(*((layers[index].name, layers[index].n_units) for index in chosen), strict=True)
    vertices = dict(zip(chosen, np.split(np.arange(sum(sizes)), np.cumsum(sizes)[:-1]), strict=True))
    # What is read from outside the part is no edge, nor to be shuffled among the edges.
    connections = tuple(
        Connection(vertices[index], _norms(layers[index], norm), _reads(layers[index], vertices)).trimmed()
        for index in inside
        if not layers[index].sources.keys().isdisjoint(vertices)
    )
    if not any(connection.entries.any() for connection in connections):
        raise InputError(f"the {part} part of the model has no edge: none of its layers reads another one of it")
    graph = ChannelGraph(names, sizes, connections)
    with np.errstate(over="ignore"):
        if not np.isfinite(graph.degree.sum()):
            raise InputError("the model holds weights too large to be added up")
    return graph


def check_part(part: str | None) -> None:
    """Raise InputError if a model has no such part."""
    if part is not None:
        check_known("part of a model", part, PARTS)


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
    if norm == "induced" and len(behind) > 2:
        raise InputError(
            f"the induced norm is one of matrices, not of kernels with {len(behind)} axes: choose another"
        )
    return sizes.sum(2).max(2) if norm == "induced" and len(behind) == 2 else sizes.sum(behind)


def check_norm(norm: str) -> None:
    """Raise InputError if no kernel norm has this name."""
    check_known("kernel norm", norm, NORMS)


def _reads(layer: Layer, vertices: dict[int, np.ndarray]) -> scipy.sparse.csr_array:
    """Which vertices stand at each position of a layer, those of the layers in ``vertices`` that it reads."""
    terms = [np.where(at >= 0, vertices[i][at], -1) for i, at in layer.sources.items() if i in vertices]
    standing = np.stack(terms, axis=1)  # (positions, terms): a sum adds in the order of its terms
    ends = np.append(0, np.cumsum(np.sum(standing >= 0, axis=1)))
    n_vertices = sum(map(len, vertices.values()))
    return scipy.sparse.csr_array((np.ones(ends[-1]), standing[standing >= 0], ends), (len(standing), n_vertices))


def _norms(layer: Layer, norm: str) -> np.ndarray | scipy.sparse.csr_array:
    """Norms of a layer's kernels (units, positions), scaled by batch normalization."""
    try:
        norms = kernel_norms(layer.kernel, norm)
    except InputError as failure:
        raise InputError(f"layer {layer.name!r}: {failure}") from failure
    if not np.isfinite(norms).all():
        raise InputError(f"layer {layer.name!r} holds weights that are NaN or infinite")
    if not (np.isfinite(layer.unit_scale).all() and np.isfinite(layer.position_scale).all()):
        raise InputError(f"layer {layer.name!r} meets a batch normalization that is NaN or infinite")
    n_units, per_group = norms.shape
    group = np.arange(n_units) // (n_units // layer.groups)
    norms *= layer.unit_scale[:, None]
    norms *= layer.position_scale.reshape(layer.groups, per_group)[group]
    if layer.groups == 1:
        return norms
    columns = group[:, None] * per_group + np.arange(per_group)
    ends = np.arange(n_units + 1) * per_group
    return scipy.sparse.csr_array((norms.ravel(), columns.ravel(), ends), (n_units, per_group * layer.groups))
