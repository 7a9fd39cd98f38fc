"""What lesions say: which sub-modules matter, and which depend on each other (P, section 5)."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pandas as pd

from clusterability.base.statistics import adjusted

if TYPE_CHECKING:
    from clusterability.lesions.lesion import Lesion

SMALL = 12  # a sub-module of at most so many neurons, about 5 % of a layer, is small
LEVEL = 0.01  # p-values below are significant, as released: with 100 random lesions, none may cost more
DROP = 0.01  # an accuracy lost that is at least this counts as a difference
CORRECTED_LEVEL = 0.05  # of the sub-modules called significant after correction, this share may be false

# The papers' classes, see :func:`kind`.
KINDS = ("important", "sig-but-not-diff", "diff-but-not-sig", "prunable", "small", "complete", "other")
# Columns that tell one network's clustering from another's.
NETWORK = ["dataset", "condition", "pruned", "seed", "n_clusters", "clustering"]
# What conditional lesions of two important sub-modules say, see :func:`dependencies`.
DEPENDENCIES = ("act as one", "earlier feeds later and others", "later has other sources", "nothing follows")


def kind(n_neurons: int, layer_neurons: int, drop: float, significant: bool, p: float) -> str:
    """Class of a sub-module by its lesion: "complete" if it is all of its layer, "small" up to :data:`SMALL` neurons.

    Otherwise "important": significant, and the accuracy falls by :data:`DROP` or more; only significant, or only
    falling: "sig-but-not-diff", "diff-but-not-sig". "prunable": neither, and every random lesion costs more.

    >>> kind(40, 250, drop=0.08, significant=True, p=0.0099)
    'important'
    """
    if n_neurons == layer_neurons:
        return "complete"
    if n_neurons <= SMALL:
        return "small"
    if significant:
        return "important" if drop >= DROP else "sig-but-not-diff"
    if drop >= DROP:
        return "diff-but-not-sig"
    return "prunable" if p == 1 else "other"


def row_of(lesion: Lesion) -> dict[str, Any]:
    """A lesion as one of the rows that :func:`classified` takes."""
    return {
        "layer": lesion.module.layer,
        "cluster": lesion.module.cluster,
        "n_neurons": len(lesion.module.neurons),
        "layer_neurons": len(lesion.module.candidates),
        "test_accuracy": lesion.before,
        "accuracy": lesion.accuracy,
        "z": lesion.z,
        "released_p": lesion.released_p,
        "p": lesion.p,
    }


def classified(rows: pd.DataFrame) -> pd.DataFrame:
    """Lesion rows of many networks, or of one as :func:`row_of` gives them, with their classes.

    New columns: ``share`` of the layer; ``drop``; ``kind`` by the released rule; ``q``, p corrected for the
    number of sub-modules of the network (Benjamini & Hochberg); ``corrected_kind``, significant where q is at
    most :data:`CORRECTED_LEVEL`.
    """
    one_network = [column for column in NETWORK if column in rows] or (lambda _: 0)
    rows = rows.assign(
        share=rows["n_neurons"] / rows["layer_neurons"],
        drop=rows["test_accuracy"] - rows["accuracy"],
        q=rows.groupby(one_network, sort=False)["p"].transform(adjusted),
    )

    def kinds(significant: pd.Series) -> list[str]:
        columns = rows["n_neurons"], rows["layer_neurons"], rows["drop"].round(10), significant, rows["released_p"]
        return [kind(*values) for values in zip(*columns, strict=True)]

    return rows.assign(kind=kinds(rows["released_p"] < LEVEL), corrected_kind=kinds(rows["q"] <= CORRECTED_LEVEL))


def clusters_that_matter(rows: pd.DataFrame) -> pd.Series:
    """How many clusters of every network cost :data:`DROP` of accuracy or more when silenced as a whole."""
    return rows["cluster_drops"].map(lambda drops: int((drops >= DROP).sum()))


def counts(rows: pd.DataFrame, column: str = "kind") -> pd.DataFrame:
    """Sub-modules of :func:`classified` rows in each of :data:`KINDS`, by "kind" or "corrected_kind", a row for
    each network and clustering, indexed by :data:`NETWORK`."""
    table = rows.groupby([*NETWORK, column], sort=False).size().unstack(column, fill_value=0)
    return table.reindex(columns=list(KINDS), fill_value=0)


def chance(rows: pd.DataFrame, column: str = "kind") -> pd.DataFrame:
    """How many sub-modules could be important, being neither small nor complete, "tested"; and how many are, of the
    clusterings, "spectral", and of random ones of the same sizes, "random"; by dataset, condition and pruned."""
    could = rows[~rows["kind"].isin(["small", "complete"])]
    groups = NETWORK[:3]
    tested = could[could["clustering"] == "spectral"].groupby(groups, sort=False).size()
    important = could.assign(important=could[column] == "important")
    by_clustering = important.groupby([*groups, "clustering"], sort=False)["important"].sum().unstack("clustering")
    return pd.DataFrame({"tested": tested, **{name: by_clustering[name] for name in ("spectral", "random")}})


def dependencies(pairs: pd.DataFrame, singles: pd.DataFrame) -> pd.DataFrame:
    """How important sub-modules of one network depend on each other, of its rows of conditional lesions, and of
    single ones as :func:`classified` gives them.

    X, in an earlier layer than Y, is important given Y if its lesion, once Y is silenced, passes the two
    tests that make it important by itself. Neither given the other: they act as one. X given Y only: X
    feeds Y and others. Y given X only: Y has other sources too. Both: nothing follows.

    Columns: ``earlier`` and ``later``, each a pair (layer, cluster); the extra accuracy lost by each given the
    other, ``earlier_drop`` and ``later_drop``; ``dependency``, one of :data:`DEPENDENCIES`.
    """
    modules, given = (zip(pairs[f"{of}layer"], pairs[f"{of}cluster"], strict=True) for of in ("", "given_"))
    names = list(zip(modules, given, strict=True))
    drops = (pairs["given_accuracy"] - pairs["accuracy"]).round(10)
    matters = (drops >= DROP) & (pairs["released_p"] < LEVEL)
    drop, matter = (dict(zip(names, column, strict=True)) for column in (drops, matters))
    important = list(_important(singles)[["layer", "cluster"]].itertuples(index=False, name=None))
    lines = [
        (a, b, drop[a, b], drop[b, a], DEPENDENCIES[matter[a, b] + 2 * matter[b, a]])
        for a, b in itertools.product(important, repeat=2)
        if a[0] < b[0]
    ]
    return pd.DataFrame(lines, columns=["earlier", "later", "earlier_drop", "later_drop", "dependency"])


def _important(singles: pd.DataFrame) -> pd.DataFrame:
    return singles[(singles["kind"] == "important") & (singles["clustering"] == "spectral")]


def dependency_graph(found: pd.DataFrame, singles: pd.DataFrame):
    """The :func:`dependencies` that say something, as arrows with a ``dependency`` from earlier to later, in a
    graph of networkx; nodes are the important sub-modules (layer, cluster) with ``layer`` and ``drop``."""
    import networkx  # here, for only this needs it

    graph = networkx.DiGraph()
    for row in _important(singles).itertuples():
        graph.add_node((row.layer, row.cluster), layer=row.layer, drop=row.drop)
    for row in found[found["dependency"] != "nothing follows"].itertuples():
        graph.add_edge(row.earlier, row.later, dependency=row.dependency)
    return graph
