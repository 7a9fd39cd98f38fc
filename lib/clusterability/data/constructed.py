"""Data sets made from others or from nothing (C, appendix; P, section 4).

A maker is called first for "train", then for "test", as ``make(split, sources, rng)``: with the data sets that
it makes this one from, and the generator to draw from. It returns (x, y).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product

import numpy as np
import scipy.ndimage

# What eyes make of red, green and blue (ITU-R BT.709, as scikit-image's rgb2gray).
_LUMINANCE = np.array([0.2125, 0.7154, 0.0721], dtype=np.float32)
_CHUNK = 10_000  # images at a time, to bound memory
Examples = tuple[np.ndarray, np.ndarray]  # inputs (n, ...); their labels (n,), or what to predict (n, outputs)


def resized(images: np.ndarray, height: int, width: int) -> np.ndarray:
    """Images (n, rows, columns) scaled to (n, height, width) float32 as scikit-image's ``resize`` does it with
    anti-aliasing: a Gaussian of sd (factor − 1) / 2 along every axis that shrinks, then linear interpolation."""
    factors = np.array([1, images.shape[1] / height, images.shape[2] / width])
    deviations = np.maximum((factors - 1) / 2, 0)
    result = np.empty((len(images), height, width), dtype=np.float32)
    for start in range(0, len(images), _CHUNK):
        chunk = slice(start, start + _CHUNK)
        smooth = scipy.ndimage.gaussian_filter(images[chunk].astype(np.float32), deviations, mode="mirror")
        scipy.ndimage.zoom(smooth, 1 / factors, order=1, mode="mirror", grid_mode=True, output=result[chunk])
    return result


def as_bytes(images: np.ndarray, maximum: int = 255) -> np.ndarray:
    """Intensities rounded to uint8, from 0 to ``maximum``."""
    return np.clip(np.rint(images), 0, maximum).astype(np.uint8)


def half_width(split: str, source) -> Examples:
    """A set's images squeezed to half their width and stretched to its full range of intensities; its labels."""
    x, y = source.split(split)
    squeezed = resized(x, x.shape[1], x.shape[2] // 2)
    return as_bytes(squeezed * (source.maximum / squeezed.max()), source.maximum), y


def grey_images(split: str, sources: Sequence, rng: np.random.Generator) -> Examples:
    """Colour images (n, rows, columns, 3) in grey, their luminance, at 28 × 28 pixels."""
    x, y = sources[0].split(split)
    return as_bytes(resized(x.astype(np.float32) @ _LUMINANCE, 28, 28)), y


def small_images(split: str, sources: Sequence, rng: np.random.Generator) -> Examples:
    """Images at 7 × 7 pixels."""
    x, y = sources[0].split(split)
    return as_bytes(resized(x, 7, 7)), y


def paired(*, same: bool, stacked: bool) -> Callable[..., Examples]:
    """The maker of pairs of images: ``same``, every one with another one of its class, the label; else two random
    ones, the label the sum of theirs modulo the classes. ``stacked`` as two channels (n, rows, columns, 2), else side
    by side at half width."""

    def make(split: str, sources: Sequence, rng: np.random.Generator) -> Examples:
        x, y = sources[0].split(split) if stacked else half_width(split, sources[0])
        if same:
            first, second, label = np.arange(len(y)), _partners(y, rng), y
        else:
            first, second = rng.integers(len(y), size=(2, len(y)))
            label = (y[first] + y[second]) % sources[0].n_outputs
        return (np.stack if stacked else np.concatenate)([x[first], x[second]], axis=-1), label

    return make


def _partners(y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """For every example, a random one of its class."""
    partners = np.empty(len(y), dtype=np.int64)
    for label in np.unique(y):
        members = np.flatnonzero(y == label)
        partners[members] = rng.choice(members, len(members))
    return partners


halves_same, halves_diff = (paired(same=same, stacked=False) for same in (True, False))
stacked_same, stacked_diff = (paired(same=same, stacked=True) for same in (True, False))


def mixed(split: str, sources: Sequence, rng: np.random.Generator) -> Examples:
    """All examples of two sets, in random order."""
    return _shuffled([_white_is_255(split, source) for source in sources], rng)


def separated(split: str, sources: Sequence, rng: np.random.Generator) -> Examples:
    """Classes 0 to 4 of one set and 5 to 9 of another, in random order."""
    (x, y), (x_other, y_other) = (_white_is_255(split, source) for source in sources)
    return _shuffled([(x[y < 5], y[y < 5]), (x_other[y_other >= 5], y_other[y_other >= 5])], rng)


def _white_is_255(split: str, source) -> Examples:
    x, y = source.split(split)
    return as_bytes(x * (255 / source.maximum)), y


def _shuffled(parts: Sequence[Examples], rng: np.random.Generator) -> Examples:
    x, y = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    order = rng.permutation(len(y))
    return x[order], y[order]


def drawn(make: Callable[..., Examples], n_train: int, n_test: int, *options: int) -> Callable[..., Examples]:
    """The maker that draws so many examples from nothing: ``make(n, *options, rng)``."""
    sizes = {"train": n_train, "test": n_test}
    return lambda split, sources, rng: make(sizes[split], *options, rng)


def lines(n: int, size: int, n_classes: int, rng: np.random.Generator) -> Examples:
    """Black images (n, size, size) of uint8 with 1 to ``n_classes`` white vertical lines in different columns;
    the label is their number less one."""
    y = rng.integers(n_classes, size=n)
    order = rng.random((n, size)).argsort(axis=1).argsort(axis=1)
    row = np.where(order <= y[:, None], 255, 0).astype(np.uint8)
    return np.repeat(row[:, None, :], size, axis=1), y


def noise(n: int, size: int, n_classes: int, rng: np.random.Generator) -> Examples:
    """Images (n, size, size) of uniform noise with uniform labels, both independent."""
    return rng.integers(256, size=(n, size, size), dtype=np.uint8), rng.integers(n_classes, size=n)


def polynomials(n: int, rng: np.random.Generator) -> Examples:
    """Two normal numbers (n, 2) of float32, and all :func:`polynomial_values` (n, 512) of float32."""
    x = rng.normal(size=(n, 2))
    return x.astype(np.float32), polynomial_values(x).astype(np.float32)


def polynomial_values(x: np.ndarray) -> np.ndarray:
    """All 512 sums (n, 512) of the nine monomials x₁ᵃ x₂ᵇ, with a and b in {0, 1, 2}, at every point (n, 2).

    Column c sums the monomials whose bits are set in c; the highest bit is that of a = b = 0.

    >>> polynomial_values(np.array([[2.0, 3.0]]))[0, [256, 1, 257]].tolist()
    [1.0, 36.0, 37.0]
    """
    monomials = np.stack([x[:, 0] ** a * x[:, 1] ** b for a, b in product(range(3), repeat=2)], axis=1)
    return monomials @ np.array(list(product((0, 1), repeat=9))).T


def polynomial_images(n: int, size: int = 28) -> tuple[np.ndarray, np.ndarray]:
    """Pictures (n, size, size) of uint8 of ``n`` polynomials over [−2, 2]² that are not constant, each from its
    least value, 0, to its largest, 255; and their numbers (n,), evenly spread. x₁ grows downwards."""
    axis = np.linspace(-2, 2, size)
    values = polynomial_values(np.array(list(product(axis, repeat=2))))
    varied = np.flatnonzero(np.ptp(values, axis=0))
    chosen = varied[np.linspace(0, len(varied) - 1, n).astype(np.int64)]
    above = (values - values.min(axis=0))[:, chosen]
    return as_bytes(255 * above / above.max(axis=0)).T.reshape(n, size, size), chosen
