"""The Clusterability Companion: do neural networks fall into clusters?

The one front door: everything public is here by name, and is loaded when it is first asked for.
"""

from collections.abc import Mapping
from importlib import import_module, metadata
from typing import Any

_PLACES = {
    # networks of your own
    "your_network": "measure cluster ncut graph lesion",
    "penalties.module": "ClusterabilityPenalty",
    # what is trained and measured
    "data.load:load": "load_dataset",
    "networks.mlp": "MLP",
    "networks.cnn": "CNN",
    "training.spec": "Training NetworkSpec",
    "training.train": "train",
    "training.pruning": "pruned",
    "clustering.measure": "Measurement",
    # pages
    "report.page": "Page",
    "experiments.grid": "grid untrained_grid classifier_grid recipes as_released",
    "experiments.run": "on_base changes weights examples",
    "papers.claims": "every mean for_every",
    "papers.published": "published",
    "papers.agreement": "agreement",
    "papers.front_page": "front_page",
    "papers.words": "STATES spread",
    "lesions.importance": "importance",
    "lesions.stability": "stability",
    "base.errors": "check_known",
    "base.statistics": "Sample cohens_d one_more_p",
    "data.catalogue": "TITLES",
}


def loaded(package: str, places: Mapping[str, str], name: str) -> Any:
    """What a package calls ``name``, from its module in ``places``, or that module itself; imported when it is first
    asked for. ``places`` says which names, with blanks between, are whose."""
    for place, names in places.items():
        if name in names.split():
            path, _, original = place.partition(":")
            module = import_module(f"{package}.{path}")
            return getattr(module, original or name, module)
    raise AttributeError(f"module {package!r} has no attribute {name!r}")


def __getattr__(name: str) -> Any:
    return metadata.version("clusterability") if name == "__version__" else loaded(__name__, _PLACES, name)


__all__ = sorted(" ".join(_PLACES.values()).split())


def __dir__() -> list[str]:
    return [*globals(), *__all__]
