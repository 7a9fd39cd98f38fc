"""The Clusterability Companion: do neural networks fall into clusters?

The one front door: everything public is here by name, and is loaded when it is first asked for.
"""

from importlib import import_module, metadata
from typing import Any

_PUBLIC = {
    # networks of your own
    "measure": "your_network",
    "cluster": "your_network",
    "ncut": "your_network",
    "graph": "your_network",
    "lesion": "your_network",
    "ClusterabilityPenalty": "penalties.module",
    # what is trained and measured
    "load_dataset": "data.load:load",
    "MLP": "networks.mlp",
    "CNN": "networks.cnn",
    "Training": "training.spec",
    "NetworkSpec": "training.spec",
    "train": "training.train",
    "pruned": "training.pruning",
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
    "on_base": "experiments.run",
    "changes": "experiments.run",
    "weights": "experiments.run",
    "examples": "experiments.run",
    "Sample": "base.statistics",
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
    path, _, original = _PUBLIC[name].partition(":")
    try:
        found = getattr(import_module(f"{__name__}.{path}"), original or name)
    except AttributeError:  # a module of that room, not imported so far
        found = import_module(f"{__name__}.{path}.{name}")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return [*globals(), *__all__]
