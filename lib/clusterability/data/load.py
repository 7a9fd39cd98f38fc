"""Data sets by name: bundled, from disk, downloaded, or constructed from others."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import cast

import numpy as np

from clusterability.base import files as paths
from clusterability.base.errors import InputError, reason
from clusterability.base.files import read_npz
from clusterability.data.catalogue import KEYS, NONE, RECIPES, Dataset, digest, entry

_DOWNLOADS = {  # torchvision's class, and the folder that its download makes
    "mnist": ("MNIST", "MNIST"),
    "fashion_mnist": ("FashionMNIST", "FashionMNIST"),
    "cifar10": ("CIFAR10", "cifar-10-batches-py"),
}


def load(name: str) -> Dataset:
    """Load a data set.

    ``digits`` comes with scikit-learn. MNIST, Fashion-MNIST and CIFAR-10 are looked for, in this
    order, in ``$CLUSTERABILITY_DATA/NAME.npz`` (arrays x_train, y_train, x_test, y_test), in
    ``data/NAME.npz`` of the checkout, and in torchvision's checksummed download, kept in
    ``data/downloads``. The others are constructed from these, or from nothing, always alike
    (C, appendix; P, section 4).

    Parameters
    ----------
    name : str
        One of :data:`clusterability.data.catalogue.ENTRIES`.

    Raises
    ------
    InputError
        Unknown name, an unusable file, or a data set that is in none of the three places.

    >>> load("digits").x_train.shape
    (1437, 8, 8)
    """
    known = entry(name)
    if known.make is None:
        return cast(Dataset, _found(name, fetch=True))
    sources = [load(source) for source in known.sources]
    # The name seeds the generator: no two constructed sets share random numbers.
    rng = np.random.default_rng(np.frombuffer(name.encode(), dtype=np.uint8))
    train, test = (known.make(split, sources, rng) for split in ("train", "test"))
    return Dataset(name, *train, *test, known.maximum, _recipe(name, [source.fingerprint for source in sources]))


def fingerprint(name: str) -> str | None:
    """Fingerprint of the data set that lies on this machine, or None; never downloads, and is remembered as long as
    the files that it comes from stay the same."""
    if name == NONE:
        return NONE
    if entry(name).make is None:
        places = [*_files(name), _downloads() / _DOWNLOADS[name][1]] if name in _DOWNLOADS else []
        states = [(place, place.stat()) for place in places if place.exists()]
        return _fingerprint(name, *((place, state.st_mtime_ns, state.st_size) for place, state in states))
    sources = [fingerprint(source) for source in entry(name).sources]
    at_hand = [source for source in sources if source is not None]
    return digest(_recipe(name, at_hand)) if len(at_hand) == len(sources) else None


@lru_cache
def _fingerprint(name: str, *state: tuple) -> str | None:
    return dataset.fingerprint if (dataset := _found(name, fetch=False)) else None


def _recipe(name: str, sources: list[str]) -> str:
    return f"{name}, recipe {RECIPES}, from {sources}"


def _found(name: str, *, fetch: bool) -> Dataset | None:
    """A data set that is not constructed; None if it would have to be downloaded, and is not to be."""
    if name == "digits":
        return _digits()
    for file in _files(name):
        if file.is_file():
            return _from_npz(name, file)
    if not fetch and not (_downloads() / _DOWNLOADS[name][1]).is_dir():
        return None
    try:
        return _from_torchvision(name, _downloads(), fetch=fetch)
    except (OSError, RuntimeError) as failure:
        if not fetch:  # the rest of a download that was interrupted
            return None
        own = os.environ.get("CLUSTERABILITY_DATA", "$CLUSTERABILITY_DATA (not set)")
        raise InputError(
            f"the data set {name!r} was found in none of three places: {own}/{name}.npz, "
            f"data/{name}.npz in the checkout, torchvision's download ({reason(failure)})"
        ) from failure


def _downloads() -> Path:
    return paths.data_folder() / "downloads"


def _files(name: str) -> list[Path]:
    own = os.environ.get("CLUSTERABILITY_DATA")
    return [Path(folder) / f"{name}.npz" for folder in (own, paths.data_folder()) if folder]


def _from_npz(name: str, path: Path) -> Dataset:
    arrays = read_npz(path)
    if missing := [key for key in KEYS if key not in arrays]:
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
    train, test = arrays["x_train"].shape[1:], arrays["x_test"].shape[1:]
    if train != test:
        raise InputError(f"{path} holds images of shape {train} in x_train but {test} in x_test")
    x_train, y_train, x_test, y_test = (arrays[key] for key in KEYS)
    return Dataset(name, x_train, y_train, x_test, y_test)


def _digits() -> Dataset:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    bunch = load_digits()
    x, y = bunch.images.astype(np.uint8), bunch.target.astype(np.int64)
    x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=0.2, stratify=y, random_state=0)
    return Dataset("digits", x_train, y_train, x_test, y_test, entry("digits").maximum)


def _from_torchvision(name: str, folder: Path, *, fetch: bool) -> Dataset:
    from clusterability.base.torchvision import import_torchvision

    factory = getattr(import_torchvision().datasets, _DOWNLOADS[name][0])
    parts = [factory(folder, train=train, download=fetch) for train in (True, False)]
    arrays = [(np.asarray(part.data, np.uint8), np.asarray(part.targets, np.int64)) for part in parts]
    return Dataset(name, *arrays[0], *arrays[1])
