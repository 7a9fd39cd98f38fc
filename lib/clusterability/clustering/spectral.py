"""Spectral embedding: the eigenvectors of the normalized Laplacian with the smallest eigenvalues.

The symmetric normalized Laplacian is L = I − D^(−1/2) A D^(−1/2) (von Luxburg, 2007). Its smallest
eigenvalues are the largest ones of the normalized adjacency D^(−1/2) A D^(−1/2).
"""

from __future__ import annotations

from itertools import combinations_with_replacement, pairwise

import numpy as np
import scipy.linalg
import scipy.sparse.linalg

from clusterability.base.errors import InputError
from clusterability.graphs.graph import Graph, MatrixGraph

# Up to this many vertices a dense eigensolver beats Lanczos iterations.
_DENSE_VERTICES = 1000
# Squaring halves the digits of small singular values, and their right vectors come by division; below
# this the vectors would be orthogonal to fewer than eight digits.
_SMALLEST_SINGULAR_VALUE = 1e-4


def laplacian_eigenpairs(graph: Graph, n_pairs: int) -> tuple[np.ndarray, np.ndarray]:
    """The smallest eigenvalues (n_pairs,) of the normalized Laplacian, ascending, 0 included, and orthonormal
    eigenvectors (n_vertices, n_pairs); InputError for more than there are, and for vertices of degree 0."""
    if not 1 <= n_pairs <= graph.n_vertices:
        raise InputError(f"{n_pairs} eigenvectors asked of a graph of {graph.n_vertices} vertices")
    if (graph.degree <= 0).any():
        raise InputError("the graph has vertices of degree 0: delete them first")
    if graph.blocks is not None:
        return _bipartite_eigenpairs(graph, n_pairs) or _general_eigenpairs(MatrixGraph(graph.adjacency), n_pairs)
    return _general_eigenpairs(graph, n_pairs)


def embedding(graph: Graph, n_dimensions: int) -> np.ndarray:
    """Coordinates (n_vertices, n_dimensions): Laplacian eigenvectors, the first included, divided by sqrt(degree).

    These are eigenvectors of the random-walk Laplacian (Shi & Malik, 2000), of which the first is constant.
    """
    _, vectors = laplacian_eigenpairs(graph, n_dimensions)
    return vectors / np.sqrt(graph.degree)[:, None]


def _bipartite_eigenpairs(graph: Graph, n_pairs: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Eigenpairs by way of the smaller side of a layered graph, or None where that is not enough.

    Odd layers are joined to even layers only, so the normalized adjacency is [[0, B], [Bᵀ, 0]]. Its
    eigenvalues are ± the singular values σ of B, its eigenvectors (u, ±v)/√2. With u and σ² from
    B Bᵀ, which is as small as the smaller side, v = Bᵀ u / σ: exact, and some forty times less work.
    """
    sizes = graph.layer_sizes
    parity = min((0, 1), key=lambda start: sum(sizes[start::2]))
    inner, outer = range(parity, len(sizes), 2), range(1 - parity, len(sizes), 2)
    n_inner = sum(sizes[parity::2])
    if n_pairs > n_inner:
        return None
    coupling = {}  # normalized weights (size of layer a, size of layer b) between adjacent layers a and b
    scales = graph.by_layer(1 / np.sqrt(graph.degree))
    for layer, (before, after) in enumerate(pairwise(scales)):
        coupling[layer + 1, layer] = graph.blocks[layer] * after[:, None] * before
        coupling[layer, layer + 1] = coupling[layer + 1, layer].T
    ends = np.cumsum([0, *sizes[parity::2]])
    places = dict(zip(inner, map(slice, ends[:-1], ends[1:]), strict=True))
    neighbours = {middle: [layer for layer in (middle - 1, middle + 1) if layer in inner] for middle in outer}
    # B Bᵀ couples two inner layers only through the outer layer between them.
    gram = np.zeros((n_inner, n_inner))
    for middle in outer:
        for b, a in combinations_with_replacement(neighbours[middle], 2):  # the eigensolver reads the lower triangle
            gram[places[a], places[b]] += coupling[a, middle] @ coupling[middle, b]
    largest = [n_inner - n_pairs, n_inner - 1]
    squares, left = scipy.linalg.eigh(gram, subset_by_index=largest, check_finite=False, overwrite_a=True)
    squares, left = squares[::-1], left[:, ::-1]
    if squares[-1] < _SMALLEST_SINGULAR_VALUE**2:
        return None
    singular = np.sqrt(squares)
    parts = {layer: left[place] for layer, place in places.items()}
    for middle in outer:
        parts[middle] = sum(coupling[middle, layer] @ parts[layer] for layer in neighbours[middle]) / singular
    return np.maximum(1 - singular, 0), np.concatenate([parts[layer] for layer in range(len(sizes))]) / np.sqrt(2)


def _general_eigenpairs(graph: Graph, n_pairs: int) -> tuple[np.ndarray, np.ndarray]:
    n, root = graph.n_vertices, np.sqrt(graph.degree)
    if n <= max(_DENSE_VERTICES, 2 * n_pairs):
        normalized = scipy.sparse.diags_array(1 / root) @ graph.adjacency @ scipy.sparse.diags_array(1 / root)
        values, vectors = scipy.linalg.eigh(normalized.toarray(), subset_by_index=[n - n_pairs, n - 1])
    else:
        known = _null_vectors(graph, root, n_pairs)
        values, vectors = np.ones(known.shape[1]), known[:, ::-1]
        if len(values) < n_pairs:
            others = _leading_eigenpairs(graph.scaled(1 / root), n_pairs - len(values), root, known)
            values, vectors = np.append(others[0], values), np.hstack([others[1], vectors])
    return np.maximum(1 - values[::-1], 0), vectors[:, ::-1]


def _null_vectors(graph: Graph, root: np.ndarray, at_most: int) -> np.ndarray:
    """Orthonormal vectors (n, parts) of eigenvalue 0 of a graph in several parts, those of largest volume first.

    Lanczos iterations start from one vector, and can miss copies of an eigenvalue. (n, 0) if there is one part.
    """
    part = graph.components()
    if not part.any():
        return np.zeros((len(root), 0))
    volumes = np.bincount(part, weights=root**2)
    chosen = np.argsort(-volumes, kind="stable")[:at_most]
    return np.where(part[:, None] == chosen, root[:, None], 0) / np.sqrt(volumes[chosen])


def _leading_eigenpairs(matrix, n_pairs: int, root: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The largest eigenvalues, ascending, of a symmetric matrix and their vectors, but for known vectors."""
    start = root * np.random.default_rng(0).uniform(0.5, 1.5, len(root))  # fixed, so that results repeat
    if known.shape[1]:
        whole = scipy.sparse.linalg.aslinearoperator(matrix)

        def without(vectors: np.ndarray) -> np.ndarray:
            columns = vectors.reshape(len(root), -1)
            return whole.matmat(columns) - known @ (known.T @ columns)

        matrix = scipy.sparse.linalg.LinearOperator(whole.shape, without, matmat=without, dtype=np.float64)
        start -= known @ (known.T @ start)
    values, vectors = scipy.sparse.linalg.eigsh(matrix, n_pairs, which="LA", v0=start)
    order = np.argsort(values)
    return values[order], vectors[:, order]
