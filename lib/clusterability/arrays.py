"""Read arrays from files that a user brings, without trusting them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from clusterability.errors import InputError


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """All arrays of an ``.npz`` file; nothing in it is executed.

    Raises
    ------
    InputError
        The file cannot be read, is no archive of plain arrays, or is damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except Exception as failure:  # a damaged archive or header can raise nearly anything
        raise InputError(f"{path} is no readable .npz file of plain arrays") from failure
    if not all(isinstance(array, np.ndarray) for array in arrays.values()):
        raise InputError(f"{path} is no readable .npz file of plain arrays")
    return arrays
