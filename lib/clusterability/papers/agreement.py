"""Every published condition beside ours: how far apart, and a verdict, from the committed rows."""

from __future__ import annotations

import numpy as np
import pandas as pd

from clusterability.base.statistics import Sample, adjusted, cohens_d, cohens_d_interval, difference_p, equivalence_p
from clusterability.clustering.ncut import n_starts
from clusterability.data.catalogue import NONE, TITLES
from clusterability.experiments import store
from clusterability.experiments.rows import NetworkRow
from clusterability.experiments.run import on_base
from clusterability.papers import published
from clusterability.papers.words import STATES

_MLP, _REGRESSION, _SMALL_MLP = "mlp 784-256x4-10", "mlp 2-256x4-512", "mlp 49-64x3-10"
_CNN, _VGG = "small cnn", "vgg16"
TABLES = {
    ("factors", _MLP): [
        "mlp-regularization", "mlp-regularization-pruned", "mlp-clusterable-init", "mlp-halves",
        "control-distribution",
    ],
    ("factors", _REGRESSION): ["mlp-polynomials"],
    ("factors", _CNN): ["cnn-regularization", "cnn-regularization-pruned", "cnn-clusterable-init", "cnn-stacked"],
    ("factors", _VGG): ["vgg-regularization", "vgg-clusterable-init"],
    ("random init", _MLP): ["random-init"],
    ("random init", _CNN): ["random-init"],
    ("random init", _VGG): ["random-init"],
    ("null models", _MLP): ["null-models"],
    ("alternative datasets", _MLP): ["alternative-datasets"],
    ("clusterability gradient", _SMALL_MLP): ["clusterability-gradient"],
}  # fmt: skip
"""For every published experiment and architecture, the figures whose rows repeat it."""
_OURS = {
    _CNN: ["cnn 1x28x28-64x2-P-64-P-128-10", "cnn 2x28x28-64x2-P-64-P-128-10"],
    _VGG: ["cnn 3x32x32-64x2-P-128x2-P-256x3-P-512x3-P-512x3-P-512x2-10 bn"],
}
"""What those architectures are called here, where it is not the same."""
# Epochs of training and of pruning, where pages show other networks too.
_EPOCHS = {_CNN: (10, 10), _VGG: (200, 50)}
_PREFIXES = {_CNN: "CNN, ", _VGG: "VGG-16, "}
_CONDITION = ["experiment", "architecture", *published.PLACE, "null_model"]
_NETWORK = [*published.PLACE, "null_model", "seed"]
# What the pages call the networks that the papers call Control and Dropout on lines.
_SAME = {"Lines": "Control", "Lines, dropout": "Dropout"}


def pairs(column: str = "ncut") -> pd.DataFrame:
    """Mean, standard deviation and number of networks, ours and published, a row a condition.

    Parameters
    ----------
    column : {"ncut", "z"}

    Returns
    -------
    DataFrame
        ``experiment``, ``architecture``, ``dataset``, ``condition``, ``pruned``, ``null_model``, ``mean``, ``sd``,
        ``n``, ``published_mean``, ``published_sd``, ``published_n``. Conditions of which we have not computed
        two networks are left out, and so is an n-cut that the same networks have under another null model.
    """
    both = _beside_ours(column)
    return both[both["sd"].notna()].reset_index(drop=True)


def left_out(column: str = "ncut") -> pd.DataFrame:
    """As :func:`pairs`, the published conditions of which we have not computed two networks of that size."""
    both = _beside_ours(column)
    return both[both["sd"].isna()].reset_index(drop=True)


def _beside_ours(column: str) -> pd.DataFrame:
    """Every published value, with ours where there are any."""
    parts = []
    for (experiment, architecture), figures in TABLES.items():
        theirs = published.load(experiment, architecture)
        rows = _comparable(figures, architecture)
        keys = [*published.PLACE, "null_model"] if experiment == "null models" else published.PLACE
        ours = rows.groupby(keys, sort=False)[column].agg(["mean", "std", "size"])
        ours.columns = ["mean", "sd", "n"]
        theirs = theirs.rename(
            columns={f"{column}_mean": "published_mean", f"{column}_sd": "published_sd", "n_networks": "published_n"}
        )
        both = theirs.merge(ours.reset_index(), on=keys, how="left", suffixes=("", "_ours"))
        both = both[both["published_mean"].notna()]
        parts.append(both[both["null_model"] == "layer"] if column == "ncut" else both)
    columns = [*_CONDITION, "mean", "sd", "n", "published_mean", "published_sd", "published_n"]
    return pd.concat(parts, ignore_index=True)[columns]


def _comparable(figures: list[str], architecture: str) -> pd.DataFrame:
    """One row a network, measured as the papers did."""
    rows = store.read(map(store.committed, figures), NetworkRow)
    trained_through = rows["epochs"] + rows["pruned"].astype(int) * rows["pruning_epochs"]
    rows = rows[
        (rows["n_clusters"] == 12)
        & (rows["n_eigenvectors"] == 12)
        & (rows["n_starts"] == rows["vertices"].map(n_starts))
        & (rows["epoch"] == trained_through)
        & rows["architecture"].isin(_OURS.get(architecture, [architecture]))
    ]
    if architecture in _EPOCHS:
        epochs, pruning_epochs = _EPOCHS[architecture]
        full = (rows["epochs"] == epochs) & (rows["pruning_epochs"] == pruning_epochs)
        rows = rows[full | (rows["dataset"] == NONE)]
    rows = on_base(rows.assign(condition=rows["condition"].replace(_SAME)))
    return rows.drop_duplicates(_NETWORK)


def name(row) -> str:
    """What a compared condition is called in tables and figures."""
    state = STATES[row.pruned] if row.dataset != NONE else "random init"
    null = {"layer": "", "nonzero": ", nonzero shuffled"}[row.null_model]
    paper = " (2020)" if row.experiment in ("null models", "alternative datasets") else ""
    return f"{_PREFIXES.get(row.architecture, '')}{TITLES[row.dataset]}, {row.condition}, {state}{null}{paper}"


EQUIVALENT, COMPATIBLE, DIFFERS = "equivalent", "no difference found", "differs"
COLOURS = {EQUIVALENT: "#009E73", COMPATIBLE: "#0072B2", DIFFERS: "#D55E00"}
"""Colour of every verdict."""


def judge(pairs: pd.DataFrame, margin: float | None, level: float = 0.05) -> pd.DataFrame:
    """Ours against published, a row a condition.

    Parameters
    ----------
    pairs : DataFrame
        As :func:`pairs` gives them.
    margin : float or None
        Means closer than this count as equivalent; None: equivalence is not tested.
    level : float
        Of every test, after correction for the number of rows by Benjamini & Hochberg's procedure.

    Returns
    -------
    DataFrame
        ``pairs`` with ``name``, ``difference`` (in pooled sd), its 95 % interval ``low`` and ``high``,
        ``raw_p`` of the difference, ``difference_p`` and ``equivalence_p``, both corrected, and ``verdict``:
        equivalent (closer than the margin, shown by test), differs (and not equivalent), or no difference
        found.
    """
    columns = ("mean", "sd", "n"), ("published_mean", "published_sd", "published_n")
    samples = [Sample(*(pairs[name].to_numpy() for name in of)) for of in columns]
    low, high = cohens_d_interval(*samples)
    raw_p = difference_p(*samples)
    result = pairs.assign(
        name=[name(row) for row in pairs.itertuples()],
        difference=cohens_d(*samples),
        low=low,
        high=high,
        raw_p=raw_p,
        difference_p=adjusted(raw_p),
        equivalence_p=adjusted(equivalence_p(*samples, margin)) if margin else np.nan,
    )
    verdicts = np.where(result["difference_p"] < level, DIFFERS, COMPATIBLE)
    return result.assign(verdict=np.where(result["equivalence_p"] < level, EQUIVALENT, verdicts))


def conditions(*compared: pd.DataFrame) -> pd.DataFrame:
    """The distinct conditions of comparisons."""
    return pd.concat([table[_CONDITION] for table in compared]).drop_duplicates()
