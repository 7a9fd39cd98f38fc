"""Read the weight matrices of a multi-layer perceptron from a file that a user brings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np

from clusterability.arrays import read_npz
from clusterability.errors import InputError
from clusterability.graphs import check_matrices

FORMATS = ".npz, .safetensors, or a torch state_dict (.pt, .pth, .bin)"


def read_matrices(path: Path) -> list[np.ndarray]:
    """Weight matrices (out, in) of an MLP on disk, first layer first, in float64.

    Parameters
    ----------
    path : Path
        An ``.npz`` of 2-D arrays ``layer0``, ``layer1``, …; or a safetensors file or torch
        state_dict, of which the 2-D tensors are taken, in the file's order or else in the natural
        order of their names. Nothing in the file is executed.

    Raises
    ------
    InputError
        A file that is missing, empty, damaged, of another kind, or whose matrices are no network.
    """
    if not path.is_file():
        raise InputError(f"{path} is not a file")
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty")
    readers = {".npz": _read_npz, ".safetensors": _read_safetensors}
    readers |= dict.fromkeys((".pt", ".pth", ".bin"), _read_state_dict)
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"{path} has the suffix {path.suffix!r}: {FORMATS} is needed")
    arrays = reader(path)
    for name, array in arrays.items():
        if not (np.issubdtype(array.dtype, np.floating) or np.issubdtype(array.dtype, np.integer)):
            raise InputError(f"{path}: {name} holds {array.dtype} values: real numbers are needed")
    try:
        matrices = [np.asarray(array, dtype=np.float64) for array in _in_order(arrays)]
        check_matrices(matrices)
    except InputError as failure:
        raise InputError(f"{path}: {failure}") from failure
    return matrices


def _in_order(arrays: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """The arrays in the order given if they chain so, else in the natural order of their names."""
    given = list(arrays.values())
    natural = [arrays[name] for name in sorted(arrays, key=_natural)]
    return given if _chains(given) or not _chains(natural) else natural


def _natural(name: str) -> list:
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def _chains(matrices: list[np.ndarray]) -> bool:
    return all(m.ndim == 2 for m in matrices) and all(a.shape[0] == b.shape[1] for a, b in pairwise(matrices))


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    arrays = read_npz(path)
    names = sorted((name for name in arrays if re.fullmatch(r"layer\d+", name)), key=_natural)
    if names != [f"layer{i}" for i in range(len(names))] or not names:
        held = ", ".join(list(arrays)[:5]) or "nothing"
        raise InputError(f"{path} must hold arrays layer0, layer1, … without a gap; it holds {held}")
    return {name: arrays[name] for name in names}


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors = load_file(path)
    except (SafetensorError, OSError, ValueError) as failure:
        raise InputError(f"{path} is no readable safetensors file") from failure
    return _two_dimensional(path, dict(sorted(tensors.items(), key=lambda item: _natural(item[0]))))


def _read_state_dict(path: Path) -> dict[str, np.ndarray]:
    import torch

    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as failure:  # a damaged pickle can raise nearly anything
        raise InputError(f"{path} is no torch state_dict that can be read with weights_only") from failure
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if not isinstance(content, Mapping):
        raise InputError(f"{path} holds a {type(content).__name__}: a state_dict of tensors is needed")
    return _two_dimensional(path, content)


def _two_dimensional(path: Path, tensors: Mapping) -> dict[str, np.ndarray]:
    import torch

    if any(torch.is_tensor(t) and t.ndim > 2 for t in tensors.values()):
        raise InputError(f"{path} holds weights of more than two dimensions: only MLPs can be measured")
    chosen = {str(name): t for name, t in tensors.items() if torch.is_tensor(t) and t.ndim == 2}
    if not chosen:
        raise InputError(f"{path} holds no 2-D weights")
    return {name: (t.double() if t.is_floating_point() else t).numpy() for name, t in chosen.items()}
