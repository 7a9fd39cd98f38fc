"""Tables as readers see them: numbers rounded, spread beside the mean, names in words."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd
from IPython.display import HTML

from clusterability.claims import Claim
from clusterability.datasets import TITLES

_NETWORK_COLUMNS = {
    "ncut": "n-cut",
    "shuffled_mean": "shuffled n-cut, mean",
    "shuffled_sd": "shuffled n-cut, sd",
    "z": "z",
    "p": "p",
}


def spread(mean: float, sd: float, digits: int = 2) -> str:
    """Mean ± standard deviation, in one line however narrow the column; a dash where there is no mean.

    >>> spread(-9.67, 1.214) == "−9.67\\N{NO-BREAK SPACE}±\\N{NO-BREAK SPACE}1.21"
    True
    >>> spread(float("nan"), float("nan")), spread(1.0, float("nan"))
    ('–', '1.00')
    """
    if math.isnan(mean):
        return "–"
    text = f"{mean:.{digits}f}" if math.isnan(sd) else f"{mean:.{digits}f} ± {sd:.{digits}f}"
    return text.replace("-", "−").replace(" ", "\N{NO-BREAK SPACE}")


def comparison(table: pd.DataFrame, columns: dict[str, str], percent: Sequence[str] = ()) -> HTML:
    """Our means beside the published ones, a row a data set and condition.

    Parameters
    ----------
    table : DataFrame
        As :func:`clusterability.published.beside` gives it.
    columns : dict
        Heading of every column to show.
    percent : sequence of str
        Columns to show in per cent.
    """
    rows = []
    for (dataset, condition, _), row in table.iterrows():
        cells = {"Data set": TITLES[dataset], "Condition": condition, "n": f"{row['n']:.0f}"}
        for column, heading in columns.items():
            factor = 100 if column in percent else 1
            sources = {f"{heading}, ours": column, f"{heading}, published": f"published_{column}"}
            if f"published_{column}_mean" not in row:
                sources = {heading: column}
            for title, stem in sources.items():
                mean, sd = row[f"{stem}_mean"] * factor, row[f"{stem}_sd"] * factor
                cells[title] = spread(mean, sd, 0 if mean > 200 else 2)
        rows.append(cells)
    return html(pd.DataFrame(rows))


def networks(rows: pd.DataFrame) -> HTML:
    """n-cut, shuffled n-cuts, z and p of single networks, a row each."""
    cells = pd.DataFrame(
        {"Data set": rows["dataset"].map(TITLES), "Condition": rows["condition"], "Seed": rows["seed"]}
    )
    for column, heading in _NETWORK_COLUMNS.items():
        cells[heading] = [spread(value, math.nan, 3) for value in rows[column]]
    return html(cells)


def claims(evaluated: Sequence[Claim]) -> HTML:
    """Claims, whether each holds, and the numbers that say so."""
    rows = [{"Claim": c.statement, "Verdict": c.verdict, "Numbers": c.numbers} for c in evaluated]
    return html(pd.DataFrame(rows))


def provenance(rows: pd.DataFrame) -> HTML:
    """Where the rows behind a figure come from, one line a data set."""
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
                "Shuffles": _listed(part["n_shuffles"]),
                "Device": _listed(part["device"]),
                "Seconds a network": spread(part["seconds"].mean(), part["seconds"].std(), 0),
                "Computed": dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}",
                "Version": _listed(part["version"]),
                "Software": _listed(part["software"]),
            }
        )
    return html(pd.DataFrame(lines).set_index("Data set").T.reset_index(names=""))


def html(table: pd.DataFrame) -> HTML:
    """A plain HTML table in a box that scrolls sideways on narrow screens."""
    text = table.to_html(index=False, border=0, classes="dataframe", justify="left")
    return HTML(f'<div class="table-box">{text}</div>')


def _listed(values: pd.Series) -> str:
    return ", ".join(str(value) for value in values.unique())
