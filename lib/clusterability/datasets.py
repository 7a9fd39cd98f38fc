"""Data sets: images scaled to [0, 1] and their labels, from disk, from a download, or bundled."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from clusterability import paths
from clusterability.arrays import read_npz
from clusterability.errors import InputError

KEYS = ("x_train", "y_train", "x_test", "y_test")


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images and labels, split into training and test examples.

    Attributes
    ----------
    name : str
    x_train, x_test : ndarray (examples, ...) of uint8
        Raw intensities; ``maximum`` is the value that means white.
    y_train, y_test : ndarray (examples,) of int64
        Class labels, 0 ... n_classes − 1.
    maximum : int
    """

    name: str
    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    maximum: int = 255

    @property
    def n_features(self) -> int:
        """Numbers in one flattened example."""
        return int(np.prod(self.x_train.shape[1:]))

    @property
    def n_classes(self) -> int:
        return int(max(self.y_train.max(), self.y_test.max())) + 1

    def flat(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        """Flattened inputs (examples, features), float32 in [0, 1], and labels of one split."""
        x, y = (self.x_train, self.y_train) if split == "train" else (self.x_test, self.y_test)
        return x.reshape(len(x), -1).astype(np.float32) / np.float32(self.maximum), y

    @cached_property
    def fingerprint(self) -> str:
        """First 12 hexadecimal digits of the SHA-256 of all arrays, their shapes and ``maximum``."""
        digest = hashlib.sha256(str(self.maximum).encode())
        for key in KEYS:
            array = np.ascontiguousarray(getattr(self, key))
            digest.update(f"{key}{array.shape}".encode())
            digest.update(array.data)
        return digest.hexdigest()[:12]


# Inputs and classes of an example, known without loading it.
_DIMENSIONS: Mapping[str, tuple[int, int]] = {
    "mnist": (784, 10),
    "fashion_mnist": (784, 10),
    "cifar10": (3072, 10),
    "digits": (64, 10),
}
TITLES = {"mnist": "MNIST", "fashion_mnist": "Fashion-MNIST", "cifar10": "CIFAR-10", "digits": "Digits"}
"""Names for readers."""

# torchvision's class, and the folder that its download makes.
_DOWNLOADS: Mapping[str, tuple[str, str]] = {
    "mnist": ("MNIST", "MNIST"),
    "fashion_mnist": ("FashionMNIST", "FashionMNIST"),
    "cifar10": ("CIFAR10", "cifar-10-batches-py"),
}


def names() -> list[str]:
    """Names that :func:`load` knows.

    >>> names()
    ['mnist', 'fashion_mnist', 'cifar10', 'digits']
    """
    return list(_DIMENSIONS)


def check_name(name: str) -> None:
    """Raise InputError if ``name`` is not a data set of :func:`names`."""
    if name not in names():
        raise InputError(f"no data set is called {name!r}: choose from {', '.join(names())}")


def dimensions(name: str) -> tuple[int, int]:
    """Numbers in one flattened example, and classes, known without loading the data set.

    >>> dimensions("mnist")
    (784, 10)
    """
    check_name(name)
    return _DIMENSIONS[name]


def load(name: str) -> Dataset:
    """Load a data set.

    ``digits`` comes with scikit-learn. The others are looked for, in this order, in
    ``$CLUSTERABILITY_DATA/NAME.npz`` (arrays x_train, y_train, x_test, y_test), in ``data/NAME.npz``
    of the checkout, and in torchvision's checksummed download, kept in ``data/downloads``.

    Raises
    ------
    InputError
        Unknown name, an unusable file, or a data set that is in none of the three places.

    >>> load("digits").x_train.shape
    (1437, 8, 8)
    """
    check_name(name)
    if name == "digits":
        return _digits()
    for file in _files(name):
        if file.is_file():
            return _from_npz(name, file)
    try:
        return _download(name, _download_folder())
    except (OSError, RuntimeError) as failure:
        folder = os.environ.get("CLUSTERABILITY_DATA", "$CLUSTERABILITY_DATA (not set)")
        reason = (str(failure).strip().splitlines() or [type(failure).__name__])[0]
        raise InputError(
            f"the data set {name!r} was found in none of three places: {folder}/{name}.npz, "
            f"data/{name}.npz in the checkout, torchvision's download ({reason})"
        ) from failure


def available(name: str) -> Dataset | None:
    """The data set if it lies on this machine already, else None; never downloads."""
    check_name(name)
    if name == "digits" or any(file.is_file() for file in _files(name)):
        return load(name)
    if not (_download_folder() / _DOWNLOADS[name][1]).is_dir():
        return None
    try:
        return _from_torchvision(name, _download_folder(), fetch=False)
    except (OSError, RuntimeError):  # the rest of a download that was interrupted
        return None


def _files(name: str) -> list[Path]:
    folder = os.environ.get("CLUSTERABILITY_DATA")
    places = [Path(folder) / f"{name}.npz"] if folder else []
    return [*places, paths.data_folder() / f"{name}.npz"]


def _download_folder() -> Path:
    return paths.data_folder() / "downloads"


def _from_npz(name: str, path: Path) -> Dataset:
    arrays = read_npz(path)
    missing = [key for key in KEYS if key not in arrays]
    if missing:
        raise InputError(f"{path} lacks the array {missing[0]!r}: it must hold {', '.join(KEYS)}")
    for split in ("train", "test"):
        x, y = arrays[f"x_{split}"], arrays[f"y_{split}"]
        if x.dtype != np.uint8 or x.ndim < 2 or not np.issubdtype(y.dtype, np.integer):
            raise InputError(
                f"{path} holds x_{split} of {x.dtype} and y_{split} of {y.dtype}: "
                "images of uint8 and integer labels are needed"
            )
        if len(x) == 0 or len(x) != y.size:
            raise InputError(f"{path} holds {len(x)} images in x_{split} but {y.size} labels")
        if y.min() < 0:
            raise InputError(f"{path} holds the label {y.min()} in y_{split}: labels count from 0")
        arrays[f"y_{split}"] = y.reshape(-1).astype(np.int64)
    sizes = [arrays[key].shape[1:] for key in ("x_train", "x_test")]
    if sizes[0] != sizes[1]:
        raise InputError(f"{path} holds images of shape {sizes[0]} in x_train but {sizes[1]} in x_test")
    return Dataset(name, **{key: arrays[key] for key in KEYS})


def _digits() -> Dataset:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    bunch = load_digits()
    x, y = bunch.images.astype(np.uint8), bunch.target.astype(np.int64)
    x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=0.2, stratify=y, random_state=0)
    return Dataset("digits", x_train, y_train, x_test, y_test, maximum=16)


def _download(name: str, folder: Path) -> Dataset:
    return _from_torchvision(name, folder, fetch=True)


def _from_torchvision(name: str, folder: Path, *, fetch: bool) -> Dataset:
    """torchvision's copy of a data set in ``folder``, fetched first if it is not there."""
    from clusterability._torchvision import import_torchvision_datasets

    factory = getattr(import_torchvision_datasets(), _DOWNLOADS[name][0])
    train, test = (factory(folder, train=part, download=fetch) for part in (True, False))
    x_train, x_test = (np.asarray(part.data, dtype=np.uint8) for part in (train, test))
    y_train, y_test = (np.asarray(part.targets, dtype=np.int64) for part in (train, test))
    return Dataset(name, x_train, y_train, x_test, y_test)
