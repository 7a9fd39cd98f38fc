"""Data sets by name: inputs and what to learn from them, from disk, a download, bundled, or constructed."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

import numpy as np

from clusterability.base import files
from clusterability.base.errors import InputError, reason
from clusterability.base.files import read_npz
from clusterability.data.catalogue import KEYS, NONE, RECIPES, Dataset, digest, entry

# torchvision's class, and the folder that its download makes.
_DOWNLOADS = {
    "mnist": ("MNIST", "MNIST"),
    "fashion_mnist": ("FashionMNIST", "FashionMNIST"),
    "cifar10": ("CIFAR10", "cifar-10-batches-py"),
}


def load(name: str) -> Dataset:
    """Load a data set.

    ``digits`` comes with scikit-learn. MNIST, Fashion-MNIST and CIFAR-10 are looked for, in this
    order, in ``$CLUSTERABILITY_DATA/NAME.npz`` (arrays x_train, y_train, x_test, y_test), in
    ``data/NAME.npz`` of the checkout, and in torchvision's checksummed download, kept in
    ``data/downloads``. The others are constructed from these, or from nothing, always alike.

    Raises
    ------
    InputError
        Unknown name, an unusable file, or a data set that is in none of the three places.

    >>> load("digits").x_train.shape
    (1437, 8, 8)
    """
    known = entry(name)
    if known.make is not None:
        return _constructed(name, [load(source) for source in known.sources])
    if name == "digits":
        return _digits()
    for file in _places(name):
        if file.is_file():
            return _from_npz(name, file)
    try:
        return _download(name, _download_folder())
    except (OSError, RuntimeError) as failure:
        folder = os.environ.get("CLUSTERABILITY_DATA", "$CLUSTERABILITY_DATA (not set)")
        raise InputError(
            f"the data set {name!r} was found in none of three places: {folder}/{name}.npz, "
            f"data/{name}.npz in the checkout, torchvision's download ({reason(failure)})"
        ) from failure


def available(name: str) -> Dataset | None:
    """The data set if it lies on this machine already, else None; never downloads."""
    known = entry(name)
    if known.make is not None:
        sources = [available(source) for source in known.sources]
        return None if None in sources else _constructed(name, sources)
    if name == "digits" or any(file.is_file() for file in _places(name)):
        return load(name)
    if not (_download_folder() / _DOWNLOADS[name][1]).is_dir():
        return None
    try:
        return _from_torchvision(name, _download_folder(), fetch=False)
    except (OSError, RuntimeError):  # the rest of a download that was interrupted
        return None


def fingerprint(name: str) -> str | None:
    """Fingerprint of the data set that lies on this machine, or None; never downloads.

    Remembered as long as the files that it comes from stay the same.
    """
    if name == NONE:
        return NONE
    known = entry(name)
    if known.make is None:
        return _fingerprint(name, _state(name))
    sources = [fingerprint(source) for source in known.sources]
    return None if None in sources else digest(_recipe(name, sources))


@lru_cache
def _fingerprint(name: str, state: tuple) -> str | None:
    dataset = available(name)
    return None if dataset is None else dataset.fingerprint


def _state(name: str) -> tuple:
    """What changes when the files of a data set on disk do."""
    if name not in _DOWNLOADS:
        return ()
    places = [place for place in (*_places(name), _download_folder() / _DOWNLOADS[name][1]) if place.exists()]
    return tuple((str(place), place.stat().st_mtime_ns, place.stat().st_size) for place in places)


def _recipe(name: str, sources: list[str]) -> str:
    return f"{name}, recipe {RECIPES}, from {sources}"


def _constructed(name: str, sources: list[Dataset]) -> Dataset:
    # The name seeds the generator: no two constructed sets share random numbers.
    rng = np.random.default_rng(np.frombuffer(name.encode(), dtype=np.uint8))
    known = entry(name)
    train, test = (known.make(split, sources, rng) for split in ("train", "test"))
    recipe = _recipe(name, [source.fingerprint for source in sources])
    return Dataset(name, *train, *test, known.maximum or sources[0].maximum, recipe)


def _places(name: str) -> list[Path]:
    folder = os.environ.get("CLUSTERABILITY_DATA")
    places = [Path(folder) / f"{name}.npz"] if folder else []
    return [*places, files.data_folder() / f"{name}.npz"]


def _download_folder() -> Path:
    return files.data_folder() / "downloads"


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
    from clusterability.base.torchvision import import_torchvision

    factory = getattr(import_torchvision().datasets, _DOWNLOADS[name][0])
    train, test = (factory(folder, train=part, download=fetch) for part in (True, False))
    x_train, x_test = (np.asarray(part.data, dtype=np.uint8) for part in (train, test))
    y_train, y_test = (np.asarray(part.targets, dtype=np.int64) for part in (train, test))
    return Dataset(name, x_train, y_train, x_test, y_test)
