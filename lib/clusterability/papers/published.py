"""The papers' published values."""

from collections.abc import Sequence

import pandas as pd

from clusterability.base import files
from clusterability.experiments.grid import Run
from clusterability.lesions import importance

PLACE = ["dataset", "condition", "pruned"]  # what tells one published condition of an experiment from another
# What our architectures are called there, where it is not the same.
NAMES = {"cnn 1x28x28-64x2-P-64-P-128-10": "small cnn", "cnn 2x28x28-64x2-P-64-P-128-10": "small cnn",
         "cnn 3x32x32-64x2-P-128x2-P-256x3-P-512x3-P-512x3-P-512x2-10 bn": "vgg16"}  # fmt: skip
_NULL_MODELS = {"all weights of a layer": "layer", "nonzero weights of a layer": "nonzero"}


def load(
    experiment: str, networks: str | Sequence[str] | Sequence[Run], null_model: str | None = None
) -> pd.DataFrame:
    """Published summaries of one experiment, a row a data set, condition and pruning state, with the columns of
    ``data/published.csv``: means and standard deviations over ``n_networks`` networks, and their source.

    Of architectures, by their published names, or those of the runs to compare; compared with the shuffles of one
    null model, "layer" or "nonzero", or by default with any.
    """
    return _of("published.csv", experiment, networks, null_model)


def networks(
    experiment: str, networks: str | Sequence[str] | Sequence[Run], null_model: str | None = None
) -> pd.DataFrame:
    """As :func:`load`, the published values network by network: the columns of ``data/published_networks.csv``, and
    ``beyond_all``: no shuffle has as small an n-cut; and ``gap``, the n-cut less the mean of the shuffles'."""
    found = _of("published_networks.csv", experiment, networks, null_model)
    beyond_all = found["p"] < 1.5 / (1 + found["n_shuffles"])  # p is rounded to six digits
    return found.assign(beyond_all=beyond_all, gap=found["ncut"] - found["shuffled_mean"])


def curves() -> pd.DataFrame:
    """Published n-cuts of single networks along training, a row a moment: the columns of
    ``data/published_curves.csv``."""
    return pd.read_csv(files.data_folder() / "published_curves.csv")


def lesions() -> pd.DataFrame:
    """Published lesions of single sub-modules, a row each, of seven pruned networks, one a data set and condition.

    Columns are those of ``data/published_lesions.csv``, called as in
    :func:`clusterability.lesions.importance.classified`, with its ``kind``. The ``released_kind`` is another where a
    sub-module has 13 to 20 neurons: there it is small.
    """
    table = pd.read_csv(files.data_folder() / "published_lesions.csv").rename(
        columns={"neurons": "n_neurons", "share_of_layer": "share", "p": "released_p", "kind": "released_kind"}
    )
    sizes = table["n_neurons"], (table["n_neurons"] / table["share"]).round()
    tested = table["drop"], table["released_p"] < importance.LEVEL, table["released_p"]
    return table.assign(kind=[importance.kind(*values) for values in zip(*sizes, *tested, strict=True)])


def _of(
    file: str, experiment: str, networks: str | Sequence[str] | Sequence[Run], null_model: str | None
) -> pd.DataFrame:
    table = pd.read_csv(files.data_folder() / file).replace({"null_model": _NULL_MODELS})
    named = [networks] if isinstance(networks, str) else networks
    own = [one if isinstance(one, str) else one.network.architecture.name for one in named]
    chosen = (table["experiment"] == experiment) & table["architecture"].isin([NAMES.get(name, name) for name in own])
    return table[chosen & ((table["null_model"] == null_model) | (null_model is None))].reset_index(drop=True)
