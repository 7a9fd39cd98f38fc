"""Claims of the papers, evaluated on rows: each holds or does not, with its numbers."""

import math
import operator
from collections.abc import Callable, Iterable
from typing import NamedTuple

import pandas as pd

from clusterability.data.catalogue import TITLES
from clusterability.papers import words

_RELATIONS = {"<": operator.lt, ">": operator.gt, "≤": operator.le, "≥": operator.ge}


class Claim(NamedTuple):
    """A statement about a figure and what the rows say of it."""

    statement: str
    holds: bool | None  # None: the rows lack what it speaks of, or it is undefined and nothing speaks against it
    numbers: str  # the evidence in words

    @property
    def verdict(self) -> str:
        return {True: "holds", False: "does not hold", None: "not evaluated"}[self.holds]


def every(
    statement: str,
    rows: pd.DataFrame,
    condition: str,
    column: str,
    relation: str = "",
    bound: float = math.nan,
    *,
    noun: str = "networks",
) -> Claim:
    """Claim that a number stands in ``relation`` ("<", ">", "≤" or "≥") to ``bound`` in every network of a condition.

    The column "beyond_all" needs neither: no shuffle's n-cut is as low. ``noun`` is what the rows are called, where
    they are not a network each.

    >>> rows = pd.DataFrame({"dataset": "mnist", "condition": "Control", "z": [-3.0, -1.0]})
    >>> every("Clusterable.", rows, "Control", "z", "<", 0)
    Claim(statement='Clusterable.', holds=True, numbers='MNIST: z < 0 in 2 of 2 networks')
    """
    chosen = rows[rows["condition"] == condition]
    if chosen.empty:
        return _not_evaluated(statement, condition)
    if column == "beyond_all":
        column, relation, bound = "p", "≤", 1 / (1 + chosen["n_shuffles"].min())
    named, numbers, verdicts = words.column(column), [], []
    for dataset, values in chosen.groupby("dataset", sort=False)[column]:
        own = [_verdict(value, relation, bound) for value in values]
        undefined = f", undefined in {own.count(None)}" if None in own else ""
        test = f"{named.in_text} {relation} {named.factor * bound:.3g}"
        numbers.append(f"{TITLES[dataset]}: {test} in {own.count(True)} of {len(own)} {noun}{undefined}")
        verdicts += own
    return Claim(statement, _all(verdicts), "; ".join(numbers))


def mean(
    statement: str,
    rows: pd.DataFrame,
    condition: str,
    column: str,
    relation: str,
    other: str | float,
    *,
    margin: float = 0.0,
    statistic: str = "mean",
    by_dataset: bool = True,
) -> Claim:
    """Claim that a condition's mean, or another ``statistic`` ("std"), stands in ``relation`` to a number, or to that
    of another condition, on every data set; or, if not ``by_dataset``, across them.

    ``margin`` is added to ``other`` before it is compared; with the relation "≈", the two are less than that apart.
    """
    needed = [condition] if not isinstance(other, str) else [condition, other]
    numbers, verdicts = [], []
    for dataset, part in rows.groupby("dataset", sort=False) if by_dataset else [("", rows)]:
        groups = part.groupby("condition")[column].agg(["mean", "std", "size", "count"])
        if not set(needed) <= set(groups.index):
            continue
        ours = groups.loc[condition, statistic]
        theirs = groups.loc[other, statistic] if isinstance(other, str) else other
        compared = (abs(ours - theirs), "<", margin) if relation == "≈" else (ours, relation, theirs + margin)
        verdicts.append(_verdict(*compared))
        described = [_described(column, groups.loc[name], statistic) for name in needed]
        if len(needed) > 1:
            described = [f"{name} {text}" for name, text in zip(needed, described, strict=True)]
        numbers.append((f"{TITLES[dataset]}: " if by_dataset else "") + ", ".join(described))
    if not verdicts:
        return _not_evaluated(statement, *needed)
    return Claim(statement, _all(verdicts), "; ".join(numbers))


def for_every(column: str, rows: pd.DataFrame, evaluate: Callable[[pd.DataFrame], Claim]) -> Claim:
    """A claim evaluated for every value of a column; holds if it holds for all.

    Where it does not hold for some, the numbers are those that speak against it.

    >>> rows = pd.DataFrame({"dataset": "mnist", "condition": "Control", "n_clusters": [2, 4], "z": [-3.0, 1.0]})
    >>> claim = for_every("n_clusters", rows, lambda k: every("Clusterable.", k, "Control", "z", "<", 0))
    >>> claim.holds, claim.numbers
    (False, 'holds for 2; not for 4 (MNIST: z < 0 in 0 of 1 networks)')
    """
    evaluated = {value: evaluate(part) for value, part in rows.groupby(column)}
    if not evaluated:
        return evaluate(rows)._replace(holds=None, numbers="there are no rows")
    holds = _all(claim.holds for claim in evaluated.values())
    if holds is None:
        return next(claim for claim in evaluated.values() if claim.holds is None)
    holding = ", ".join(str(value) for value, claim in evaluated.items() if claim.holds) or "none"
    against = "".join(f"; not for {value} ({c.numbers})" for value, c in evaluated.items() if c.holds is False)
    return Claim(next(iter(evaluated.values())).statement, holds, f"holds for {holding}{against}")


def _verdict(value: float, relation: str, bound: float) -> bool | None:
    """Whether the value stands in the relation to the bound; None if one of them is undefined."""
    return None if math.isnan(value) or math.isnan(bound) else bool(_RELATIONS[relation](value, bound))


def _all(verdicts: Iterable[bool | None]) -> bool | None:
    """False if one is, else None if one is, else True."""
    found = set(verdicts)
    return False if False in found else None if None in found else True


def _described(column: str, group: pd.Series, statistic: str) -> str:
    """A condition's mean, spread and number of networks."""
    named = words.column(column)
    if math.isnan(group[statistic]):
        what = "standard deviation of " if statistic == "std" else ""
        return f"{what}{named.in_text} undefined (n = {group['size']:.0f})"
    text, spread = f"{named.factor * group['mean']:.4g}".replace("-", "−"), named.factor * group["std"]
    deviation = "" if math.isnan(spread) else f" ± {spread:.2g}" if spread < 99.5 else f" ± {spread:.0f}"
    undefined = f", undefined in {group['size'] - group['count']:.0f}" if group["count"] < group["size"] else ""
    return f"{named.in_text} {text}{deviation} (n = {group['size']:.0f}{undefined})"


def _not_evaluated(statement: str, *conditions: str) -> Claim:
    return Claim(statement, None, f"needs {' and '.join(conditions)}")
