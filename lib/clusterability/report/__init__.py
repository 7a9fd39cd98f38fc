"""What readers see: a page's tables and figures. Figures are vector files in colours that colour-blind readers can
tell apart, every network a point."""

from clusterability.report.classifiers import beside_shuffles
from clusterability.report.curves import along_training, over_starts, z_by_clusters
from clusterability.report.distributions import forest, spectra, strips, violins
from clusterability.report.drawings import gallery, network_in_modules
from clusterability.report.lesions import class_profiles, conditional_importance, dependency_graphs, sub_modules
from clusterability.report.page import Page
from clusterability.report.scatter import ncut_against_accuracy, ncut_against_z
from clusterability.report.style import save
from clusterability.report.tables import (
    agreement,
    chance,
    classifiers,
    clusters,
    datasets,
    dependencies,
    graphs,
    html,
    lesion_kinds,
    networks,
    significance,
    spreads,
)
from clusterability.report.trade_off import against_error, cluster_shares

__all__ = [
    "Page",
    "against_error",
    "agreement",
    "along_training",
    "beside_shuffles",
    "chance",
    "class_profiles",
    "classifiers",
    "cluster_shares",
    "clusters",
    "conditional_importance",
    "datasets",
    "dependencies",
    "dependency_graphs",
    "forest",
    "gallery",
    "graphs",
    "html",
    "lesion_kinds",
    "ncut_against_accuracy",
    "ncut_against_z",
    "network_in_modules",
    "networks",
    "over_starts",
    "save",
    "significance",
    "spectra",
    "spreads",
    "strips",
    "sub_modules",
    "violins",
    "z_by_clusters",
]
