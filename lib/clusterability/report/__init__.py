"""What readers see: a page's tables and figures. Figures are vector files in colours that colour-blind readers can
tell apart, every network a point.

Each is loaded when it is first asked for: seaborn takes a second that tables need not wait.
"""

from typing import Any

from clusterability import loaded

_PLACES = {
    "page": "Page",
    "tables": "agreement chance classifiers clusters datasets dependencies graphs html lesion_kinds networks "
    "significance spreads",
    "style": "save",
    "scatter": "against_error ncut_against_accuracy ncut_against_z",
    "curves": "along_training over_starts z_by_clusters",
    "distributions": "beside_shuffles cluster_shares forest spectra strips violins",
    "lesions": "class_profiles conditional_importance dependency_graphs sub_modules",
    "drawings": "gallery network_in_modules",
}
__all__ = sorted(" ".join(_PLACES.values()).split())


def __getattr__(name: str) -> Any:
    return loaded(__name__, _PLACES, name)
