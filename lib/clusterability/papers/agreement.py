"""Every published condition beside ours: how far apart, and a verdict, from the committed rows."""

from typing import Any

import numpy as np
import pandas as pd

from clusterability.base import statistics
from clusterability.base.errors import InputError
from clusterability.clustering.ncut import n_starts
from clusterability.data.catalogue import NONE, TITLES
from clusterability.experiments import store
from clusterability.experiments.rows import NetworkRow
from clusterability.experiments.run import on_base
from clusterability.papers import published
from clusterability.papers.claims import LEVEL, UNDECIDED
from clusterability.papers.words import STATES

_MLP, _POLYNOMIALS, _CNN, _VGG = "mlp 784-256x4-10", "mlp 2-256x4-512", "small cnn", "vgg16"
# For every published experiment and architecture, the figures whose rows repeat it.
TABLES = {
    ("factors", _MLP): ["mlp-regularization", "mlp-regularization-pruned", "mlp-clusterable-init", "mlp-halves",
                        "control-distribution"],
    ("factors", _POLYNOMIALS): ["mlp-polynomials"],
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
# Where L2 networks are measured as released, too: those of the papers were.
_RELEASED = {_POLYNOMIALS: "mlp-polynomials-released", _CNN: "cnn-regularization-released"}
# Epochs of training and of pruning, where pages show other networks too.
_EPOCHS = {_CNN: (10, 10), _VGG: (200, 50)}
_PREFIXES = {_CNN: "CNN, ", _VGG: "VGG-16, "}
_CONDITION = ["experiment", "architecture", *published.PLACE, "n_clusters", "null_model"]
# What the pages call the networks that the papers call Control and Dropout on lines.
_SAME = {"Lines": "Control", "Lines, dropout": "Dropout", "Lines and MNIST": "Control",
         "Lines and MNIST, separated": "Control"}  # fmt: skip
AGREES, DIFFERS = "agrees", "differs"
COLOURS = {AGREES: "#009E73", UNDECIDED: "#0072B2", DIFFERS: "#D55E00"}
_MOST_NETWORKS = 1000  # of ours that one would train to settle a comparison


def pairs(column: str = "ncut", *, computed: bool = True) -> pd.DataFrame:
    """Mean, standard deviation and number of networks of the column "ncut", "z", "shuffled_mean" or "gap" (n-cut −
    shuffled mean), ours (``mean``, ``sd``, ``n``) and ``published_``, a row a condition: ``experiment``,
    ``architecture``, ``dataset``, ``condition``, ``pruned``, ``n_clusters`` and ``null_model``; and whether ours are
    measured ``as_released``.

    Conditions of which we have not ``computed`` two networks of that size are left out, or the others are; and so is
    an n-cut that the same networks have under another null model.
    """
    parts = []
    stored = {
        figures: store.read(map(store.committed, figures), NetworkRow) for figures in set(map(tuple, TABLES.values()))
    }
    for (experiment, architecture), figures in TABLES.items():
        theirs = _theirs(experiment, architecture, column)
        null_model = ["null_model"] if experiment in ("null models", "number of clusters") else []
        keys = [*published.PLACE, "n_clusters", *null_model]
        ours = _comparable(stored[tuple(figures)], architecture).groupby(keys, sort=False)
        summary = ours[column].agg(mean="mean", sd="std", n="size").assign(as_released=ours["as_released"].all())
        both = theirs.merge(summary.reset_index(), on=keys, how="left", suffixes=("", "_ours"))
        parts.append(both[both["published_mean"].notna() & ((both["null_model"] == "layer") | (column != "ncut"))])
    columns = [*_CONDITION, "mean", "sd", "n", "as_released", "published_mean", "published_sd", "published_n"]
    both = pd.concat(parts, ignore_index=True)[columns]
    both["as_released"] = both["as_released"].eq(True)
    return both[both["sd"].notna() == computed].reset_index(drop=True)


def pooled(column: str = "ncut") -> pd.DataFrame:
    """As :func:`pairs`, the recipes of which two batches were published, those of 2020 and of 2021, taken as one; and
    ``batches``, the mean of the later one less that of the earlier."""
    both = pd.concat([published.networks(name, _MLP, "layer") for name in ("null models", "factors")])
    places = both.groupby(published.PLACE)["experiment"].transform("nunique") == 2
    groups = both[places].groupby(published.PLACE)[column]
    means = both[places].groupby([*published.PLACE, "experiment"])[column].mean().unstack()
    theirs = groups.agg(published_mean="mean", published_sd="std", published_n="size").assign(
        batches=means["factors"] - means["null models"]
    )
    ours = pairs(column).query("experiment == 'factors' and architecture == @_MLP")
    return ours.drop(columns=["published_mean", "published_sd", "published_n"]).merge(theirs, on=published.PLACE)


def left_out(column: str = "ncut") -> pd.DataFrame:
    """As :func:`pairs`, the published conditions of which we have not computed two networks of that size."""
    return pairs(column, computed=False)


def _theirs(experiment: str, architecture: str, column: str) -> pd.DataFrame:
    """Published mean, standard deviation and number of networks, with the columns that name conditions."""
    if column in ("ncut", "z"):
        return published.load(experiment, architecture).rename(columns={
            f"{column}_mean": "published_mean", f"{column}_sd": "published_sd", "n_networks": "published_n",
        })  # fmt: skip
    groups = published.networks(experiment, architecture).groupby(_CONDITION, sort=False)[column]
    return groups.agg(published_mean="mean", published_sd="std", published_n="size").reset_index()


def _comparable(rows: pd.DataFrame, architecture: str) -> pd.DataFrame:
    """One row a network, measured as the papers did: L2 networks as released, where they were measured so."""
    released = [store.committed(_RELEASED[architecture])] if architecture in _RELEASED else []
    as_released = store.read(released, NetworkRow).query("condition == 'L2 Reg'").assign(as_released=True)
    rows = rows.assign(as_released=False)
    rows = pd.concat([as_released, rows]) if len(as_released) else rows
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
    rows = on_base(rows.assign(condition=rows["condition"].replace(_SAME), gap=rows["ncut"] - rows["shuffled_mean"]))
    return rows.drop_duplicates([*published.PLACE, "n_clusters", "null_model", "seed"])


def name(row: Any) -> str:
    """What a compared condition is called in tables and figures."""
    state = STATES[row.pruned] if row.dataset != NONE else "random init"
    null = {"layer": "", "nonzero": ", nonzero shuffled"}[row.null_model]
    count = f", k = {row.n_clusters}" if row.experiment == "number of clusters" else ""
    paper = " (2020)" if row.experiment in ("null models", "alternative datasets", "number of clusters") else ""
    how = ", as released" if row.as_released else ""
    network = f"{_PREFIXES.get(row.architecture, '')}{TITLES[row.dataset]}"
    return f"{network}, {row.condition}, {state}{how}{count}{null}{paper}"


def margins(pairs: pd.DataFrame, unpruned: float = 0.1, pruned: float = 0.25) -> np.ndarray:
    """How close (n,) two mean n-cuts count as the same; of twelve clusters, and in proportion of others.

    About twice what the authors' own two batches, and ours, differ by, and under half of the smallest effect that the
    papers read from pruned MLPs.
    """
    return np.where(pairs["pruned"], pruned, unpruned) * pairs["n_clusters"].to_numpy() / 12


def z_margins(pairs: pd.DataFrame, least: float = 2.0, share: float = 0.25) -> np.ndarray:
    """How close (n,) two mean z-scores count as the same: ``least``, or that ``share`` of the published one."""
    return np.maximum(least, share * np.abs(pairs["published_mean"].to_numpy()))


def judge(pairs: pd.DataFrame, margins: np.ndarray, level: float = LEVEL) -> pd.DataFrame:
    """The rows of :func:`pairs`, compared.

    Further columns: ``name``; ``difference`` of means, ours − published, its 95 % interval ``low`` and ``high``, and
    how large it is ``at_most``, at one-sided 95 %; ``raw_p`` of the difference and ``difference_p``, corrected for
    the number of rows by Benjamini & Hochberg's procedure; ``equivalence_p``, that means a margin (n,) or more apart
    look so close; ``spread_p``, that equal standard deviations differ so much (F-test); ``verdict``: agrees, where
    equivalence is shown at ``level``; else differs, where the difference is; else cannot tell; and ``needed``, with
    how many networks of ours one could, were means and spreads as they are: infinite, where the published ones
    scatter too much.
    """
    if not 0 < level < 1 or not np.all(margins > 0):
        raise InputError(
            f"level {level:g}, smallest margin {np.min(margins):g}: between 0 and 1, and above 0 is needed"
        )
    ours, theirs = (
        statistics.Sample(*(pairs[of + name].to_numpy() for name in ("mean", "sd", "n"))) for of in ("", "published_")
    )
    raw_p, equivalence_p = statistics.difference_p(ours, theirs), statistics.equivalence_p(ours, theirs, margins)
    low, high = statistics.difference_interval(ours, theirs)
    at_most = np.max(np.abs(statistics.difference_interval(ours, theirs, 0.9)), axis=0)
    one_sided = [statistics.spread_p(*both) for both in ((ours, theirs), (theirs, ours))]
    return pairs.assign(
        name=[name(row) for row in pairs.itertuples()], difference=ours.mean - theirs.mean, low=low, high=high,
        at_most=at_most, raw_p=raw_p, difference_p=statistics.adjusted(raw_p), equivalence_p=equivalence_p,
        spread_p=np.minimum(1, 2 * np.minimum(*one_sided)), needed=_needed(ours, theirs, margins, level),
        verdict=np.where(equivalence_p < level, AGREES, np.where(raw_p < level, DIFFERS, UNDECIDED)),
    )  # fmt: skip


def _needed(ours: statistics.Sample, theirs: statistics.Sample, margins: np.ndarray, level: float) -> np.ndarray:
    """The smallest numbers (n,) of networks of ours that would give another verdict than "cannot tell"."""
    sizes = np.arange(2, _MOST_NETWORKS + 1)[:, None]
    larger = ours._replace(n=np.maximum(sizes, np.asarray(ours.n)))
    p = np.minimum(statistics.difference_p(larger, theirs), statistics.equivalence_p(larger, theirs, margins))
    return np.where((p < level).any(0), np.maximum(sizes[np.argmax(p < level, axis=0), 0], ours.n), np.inf)


def batches(rows: pd.DataFrame, size: int) -> pd.DataFrame:
    """Rows of networks in batches of as many seeds: by data set, condition and pruning state, the ``least`` and the
    ``most`` mean n-cut of a batch, and of its mean z-scores ``least_z`` and ``most_z``."""
    if size < 2 or rows["seed"].nunique() < 2 * size:
        raise InputError(f"batches of {size} of {rows['seed'].nunique()} networks: two of at least 2 are needed")
    batch = ((rows["seed"] - rows["seed"].min()) // size).rename("batch")
    means = rows.groupby([*published.PLACE, batch], sort=False)[["ncut", "z"]].mean()
    return means.groupby(published.PLACE, sort=False).agg(
        least=("ncut", "min"), most=("ncut", "max"), least_z=("z", "min"), most_z=("z", "max")
    ).reset_index()  # fmt: skip


def conditions(*compared: pd.DataFrame) -> pd.DataFrame:
    """The distinct conditions of comparisons."""
    return pd.concat([table[_CONDITION] for table in compared]).drop_duplicates()
