"""The Clusterability Companion: do neural networks fall into clusters?

The one front door: everything public is here by name, and is loaded when it is first asked for.
"""

from importlib import import_module, metadata
from typing import Any

_PUBLIC = {
    # networks of your own
    "ClusterabilityPenalty": "penalties.module",
    # what is trained and measured
    "load_dataset": "data.load",
    "MLP": "networks.mlp",
    "CNN": "networks.cnn",
    "Training": "training.spec",
    "NetworkSpec": "training.spec",
    "train": "training.train",
    "Measurement": "clustering.measure",
    # pages
    "Page": "report.page",
    "grid": "experiments.grid",
    "untrained_grid": "experiments.grid",
    "classifier_grid": "experiments.grid",
    "recipes": "experiments.grid",
    "as_released": "experiments.grid",
    "every": "papers.claims",
    "mean": "papers.claims",
    "for_every": "papers.claims",
    "published": "papers",
    "agreement": "papers",
    "front_page": "papers",
    "importance": "lesions",
    "report": "",
    "on_base": "experiments.run",
    "changes": "experiments.run",
    "weights": "experiments.run",
    "examples": "experiments.run",
    "cohens_d": "base.statistics",
    "TITLES": "data.catalogue",
    "STATES": "papers.words",
}
"""Every public name, and the room or module that has it."""
__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return metadata.version("clusterability")
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    place = import_module(f"clusterability.{_PUBLIC[name]}".rstrip("."))
    try:
        found = getattr(place, name)
    except AttributeError:  # a module of that room, not imported so far
        found = import_module(f"{place.__name__}.{name}")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return [*globals(), *__all__]
