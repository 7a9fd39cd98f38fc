"""Data sets made from others or from nothing: arrays in, arrays out (C, appendix; P, section 4).

Every function that draws at random takes the generator to draw from.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import scipy.ndimage

# What eyes make of red, green and blue (ITU-R BT.709, as scikit-image's rgb2gray).
_LUMINANCE = np.array([0.2125, 0.7154, 0.0721], dtype=np.float32)
# Images at a time, to bound memory.
_CHUNK = 10_000


def resized(images: np.ndarray, height: int, width: int) -> np.ndarray:
    """Images scaled to another size with anti-aliasing, as scikit-image's ``resize`` does it.

    A Gaussian of sd (factor − 1) / 2 along every axis that shrinks, then linear interpolation.

    Parameters
    ----------
    images : ndarray (n, rows, columns), any real dtype

    Returns
    -------
    ndarray (n, height, width) float32

    >>> resized(np.full((2, 8, 8), 7), 4, 2).round(4).tolist()[0][0]
    [7.0, 7.0]
    """
    factors = [images.shape[1] / height, images.shape[2] / width]
    deviations = [0.0, *(max(0.0, (factor - 1) / 2) for factor in factors)]
    result = np.empty((len(images), height, width), dtype=np.float32)
    for start in range(0, len(images), _CHUNK):
        smooth = scipy.ndimage.gaussian_filter(
            images[start : start + _CHUNK].astype(np.float32), deviations, mode="mirror"
        )
        scipy.ndimage.zoom(
            smooth, [1, *(1 / factor for factor in factors)], order=1, mode="mirror", grid_mode=True,
            output=result[start : start + _CHUNK],
        )  # fmt: skip
    return result


def grey(images: np.ndarray) -> np.ndarray:
    """Luminance (n, rows, columns) float32 of colour images (n, rows, columns, 3)."""
    return images.astype(np.float32) @ _LUMINANCE


def as_bytes(images: np.ndarray) -> np.ndarray:
    """Intensities between 0 and 255, rounded to uint8."""
    return np.clip(np.rint(images), 0, 255).astype(np.uint8)


def half_width(images: np.ndarray, maximum: int) -> np.ndarray:
    """Images squeezed to half their width and stretched to the full range of 0 ... ``maximum``."""
    squeezed = resized(images, images.shape[1], images.shape[2] // 2)
    return np.clip(np.rint(squeezed * (maximum / squeezed.max())), 0, maximum).astype(np.uint8)


def halves_same(x: np.ndarray, y: np.ndarray, maximum: int, rng: np.random.Generator):
    """Every image beside another one of its class, both at half width; the label is that class.

    Parameters
    ----------
    x : ndarray (n, rows, columns)
        An even number of columns.
    y : ndarray (n,)

    Returns
    -------
    x, y : ndarray (n, rows, columns) of uint8, ndarray (n,)
    """
    half = half_width(x, maximum)
    return np.concatenate([half, half[_partners(y, rng)]], axis=2), y


def halves_diff(x: np.ndarray, y: np.ndarray, maximum: int, n_classes: int, rng: np.random.Generator):
    """Two random images side by side, both at half width; the label is the sum of theirs modulo the
    number of classes. Shapes as in :func:`halves_same`."""
    half = half_width(x, maximum)
    first, second = rng.integers(len(y), size=(2, len(y)))
    return np.concatenate([half[first], half[second]], axis=2), (y[first] + y[second]) % n_classes


def stacked_same(x: np.ndarray, y: np.ndarray, rng: np.random.Generator):
    """Every image and another one of its class, as two channels; the label is that class.

    Parameters
    ----------
    x : ndarray (n, rows, columns)
    y : ndarray (n,)

    Returns
    -------
    x, y : ndarray (n, rows, columns, 2), ndarray (n,)
    """
    return np.stack([x, x[_partners(y, rng)]], axis=-1), y


def stacked_diff(x: np.ndarray, y: np.ndarray, n_classes: int, rng: np.random.Generator):
    """Two random images as two channels; the label is the sum of theirs modulo the number of classes.
    Shapes as in :func:`stacked_same`."""
    first, second = rng.integers(len(y), size=(2, len(y)))
    return np.stack([x[first], x[second]], axis=-1), (y[first] + y[second]) % n_classes


def _partners(y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """For every example, a random one of its class."""
    partners = np.empty(len(y), dtype=np.int64)
    for label in np.unique(y):
        members = np.flatnonzero(y == label)
        partners[members] = rng.choice(members, len(members))
    return partners


def lines(n: int, size: int, n_classes: int, rng: np.random.Generator):
    """Black images with 1 to ``n_classes`` white vertical lines in different columns; the label is
    their number less one.

    Returns
    -------
    x, y : ndarray (n, size, size) of uint8, ndarray (n,) of int64

    >>> x, y = lines(5, 8, 4, np.random.default_rng(0))
    >>> bool((np.count_nonzero(x[:, 0], axis=1) == y + 1).all())
    True
    """
    y = rng.integers(n_classes, size=n)
    order = rng.random((n, size)).argsort(axis=1).argsort(axis=1)
    row = np.where(order <= y[:, None], 255, 0).astype(np.uint8)
    return np.repeat(row[:, None, :], size, axis=1), y


def noise(n: int, size: int, n_classes: int, rng: np.random.Generator):
    """Images of uniform noise with uniform labels, both independent; shapes as in :func:`lines`."""
    return rng.integers(256, size=(n, size, size), dtype=np.uint8), rng.integers(n_classes, size=n)


def pooled(first, second, rng: np.random.Generator):
    """All examples of two sets (x, y), in random order."""
    x, y = (np.concatenate(pair) for pair in zip(first, second, strict=True))
    order = rng.permutation(len(y))
    return x[order], y[order]


def separated(first, second, n_classes: int, rng: np.random.Generator):
    """The lower half of the classes from the first set (x, y), the upper half from the second."""
    low, high = first[1] < n_classes // 2, second[1] >= n_classes // 2
    return pooled((first[0][low], first[1][low]), (second[0][high], second[1][high]), rng)


def polynomials(n: int, rng: np.random.Generator):
    """Two normal numbers, and every sum of the monomials x₁ᵃ x₂ᵇ with a, b in {0, 1, 2}.

    Returns
    -------
    x : ndarray (n, 2) float32
    y : ndarray (n, 512) float32
        See :func:`polynomial_values`.
    """
    x = rng.normal(size=(n, 2))
    return x.astype(np.float32), polynomial_values(x).astype(np.float32)


def polynomial_values(x: np.ndarray) -> np.ndarray:
    """All 512 sums of the nine monomials at every point.

    Parameters
    ----------
    x : ndarray (n, 2)

    Returns
    -------
    ndarray (n, 512)
        Column c sums the monomials whose bits are set in c, the first monomial (a = b = 0) being the
        highest of the nine bits.

    >>> polynomial_values(np.array([[2.0, 3.0]]))[0, [256, 1, 257]].tolist()
    [1.0, 36.0, 37.0]
    """
    exponents = list(product(range(3), repeat=2))
    monomials = np.stack([x[:, 0] ** a * x[:, 1] ** b for a, b in exponents], axis=1)
    coefficients = np.array(list(product((0, 1), repeat=len(exponents))))
    return monomials @ coefficients.T


def polynomial_images(n: int, size: int = 28) -> tuple[np.ndarray, np.ndarray]:
    """Pictures of ``n`` of the polynomials over [−2, 2]² that are not constant, evenly spread over their
    numbers.

    Returns
    -------
    images : ndarray (n, size, size) of uint8
        Each from its least value, 0, to its largest, 255; x₁ grows downwards, x₂ to the right.
    numbers : ndarray (n,) of int64
    """
    axis = np.linspace(-2, 2, size)
    values = polynomial_values(np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2))
    varied = np.flatnonzero(np.ptp(values, axis=0))
    chosen = varied[np.linspace(0, len(varied) - 1, n).astype(np.int64)]
    images = values[:, chosen].T.reshape(n, size, size)
    low, high = images.min(axis=(1, 2), keepdims=True), images.max(axis=(1, 2), keepdims=True)
    return as_bytes(255 * (images - low) / (high - low)), chosen
