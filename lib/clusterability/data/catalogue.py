"""What a data set is, which there are, and how the constructed ones are made from others."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from math import isqrt

import numpy as np

from clusterability.base.errors import InputError
from clusterability.data import constructed

KEYS = ("x_train", "y_train", "x_test", "y_test")


@dataclass(frozen=True, eq=False)
class Dataset:
    """Inputs and targets, split into training and test examples.

    Attributes
    ----------
    name : str
    x_train, x_test : ndarray (examples, ...) of uint8, or of float32 for polynomials
        Raw intensities; ``maximum`` is the value that means white.
    y_train, y_test : ndarray (examples,) of int64, or (examples, outputs) of float32
        Class labels, 0 ... n_outputs − 1; or the numbers to predict.
    maximum : int
    recipe : str
        For constructed sets, what they are made from and how; else empty.
    """

    name: str
    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    maximum: int = 255
    recipe: str = ""

    @property
    def n_features(self) -> int:
        """Numbers in one flattened example."""
        return int(np.prod(self.x_train.shape[1:]))

    @property
    def regression(self) -> bool:
        """Whether the targets are numbers rather than classes."""
        return self.y_train.ndim == 2

    @property
    def n_outputs(self) -> int:
        """Classes, or numbers to predict."""
        if self.regression:
            return self.y_train.shape[1]
        return int(max(self.y_train.max(), self.y_test.max())) + 1

    def split(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        """Raw inputs and targets of "train" or "test"."""
        return (self.x_train, self.y_train) if split == "train" else (self.x_test, self.y_test)

    def flat(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        """Flattened inputs (examples, features), float32, images in [0, 1], and targets of one split."""
        x, y = self.split(split)
        return x.reshape(len(x), -1).astype(np.float32) / np.float32(self.maximum), y

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an example.

        Raises
        ------
        InputError
            The examples are no images.
        """
        if self.x_train.ndim not in (3, 4):
            raise InputError(f"{self.name} holds no images: its examples have the shape {self.x_train.shape[1:]}")
        height, width, *channels = self.x_train.shape[1:]
        return (*(channels or [1]), height, width)

    def images(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        """Images (examples, channels, height, width), float32 in [0, 1], and targets of one split.

        The channels come last in memory, as they are stored.

        Raises
        ------
        InputError
            The examples are no images.
        """
        channels, height, width = self.image_shape
        x, y = self.flat(split)
        return x.reshape(-1, height, width, channels).transpose(0, 3, 1, 2), y

    @cached_property
    def fingerprint(self) -> str:
        """First 12 hexadecimal digits of the SHA-256 of all arrays, their shapes and ``maximum``; of a
        constructed set, of its recipe, for its pixels may differ by rounding between machines."""
        if self.recipe:
            return digest(self.recipe)
        hashed = hashlib.sha256(str(self.maximum).encode())
        for key in KEYS:
            array = np.ascontiguousarray(getattr(self, key))
            hashed.update(f"{key}{array.shape}".encode())
            hashed.update(array.data)
        return hashed.hexdigest()[:12]


def digest(text: str) -> str:
    """First 12 hexadecimal digits of a text's SHA-256."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Entry:
    """What is known of a data set without loading it.

    ``build`` makes a constructed set from its ``sources`` and a generator: (x_train, y_train, x_test,
    y_test, maximum). ``base`` is the set that it is a variant of. Images are square and have so many
    ``channels``; 0: the examples are no images.
    """

    title: str
    n_features: int
    n_outputs: int = 10
    sources: tuple[str, ...] = ()
    build: Callable[..., tuple] | None = None
    base: str | None = None
    channels: int = 1

    @property
    def image_shape(self) -> tuple[int, int, int] | None:
        """Channels, height and width of an image, or None."""
        if not self.channels:
            return None
        side = isqrt(self.n_features // self.channels)
        return self.channels, side, side


def _per_split(make: Callable) -> Callable:
    """Apply ``make(split, rng, *sources)`` → (x, y) to both splits."""

    def build(rng: np.random.Generator, *sources: Dataset) -> tuple:
        (x_train, y_train), (x_test, y_test) = (make(split, rng, *sources) for split in ("train", "test"))
        return x_train, y_train, x_test, y_test, 255

    return build


def _paired(make: Callable) -> Callable:
    """Apply ``make(x, y, source, rng)`` → (x, y) to both splits."""

    def build(rng: np.random.Generator, source: Dataset) -> tuple:
        pairs = [make(*source.split(split), source, rng) for split in ("train", "test")]
        return *pairs[0], *pairs[1], source.maximum

    return build


def _halves_same(x: np.ndarray, y: np.ndarray, source: Dataset, rng: np.random.Generator):
    return constructed.halves_same(x, y, source.maximum, rng)


def _halves_diff(x: np.ndarray, y: np.ndarray, source: Dataset, rng: np.random.Generator):
    return constructed.halves_diff(x, y, source.maximum, source.n_outputs, rng)


def _stacked_same(x: np.ndarray, y: np.ndarray, source: Dataset, rng: np.random.Generator):
    return constructed.stacked_same(x, y, rng)


def _stacked_diff(x: np.ndarray, y: np.ndarray, source: Dataset, rng: np.random.Generator):
    return constructed.stacked_diff(x, y, source.n_outputs, rng)


def _white_is_255(source: Dataset, split: str) -> tuple[np.ndarray, np.ndarray]:
    x, y = source.split(split)
    return constructed.as_bytes(x * (255 / source.maximum)), y


def _mixed(split: str, rng: np.random.Generator, first: Dataset, second: Dataset):
    return constructed.pooled(_white_is_255(first, split), _white_is_255(second, split), rng)


def _separated(split: str, rng: np.random.Generator, first: Dataset, second: Dataset):
    return constructed.separated(_white_is_255(first, split), _white_is_255(second, split), 10, rng)


def _grey(split: str, rng: np.random.Generator, source: Dataset):
    x, y = source.split(split)
    return constructed.as_bytes(constructed.resized(constructed.grey(x), 28, 28)), y


def _small(split: str, rng: np.random.Generator, source: Dataset):
    x, y = source.split(split)
    return constructed.as_bytes(constructed.resized(x, 7, 7)), y


def _generated(make: Callable, n_train: int, n_test: int, *options: int) -> Callable:
    sizes = {"train": n_train, "test": n_test}
    return _per_split(lambda split, rng: make(sizes[split], *options, rng))


def _polynomials(n_train: int, n_test: int) -> Callable:
    def build(rng: np.random.Generator) -> tuple:
        return *constructed.polynomials(n_train, rng), *constructed.polynomials(n_test, rng), 1

    return build


ENTRIES: dict[str, Entry] = {
    "mnist": Entry("MNIST", 784),
    "fashion_mnist": Entry("Fashion-MNIST", 784),
    "cifar10": Entry("CIFAR-10", 3072, channels=3),
    "digits": Entry("Digits", 64),
    "grey_cifar10": Entry("CIFAR-10, grey", 784, sources=("cifar10",), build=_per_split(_grey)),
    "small_mnist": Entry("MNIST, 7 × 7", 49, sources=("mnist",), build=_per_split(_small)),
    "line": Entry("Lines", 784, build=_generated(constructed.lines, 60_000, 10_000, 28, 10)),
    "line_8": Entry("Lines, 8 × 8", 64, 8, build=_generated(constructed.lines, 1437, 360, 8, 8)),
    "random": Entry("Noise", 784, build=_generated(constructed.noise, 60_000, 10_000, 28, 10)),
    "random_3000": Entry("Noise, 3000 images", 784, build=_generated(constructed.noise, 3000, 10_000, 28, 10)),
    "random_8": Entry("Noise, 8 × 8", 64, build=_generated(constructed.noise, 1437, 360, 8, 10)),
    "polynomials": Entry("Polynomials", 2, 512, build=_polynomials(60_000, 10_000), channels=0),
    "polynomials_2000": Entry("Polynomials, 2000 examples", 2, 512, build=_polynomials(2000, 500), channels=0),
}
for _base in ("mnist", "fashion_mnist", "digits"):
    for _name, _title, _make, _channels in (
        ("halves_same", "Halves Same", _halves_same, 1),
        ("halves_diff", "Halves Diff", _halves_diff, 1),
        ("stacked_same", "Stacked Same", _stacked_same, 2),
        ("stacked_diff", "Stacked Diff", _stacked_diff, 2),
    ):
        ENTRIES[f"{_name}_{_base}"] = Entry(
            f"{_title}, {ENTRIES[_base].title}",
            _channels * ENTRIES[_base].n_features,
            sources=(_base,),
            build=_paired(_make),
            base=_base,
            channels=_channels,
        )
for _pair in (
    ("line", "mnist"),
    ("mnist", "fashion_mnist"),
    ("mnist", "grey_cifar10"),
    ("line", "grey_cifar10"),
    ("line_8", "digits"),
):
    _titles = " and ".join(ENTRIES[_name].title for _name in _pair)
    for _name, _title, _make in (("mixed", _titles, _mixed), ("separated", f"{_titles}, separated", _separated)):
        ENTRIES[f"{_name}_{_pair[0]}_{_pair[1]}"] = Entry(
            _title, ENTRIES[_pair[0]].n_features, sources=_pair, build=_per_split(_make)
        )

RECIPES = 1
"""Counts the changes of what constructed sets contain."""
NONE = "none"
"""In place of a data set's name: the network is not trained on anything."""
TITLES = {**{name: entry.title for name, entry in ENTRIES.items()}, NONE: "Untrained"}
"""Names for readers."""
