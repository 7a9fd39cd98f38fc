"""Read the weight matrices of a multi-layer perceptron from a file that a user brings."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from clusterability.base.errors import InputError, reason
from clusterability.base.files import read_npz
from clusterability.graphs.layered import check_matrices

if TYPE_CHECKING:
    from torch import Tensor

Arrays = dict[str, np.ndarray]

FORMATS = ".npz, .safetensors, or a torch state_dict (.pt, .pth, .bin)"
_NOT_PLAIN = {
    "running_var": "batch normalization", "parametrizations.": "parametrized weights",
    "weight_g": "normalized weights", "weight_v": "normalized weights",
}  # fmt: skip
"""What in a tensor's name says that its network is more than matrices and biases."""


def read_network(path: Path) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Weights (out, in) and biases (out,) of an MLP on disk, in float64; nothing in the file is executed.

    An ``.npz`` holds 2-D arrays ``layer0``, ``layer1``, …, and maybe ``bias0``, ``bias1``, …. Of a safetensors file
    or torch state_dict the 2-D tensors are taken, in the file's order or else in the natural order of their names,
    and the tensors called ``NAME.bias`` beside ``NAME.weight``. Biases that are not there are zero.

    InputError for a file that is missing, empty, damaged or of another kind, for matrices that are no network, and
    for biases that do not suit their layer.
    """
    suffix = _suffix(path, (".npz", *_TENSOR_FILES), FORMATS)
    arrays, vectors = _read_npz(path) if suffix == ".npz" else _matrices_and_vectors(path)
    for name, array in (arrays | vectors).items():
        if array.dtype.kind not in "fiu":
            raise InputError(f"{path}: {name} holds {array.dtype} values: real numbers are needed")
    names = _in_order(arrays)
    if suffix == ".safetensors":
        _check_beginning(path, arrays, names)
    try:
        matrices = [np.asarray(arrays[name], dtype=np.float64) for name in names]
        check_matrices(matrices)
    except InputError as failure:
        raise InputError(f"{path}: {failure}") from failure
    biases = []
    for name, matrix in zip(names, matrices, strict=True):
        bias_name = re.sub(r"weight$|^layer(?=\d+$)", "bias", name)
        bias = np.asarray(vectors.get(bias_name, np.zeros(len(matrix))), dtype=np.float64)
        if bias.shape != (len(matrix),) or not np.isfinite(bias).all():
            raise InputError(f"{path}: {bias_name} must hold {len(matrix)} finite numbers, as {name} has outputs")
        biases.append(bias)
    return matrices, biases


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Every tensor of a safetensors file or torch state_dict, by name; nothing in it is executed.

    What torch.nn.utils.prune has split is put together: NAME is NAME_orig times NAME_mask. InputError for a file
    that is missing, empty, damaged, or of another kind.
    """
    tensors = _TENSOR_FILES[_suffix(path, tuple(_TENSOR_FILES), ", ".join(_TENSOR_FILES))](path)
    pruned = {name[:-5] for name in tensors if name.endswith("_orig") and f"{name[:-5]}_mask" in tensors}
    whole = {}
    for name, tensor in tensors.items():
        if name[:-5] not in pruned or name[-5:] not in ("_orig", "_mask"):
            whole[name] = tensor
        elif name.endswith("_orig"):
            whole[name[:-5]] = tensor * tensors[f"{name[:-5]}_mask"]
    return whole


def _suffix(path: Path, known: Sequence[str], needed: str) -> str:
    """The suffix of a file that is there, holds something, and is of a known kind."""
    if not os.path.isfile(path):  # unlike the path's own method, says so of a name that is too long
        raise InputError(f"{path} is not a file")
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty")
    suffix = path.suffix.lower()
    if suffix not in known:
        raise InputError(f"{path} has the suffix {path.suffix!r}: {needed} is needed")
    return suffix


def _natural(name: str) -> list:
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def _chains(arrays: Arrays, names: Sequence[str]) -> bool:
    matrices = [arrays[name] for name in names]
    return all(m.ndim == 2 for m in matrices) and all(a.shape[0] == b.shape[1] for a, b in pairwise(matrices))


def _in_order(arrays: Arrays) -> list[str]:
    """Names of the arrays in the order given if they chain so, else in their natural order."""
    given, natural = list(arrays), sorted(arrays, key=_natural)
    return given if _chains(arrays, given) or not _chains(arrays, natural) else natural


def _check_beginning(path: Path, arrays: Arrays, names: Sequence[str]) -> None:
    """Raise InputError if layers form a ring, and names without numbers do not say where it begins."""
    numberless = {re.sub(r"\d+", "", name) for name in names}
    ring = _chains(arrays, names) and arrays[names[0]].shape[1] == arrays[names[-1]].shape[0]
    if ring and len(numberless) > 1:
        listed = ", ".join(names)
        raise InputError(f"{path} does not say which layer is first ({listed}): store it as .npz, layer0, layer1, …")


def _read_npz(path: Path) -> tuple[Arrays, Arrays]:
    arrays = read_npz(path)
    names = sorted((name for name in arrays if re.fullmatch(r"layer\d+", name)), key=_natural)
    if names != [f"layer{i}" for i in range(len(names))] or not names:
        held = ", ".join(list(arrays)[:5]) or "nothing"
        raise InputError(f"{path} must hold arrays layer0, layer1, … without a gap; it holds {held}")
    biases = {name: array for name, array in arrays.items() if re.fullmatch(r"bias\d+", name)}
    return {name: arrays[name] for name in names}, biases


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors = load_file(path)
    except (SafetensorError, OSError, ValueError) as failure:
        raise InputError(f"{path} is no readable safetensors file") from failure
    return {name: tensors[name] for name in sorted(tensors, key=_natural)}


def _read_state_dict(path: Path) -> dict[str, Tensor]:
    import torch

    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as failure:  # a damaged pickle can raise nearly anything
        raise InputError(f"{path} is no torch state_dict that can be read with weights_only") from failure
    for wrapping in ("state_dict", "model_state_dict"):
        if isinstance(content, Mapping) and isinstance(content.get(wrapping), Mapping):
            content = content[wrapping]
    if not isinstance(content, Mapping):
        raise InputError(f"{path} holds a {type(content).__name__}: a state_dict of tensors is needed")
    return {str(name): tensor for name, tensor in content.items() if torch.is_tensor(tensor)}


_TENSOR_FILES = {".safetensors": _read_safetensors, **dict.fromkeys((".pt", ".pth", ".bin"), _read_state_dict)}


def _matrices_and_vectors(path: Path) -> tuple[Arrays, Arrays]:
    tensors = read_tensors(path)
    if any(tensor.ndim > 2 for tensor in tensors.values()):
        raise InputError(
            f"{path} holds weights of more than two dimensions, which is no MLP: name its architecture "
            "(torchvision's: --architecture; your own: module.path:factory)"
        )
    for name in tensors:
        for sign, what in _NOT_PLAIN.items():
            if sign in name:
                raise InputError(f"{path} holds {what} ({name}): measure the model as module.path:factory")
    matrices, vectors = (
        {name: _as_array(path, name, tensor) for name, tensor in tensors.items() if tensor.ndim == n} for n in (2, 1)
    )
    if not matrices:
        raise InputError(f"{path} holds no 2-D weights")
    return matrices, vectors


def _as_array(path: Path, name: str, tensor: Tensor) -> np.ndarray:
    try:
        plain = tensor.detach()
        plain = plain.dequantize() if plain.is_quantized else plain.to_dense().resolve_conj()
        return (plain.double() if plain.is_floating_point() else plain).numpy()
    except (RuntimeError, TypeError, NotImplementedError) as failure:
        raise InputError(f"{path}: the numbers of {name} cannot be read ({reason(failure)})") from failure
