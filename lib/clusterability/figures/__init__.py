"""Figures: vector files, colours that colour-blind readers can tell apart, every network a point."""

from clusterability.figures.curves import along_training, over_starts, z_by_clusters
from clusterability.figures.distributions import forest, spectra, strips, violins
from clusterability.figures.drawings import gallery, network_in_modules
from clusterability.figures.scatter import ncut_against_accuracy, ncut_against_z
from clusterability.figures.style import save

__all__ = [
    "along_training",
    "forest",
    "gallery",
    "ncut_against_accuracy",
    "ncut_against_z",
    "network_in_modules",
    "over_starts",
    "save",
    "spectra",
    "strips",
    "violins",
    "z_by_clusters",
]
