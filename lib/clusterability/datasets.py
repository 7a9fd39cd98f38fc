"""Data sets: inputs and what to learn from them, from disk, from a download, bundled, or constructed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np

from clusterability import constructed, paths
from clusterability.arrays import read_npz
from clusterability.errors import InputError

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

    @cached_property
    def fingerprint(self) -> str:
        """First 12 hexadecimal digits of the SHA-256 of all arrays, their shapes and ``maximum``; of a
        constructed set, of its recipe, for its pixels may differ by rounding between machines."""
        if self.recipe:
            return _digest(self.recipe)
        digest = hashlib.sha256(str(self.maximum).encode())
        for key in KEYS:
            array = np.ascontiguousarray(getattr(self, key))
            digest.update(f"{key}{array.shape}".encode())
            digest.update(array.data)
        return digest.hexdigest()[:12]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclass(frozen=True)
class _Entry:
    """What is known of a data set without loading it.

    ``build`` makes a constructed set from its ``sources`` and a generator: (x_train, y_train, x_test,
    y_test, maximum). ``base`` is the set that it is a variant of.
    """

    title: str
    n_features: int
    n_outputs: int = 10
    sources: tuple[str, ...] = ()
    build: Callable[..., tuple] | None = None
    base: str | None = None


def _per_split(make: Callable) -> Callable:
    """Apply ``make(split, rng, *sources)`` → (x, y) to both splits."""

    def build(rng: np.random.Generator, *sources: Dataset) -> tuple:
        (x_train, y_train), (x_test, y_test) = (make(split, rng, *sources) for split in ("train", "test"))
        return x_train, y_train, x_test, y_test, 255

    return build


def _halves_same(rng: np.random.Generator, source: Dataset) -> tuple:
    pairs = [constructed.halves_same(*source.split(s), source.maximum, rng) for s in ("train", "test")]
    return *pairs[0], *pairs[1], source.maximum


def _halves_diff(rng: np.random.Generator, source: Dataset) -> tuple:
    pairs = [
        constructed.halves_diff(*source.split(s), source.maximum, source.n_outputs, rng) for s in ("train", "test")
    ]
    return *pairs[0], *pairs[1], source.maximum


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


_ENTRIES: dict[str, _Entry] = {
    "mnist": _Entry("MNIST", 784),
    "fashion_mnist": _Entry("Fashion-MNIST", 784),
    "cifar10": _Entry("CIFAR-10", 3072),
    "digits": _Entry("Digits", 64),
    "grey_cifar10": _Entry("CIFAR-10, grey", 784, sources=("cifar10",), build=_per_split(_grey)),
    "small_mnist": _Entry("MNIST, 7 × 7", 49, sources=("mnist",), build=_per_split(_small)),
    "line": _Entry("Lines", 784, build=_generated(constructed.lines, 60_000, 10_000, 28, 10)),
    "line_8": _Entry("Lines, 8 × 8", 64, 8, build=_generated(constructed.lines, 1437, 360, 8, 8)),
    "random": _Entry("Noise", 784, build=_generated(constructed.noise, 60_000, 10_000, 28, 10)),
    "random_3000": _Entry("Noise, 3000 images", 784, build=_generated(constructed.noise, 3000, 10_000, 28, 10)),
    "random_8": _Entry("Noise, 8 × 8", 64, build=_generated(constructed.noise, 1437, 360, 8, 10)),
    "polynomials": _Entry("Polynomials", 2, 512, build=_polynomials(60_000, 10_000)),
    "polynomials_2000": _Entry("Polynomials, 2000 examples", 2, 512, build=_polynomials(2000, 500)),
}
for _base in ("mnist", "fashion_mnist", "digits"):
    for _name, _title, _build in (
        ("halves_same", "Halves Same", _halves_same),
        ("halves_diff", "Halves Diff", _halves_diff),
    ):
        _ENTRIES[f"{_name}_{_base}"] = _Entry(
            f"{_title}, {_ENTRIES[_base].title}",
            _ENTRIES[_base].n_features,
            sources=(_base,),
            build=_build,
            base=_base,
        )
for _pair in (
    ("line", "mnist"),
    ("mnist", "fashion_mnist"),
    ("mnist", "grey_cifar10"),
    ("line", "grey_cifar10"),
    ("line_8", "digits"),
):
    _titles = " and ".join(_ENTRIES[_name].title for _name in _pair)
    for _name, _title, _make in (("mixed", _titles, _mixed), ("separated", f"{_titles}, separated", _separated)):
        _ENTRIES[f"{_name}_{_pair[0]}_{_pair[1]}"] = _Entry(
            _title, _ENTRIES[_pair[0]].n_features, sources=_pair, build=_per_split(_make)
        )

# Counts the changes of what constructed sets contain.
_RECIPES = 1
NONE = "none"
"""In place of a data set's name: the network is not trained on anything."""
TITLES = {**{name: entry.title for name, entry in _ENTRIES.items()}, NONE: "Untrained"}
"""Names for readers."""

# torchvision's class, and the folder that its download makes.
_DOWNLOADS: Mapping[str, tuple[str, str]] = {
    "mnist": ("MNIST", "MNIST"),
    "fashion_mnist": ("FashionMNIST", "FashionMNIST"),
    "cifar10": ("CIFAR10", "cifar-10-batches-py"),
}


def names() -> list[str]:
    """Names that :func:`load` knows.

    >>> names()[:4]
    ['mnist', 'fashion_mnist', 'cifar10', 'digits']
    """
    return list(_ENTRIES)


def check_name(name: str) -> None:
    """Raise InputError if ``name`` is not a data set of :func:`names`."""
    if name not in _ENTRIES:
        raise InputError(f"no data set is called {name!r}: choose from {', '.join(_ENTRIES)}")


def dimensions(name: str) -> tuple[int, int]:
    """Numbers in one flattened example, and outputs to learn, known without loading the data set.

    >>> dimensions("mnist"), dimensions("polynomials")
    ((784, 10), (2, 512))
    """
    check_name(name)
    return _ENTRIES[name].n_features, _ENTRIES[name].n_outputs


def base(name: str) -> str:
    """The data set of which this one is a variant, as the Halves are; else the name itself.

    >>> base("halves_same_mnist"), base("line")
    ('mnist', 'line')
    """
    check_name(name)
    return _ENTRIES[name].base or name


def sources(name: str) -> tuple[str, ...]:
    """The data sets that a constructed one is made from.

    >>> sources("mixed_line_mnist"), sources("mnist")
    (('line', 'mnist'), ())
    """
    check_name(name)
    return _ENTRIES[name].sources


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
    check_name(name)
    entry = _ENTRIES[name]
    if entry.build is not None:
        return _constructed(name, [load(source) for source in entry.sources])
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
    entry = _ENTRIES[name]
    if entry.build is not None:
        sources = [available(source) for source in entry.sources]
        return None if None in sources else _constructed(name, sources)
    if name == "digits" or any(file.is_file() for file in _files(name)):
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
    check_name(name)
    entry = _ENTRIES[name]
    if entry.build is None:
        return _fingerprint(name, _state(name))
    sources = [fingerprint(source) for source in entry.sources]
    return None if None in sources else _digest(_recipe(name, sources))


@lru_cache
def _fingerprint(name: str, state: tuple) -> str | None:
    dataset = available(name)
    return None if dataset is None else dataset.fingerprint


def _state(name: str) -> tuple:
    """What changes when the files of a data set on disk do."""
    if name not in _DOWNLOADS:
        return ()
    places = [place for place in (*_files(name), _download_folder() / _DOWNLOADS[name][1]) if place.exists()]
    return tuple((str(place), place.stat().st_mtime_ns, place.stat().st_size) for place in places)


def _recipe(name: str, sources: list[str]) -> str:
    return f"{name}, recipe {_RECIPES}, from {sources}"


def _constructed(name: str, sources: list[Dataset]) -> Dataset:
    # The name seeds the generator: no two constructed sets share random numbers.
    rng = np.random.default_rng(np.frombuffer(name.encode(), dtype=np.uint8))
    x_train, y_train, x_test, y_test, maximum = _ENTRIES[name].build(rng, *sources)
    recipe = _recipe(name, [source.fingerprint for source in sources])
    return Dataset(name, x_train, y_train, x_test, y_test, maximum, recipe)


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
