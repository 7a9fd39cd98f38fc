"""What lesions say: which sub-modules matter, and which depend on each other (P, section 5)."""

from __future__ import annotations

from collections.abc import Sequence

import networkx
import pandas as pd

from clusterability.base.statistics import adjusted
from clusterability.lesions.lesion import Lesion

SMALL = 12
"""A sub-module of at most so many neurons, about 5 % of a layer, is small."""
LEVEL = 0.01
"""p-values below this are significant, as released: with 100 random lesions, none may cost more."""
DROP = 0.01
"""An accuracy lost that is at least this counts as a difference."""
CORRECTED_LEVEL = 0.05
"""Of the sub-modules called significant after correction, this share may be false."""

KINDS = ("important", "sig-but-not-diff", "diff-but-not-sig", "prunable", "small", "complete", "other")
"""The papers' classes, see :func:`kind`."""

NETWORK = ["dataset", "condition", "pruned", "seed", "n_clusters", "clustering"]
"""Columns that tell one network's clustering from another's."""

DEPENDENCIES = ("act as one", "earlier feeds later and others", "later has other sources", "nothing follows")
"""What conditional lesions of two important sub-modules say, see :func:`dependencies`."""


def kind(n_neurons: int, layer_neurons: int, drop: float, significant: bool, p: float) -> str:
    """Class of a sub-module by its lesion.

    "complete": all of its layer. "small": :data:`SMALL` neurons or fewer. "important": significant, and
    the accuracy falls by :data:`DROP` or more. "prunable": every random lesion costs more, and the accuracy
    falls by less. Only significant, or only falling: "sig-but-not-diff", "diff-but-not-sig".

    >>> kind(40, 250, drop=0.08, significant=True, p=0.0099)
    'important'
    >>> kind(40, 250, drop=-0.001, significant=False, p=1.0)
    'prunable'
    """
    if n_neurons == layer_neurons:
        return "complete"
    if n_neurons <= SMALL:
        return "small"
    differs = drop >= DROP
    if significant:
        return "important" if differs else "sig-but-not-diff"
    if differs:
        return "diff-but-not-sig"
    return "prunable" if p == 1 else "other"


def classified(rows: pd.DataFrame) -> pd.DataFrame:
    """Lesion rows with their classes.

    Parameters
    ----------
    rows : DataFrame
        Of lesions, see :class:`clusterability.experiments.rows.LesionRow`; or of one network, see :func:`rows_of`.

    Returns
    -------
    DataFrame
        The same rows with ``share`` of the layer; ``drop``; ``kind`` by the released rule; ``q``, p
        corrected for the number of sub-modules of the network by Benjamini & Hochberg's procedure; and
        ``corrected_kind``, significant where q is at most :data:`CORRECTED_LEVEL`.
    """
    rows = rows.assign(
        share=rows["n_neurons"] / rows["layer_neurons"],
        drop=rows["test_accuracy"] - rows["accuracy"],
        q=rows.groupby([c for c in NETWORK if c in rows] or (lambda _: 0), sort=False)["p"].transform(adjusted),
    )
    sizes = list(zip(rows["n_neurons"], rows["layer_neurons"], rows["drop"].round(10), strict=True))
    released, corrected = rows["released_p"], rows["q"]
    return rows.assign(
        kind=[kind(*size, p < LEVEL, p) for size, p in zip(sizes, released, strict=True)],
        corrected_kind=[
            kind(*size, q <= CORRECTED_LEVEL, p) for size, q, p in zip(sizes, corrected, released, strict=True)
        ],
    )


def rows_of(lesions: Sequence[Lesion]) -> pd.DataFrame:
    """One network's lesions as rows that :func:`classified` takes."""
    return pd.DataFrame(
        {
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
        for lesion in lesions
    )


def clusters_that_matter(rows: pd.DataFrame) -> pd.Series:
    """How many of a network's clusters cost :data:`DROP` of accuracy or more when silenced as a whole.

    Parameters
    ----------
    rows : DataFrame
        See :class:`clusterability.experiments.rows.ClustersRow`.
    """
    return rows["cluster_drops"].map(lambda drops: int((drops >= DROP).sum()))


def counts(rows: pd.DataFrame, column: str = "kind") -> pd.DataFrame:
    """Sub-modules of every class, a row a network and clustering.

    Parameters
    ----------
    rows : DataFrame
        As :func:`classified` gives them.
    column : {"kind", "corrected_kind"}

    Returns
    -------
    DataFrame
        Indexed by :data:`NETWORK`; a column for each of :data:`KINDS`.
    """
    table = rows.groupby([*NETWORK, column], sort=False).size().unstack(column, fill_value=0)
    return table.reindex(columns=list(KINDS), fill_value=0)


def dependencies(pairs: pd.DataFrame, singles: pd.DataFrame) -> pd.DataFrame:
    """How important sub-modules of one network depend on each other.

    X, in an earlier layer than Y, is important given Y if its lesion, once Y is silenced, passes the two
    tests that make it important by itself. Neither given the other: they act as one. X given Y only: X
    feeds Y and others. Y given X only: Y has other sources too. Both: nothing follows.

    Parameters
    ----------
    pairs : DataFrame
        Of one network, see :class:`clusterability.experiments.rows.ConditionalRow`.
    singles : DataFrame
        As :func:`classified` gives them, of the same network.

    Returns
    -------
    DataFrame
        ``earlier`` and ``later``, each a pair (layer, cluster); the extra accuracy lost by each given the
        other, ``earlier_drop`` and ``later_drop``; ``dependency``, one of :data:`DEPENDENCIES`.
    """
    chosen = _important(singles)
    important = list(zip(chosen["layer"], chosen["cluster"], strict=True))
    drop = (pairs["given_accuracy"] - pairs["accuracy"]).round(10)
    matters = (drop >= DROP) & (pairs["released_p"] < LEVEL)
    names = zip(pairs["layer"], pairs["cluster"], pairs["given_layer"], pairs["given_cluster"], strict=True)
    tested = {
        ((layer, cluster), (given_layer, given_cluster)): (d, m)
        for (layer, cluster, given_layer, given_cluster), d, m in zip(names, drop, matters, strict=True)
    }
    lines = []
    for earlier in important:
        for later in important:
            if earlier[0] >= later[0]:
                continue
            earlier_drop, earlier_matters = tested[earlier, later]
            later_drop, later_matters = tested[later, earlier]
            lines.append(
                {
                    "earlier": earlier,
                    "later": later,
                    "earlier_drop": earlier_drop,
                    "later_drop": later_drop,
                    "dependency": DEPENDENCIES[earlier_matters + 2 * later_matters],
                }
            )
    return pd.DataFrame(lines, columns=["earlier", "later", "earlier_drop", "later_drop", "dependency"])


def _important(singles: pd.DataFrame) -> pd.DataFrame:
    return singles[(singles["kind"] == "important") & (singles["clustering"] == "spectral")]


def dependency_graph(found: pd.DataFrame, singles: pd.DataFrame) -> networkx.DiGraph:
    """The dependencies of :func:`dependencies` that say something, as arrows from earlier to later.

    Nodes are the important sub-modules (layer, cluster) with ``layer`` and ``drop``; arrows have a
    ``dependency``.
    """
    graph = networkx.DiGraph()
    chosen = _important(singles)
    for row in chosen.itertuples():
        graph.add_node((row.layer, row.cluster), layer=row.layer, drop=row.drop)
    for row in found.itertuples():
        if row.dependency != "nothing follows":
            graph.add_edge(row.earlier, row.later, dependency=row.dependency)
    return graph


def chance(rows: pd.DataFrame, column: str = "kind") -> pd.DataFrame:
    """Important sub-modules of the clusterings beside those of random clusterings of the same sizes.

    Parameters
    ----------
    rows : DataFrame
        As :func:`classified` gives them.

    Returns
    -------
    DataFrame
        Indexed by dataset, condition and pruned: how many sub-modules could be important, being neither
        small nor complete, ``tested``; and how many are, ``spectral`` and ``random``, over all networks.
    """
    could = rows[~rows["kind"].isin(["small", "complete"])]
    groups = NETWORK[:3]
    tested = could[could["clustering"] == "spectral"].groupby(groups, sort=False).size()
    important = could.assign(important=could[column] == "important")
    by_clustering = important.groupby([*groups, "clustering"], sort=False)["important"].sum().unstack("clustering")
    return pd.DataFrame({"tested": tested, **{name: by_clustering[name] for name in ("spectral", "random")}})
