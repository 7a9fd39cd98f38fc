"""The papers' published values."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from clusterability.base import files
from clusterability.experiments.grid import Run

PLACE = ["dataset", "condition", "pruned"]
"""What tells one published condition of an experiment from another."""
_NULL_MODELS = {"all weights of a layer": "layer", "nonzero weights of a layer": "nonzero"}
_NAMES = {"cnn 1x28x28-64x2-P-64-P-128-10": "small cnn", "cnn 2x28x28-64x2-P-64-P-128-10": "small cnn"}
"""What is called otherwise there; VGG-16 is compared at any width."""


def load(
    experiment: str, networks: str | Sequence[str] | Sequence[Run], null_model: str | None = None
) -> pd.DataFrame:
    """Published summaries of one experiment.

    Parameters
    ----------
    networks : str, sequence of str, or sequence of Run
        Architectures as published, or the runs to compare.
    null_model : {"layer", "nonzero"}, optional
        Only the rows that were compared with these shuffles; by default all.

    Returns
    -------
    DataFrame
        A row a data set, condition and pruning state; columns as in ``data/published.csv``: means and
        standard deviations over ``n_networks`` networks, and the ``source``.
    """
    table = pd.read_csv(files.data_folder() / "published.csv")
    named = [networks] if isinstance(networks, str) else networks
    own = [one if isinstance(one, str) else one.network.architecture.name for one in named]
    chosen = (table["experiment"] == experiment) & table["architecture"].isin(
        {_NAMES.get(name, name) for name in own}
    )
    table = table[chosen].replace({"null_model": _NULL_MODELS})
    return table[(table["null_model"] == null_model) | (null_model is None)].reset_index(drop=True)
