"""Small files that a picture needs: one trained network, example images. Kept like result rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from clusterability.base import files as paths
from clusterability.base.files import read_npz
from clusterability.data import constructed
from clusterability.data import load as datasets
from clusterability.data.catalogue import entry
from clusterability.experiments import store as results
from clusterability.experiments.compute import trained_network
from clusterability.experiments.runs import Run

_KEY = "key"


def kept(path: Path, key: str, make: Callable[[], Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The arrays stored in ``path`` under ``key``; made and stored first if they are not there.

    Parameters
    ----------
    path : Path
        An ``.npz`` file.
    key : str
        Names everything that determines the arrays.
    make : callable
        Gives the arrays; none may be called "key".
    """
    if path.is_file():
        stored = read_npz(path)
        if str(stored.pop(_KEY, "")) == key:
            return stored
    arrays = {name: np.asarray(array) for name, array in make().items()}
    with paths.written_whole(path) as temporary:
        np.savez_compressed(temporary, **{_KEY: np.array(key)}, **arrays)
    return arrays


def weights(figure: str, run: Run, *, store: str = "paper", device: str = "cpu") -> list[np.ndarray]:
    """Weight matrices (out, in) of the network that a run measures, from a figure's file or trained.

    Parameters
    ----------
    figure, store : str
        Name the file, see :func:`clusterability.base.files.artefact_file`.
    """

    def make() -> dict[str, np.ndarray]:
        network = trained_network(run.network, run.epoch, device)
        return {f"layer{layer}": weight for layer, weight in enumerate(network.weights)}

    key = results.key_of({"network": run.network.as_dict(), "epoch": run.epoch})
    arrays = kept(paths.artefact_file(figure, store), key, make)
    return [arrays[f"layer{layer}"] for layer in range(len(arrays))]


def examples(
    figure: str, names: Sequence[str], n_examples: int, *, store: str = "paper"
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The first training examples of data sets, from a figure's file or from the data.

    Returns
    -------
    dict of (ndarray (n_examples, ...) of uint8, ndarray (n_examples,) of int64)
        By name, intensities between 0 and 255.

    Raises
    ------
    InputError
        An unknown data set, or one that cannot be had.
    """
    for name in names:
        entry(name)

    def make() -> dict[str, np.ndarray]:
        arrays = {}
        for name in names:
            dataset = datasets.load(name)
            arrays[f"x_{name}"] = constructed.as_bytes(dataset.x_train[:n_examples] * (255 / dataset.maximum))
            arrays[f"y_{name}"] = dataset.y_train[:n_examples]
        return arrays

    key = results.key_of({"names": list(names), "n_examples": n_examples})
    arrays = kept(paths.artefact_file(figure, store), key, make)
    return {name: (arrays[f"x_{name}"], arrays[f"y_{name}"]) for name in names}
