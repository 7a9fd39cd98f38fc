"""Null models: what is kept of a weight matrix, and what is left to chance.

"layer" and "nonzero" are the papers' (C, section 3; P, section 4.2). The others keep more of what a neuron is: how
strong it is, or how many neurons it is joined to.
"""

from __future__ import annotations

import numpy as np

from clusterability.base.errors import InputError, check_known

ENTRYWISE = ("layer", "nonzero")  # need no more than a list of weights
NULL_MODELS = (*ENTRYWISE, "incoming", "outgoing", "strengths", "swapped")
_TOLERANCE, _MOST_ROUNDS = 1e-11, 100_000
_TRADES_A_ROW = 5


def permuted(entries: np.ndarray, null_model: str, rng: np.random.Generator) -> np.ndarray:
    """Entries (n,) of a matrix in random order: all of them ("layer"), or the nonzero ones among their places
    ("nonzero"), which keeps the sparsity pattern.

    >>> permuted(np.array([0.0, 1.0, 2.0, 3.0]), "nonzero", np.random.default_rng(0)).tolist()
    [0.0, 3.0, 1.0, 2.0]
    """
    check_known("null model", null_model, ENTRYWISE)
    entries = entries.copy()
    if null_model == "layer":
        rng.shuffle(entries)
    else:
        places = np.flatnonzero(entries)
        entries[places] = rng.permutation(entries[places])
    return entries


def shuffled(matrix: np.ndarray, null_model: str, rng: np.random.Generator) -> np.ndarray:
    """A weight matrix (out, in), not negative, as a null model has it.

    "layer", "nonzero": see :func:`permuted`. "incoming", "outgoing": the nonzero weights of every neuron's inputs, or
    outputs, are permuted among their places. "strengths": the nonzero weights are, and then scaled so that the sums
    of every neuron's incoming and of its outgoing weights are what they were. "swapped": the nonzero weights are
    permuted among the places of a pattern, see :func:`mixed`, that keeps every neuron's number of incoming and of
    outgoing ones.

    >>> matrix = np.array([[1.0, 2.0, 0.0], [4.0, 0.0, 3.0], [1.0, 1.0, 1.0]])
    >>> null = shuffled(matrix, "strengths", np.random.default_rng(0))
    >>> bool(np.allclose(null.sum(0), matrix.sum(0))), bool(np.allclose(null.sum(1), matrix.sum(1)))
    (True, True)
    """
    check_null_model(null_model)
    if null_model in ENTRYWISE:
        return permuted(matrix.ravel(), null_model, rng).reshape(matrix.shape)
    if null_model == "incoming":
        return np.stack([permuted(row, "nonzero", rng) for row in matrix])
    if null_model == "outgoing":
        return shuffled(matrix.T, "incoming", rng).T.copy()
    if null_model == "swapped":
        null = np.zeros_like(matrix)
        null[mixed(matrix != 0, rng)] = rng.permutation(matrix[matrix != 0])
        return null
    null = permuted(matrix.ravel(), "nonzero", rng).reshape(matrix.shape)
    return with_strengths(null, matrix.sum(axis=1), matrix.sum(axis=0))


def with_strengths(matrix: np.ndarray, of_rows: np.ndarray, of_columns: np.ndarray) -> np.ndarray:
    """A matrix (m, n), not negative, its rows and columns scaled so that they sum to ``of_rows`` (m,) and
    ``of_columns`` (n,), to 1e-11 of each (Sinkhorn & Knopp, 1967).

    Raises
    ------
    InputError
        No scaling is that close: where the matrix has its zeros, there may be none.
    """
    columns = np.ones(matrix.shape[1])
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(_MOST_ROUNDS):
            sums = matrix @ columns
            rows = np.divide(of_rows, sums, out=np.zeros_like(of_rows), where=sums > 0)
            sums = rows @ matrix
            scale = np.divide(of_columns, sums, out=np.zeros_like(of_columns), where=sums > 0)
            if not np.isfinite(scale).all():
                break
            if np.allclose(scale, columns, rtol=_TOLERANCE, atol=0):
                return rows[:, None] * matrix * columns
            columns = scale
    raise InputError("the null model cannot keep the neurons' strengths: no scaling of the shuffled weights does")


def check_null_model(null_model: str) -> None:
    """Raise InputError if there is no such null model."""
    check_known("null model", null_model, NULL_MODELS)


def mixed(pattern: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A pattern (m, n) of bool, mixed, that has as many entries in every row and every column: pairs of rows share
    out anew what only one of them has (Strona et al., 2014, "curveball").

    >>> pattern = np.array([[1, 1, 0, 0], [0, 0, 1, 1]], dtype=bool)
    >>> mixed(pattern, np.random.default_rng(0)).sum(axis=0).tolist()
    [1, 1, 1, 1]
    """
    result = pattern.copy()
    for _ in range(_TRADES_A_ROW * len(result) if len(result) > 1 else 0):
        pair = rng.choice(len(result), 2, replace=False)
        first, second = result[pair]
        either = np.flatnonzero(first != second)
        given = rng.permutation(either)
        n_first = int(first[either].sum())
        result[pair[0], given[:n_first]] = result[pair[1], given[n_first:]] = True
        result[pair[0], given[n_first:]] = result[pair[1], given[:n_first]] = False
    return result
