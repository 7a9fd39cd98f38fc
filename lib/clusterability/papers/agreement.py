"""Every published condition beside ours: how far apart, and a verdict, from the committed rows."""

from typing import Any

import numpy as np
import pandas as pd

from clusterability.base import statistics
from clusterability.clustering.ncut import n_starts
from clusterability.data.catalogue import NONE, TITLES
from clusterability.experiments import store
from clusterability.experiments.rows import NetworkRow
from clusterability.experiments.run import on_base
from clusterability.papers import published
from clusterability.papers.words import STATES

_MLP, _CNN, _VGG = "mlp 784-256x4-10", "small cnn", "vgg16"
# For every published experiment and architecture, the figures whose rows repeat it.
TABLES = {
    ("factors", _MLP): ["mlp-regularization", "mlp-regularization-pruned", "mlp-clusterable-init", "mlp-halves",
                        "control-distribution"],
    ("factors", "mlp 2-256x4-512"): ["mlp-polynomials"],
    ("factors", _CNN): ["cnn-regularization", "cnn-regularization-pruned", "cnn-clusterable-init", "cnn-stacked"],
    ("factors", _VGG): ["vgg-regularization", "vgg-clusterable-init"],
    **{("random init", network): ["random-init"] for network in (_MLP, _CNN, _VGG)},
    ("null models", _MLP): ["null-models"],
    ("alternative datasets", _MLP): ["alternative-datasets"],
    ("number of clusters", _MLP): ["number-of-clusters"],
    ("clusterability gradient", "mlp 49-64x3-10"): ["clusterability-gradient"],
    **{("imagenet", network): ["imagenet"] for network in ("Inception-V3", "ResNet-18", "ResNet-34", "ResNet-50",
                                                           "VGG-16", "VGG-19")},
}  # fmt: skip
# Epochs of training and of pruning, where pages show other networks too.
_EPOCHS = {_CNN: (10, 10), _VGG: (200, 50)}
_PREFIXES = {_CNN: "CNN, ", _VGG: "VGG-16, "}
_CONDITION = ["experiment", "architecture", *published.PLACE, "n_clusters", "null_model"]
# What the pages call the networks that the papers call Control and Dropout on lines.
_SAME = {"Lines": "Control", "Lines, dropout": "Dropout", "Lines and MNIST": "Control",
         "Lines and MNIST, separated": "Control"}  # fmt: skip
EQUIVALENT, COMPATIBLE, DIFFERS = "equivalent", "no difference found", "differs"
COLOURS = {EQUIVALENT: "#009E73", COMPATIBLE: "#0072B2", DIFFERS: "#D55E00"}


def pairs(column: str = "ncut", *, computed: bool = True) -> pd.DataFrame:
    """Mean, standard deviation and number of networks of the column "ncut" or "z", ours (``mean``, ``sd``, ``n``) and
    ``published_``, a row a condition: ``experiment``, ``architecture``, ``dataset``, ``condition``, ``pruned``,
    ``n_clusters`` and ``null_model``.

    Conditions of which we have not ``computed`` two networks of that size are left out, or the others are; and so is
    an n-cut that the same networks have under another null model.
    """
    parts = []
    stored = {
        figures: store.read(map(store.committed, figures), NetworkRow) for figures in set(map(tuple, TABLES.values()))
    }
    for (experiment, architecture), figures in TABLES.items():
        theirs = published.load(experiment, architecture).rename(columns={
            f"{column}_mean": "published_mean", f"{column}_sd": "published_sd", "n_networks": "published_n",
        })  # fmt: skip
        null_model = ["null_model"] if experiment in ("null models", "number of clusters") else []
        keys = [*published.PLACE, "n_clusters", *null_model]
        groups = _comparable(stored[tuple(figures)], architecture).groupby(keys, sort=False)[column]
        ours = groups.agg(mean="mean", sd="std", n="size").reset_index()
        both = theirs.merge(ours, on=keys, how="left", suffixes=("", "_ours"))
        parts.append(both[both["published_mean"].notna() & ((both["null_model"] == "layer") | (column != "ncut"))])
    columns = [*_CONDITION, "mean", "sd", "n", "published_mean", "published_sd", "published_n"]
    both = pd.concat(parts, ignore_index=True)[columns]
    return both[both["sd"].notna() == computed].reset_index(drop=True)


def left_out(column: str = "ncut") -> pd.DataFrame:
    """As :func:`pairs`, the published conditions of which we have not computed two networks of that size."""
    return pairs(column, computed=False)


def _comparable(rows: pd.DataFrame, architecture: str) -> pd.DataFrame:
    """One row a network, measured as the papers did."""
    trained_through = rows["epochs"] + rows["pruned"].astype(int) * rows["pruning_epochs"]
    rows = rows[
        (rows["n_eigenvectors"] == rows["n_clusters"])
        & (rows["n_starts"] == rows["vertices"].map(n_starts))
        & (rows["epoch"] == trained_through)
        & (rows["architecture"].replace(published.NAMES) == architecture)
    ]
    if architecture in _EPOCHS:
        as_published = (rows[["epochs", "pruning_epochs"]] == _EPOCHS[architecture]).all(axis=1)
        rows = rows[as_published | (rows["dataset"] == NONE)]
    rows = on_base(rows.assign(condition=rows["condition"].replace(_SAME)))
    return rows.drop_duplicates([*published.PLACE, "n_clusters", "null_model", "seed"])


def name(row: Any) -> str:
    """What a compared condition is called in tables and figures."""
    state = STATES[row.pruned] if row.dataset != NONE else "random init"
    null = {"layer": "", "nonzero": ", nonzero shuffled"}[row.null_model]
    count = f", k = {row.n_clusters}" if row.experiment == "number of clusters" else ""
    paper = " (2020)" if row.experiment in ("null models", "alternative datasets", "number of clusters") else ""
    return f"{_PREFIXES.get(row.architecture, '')}{TITLES[row.dataset]}, {row.condition}, {state}{count}{null}{paper}"


def judge(pairs: pd.DataFrame, margin: float | None, level: float = 0.05) -> pd.DataFrame:
    """The rows of :func:`pairs` with ``name``; ``difference`` of means, ours − published, and its 95 % interval
    ``low`` and ``high``; ``raw_p`` of the difference; ``difference_p`` and ``equivalence_p``, corrected for the
    number of rows by Benjamini & Hochberg's procedure; and ``verdict``: equivalent, shown at ``level`` to be closer
    than ``margin``, or else differs, or else no difference found.

    The margin is one of n-cuts of twelve clusters, and in proportion of others; None: equivalence is not tested.
    """
    ours, theirs = (
        statistics.Sample(*(pairs[of + name].to_numpy() for name in ("mean", "sd", "n"))) for of in ("", "published_")
    )
    low, high = statistics.difference_interval(ours, theirs)
    raw_p = statistics.difference_p(ours, theirs)
    difference_p = statistics.adjusted(raw_p)
    equivalence_p: Any = np.nan
    if margin:
        margins = margin * pairs["n_clusters"].to_numpy() / 12
        equivalence_p = statistics.adjusted(statistics.equivalence_p(ours, theirs, margins))
    differing = np.where(difference_p < level, DIFFERS, COMPATIBLE)
    return pairs.assign(
        name=[name(row) for row in pairs.itertuples()], difference=ours.mean - theirs.mean, low=low,
        high=high, raw_p=raw_p, difference_p=difference_p, equivalence_p=equivalence_p,
        verdict=np.where(equivalence_p < level, EQUIVALENT, differing),
    )  # fmt: skip


def conditions(*compared: pd.DataFrame) -> pd.DataFrame:
    """The distinct conditions of comparisons."""
    return pd.concat([table[_CONDITION] for table in compared]).drop_duplicates()
