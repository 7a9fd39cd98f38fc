"""Figures: vector files, colours that colour-blind readers can tell apart, every network a point."""

from clusterability.report.classifiers import beside_shuffles
from clusterability.report.curves import along_training, over_starts, z_by_clusters
from clusterability.report.distributions import forest, spectra, strips, violins
from clusterability.report.drawings import gallery, network_in_modules
from clusterability.report.lesions import class_profiles, conditional_importance, dependency_graphs, sub_modules
from clusterability.report.scatter import ncut_against_accuracy, ncut_against_z
from clusterability.report.style import save
from clusterability.report.trade_off import against_error, cluster_shares

__all__ = [
    "against_error",
    "along_training",
    "beside_shuffles",
    "class_profiles",
    "cluster_shares",
    "conditional_importance",
    "dependency_graphs",
    "forest",
    "gallery",
    "ncut_against_accuracy",
    "ncut_against_z",
    "network_in_modules",
    "over_starts",
    "save",
    "spectra",
    "strips",
    "sub_modules",
    "violins",
    "z_by_clusters",
]
