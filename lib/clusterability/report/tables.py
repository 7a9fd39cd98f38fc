"""Tables as readers see them: numbers rounded, spread beside the mean, names in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from IPython.display import HTML

from clusterability.base.statistics import adjusted
from clusterability.data.catalogue import TITLES, entry
from clusterability.graphs.channels import ChannelGraph
from clusterability.graphs.layered import LayeredGraph
from clusterability.lesions import importance
from clusterability.papers.claims import Claim
from clusterability.papers.published import PLACE
from clusterability.papers.words import STATES, column, spread

_OF_SHUFFLES = " (± of one network's shuffles)"


def beside(
    rows: pd.DataFrame,
    theirs: pd.DataFrame | None,
    columns: Sequence[str],
    *,
    alone: Sequence[str] = (),
    headings: Mapping[str, str] | None = None,
    digits: int = 2,
) -> HTML:
    """Means ± standard deviations over networks, and the published ones beside them, a row a condition.

    Where shuffled n-cuts are published, the deviation of ours is that of one network's shuffles, too, their mean.

    Parameters
    ----------
    rows : DataFrame
        Result rows.
    theirs : DataFrame or None
        As :func:`clusterability.papers.published.load` gives it; None: nothing is compared.
    columns : sequence of str
        Columns of ``rows``; :func:`clusterability.papers.words.column` says what they are called and what was
        published of them.
    alone : sequence of str
        Columns beside which nothing published is set.
    headings : mapping, optional
        What a column is called in this table, if not as elsewhere.
    digits : int
        Decimals of numbers below 200.
    """
    headings = headings or {}
    published = None if theirs is None else theirs.set_index(PLACE)
    groups = rows.groupby(PLACE, sort=False)
    means, deviations = groups[list(columns)].mean(), groups[list(columns)].std()
    lines = []
    for place, part in groups:
        line = _place(place, rows["pruned"].nunique() > 1) | {"n": str(len(part))}
        for name in columns:
            named = column(name)
            heading, factor = headings.get(name, named.heading), 100 if named.percent else 1
            mean, sd = means.loc[place, name], deviations.loc[place, name]
            if published is None or not named.published or name in alone:
                line[heading] = _spread(mean * factor, sd * factor, digits)
                continue
            of = ""
            if name == "shuffled_mean":
                of, sd = _OF_SHUFFLES, part["shuffled_sd"].mean()
            line[f"{heading}, ours{of}"] = _spread(mean * factor, sd * factor, digits)
            mean, sd = (
                published[f"{named.published}_{what}"].get(place, np.nan)
                if f"{named.published}_{what}" in published
                else np.nan
                for what in ("mean", "sd")
            )
            line[f"{heading}, published{of}"] = _spread(mean * factor, sd * factor, digits)
        lines.append(line)
    return html(pd.DataFrame(lines))


def spreads(rows: pd.DataFrame, columns: Mapping[str, str], by: str, *, digits: int = 2) -> HTML:
    """Means ± standard deviations over networks for every value of another column, a row a condition.

    Parameters
    ----------
    columns : mapping
        Names of columns, and their headings, in which ``{}`` is the value of ``by``.
    """
    lines = []
    for place, part in rows.groupby(PLACE, sort=False):
        line = _place(place, rows["pruned"].nunique() > 1) | {"n": str(part["seed"].nunique())}
        for value in rows[by].unique():
            for name, heading in columns.items():
                own = part.loc[part[by] == value, name]
                line[heading.format(value)] = _spread(own.mean(), own.std(), digits)
        lines.append(line)
    return html(pd.DataFrame(lines))


def _spread(mean: float, sd: float, digits: int) -> str:
    return spread(mean, sd, 0 if mean > 200 else digits)


def _place(place: tuple, with_state: bool = True) -> dict[str, str]:
    dataset, condition, pruned = place
    return {"Data set": TITLES[dataset], "Condition": condition} | ({"State": STATES[pruned]} if with_state else {})


def networks(rows: pd.DataFrame) -> HTML:
    """n-cut, shuffled n-cuts, z and p of single networks, a row each."""
    headings = {"ncut": "n-cut", "shuffled_mean": "shuffled n-cut, mean", "shuffled_sd": "shuffled n-cut, sd",
                "z": "z", "p": "p"}  # fmt: skip
    cells = {"Data set": rows["dataset"].map(TITLES), "Condition": rows["condition"], "Seed": rows["seed"]}
    cells |= {heading: [spread(value, digits=3) for value in rows[name]] for name, heading in headings.items()}
    return html(pd.DataFrame(cells))


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
            single = {"n-cut": "not computed here"} if own.empty else _single(own.iloc[0])
            lines.append(line | single)
        theirs = published[published[by] == name].rename(columns={
            "ncut_mean": "ncut", "shuffled_ncut_mean": "shuffled_mean", "shuffled_ncut_sd": "shuffled_sd",
            "z_mean": "z", "p_mean": "p",
        })  # fmt: skip
        lines += [
            {"Network": name, "Weights": "pretrained, published"} | _single(row) for _, row in theirs.iterrows()
        ]
    return html(pd.DataFrame(lines).fillna("–"))


def _single(row: pd.Series) -> dict[str, str]:
    return {
        "n-cut": spread(row["ncut"], digits=3),
        "shuffled n-cut": spread(row["shuffled_mean"], row["shuffled_sd"], 3),
        "shuffles": f"{row['n_shuffles']:.0f}",
        "z": spread(row["z"], digits=1),
        "p": f"{row['p']:.2g}",
    }


def significance(rows: pd.DataFrame, level: float = 0.05) -> HTML:
    """How many networks are more clusterable than chance, before and after correction of p.

    Corrected for the number of all rows given: by Benjamini & Hochberg's procedure (of the networks
    called significant, a share of ``level`` may be false) and by Holm's (the chance that even one is).
    """
    rows = rows.assign(bh=adjusted(rows["p"], "bh"), holm=adjusted(rows["p"], "holm"))
    lines = []
    for place, part in rows.groupby(PLACE, sort=False):
        line = _place(place) | {"n": str(len(part))}
        for name, heading in {"p": "p", "bh": "p after Benjamini-Hochberg", "holm": "p after Holm"}.items():
            line[f"{heading} ≤ {level:g}"] = str((part[name] <= level).sum())
        line["smallest p possible"] = _listed((1 / (1 + part["n_shuffles"])).map("{:.3g}".format))
        lines.append(line)
    return html(pd.DataFrame(lines))


def agreement(compared: pd.DataFrame) -> HTML:
    """Ours against published, as :func:`clusterability.papers.agreement.judge` gives it."""
    lines = []
    for row in compared.itertuples():
        difference, low, high = (spread(value, digits=1) for value in (row.difference, row.low, row.high))
        line = {
            "Condition": row.name,
            "ours": f"{spread(row.mean, row.sd)} ({row.n:.0f})",
            "published": f"{spread(row.published_mean, row.published_sd)} ({row.published_n:.0f})",
            "difference in sd [95 %]": f"{difference} [{low}, {high}]".replace(" ", "\N{NO-BREAK SPACE}"),
            "p, difference": f"{row.raw_p:.2g}",
            "corrected": f"{row.difference_p:.2g}",
        }
        if not np.isnan(row.equivalence_p):
            line["p, equivalence, corrected"] = f"{row.equivalence_p:.2g}"
        lines.append({**line, "Verdict": row.verdict})
    return html(pd.DataFrame(lines))


def claims(evaluated: Iterable[Claim]) -> HTML:
    """Claims, whether each holds, and the numbers that say so."""
    return html(pd.DataFrame([{"Claim": c.statement, "Verdict": c.verdict, "Numbers": c.numbers} for c in evaluated]))


def clusters(weights: Sequence[np.ndarray], labels: Sequence[np.ndarray]) -> HTML:
    """Every cluster's share of the volume, what of its volume stays inside, and its neurons a layer.

    Parameters
    ----------
    weights : sequence of ndarray (out, in)
    labels : sequence of ndarray of int
        Cluster of every neuron, an array a layer; −1 for isolated neurons.
    """
    n_clusters = 1 + max(int(layer.max()) for layer in labels)
    one_hot = (np.concatenate(labels)[:, None] == np.arange(n_clusters)).astype(float)
    graph = LayeredGraph.of(weights)
    volume, inside = graph.degree @ one_hot, graph.within(one_hot)
    lines = []
    for cluster in np.argsort(-volume, kind="stable"):
        line = {
            "Cluster": str(cluster + 1),
            "volume, %": spread(100 * volume[cluster] / volume.sum(), digits=1),
            "of it inside, %": spread(100 * inside[cluster] / volume[cluster], digits=1),
        }
        line |= {f"neurons, layer {layer + 1}": str((label == cluster).sum()) for layer, label in enumerate(labels)}
        lines.append(line)
    return html(pd.DataFrame(lines))


def lesion_kinds(rows: pd.DataFrame, by: str = "kind") -> HTML:
    """Sub-modules of every class a network, mean ± standard deviation over networks.

    Parameters
    ----------
    rows : DataFrame
        As :func:`clusterability.lesions.importance.classified` gives them.
    by : {"kind", "corrected_kind"}
    """
    own = importance.counts(rows[rows["clustering"] == "spectral"], by)
    lines = []
    for place, part in own.groupby(PLACE, sort=False):
        counted = {"sub-modules": part.sum(axis=1), **{name: part[name] for name in importance.KINDS}}
        counted = {name: spread(values.mean(), values.std(), 1) for name, values in counted.items()}
        lines.append(_place(place) | {"n": str(len(part))} | counted)
    return html(pd.DataFrame(lines))


def chance(rows: pd.DataFrame) -> HTML:
    """Important sub-modules beside those of random clusterings."""
    released, corrected = importance.chance(rows), importance.chance(rows, "corrected_kind")
    lines = []
    for place, row in released.iterrows():
        line = _place(place) | {"sub-modules tested": str(row["tested"])}
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
    """Where the rows behind a figure come from, one line a data set.

    Rows of a key that several tables have are the first one's; seconds are a network's, however many rows it has.
    """
    rows, *others = [table for table in tables if len(table)] or tables[:1]
    for table in others:
        rows = pd.concat([rows, table[~table["key"].isin(rows["key"])]])
    compared_with = {"n_shuffles": "Shuffles", "n_controls": "Random lesions"}
    lines = []
    for dataset, part in rows.groupby("dataset", sort=False):
        dates, seconds = sorted(part["date"].unique()), part.drop_duplicates("key")["seconds"]
        lines.append(
            {
                "Data set": TITLES[dataset],
                "Fingerprint": _listed(part["data"]),
                "Rows": str(len(part)),
                "Architecture": _listed(part["architecture"]),
                "Seeds": f"{part['seed'].min()} to {part['seed'].max()}",
                **{name: _listed(part[c].dropna().astype(int)) for c, name in compared_with.items() if c in part},
                "Device": _listed(part["device"]),
                "Seconds a network, median and range": (
                    f"{seconds.median():.0f} ({seconds.min():.0f} to {seconds.max():.0f})"
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
