"""The book's findings in a few numbers, all as texts, for the front page."""

import pandas as pd

from clusterability.base import files
from clusterability.data.catalogue import TITLES
from clusterability.experiments import store
from clusterability.papers import agreement, published
from clusterability.papers.claims import UNDECIDED
from clusterability.papers.words import spread


def headline(before: pd.DataFrame, after: pd.DataFrame) -> dict[str, str]:
    """From rows of unpruned and of pruned networks ``n_networks``; and for Control, Dropout, L1 and L2, how many are
    beyond all their shuffles (``control_before``, ``l1_after`` …) and the mean z-score after pruning
    (``control_z_after`` …); and as published, how many of L2 (``l2_published_before``, ``l2_published_after``)."""
    numbers = {"n_networks": str(len(after))}
    theirs = published.networks("factors", sorted(set(after["architecture"])))
    theirs = theirs[(theirs["condition"] == "L2 Reg") & theirs["dataset"].isin(after["dataset"])]
    for moment, rows in (("before", theirs[~theirs["pruned"]]), ("after", theirs[theirs["pruned"]])):
        numbers[f"l2_published_{moment}"] = f"{rows['beyond_all'].sum()} of {len(rows)}"
    for condition in ("Control", "Dropout", "L1 Reg", "L2 Reg"):
        name = condition.removesuffix(" Reg").lower()
        for moment, rows in (("before", before), ("after", after)):
            found = _described(rows[rows["condition"] == condition])
            numbers[f"{name}_{moment}"] = found["beyond all shuffles"]
        numbers[f"{name}_z_after"] = found["z"]
    return numbers


def totals() -> dict[str, str]:
    """How many pages have rows, and how many rows there are (``n_figures``, ``n_rows``); a network measured at one
    moment counts once, however many figures share it."""
    pages = [path.stem for path in (files.project_root() / "book").glob("[!.]*.ipynb")]
    keys = [store.keys(store.committed(page)) | store.keys(store.own(page)) for page in pages]
    return {"n_figures": str(sum(map(bool, keys))), "n_rows": str(len(set().union(*keys)))}


def agreeing() -> dict[str, str]:
    """How many mean n-cuts were compared with published ones, ``n_compared``, of ``n_published``, and how often each
    verdict was given: ``n_agreeing``, ``n_differing`` and ``n_undecided``."""
    compared = agreement.pairs()
    verdicts = agreement.judge(compared, agreement.margins(compared))["verdict"]
    numbers = {
        "n_compared": len(verdicts),
        "n_published": len(verdicts) + len(agreement.left_out()),
        "n_agreeing": (verdicts == agreement.AGREES).sum(),
        "n_undecided": (verdicts == UNDECIDED).sum(),
        "n_differing": (verdicts == agreement.DIFFERS).sum(),
    }
    return {name: str(number) for name, number in numbers.items()}


def overview(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """n-cut, z-score and share of networks beyond all shuffles, a row a data set and condition."""
    lines = []
    for (dataset, condition), pruned in after.groupby(["dataset", "condition"], sort=False):
        line = {"Data set": TITLES[dataset], "Condition": condition}
        whole = before[(before["dataset"] == dataset) & (before["condition"] == condition)]
        for moment, rows in (("before pruning", whole), ("pruned", pruned)):
            line |= {f"{heading}, {moment}": text for heading, text in _described(rows).items()}
        lines.append(line)
    return pd.DataFrame(lines)


def _described(rows: pd.DataFrame) -> dict[str, str]:
    return {
        "n-cut": spread(rows["ncut"].mean(), rows["ncut"].std()),
        "z": spread(rows["z"].mean(), rows["z"].std(), 1),
        "beyond all shuffles": f"{rows['beyond_all'].sum()} of {len(rows)}",
    }
