"""Tables as readers see them: numbers rounded, spread beside the mean, names in words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from IPython.display import HTML

from clusterability.base.statistics import adjusted
from clusterability.data.catalogue import TITLES, entry
from clusterability.graphs.channels import ChannelGraph
from clusterability.lesions import importance
from clusterability.papers.claims import Claim
from clusterability.papers.published import PLACE, beside
from clusterability.papers.words import STATES, spread

_COMPARED_WITH = {"n_shuffles": "Shuffles", "n_controls": "Random lesions"}
_NETWORK_COLUMNS = {
    "ncut": "n-cut",
    "shuffled_mean": "shuffled n-cut, mean",
    "shuffled_sd": "shuffled n-cut, sd",
    "z": "z",
    "p": "p",
}


def comparison(table: pd.DataFrame, columns: dict[str, str], percent: Sequence[str] = (), digits: int = 2) -> HTML:
    """Our means beside the published ones, a row a data set and condition.

    Parameters
    ----------
    table : DataFrame
        As :func:`clusterability.papers.published.beside` gives it.
    columns : dict
        Heading of every column to show.
    percent : sequence of str
        Columns to show in per cent.
    digits : int
        Decimals of numbers below 200.
    """
    rows = []
    states = table.index.get_level_values("pruned").unique()
    for (dataset, condition, pruned), row in table.iterrows():
        cells = {"Data set": TITLES[dataset], "Condition": condition}
        if len(states) > 1:
            cells["State"] = STATES[pruned]
        cells["n"] = f"{row['n']:.0f}"
        for column, heading in columns.items():
            factor = 100 if column in percent else 1
            sources = {f"{heading}, ours": column, f"{heading}, published": f"published_{column}"}
            if f"published_{column}_mean" not in row:
                sources = {heading: column}
            elif column == "shuffled_mean":
                sources = {f"{title} (± of one network's shuffles)": stem for title, stem in sources.items()}
            for title, stem in sources.items():
                mean, sd = row[f"{stem}_mean"] * factor, row[f"{stem}_sd"] * factor
                cells[title] = spread(mean, sd, 0 if mean > 200 else digits)
        rows.append(cells)
    return html(pd.DataFrame(rows))


def clusterability(rows: pd.DataFrame, published: pd.DataFrame) -> HTML:
    """What most figures speak of, beside the published values: n-cut, shuffled n-cut, z-score, effective number
    of clusters, and test accuracy, a row a data set and condition.

    Parameters
    ----------
    rows, published : DataFrame
        See :func:`clusterability.papers.published.beside`.
    """
    columns = {
        "ncut": "ncut", "shuffled_mean": "shuffled_ncut", "z": "z", "effective_clusters": "",
        "test_accuracy": "test_accuracy",
    }  # fmt: skip
    headings = {
        "ncut": "n-cut", "shuffled_mean": "shuffled n-cut", "z": "z", "effective_clusters": "effective clusters",
        "test_accuracy": "test accuracy, %",
    }  # fmt: skip
    return comparison(beside(rows, published, columns), headings, percent=["test_accuracy"])


def networks(rows: pd.DataFrame) -> HTML:
    """n-cut, shuffled n-cuts, z and p of single networks, a row each."""
    cells = pd.DataFrame(
        {"Data set": rows["dataset"].map(TITLES), "Condition": rows["condition"], "Seed": rows["seed"]}
    )
    for column, heading in _NETWORK_COLUMNS.items():
        cells[heading] = [spread(value, math.nan, 3) for value in rows[column]]
    return html(cells)


def graphs(graphs: Mapping[str, ChannelGraph]) -> HTML:
    """Layers, vertices and edges of graphs by name."""
    lines = [
        {"Network": name, "layers": str(len(graph.layer_sizes)), "vertices": f"{graph.n_vertices:,}",
         "edges": f"{graph.n_edges:,}"}
        for name, graph in graphs.items()
    ]  # fmt: skip
    return html(pd.DataFrame(lines))


def classifiers(rows: pd.DataFrame, published: pd.DataFrame, weights: Sequence[str], by: str) -> HTML:
    """Single networks, a line for each kind of weights, and what was published of them.

    Parameters
    ----------
    rows : DataFrame
        Result rows, ``condition`` their weights; what has no row was not computed.
    published : DataFrame
        Published rows, at most one a network, with the column ``by``.
    weights : sequence of str
        Conditions to list.
    by : str
        The column that names the network.
    """
    lines = []
    for name in rows[by].unique():
        for kind in weights:
            line = {"Network": name, "Weights": f"{kind.lower()}, here"}
            own = rows[(rows[by] == name) & (rows["condition"] == kind)]
            if own.empty:
                lines.append({**line, "n-cut": "not computed here"})
                continue
            lines.append(line | _single(own.iloc[0], "shuffled_mean", "shuffled_sd", ["ncut", "z", "p"]))
        for _, theirs in published[published[by] == name].iterrows():
            line = {"Network": name, "Weights": "pretrained, published"}
            columns = ["ncut_mean", "z_mean", "p_mean"]
            lines.append(line | _single(theirs, "shuffled_ncut_mean", "shuffled_ncut_sd", columns))
    return html(pd.DataFrame(lines).fillna("–"))


def _single(row: pd.Series, shuffled_mean: str, shuffled_sd: str, columns: Sequence[str]) -> dict[str, str]:
    ncut, z, p = (row[column] for column in columns)
    return {
        "n-cut": spread(ncut, math.nan, 3),
        "shuffled n-cut": spread(row[shuffled_mean], row[shuffled_sd], 3),
        "shuffles": f"{row['n_shuffles']:.0f}",
        "z": spread(z, math.nan, 1),
        "p": f"{p:.2g}",
    }


def significance(rows: pd.DataFrame, level: float = 0.05) -> HTML:
    """How many networks are more clusterable than chance, before and after correction of p.

    Corrected for the number of all rows given: by Benjamini & Hochberg's procedure (of the networks
    called significant, a share of ``level`` may be false) and by Holm's (the chance that even one is).
    """
    rows = rows.assign(bh=adjusted(rows["p"], "bh"), holm=adjusted(rows["p"], "holm"))
    lines = []
    for (dataset, condition, pruned), part in rows.groupby(PLACE, sort=False):
        line = {"Data set": TITLES[dataset], "Condition": condition, "State": STATES[pruned], "n": str(len(part))}
        for column, heading in {"p": "p", "bh": "p after Benjamini-Hochberg", "holm": "p after Holm"}.items():
            line[f"{heading} ≤ {level:g}"] = str((part[column] <= level).sum())
        line["smallest p possible"] = _listed((1 / (1 + part["n_shuffles"])).map("{:.3g}".format))
        lines.append(line)
    return html(pd.DataFrame(lines))


def agreement(compared: pd.DataFrame) -> HTML:
    """Ours against published, as :func:`clusterability.papers.agreement.judge` gives it."""
    lines = []
    for row in compared.itertuples():
        difference, low, high = (spread(value, math.nan, 1) for value in (row.difference, row.low, row.high))
        line = {
            "Condition": row.name,
            "ours": f"{spread(row.mean, row.sd)} ({row.n:.0f})",
            "published": f"{spread(row.published_mean, row.published_sd)} ({row.published_n:.0f})",
            "difference in sd [95 %]": f"{difference} [{low}, {high}]".replace(" ", "\N{NO-BREAK SPACE}"),
            "p, difference": f"{row.raw_p:.2g}",
            "corrected": f"{row.difference_p:.2g}",
        }
        if not math.isnan(row.equivalence_p):
            line["p, equivalence, corrected"] = f"{row.equivalence_p:.2g}"
        lines.append({**line, "Verdict": row.verdict})
    return html(pd.DataFrame(lines))


def claims(evaluated: Sequence[Claim]) -> HTML:
    """Claims, whether each holds, and the numbers that say so."""
    rows = [{"Claim": c.statement, "Verdict": c.verdict, "Numbers": c.numbers} for c in evaluated]
    return html(pd.DataFrame(rows))


def clusters(weights: Sequence[np.ndarray], labels: Sequence[np.ndarray]) -> HTML:
    """Every cluster's share of the volume, what of its volume stays inside, and its neurons a layer.

    Parameters
    ----------
    weights : sequence of ndarray (out, in)
    labels : sequence of ndarray of int
        Cluster of every neuron, an array a layer; −1 for isolated neurons.
    """
    n_clusters = 1 + max(int(layer.max()) for layer in labels)
    volume, inside = np.zeros(n_clusters), np.zeros(n_clusters)
    for weight, before, after in zip(weights, labels[:-1], labels[1:], strict=True):
        out, into = np.nonzero(weight)
        size = np.abs(weight[out, into])
        np.add.at(volume, before[into], size)
        np.add.at(volume, after[out], size)
        same = before[into] == after[out]
        np.add.at(inside, before[into][same], 2 * size[same])
    lines = []
    for cluster in np.argsort(-volume, kind="stable"):
        line = {
            "Cluster": str(cluster + 1),
            "volume, %": spread(100 * volume[cluster] / volume.sum(), math.nan, 1),
            "of it inside, %": spread(100 * inside[cluster] / volume[cluster], math.nan, 1),
        }
        for layer, label in enumerate(labels):
            line[f"neurons, layer {layer + 1}"] = str((label == cluster).sum())
        lines.append(line)
    return html(pd.DataFrame(lines))


def lesion_kinds(rows: pd.DataFrame, column: str = "kind") -> HTML:
    """Sub-modules of every class a network, mean ± standard deviation over networks.

    Parameters
    ----------
    rows : DataFrame
        As :func:`clusterability.lesions.importance.classified` gives them.
    column : {"kind", "corrected_kind"}
    """
    own = importance.counts(rows[rows["clustering"] == "spectral"], column)
    lines = []
    for (dataset, condition, pruned), part in own.groupby(PLACE, sort=False):
        line = {"Data set": TITLES[dataset], "Condition": condition, "State": STATES[pruned], "n": str(len(part))}
        line["sub-modules"] = spread(part.sum(axis=1).mean(), part.sum(axis=1).std(), 1)
        lines.append(line | {name: spread(part[name].mean(), part[name].std(), 1) for name in importance.KINDS})
    return html(pd.DataFrame(lines))


def chance(rows: pd.DataFrame) -> HTML:
    """Important sub-modules beside those of random clusterings."""
    released, corrected = importance.chance(rows), importance.chance(rows, "corrected_kind")
    lines = []
    for place, row in released.iterrows():
        dataset, condition, pruned = place
        line = {"Data set": TITLES[dataset], "Condition": condition, "State": STATES[pruned]}
        line["sub-modules tested"] = str(row["tested"])
        for name, counted in (("released rule", row), ("corrected", corrected.loc[place])):
            line[f"important, {name}"] = str(counted["spectral"])
            line[f"of random clusterings, {name}"] = str(counted["random"])
        lines.append(line)
    return html(pd.DataFrame(lines))


def dependencies(found: pd.DataFrame) -> HTML:
    """Pairs of important sub-modules by what their conditional lesions say.

    Parameters
    ----------
    found : DataFrame
        Of several networks, see :func:`clusterability.lesions.importance.dependencies`, with ``dataset`` and
        ``condition``.
    """
    lines = []
    for (dataset, condition), part in found.groupby(["dataset", "condition"], sort=False):
        line = {"Data set": TITLES[dataset], "Condition": condition, "pairs": str(len(part))}
        lines.append(line | {kind: str((part["dependency"] == kind).sum()) for kind in importance.DEPENDENCIES})
    return html(pd.DataFrame(lines))


def datasets(names: Sequence[str]) -> HTML:
    """Data sets by name: what they are called, their sizes and what they are made from."""
    lines = []
    for name in names:
        known = entry(name)
        made_from = ", ".join(TITLES[source] for source in known.sources)
        lines.append({"Data set": known.title, "Name": name, "Inputs": str(known.n_features),
                      "Outputs": str(known.n_outputs), "Made from": made_from or "–"})  # fmt: skip
    return html(pd.DataFrame(lines))


def provenance(*tables: pd.DataFrame) -> HTML:
    """Where the rows behind a figure come from, one line a data set; each row of several tables once, by its key."""
    present = [table for table in tables if len(table)] or tables[:1]
    rows = present[0] if len(present) == 1 else pd.concat(present).drop_duplicates("key")
    lines = []
    for dataset, part in rows.groupby("dataset", sort=False):
        dates = sorted(part["date"].unique())
        lines.append(
            {
                "Data set": TITLES[dataset],
                "Fingerprint": _listed(part["data"]),
                "Rows": str(len(part)),
                "Architecture": _listed(part["architecture"]),
                "Seeds": f"{part['seed'].min()} to {part['seed'].max()}",
                **{name: _listed(part[column]) for column, name in _COMPARED_WITH.items() if column in part},
                "Device": _listed(part["device"]),
                "Seconds a network, median and range": (
                    f"{part['seconds'].median():.0f} ({part['seconds'].min():.0f} to {part['seconds'].max():.0f})"
                ),
                "Computed": dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}",
                "Version": _listed(part["version"]),
                "Software": _listed(part["software"]),
            }
        )
    return html(pd.DataFrame(lines).set_index("Data set").T.reset_index(names=""))


def html(table: pd.DataFrame) -> HTML:
    """A plain HTML table in a box that scrolls sideways on narrow screens; in words, if it has no rows.

    >>> html(pd.DataFrame()).data
    '<p>None so far.</p>'
    """
    if table.empty:
        return HTML("<p>None so far.</p>")
    text = table.to_html(index=False, border=0, classes="dataframe", justify="left")
    return HTML(f'<div class="table-box">{text}</div>')


def _listed(values: pd.Series) -> str:
    return ", ".join(str(value) for value in values.unique())
