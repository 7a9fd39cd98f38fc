"""Tables as readers see them: numbers rounded, spread beside the mean, names in words."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from IPython.display import HTML

from clusterability.base.statistics import adjusted
from clusterability.data.catalogue import TITLES, entry
from clusterability.graphs.channels import ChannelGraph
from clusterability.graphs.layered import LayeredGraph
from clusterability.lesions import importance
from clusterability.papers.claims import LEVEL, UNDECIDED
from clusterability.papers.published import PLACE
from clusterability.papers.words import STATES, column, spread

_OF_SHUFFLES = " (± of one network's shuffles)"


def html(table: pd.DataFrame | Sequence[Mapping]) -> HTML:
    """A plain HTML table in a box that scrolls sideways on narrow screens; in words, if it has no rows.

    >>> html([]).data
    '<p>None so far.</p>'
    """
    if not len(table):
        return HTML("<p>None so far.</p>")
    text = pd.DataFrame(table).to_html(index=False, border=0, classes="dataframe", justify="left")
    return HTML(f'<div class="table-box">{text}</div>')


def _places(rows: pd.DataFrame, *, state: bool = True) -> Iterator[tuple[dict[str, str], pd.DataFrame]]:
    """Rows by data set, condition and, if wanted, pruning state: a table's line that names these, and the rows."""
    for (dataset, condition, *pruned), part in rows.groupby(PLACE if state else PLACE[:2], sort=False):
        line = {"Data set": TITLES[dataset], "Condition": condition}
        yield line | ({"State": STATES[pruned[0]]} if pruned else {}), part


def beside(
    rows: pd.DataFrame,
    theirs: pd.DataFrame | None,
    columns: Sequence[str],
    *,
    alone: Sequence[str] = (),
    headings: Mapping[str, str] | None = None,
    digits: int = 2,
) -> HTML:
    """Means ± standard deviations of columns over networks, and the published ones beside them, a row a condition.

    ``theirs`` are as :func:`clusterability.papers.published.load` gives them, or None; beside the columns ``alone``
    nothing is set. :func:`clusterability.papers.words.column` names columns, unless they have ``headings`` of this
    table's own. Numbers below 200 get ``digits`` decimals. Where shuffled n-cuts are published, the deviation of ours
    is that of one network's shuffles, too, their mean.
    """
    headings, known = headings or {}, [] if theirs is None else theirs.to_dict("records")
    published = {tuple(row[name] for name in PLACE): row for row in known}
    groups = rows.groupby(PLACE, sort=False)[list(columns)]
    means, deviations, lines = groups.mean(), groups.std(), []
    for line, part in _places(rows, state=rows["pruned"].nunique() > 1):
        place = tuple(part[PLACE].iloc[0])
        there, line["n"] = published.get(place, {}), str(len(part))
        for name in columns:
            named, mean, sd = column(name), means.loc[place, name], deviations.loc[place, name]
            heading = headings.get(name, named.heading)
            shown = {heading: (mean, sd)}
            if named.published and theirs is not None and name not in alone:
                of = _OF_SHUFFLES if name == "shuffled_mean" else ""
                ours = (mean, part["shuffled_sd"].mean() if of else sd)
                summary = [there.get(f"{named.published}_{what}", np.nan) for what in ("mean", "sd")]
                shown = {f"{heading}, ours{of}": ours, f"{heading}, published{of}": summary}
            line |= {title: spread(named.factor * m, named.factor * s, digits) for title, (m, s) in shown.items()}
        lines.append(line)
    return html(lines)


def spreads(rows: pd.DataFrame, columns: Mapping[str, str], by: str, *, digits: int = 2) -> HTML:
    """Means ± standard deviations over networks for every value of another column, a row a condition; ``columns``
    have headings in which ``{}`` is the value of ``by``."""
    lines = []
    for line, part in _places(rows, state=rows["pruned"].nunique() > 1):
        line["n"] = str(part["seed"].nunique())
        for value in rows[by].unique():
            for name, heading in columns.items():
                own = part.loc[part[by] == value, name]
                line[heading.format(value)] = spread(own.mean(), own.std(), digits)
        lines.append(line)
    return html(lines)


def networks(rows: pd.DataFrame) -> HTML:
    """n-cut, shuffled n-cuts, z and p of single networks, a row each."""
    headings = {"ncut": "n-cut", "shuffled_mean": "shuffled n-cut, mean", "shuffled_sd": "shuffled n-cut, sd",
                "z": "z", "p": "p"}  # fmt: skip
    cells = {"Data set": rows["dataset"].map(TITLES), "Condition": rows["condition"], "Seed": rows["seed"]}
    cells |= {heading: [spread(value, digits=3) for value in rows[name]] for name, heading in headings.items()}
    return html(pd.DataFrame(cells))


def graphs(graphs: Mapping[str, ChannelGraph]) -> HTML:
    """Layers, vertices and edges of graphs by name."""
    return html([
        {"Network": name, "layers": str(len(graph.layer_sizes)), "vertices": f"{graph.n_vertices:,}",
         "edges": f"{graph.n_edges:,}"}
        for name, graph in graphs.items()
    ])  # fmt: skip


def classifiers(rows: pd.DataFrame, published: pd.DataFrame, weights: Sequence[str], by: str) -> HTML:
    """Single networks, named in column ``by``: a line for each kind of ``weights``, which are conditions, that there
    is, and one for what was published, if anything was."""
    theirs = published.rename(columns={
        "ncut_mean": "ncut", "shuffled_ncut_mean": "shuffled_mean", "shuffled_ncut_sd": "shuffled_sd",
        "z_mean": "z", "p_mean": "p",
    })  # fmt: skip
    lines = []
    for name in rows[by].unique():
        own, there = (table[table[by] == name] for table in (rows, theirs))
        shown = {
            f"{kind.lower()}, here": own[own["condition"] == kind]
            for kind in weights
            if kind in set(own["condition"])
        }
        shown |= {"pretrained, published": there} if len(there) else {}
        lines += [{"Network": name, "Weights": kind} | _single(network) for kind, network in shown.items()]
    return html(pd.DataFrame(lines).fillna("–"))


def _single(network: pd.DataFrame) -> dict[str, str]:
    row = network.iloc[0]
    return {
        "n-cut": spread(row["ncut"], digits=3),
        "shuffled n-cut": spread(row["shuffled_mean"], row["shuffled_sd"], 3),
        "shuffles": f"{row['n_shuffles']:.0f}",
        "z": spread(row["z"], digits=1),
        "p": f"{row['p']:.2g}",
    }


def significance(rows: pd.DataFrame, level: float = 0.05) -> HTML:
    """How many networks are more clusterable than chance, before and after correction of p for the number of rows: by
    Benjamini & Hochberg's procedure (of the networks called significant, a share of ``level`` may be false) and by
    Holm's (the chance that even one is)."""
    headings = {"p": "p", "bh": "p after Benjamini-Hochberg", "holm": "p after Holm"}
    rows = rows.assign(bh=adjusted(rows["p"], "bh"), holm=adjusted(rows["p"], "holm"))
    lines = []
    for line, part in _places(rows):
        counted = {f"{heading} ≤ {level:g}": str((part[name] <= level).sum()) for name, heading in headings.items()}
        smallest = _listed((1 / (1 + part["n_shuffles"])).map("{:.3g}".format))
        lines.append(line | {"n": str(len(part))} | counted | {"smallest p possible": smallest})
    return html(lines)


def agreement(compared: pd.DataFrame) -> HTML:
    """Ours against published, as :func:`clusterability.papers.agreement.judge` gives it; a star marks the differences
    that survive the correction for their number, and the spreads that differ."""
    lines = []
    for row in compared.itertuples():
        noisy = "the published values scatter too much"
        undecided = noisy if np.isinf(row.needed) else f"needs {row.needed:.0f} of ours"
        lines.append({
            "Condition": row.name,
            "ours": f"{spread(row.mean, row.sd)} ({row.n:.0f})",
            "published": f"{spread(row.published_mean, row.published_sd)} ({row.published_n:.0f})",
            "difference ± 95 %": spread(row.difference, row.high - row.difference),
            "at most": f"{row.at_most:.2f}",
            "p": f"{row.raw_p:.2g}" + "*" * (row.difference_p < LEVEL),
            "ratio of spreads": f"{row.sd / row.published_sd:.2g}" + "*" * (row.spread_p < LEVEL),
            "Verdict": f"{row.verdict}: {undecided}" if row.verdict == UNDECIDED else row.verdict,
        })  # fmt: skip
    return html(lines)


def clusters(weights: Sequence[np.ndarray], labels: Sequence[np.ndarray]) -> HTML:
    """Every cluster's share of the volume, what of its volume stays inside, and its neurons a layer; of weights (out,
    in) and of every neuron's cluster, an array of int a layer, −1 for isolated neurons."""
    one_hot = (np.concatenate(labels)[:, None] == np.arange(1 + max(map(np.max, labels)))).astype(float)
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
    return html(lines)


def lesion_kinds(rows: pd.DataFrame, by: str = "kind") -> HTML:
    """Sub-modules of every class a network, mean ± standard deviation over networks, by the "kind" or the
    "corrected_kind" of :func:`clusterability.lesions.importance.classified`."""
    lines = []
    for line, part in _places(importance.counts(rows[rows["clustering"] == "spectral"], by)):
        counted = {"sub-modules": part.sum(axis=1), **part}
        means = {name: spread(values.mean(), values.std(), 1) for name, values in counted.items()}
        lines.append(line | {"n": str(len(part))} | means)
    return html(lines)


def chance(rows: pd.DataFrame) -> HTML:
    """Important sub-modules beside those of random clusterings."""
    released, corrected = importance.chance(rows), importance.chance(rows, "corrected_kind")
    lines = []
    for line, part in _places(released):
        line["sub-modules tested"] = str(part["tested"].iloc[0])
        for name, counted in (("released rule", part), ("corrected", corrected.loc[part.index])):
            line[f"important, {name}"] = str(counted["spectral"].iloc[0])
            line[f"of random clusterings, {name}"] = str(counted["random"].iloc[0])
        lines.append(line)
    return html(lines)


def dependencies(found: pd.DataFrame) -> HTML:
    """Pairs of important sub-modules by what their conditional lesions say, as
    :func:`clusterability.lesions.importance.dependencies` gives them, with ``dataset`` and ``condition``."""
    return html([
        line | {"pairs": str(len(part))}
        | {kind: str((part["dependency"] == kind).sum()) for kind in importance.DEPENDENCIES}
        for line, part in _places(found, state=False)
    ])  # fmt: skip


def datasets(names: Sequence[str]) -> HTML:
    """Data sets by name: what they are called, their sizes and what they are made from."""
    return html([
        {"Data set": known.title, "Name": name, "Inputs": str(known.n_features), "Outputs": str(known.n_outputs),
         "Made from": ", ".join(TITLES[source] for source in known.sources) or "–"}
        for name, known in ((name, entry(name)) for name in names)
    ])  # fmt: skip


def provenance(*tables: pd.DataFrame) -> HTML:
    """Where the rows behind a figure come from, a column a data set.

    Rows of a key that several tables have are the first one's; seconds are a network's, however many rows it has.
    """
    rows, *others = [table for table in tables if len(table)] or tables[:1]
    for table in others:
        rows = pd.concat([rows, table[~table["key"].isin(rows["key"])]])
    compared_with = {"n_shuffles": "Shuffles", "n_controls": "Random lesions"}
    shown = {}
    for dataset, part in rows.groupby("dataset", sort=False):
        dates, seconds = sorted(part["date"].unique()), part.drop_duplicates("key")["seconds"]
        shown[TITLES[dataset]] = {
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
    return html(pd.DataFrame(shown).rename_axis(columns="Data set").reset_index(names=""))


def _listed(values: pd.Series) -> str:
    return ", ".join(str(value) for value in values.unique())
