"""Figures: vector files, colours that colour-blind readers can tell apart, every network a point.

What draws is loaded when a figure is first drawn: seaborn takes a second that tables need not wait.
"""

from importlib import import_module

_DRAWINGS = {
    "style": ["save"],
    "scatter": ["against_error", "ncut_against_accuracy", "ncut_against_z"],
    "curves": ["along_training", "over_starts", "z_by_clusters"],
    "distributions": ["beside_shuffles", "cluster_shares", "forest", "spectra", "strips", "violins"],
    "lesions": ["class_profiles", "conditional_importance", "dependency_graphs", "sub_modules"],
    "drawings": ["gallery", "network_in_modules"],
}
__all__ = sorted(name for names in _DRAWINGS.values() for name in names)


def __getattr__(name: str):
    for module, names in _DRAWINGS.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
