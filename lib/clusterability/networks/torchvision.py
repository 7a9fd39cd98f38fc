"""Models by name: torchvision's architectures, with weights of any origin, and what a user's own code makes."""

import difflib
import importlib
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from clusterability.base import files
from clusterability.base.errors import InputError, reason
from clusterability.base.torchvision import import_torchvision
from clusterability.networks.classifier import RANDOM
from clusterability.networks.files import read_tensors

PREFIX = "torchvision:"
FETCHED = {"vgg16": {"edges": "vgg16-edges.npz"}, "mobilenet_v2": {"IMAGENET1K_V1": "mobilenet_v2-b0353104.pth"}}
"""Files of weights by classifier and name that ``make weights`` puts into ``data/local/weights``."""


def is_name(text: str) -> bool:
    """Whether a text names a model rather than a file.

    >>> is_name("torchvision:resnet18:random"), is_name("my.models:make"), is_name("net.npz")
    (True, True, False)
    """
    return text.startswith(PREFIX) or re.fullmatch(r"[^\W\d][\w.]*:[^\W\d][\w.]*", text) is not None


def by_name(name: str, seed: int) -> nn.Module:
    """A model that a text names; ``seed`` is that of random weights.

    ``torchvision:NAME`` has the weights that torchvision recommends, ``torchvision:NAME:WEIGHTS`` those of that
    name (downloaded once, checked by their checksum), ``torchvision:NAME:random`` none; ``module.path:factory`` is
    a function without arguments, or a model, in a module that can be imported from here. InputError for unknown
    names, weights that cannot be had, a module or factory that fails.
    """
    if not name.startswith(PREFIX):
        return _made_by(name, seed)
    architecture, _, weights = name.removeprefix(PREFIX).partition(":")
    weights = weights or "DEFAULT"
    check_weights(architecture, weights)
    if weights == RANDOM:
        return _seeded(lambda: _bare(architecture), seed)
    file = files.local_folder() / "weights" / FETCHED.get(architecture, {}).get(weights, "none")
    if file.is_file():
        return _fetched(architecture, file)
    if weights not in _recommended(architecture):
        raise InputError(f"the weights {weights!r} of {architecture} are not here: `make weights` fetches them")
    try:
        return _models(architecture).get_model(architecture, weights=weights)
    except (OSError, RuntimeError) as failure:
        raise InputError(
            f"torchvision's weights {weights!r} of {architecture} could not be downloaded ({reason(failure)}): "
            f"try {PREFIX}{architecture}:{RANDOM}, or a file with --architecture {architecture}"
        ) from failure


def check_weights(architecture: str, weights: str) -> None:
    """Raise InputError unless torchvision has such a classifier, and such weights for it."""
    known = list(dict.fromkeys([RANDOM, *_recommended(architecture), *FETCHED.get(architecture, {})]))
    if weights not in known:
        raise InputError(f"{architecture} has no weights {weights!r}: choose from {', '.join(known)}")


def _recommended(architecture: str) -> list[str]:
    return ["DEFAULT", *(entry.name for entry in _models(architecture).get_model_weights(architecture))]


def _fetched(architecture: str, file: Path) -> nn.Module:
    """A classifier with weights that `make weights` has fetched; what the file lacks is zero."""
    if file.suffix == ".pth":
        return torchvision_model_from(file, architecture)
    model = layout(architecture).to_empty(device="cpu")
    tensors = {name: torch.from_numpy(array) for name, array in files.read_npz(file).items()}
    empty = {name: torch.zeros_like(tensor) for name, tensor in model.state_dict().items()}
    model.load_state_dict(empty | tensors)
    return model


def torchvision_model_from(path: Path, architecture: str) -> nn.Module:
    """One of torchvision's classifiers, of any number of classes, with the weights of a state_dict on disk.

    InputError for an unknown architecture, or a file that is no state_dict of it.
    """
    expected = list(layout(architecture).state_dict())
    tensors = read_tensors(path)
    last, options = expected[-1], {}
    if last in tensors and tensors[last].ndim:
        options["num_classes"] = len(tensors[last])
    auxiliary = [name for name in expected if name.lower().startswith("aux")]
    if auxiliary and not any(name in tensors for name in auxiliary):
        options["aux_logits"] = False
    model = _seeded(lambda: _bare(architecture, **options), seed=0)
    try:
        model.load_state_dict(tensors)
    except RuntimeError as failure:
        lines = str(failure).strip().splitlines()
        said = lines[1].strip() if len(lines) > 1 else lines[0]
        raise InputError(f"{path} is no state_dict of {architecture}: {_shortened(said)}") from failure
    return model


def parse_shape(text: str) -> tuple[int, ...]:
    """The shape that a text gives, positive numbers with commas between; InputError if it gives none.

    >>> parse_shape("3,32,32")
    (3, 32, 32)
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise InputError(f"input shape {text!r}: positive numbers with commas between are needed, as 3,32,32")
    return tuple(map(int, parts))


def width(model: nn.Module) -> tuple[int]:
    """The input shape of a model whose first weighted layer is linear; InputError if another kind is first."""
    weighted = (m for m in model.modules() if any(p.ndim > 1 for p in m.parameters(recurse=False)))
    first = next(weighted, None)
    if not isinstance(first, nn.Linear):
        raise InputError(f"{type(model).__name__} needs the shape of its input: give --input-shape, such as 3,32,32")
    return (first.in_features,)


def _models(architecture: str) -> ModuleType:
    """torchvision's models, if one of its classifiers has this name."""
    models = import_torchvision().models
    known = models.list_models(module=models)
    if architecture not in known:
        near = difflib.get_close_matches(architecture, known, n=3) or ["resnet18", "vgg16", "inception_v3"]
        raise InputError(f"torchvision has no classifier called {architecture!r}: did you mean {', '.join(near)}?")
    return models


def _bare(architecture: str, **options: Any) -> nn.Module:
    """One of torchvision's classifiers, untrained."""
    if architecture in ("inception_v3", "googlenet"):
        options["init_weights"] = False  # spares the warning, and the minute, of an old initialization
    return _models(architecture).get_model(architecture, weights=None, **options)


def layout(architecture: str) -> nn.Module:
    """One of torchvision's classifiers without numbers, where torchvision can make it so."""
    try:
        with torch.device("meta"):
            return _bare(architecture)
    except NotImplementedError:
        return _bare(architecture)


def _seeded(make: Callable[[], Any], seed: int) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed % 2**63)
        return make()


def _made_by(name: str, seed: int) -> nn.Module:
    module_path, _, attribute = name.partition(":")
    here = str(Path.cwd())
    sys.path.insert(0, here)  # as `python -m` does: commands otherwise see installed modules only
    try:
        made = importlib.import_module(module_path)
        for part in attribute.split("."):
            made = getattr(made, part)
        model = made if isinstance(made, nn.Module) else _seeded(made, seed)
    except (Exception, SystemExit) as failure:  # whatever a user's code raises
        said = _shortened(f"{type(failure).__name__}: {failure}".splitlines()[0])
        raise InputError(f"{name} could not be made: {said}") from failure
    finally:
        sys.path.remove(here)
    if not isinstance(model, nn.Module):
        raise InputError(f"{name} made a {type(model).__name__}: a torch.nn.Module is needed")
    return model


def _shortened(text: str, n_letters: int = 200) -> str:
    return text if len(text) <= n_letters else text[: n_letters - 1] + "…"
