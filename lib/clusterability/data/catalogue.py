"""What a data set is, which there are, and how the constructed ones are made from others."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isqrt

import numpy as np

from clusterability.base.errors import InputError
from clusterability.data import constructed as made

KEYS = ("x_train", "y_train", "x_test", "y_test")


@dataclass(frozen=True, eq=False)
class Dataset:
    """Inputs and targets, split into training and test examples."""

    name: str
    x_train: np.ndarray  # (examples, ...) of uint8, raw intensities, or of float32 for polynomials
    y_train: np.ndarray  # (examples,) of int64, labels from 0; or (examples, outputs) of float32, to predict
    x_test: np.ndarray
    y_test: np.ndarray
    maximum: int = 255  # the intensity that means white
    recipe: str = ""  # of constructed sets, what they are made from and how

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
        """Channels, height and width of an example; InputError if the examples are no images."""
        if self.x_train.ndim not in (3, 4):
            raise InputError(f"{self.name} holds no images: its examples have the shape {self.x_train.shape[1:]}")
        height, width, *channels = self.x_train.shape[1:]
        return (*(channels or [1]), height, width)

    def images(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        """Images (examples, channels, height, width), float32 in [0, 1], and targets of one split.

        The channels come last in memory, as they are stored. InputError if the examples are no images.
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


Maker = Callable[[str, Sequence[Dataset], np.random.Generator], tuple[np.ndarray, np.ndarray]]
"""Makes inputs and targets of a split ("train", then "test") from source data sets."""


@dataclass(frozen=True)
class Entry:
    """What is known of a data set without loading it."""

    title: str
    n_features: int  # of a flattened example
    n_outputs: int = 10
    sources: tuple[str, ...] = ()  # what a constructed set is made from
    make: Maker | None = None
    maximum: int | None = 255  # of a constructed set; None: that of its source
    base: str | None = None  # the set that it is a variant of
    channels: int = 1  # of its square images; 0: the examples are no images

    @property
    def dimensions(self) -> tuple[int, int]:
        """Numbers in one flattened example, and outputs to learn."""
        return self.n_features, self.n_outputs

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image; InputError of a set without images."""
        if not self.channels:
            raise InputError(f"{self.title} holds no images, which convolutional networks need")
        side = isqrt(self.n_features // self.channels)
        return self.channels, side, side


def entry(name: str) -> Entry:
    """What is known of the data set of that name; InputError if there is none.

    >>> entry("mnist").dimensions, entry("polynomials").dimensions, entry("stacked_same_mnist").image_shape
    ((784, 10), (2, 512), (2, 28, 28))
    """
    if name not in ENTRIES:
        raise InputError(f"no data set is called {name!r}: choose from {', '.join(ENTRIES)}")
    return ENTRIES[name]


def _of_one(make: Callable) -> Maker:
    """From ``make(x, y, source, rng)`` on a single source's arrays."""
    return lambda split, sources, rng: make(*sources[0].split(split), sources[0], rng)


def _of_two(make: Callable) -> Maker:
    """From ``make(first, second, rng)`` on two sources' arrays, in which white is 255."""

    def bright(source: Dataset, split: str) -> tuple[np.ndarray, np.ndarray]:
        x, y = source.split(split)
        return made.as_bytes(x * (255 / source.maximum)), y

    return lambda split, sources, rng: make(*(bright(source, split) for source in sources), rng)


def _generated(make: Callable, n_train: int, n_test: int, *options: int) -> Maker:
    """From ``make(n, *options, rng)``."""
    sizes = {"train": n_train, "test": n_test}
    return lambda split, _, rng: make(sizes[split], *options, rng)


ENTRIES: dict[str, Entry] = {
    "mnist": Entry("MNIST", 784),
    "fashion_mnist": Entry("Fashion-MNIST", 784),
    "cifar10": Entry("CIFAR-10", 3072, channels=3),
    "digits": Entry("Digits", 64),
    "grey_cifar10": Entry("CIFAR-10, grey", 784, sources=("cifar10",), make=_of_one(
        lambda x, y, *_: (made.as_bytes(made.resized(made.grey(x), 28, 28)), y))),
    "small_mnist": Entry("MNIST, 7 × 7", 49, sources=("mnist",), make=_of_one(
        lambda x, y, *_: (made.as_bytes(made.resized(x, 7, 7)), y))),
    "line": Entry("Lines", 784, make=_generated(made.lines, 60_000, 10_000, 28, 10)),
    "line_8": Entry("Lines, 8 × 8", 64, 8, make=_generated(made.lines, 1437, 360, 8, 8)),
    "random": Entry("Noise", 784, make=_generated(made.noise, 60_000, 10_000, 28, 10)),
    "random_3000": Entry("Noise, 3000 images", 784, make=_generated(made.noise, 3000, 10_000, 28, 10)),
    "random_8": Entry("Noise, 8 × 8", 64, make=_generated(made.noise, 1437, 360, 8, 10)),
    "polynomials": Entry(
        "Polynomials", 2, 512, make=_generated(made.polynomials, 60_000, 10_000), maximum=1, channels=0),
    "polynomials_2000": Entry(
        "Polynomials, 2000 examples", 2, 512, make=_generated(made.polynomials, 2000, 500), maximum=1, channels=0),
}  # fmt: skip
for _base in ("mnist", "fashion_mnist", "digits"):
    for _name, _title, _channels, _make in (
        ("halves_same", "Halves Same", 1, lambda x, y, source, rng: made.halves_same(x, y, source.maximum, rng)),
        ("halves_diff", "Halves Diff", 1, lambda x, y, source, rng: made.halves_diff(
            x, y, source.maximum, source.n_outputs, rng)),
        ("stacked_same", "Stacked Same", 2, lambda x, y, _, rng: made.stacked_same(x, y, rng)),
        ("stacked_diff", "Stacked Diff", 2, lambda x, y, source, rng: made.stacked_diff(x, y, source.n_outputs, rng)),
    ):  # fmt: skip
        ENTRIES[f"{_name}_{_base}"] = Entry(
            f"{_title}, {ENTRIES[_base].title}", _channels * ENTRIES[_base].n_features, sources=(_base,),
            make=_of_one(_make), maximum=None, base=_base, channels=_channels,
        )  # fmt: skip
for _pair in (("line", "mnist"), ("mnist", "fashion_mnist"), ("mnist", "grey_cifar10"), ("line", "grey_cifar10"),
              ("line_8", "digits")):  # fmt: skip
    _titles, _size = " and ".join(ENTRIES[_name].title for _name in _pair), ENTRIES[_pair[0]].n_features
    for _name, _title, _make in (
        ("mixed", _titles, made.pooled),
        ("separated", f"{_titles}, separated", lambda first, second, rng: made.separated(first, second, 10, rng)),
    ):
        ENTRIES[f"{_name}_{_pair[0]}_{_pair[1]}"] = Entry(_title, _size, sources=_pair, make=_of_two(_make))

RECIPES = 1
"""Counts the changes of what constructed sets contain."""
NONE = "none"
"""In place of a data set's name: the network is not trained on anything."""
TITLES = {**{name: entry.title for name, entry in ENTRIES.items()}, NONE: "Untrained"}
"""Names for readers."""
