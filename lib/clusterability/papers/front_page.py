"""The book's findings in a few numbers, for the front page."""

from __future__ import annotations

import pandas as pd

from clusterability.base import files
from clusterability.data.catalogue import TITLES
from clusterability.experiments import store
from clusterability.papers import agreement
from clusterability.papers.words import spread


def headline(before: pd.DataFrame, after: pd.DataFrame) -> dict[str, str]:
    """Numbers for the front page's sentences, as texts.

    Parameters
    ----------
    before, after : DataFrame
        Result rows of unpruned and of pruned networks.

    Returns
    -------
    dict
        ``n_networks``; for Control, Dropout, L1 and L2, how many networks are more clusterable than all of
        their shuffles (``control_before``, ``l1_after`` …) and the mean z-score after pruning
        (``control_z_after`` …).
    """
    numbers = {"n_networks": str(len(after))}
    for condition in ("Control", "Dropout", "L1 Reg", "L2 Reg"):
        name = condition.removesuffix(" Reg").lower()
        for moment, rows in (("before", before), ("after", after)):
            chosen = rows[rows["condition"] == condition]
            numbers[f"{name}_{moment}"] = _beyond_all(chosen)
        z = after.loc[after["condition"] == condition, "z"]
        numbers[f"{name}_z_after"] = spread(z.mean(), z.std(), 1)
    return numbers


def totals() -> dict[str, str]:
    """How many pages have rows, and how many rows there are, as texts (``n_figures``, ``n_rows``).

    A network measured at one moment counts once, however many figures share it.
    """
    pages = [path.stem for path in (files.project_root() / "book").glob("[!.]*.ipynb")]
    keys = [store.keys(store.committed(page)) | store.keys(store.own(page)) for page in pages]
    return {"n_figures": str(sum(map(bool, keys))), "n_rows": str(len(set().union(*keys)))}


def agreeing(margin: float) -> dict[str, str]:
    """How many mean n-cuts, and z-scores, agree with the published ones, as texts.

    Returns
    -------
    dict
        ``n_compared``; ``n_equivalent``, ``n_compatible`` and ``n_differing``, the numbers of verdicts on n-cuts as
        :func:`clusterability.papers.agreement.judge` gives them;
        ``n_compared_z`` and ``n_differing_z``, those on z-scores.
    """
    verdicts = agreement.judge(agreement.pairs("ncut"), margin)["verdict"]
    names = {
        "n_equivalent": agreement.EQUIVALENT, "n_compatible": agreement.COMPATIBLE, "n_differing": agreement.DIFFERS,
    }  # fmt: skip
    of_z = agreement.judge(agreement.pairs("z"), None)["verdict"]
    return {
        "n_compared": str(len(verdicts)),
        **{key: str((verdicts == v).sum()) for key, v in names.items()},
        "n_compared_z": str(len(of_z)),
        "n_differing_z": str((of_z == agreement.DIFFERS).sum()),
    }


def overview(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """n-cut, z-score and share of networks beyond all shuffles, a row a data set and condition."""
    lines = []
    for (dataset, condition), pruned in after.groupby(["dataset", "condition"], sort=False):
        line = {"Data set": TITLES[dataset], "Condition": condition}
        whole = before[(before["dataset"] == dataset) & (before["condition"] == condition)]
        for moment, rows in (("before pruning", whole), ("pruned", pruned)):
            line[f"n-cut, {moment}"] = spread(rows["ncut"].mean(), rows["ncut"].std())
            line[f"z, {moment}"] = spread(rows["z"].mean(), rows["z"].std(), 1)
            line[f"beyond all shuffles, {moment}"] = _beyond_all(rows)
        lines.append(line)
    return pd.DataFrame(lines)


def _beyond_all(rows: pd.DataFrame) -> str:
    return f"{rows['beyond_all'].sum()} of {len(rows)}"
