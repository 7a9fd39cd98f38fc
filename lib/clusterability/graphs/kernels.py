"""Norms of convolution kernels: what an edge between two channels weighs (C, section 2.1)."""

from __future__ import annotations

import numpy as np

from clusterability.base.errors import InputError

NORMS = ("induced", "entrywise", "frobenius")


def kernel_norms(kernel: np.ndarray, norm: str = "induced") -> np.ndarray:
    """Norm of the kernel between every unit and every position that it reads.

    Parameters
    ----------
    kernel : ndarray (units, positions, ...)
        One kernel a pair: none, one or two axes behind; more for the entrywise norms.
    norm : {"induced", "entrywise", "frobenius"}
        The largest sum of absolute values in a column, as released; the sum of all absolute values; or
        the root of the sum of squares. The same for a single number.

    Returns
    -------
    ndarray (units, positions) of float64

    Raises
    ------
    InputError
        An unknown norm, or the induced norm of kernels that are no matrices.

    >>> kernel = np.array([[[[1.0, -2.0], [3.0, 0.0]]]])
    >>> [round(float(kernel_norms(kernel, norm)[0, 0]), 4) for norm in NORMS]
    [4.0, 6.0, 3.7417]
    """
    check_norm(norm)
    behind = tuple(range(2, kernel.ndim))
    if norm == "frobenius":
        return np.sqrt(np.square(kernel, dtype=np.float64).sum(behind))
    if norm == "induced" and kernel.ndim > 4:
        raise InputError(
            f"the induced norm is one of matrices, not of kernels with {kernel.ndim - 2} axes: choose another"
        )
    sizes = np.abs(kernel, dtype=np.float64)
    return sizes.sum(2).max(2) if norm == "induced" and kernel.ndim == 4 else sizes.sum(behind)


def check_norm(norm: str) -> None:
    """Raise InputError if no kernel norm has this name."""
    if norm not in NORMS:
        raise InputError(f"no kernel norm is called {norm!r}: choose from {', '.join(NORMS)}")
