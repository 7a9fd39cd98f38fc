"""What a data set is, and which there are."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from math import isqrt
from typing import Any

import numpy as np

from clusterability.base.errors import InputError, check_known
from clusterability.data import constructed
from clusterability.data.constructed import drawn, lines, noise, polynomials

KEYS = ("x_train", "y_train", "x_test", "y_test")
NONE = "none"  # in place of a data set's name: the network is not trained on anything
RECIPES = 1  # counts the changes of what constructed sets contain


@dataclass(frozen=True, eq=False)
class Dataset:
    """Inputs and targets, split into training and test examples."""

    name: str
    x_train: np.ndarray  # raw intensities (examples, ...) of uint8; of float32 for polynomials
    y_train: np.ndarray  # labels (examples,) of int64, from 0; or numbers to predict (examples, outputs) of float32
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
        return self.y_train.shape[1] if self.regression else int(max(self.y_train.max(), self.y_test.max())) + 1

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an example; InputError if the examples are no images."""
        if self.x_train.ndim not in (3, 4):
            raise InputError(f"{self.name} holds no images: its examples have the shape {self.x_train.shape[1:]}")
        height, width, *channels = self.x_train.shape[1:]
        return (*(channels or [1]), height, width)

    def split(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        """Raw inputs and targets of "train" or "test"."""
        return (self.x_train, self.y_train) if split == "train" else (self.x_test, self.y_test)

    def flat(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        """Flattened inputs (examples, features), float32, images in [0, 1]; and targets."""
        x, y = self.split(split)
        return x.reshape(len(x), -1).astype(np.float32) / np.float32(self.maximum), y

    def images(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        """Images (examples, channels, height, width), float32 in [0, 1], the channels last in memory; and targets."""
        channels, height, width = self.image_shape
        x, y = self.flat(split)
        return x.reshape(-1, height, width, channels).transpose(0, 3, 1, 2), y

    @cached_property
    def fingerprint(self) -> str:
        """Of all arrays, their shapes and ``maximum``; of a constructed set, of its recipe, for its pixels may
        differ by rounding between machines."""
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
    """What is known of a data set without loading it."""

    name: str
    title: str
    n_features: int
    n_outputs: int = 10
    channels: int = 1  # of its square images; 0: its examples are no images
    maximum: int = 255
    make: Callable[..., constructed.Examples] | None = None  # (split, sources, rng) → (x, y), see constructed
    sources: tuple[str, ...] = ()  # the sets that it is constructed from
    variant_of: str = ""  # the set whose place it takes, as the Halves do

    @property
    def dimensions(self) -> tuple[int, int]:
        """Numbers in one flattened example, and outputs to learn."""
        return self.n_features, self.n_outputs

    @property
    def base(self) -> str:
        """The data set of which this one is a variant, else its own name."""
        return self.variant_of or self.name

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image; InputError if the examples are no images."""
        if not self.channels:
            raise InputError(f"the data set {self.name!r} holds no images, which convolutional networks need")
        side = isqrt(self.n_features // self.channels)
        return self.channels, side, side


ENTRIES: dict[str, Entry] = {}  # every data set by name


def _add(name: str, *fields: Any, **more: Any) -> None:
    ENTRIES[name] = Entry(name, *fields, **more)


_add("mnist", "MNIST", 784)
_add("fashion_mnist", "Fashion-MNIST", 784)
_add("cifar10", "CIFAR-10", 3072, channels=3)
_add("digits", "Digits", 64, maximum=16)
_add("grey_cifar10", "CIFAR-10, grey", 784, make=constructed.grey_images, sources=("cifar10",))
_add("small_mnist", "MNIST, 7 × 7", 49, make=constructed.small_images, sources=("mnist",))
_add("line", "Lines", 784, make=drawn(lines, 60_000, 10_000, 28, 10))
_add("line_8", "Lines, 8 × 8", 64, 8, make=drawn(lines, 1437, 360, 8, 8))
_add("random", "Noise", 784, make=drawn(noise, 60_000, 10_000, 28, 10))
_add("random_3000", "Noise, 3000 images", 784, make=drawn(noise, 3000, 10_000, 28, 10))
_add("random_8", "Noise, 8 × 8", 64, make=drawn(noise, 1437, 360, 8, 10))
_add("polynomials", "Polynomials", 2, 512, 0, 1, drawn(polynomials, 60_000, 10_000))
_add("polynomials_2000", "Polynomials, 2000 examples", 2, 512, 0, 1, drawn(polynomials, 2000, 500))
for _base in [ENTRIES[_name] for _name in ("mnist", "fashion_mnist", "digits")]:
    for _kind, _channels in (("halves_same", 1), ("halves_diff", 1), ("stacked_same", 2), ("stacked_diff", 2)):
        _title = f"{_kind.replace('_', ' ').title()}, {_base.title}"
        _add(
            f"{_kind}_{_base.name}", _title, _channels * _base.n_features, 10, _channels, _base.maximum,
            getattr(constructed, _kind), (_base.name,), _base.name,
        )  # fmt: skip
for _pair in ("line mnist", "mnist fashion_mnist", "mnist grey_cifar10", "line grey_cifar10", "line_8 digits"):
    _first, _second = (ENTRIES[_name] for _name in _pair.split())
    for _make, _more in ((constructed.mixed, ""), (constructed.separated, ", separated")):
        _name, _title = f"{_make.__name__}_{_first.name}_{_second.name}", f"{_first.title} and {_second.title}{_more}"
        _add(_name, _title, _first.n_features, make=_make, sources=(_first.name, _second.name))

TITLES = {name: known.title for name, known in ENTRIES.items()} | {NONE: "Untrained"}  # for readers
BASES = {name: known.base for name, known in ENTRIES.items()} | {NONE: NONE}


def entry(name: str) -> Entry:
    """What is known of the data set of this name; InputError if there is none."""
    check_known("data set", name, ENTRIES)
    return ENTRIES[name]
