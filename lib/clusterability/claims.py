"""Claims of the papers, evaluated on result rows: each holds or does not, with its numbers."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from clusterability.catalogue import TITLES

_RELATIONS = {"<": operator.lt, ">": operator.gt, "≤": operator.le, "≥": operator.ge}
_NAMES = {
    "ncut": "n-cut", "released_ncut": "n-cut as released", "released_z": "z as released",
    "shuffled_mean": "shuffled n-cut", "difference_of_ncuts": "difference of n-cuts",
    "test_accuracy": "test accuracy in %",
}  # fmt: skip


@dataclass(frozen=True)
class Claim:
    """A statement about a figure and what the rows say of it.

    Attributes
    ----------
    statement : str
    holds : bool, or None if the rows lack what it speaks of, or that is undefined and nothing speaks against it
    numbers : str
        The evidence in words.
    """

    statement: str
    holds: bool | None
    numbers: str

    @property
    def verdict(self) -> str:
        return {True: "holds", False: "does not hold", None: "not evaluated"}[self.holds]


def every_network(
    statement: str,
    rows: pd.DataFrame,
    condition: str,
    column: str,
    relation: str,
    bound: float,
    *,
    noun: str = "networks",
) -> Claim:
    """Claim that a number stands in ``relation`` to ``bound`` in every network of a condition.

    ``noun`` is what the rows are called, where they are not a network each.

    >>> rows = pd.DataFrame({"dataset": "mnist", "condition": "Control", "z": [-3.0, -1.0]})
    >>> every_network("Clusterable.", rows, "Control", "z", "<", 0)
    Claim(statement='Clusterable.', holds=True, numbers='MNIST: z < 0 in 2 of 2 networks')
    """
    chosen = rows[rows["condition"] == condition]
    if chosen.empty:
        return _not_evaluated(statement, condition)
    test = f"{_named(column)} {relation} {_factor(column) * bound:.3g}"
    numbers, verdicts = [], []
    for dataset, values in chosen.groupby("dataset", sort=False)[column]:
        own = [_verdict(value, relation, bound) for value in values]
        undefined = f", undefined in {own.count(None)}" if None in own else ""
        numbers.append(f"{TITLES[dataset]}: {test} in {own.count(True)} of {len(own)} {noun}{undefined}")
        verdicts += own
    return Claim(statement, _all(verdicts), "; ".join(numbers))


def mean_against_bound(
    statement: str, rows: pd.DataFrame, condition: str, column: str, relation: str, bound: float
) -> Claim:
    """Claim that a condition's mean stands in ``relation`` to ``bound`` on every data set."""
    chosen = rows[rows["condition"] == condition]
    if chosen.empty:
        return _not_evaluated(statement, condition)
    means = chosen.groupby("dataset", sort=False)[column].agg(["mean", "std", "size", "count"])
    numbers = "; ".join(f"{TITLES[dataset]}: {_described(column, row)}" for dataset, row in means.iterrows())
    return Claim(statement, _all(_verdict(mean, relation, bound) for mean in means["mean"]), numbers)


def compare(
    statement: str,
    rows: pd.DataFrame,
    column: str,
    first: str,
    relation: str,
    second: str,
    *,
    statistic: str = "mean",
    margin: float = 0.0,
    by_dataset: bool = True,
) -> Claim:
    """Claim that ``statistic`` of ``first`` stands in ``relation`` to that of ``second``.

    Evaluated on every data set; holds if it holds on all.

    Parameters
    ----------
    first, second : str
        Conditions.
    relation : {"<", ">", "≤", "≥", "≈"}
        "≈": the two are less than ``margin`` apart.
    statistic : {"mean", "std"}
        Over the networks of a condition.
    margin : float
        Added to the statistic of ``second`` before it is compared; or see ``relation``.
    by_dataset : bool
        False: the conditions may have data sets of their own, and are compared across them.
    """
    numbers, verdicts = [], []
    parts = rows.groupby("dataset", sort=False) if by_dataset else [(None, rows)]
    for dataset, part in parts:
        groups = part.groupby("condition")[column].agg(["mean", "std", "size", "count"])
        if not {first, second} <= set(groups.index):
            continue
        a, b = groups.loc[first], groups.loc[second]
        if relation == "≈":
            verdicts.append(_verdict(abs(a[statistic] - b[statistic]), "<", margin))
        else:
            verdicts.append(_verdict(a[statistic], relation, b[statistic] + margin))
        place = f"{TITLES[dataset]}: " if by_dataset else ""
        ours, theirs = (_described(column, group, statistic) for group in (a, b))
        numbers.append(f"{place}{first} {ours}, {second} {theirs}")
    if not verdicts:
        return _not_evaluated(statement, first, second)
    return Claim(statement, _all(verdicts), "; ".join(numbers))


def for_every(column: str, rows: pd.DataFrame, evaluate: Callable[[pd.DataFrame], Claim]) -> Claim:
    """A claim evaluated for every value of a column; holds if it holds for all.

    Where it does not hold for some, the numbers are those that speak against it.

    >>> rows = pd.DataFrame({"dataset": "mnist", "condition": "Control", "n_clusters": [2, 4], "z": [-3.0, 1.0]})
    >>> claim = for_every("n_clusters", rows, lambda k: every_network("Clusterable.", k, "Control", "z", "<", 0))
    >>> claim.holds, claim.numbers
    (False, 'holds for 2; not for 4 (MNIST: z < 0 in 0 of 1 networks)')
    """
    evaluated = {value: evaluate(part) for value, part in rows.groupby(column)}
    if not evaluated:
        return Claim(evaluate(rows).statement, None, "there are no rows")
    statement = next(iter(evaluated.values())).statement
    verdicts = {value: claim.holds for value, claim in evaluated.items()}
    if _all(verdicts.values()) is None:
        return Claim(statement, None, next(c.numbers for c in evaluated.values() if c.holds is None))
    holding = ", ".join(str(value) for value, holds in verdicts.items() if holds) or "none"
    failing = "; ".join(
        f"not for {value} ({evaluated[value].numbers})" for value, holds in verdicts.items() if holds is False
    )
    return Claim(statement, not failing, f"holds for {holding}" + (f"; {failing}" if failing else ""))


def decided(evaluated: Sequence[Claim]) -> list[Claim]:
    """The claims whose rows are there: those that hold and those that do not."""
    return [claim for claim in evaluated if claim.holds is not None]


def _verdict(value: float, relation: str, bound: float) -> bool | None:
    """Whether the value stands in the relation to the bound; None if one of them is undefined."""
    return None if math.isnan(value) or math.isnan(bound) else bool(_RELATIONS[relation](value, bound))


def _all(verdicts: Iterable[bool | None]) -> bool | None:
    """False if one is, else None if one is, else True."""
    found = set(verdicts)
    return False if False in found else None if None in found else True


def _named(column: str) -> str:
    return _NAMES.get(column, column.replace("_", " "))


def _factor(column: str) -> int:
    return 100 if column == "test_accuracy" else 1


def _described(column: str, group: pd.Series, statistic: str = "mean") -> str:
    if math.isnan(group[statistic]):
        what = "standard deviation of " if statistic == "std" else ""
        return f"{what}{_named(column)} undefined (n = {group['size']:.0f})"
    factor = _factor(column)
    mean = f"{factor * group['mean']:.4g}".replace("-", "−")
    spread = factor * group["std"]
    deviation = "" if math.isnan(spread) else f" ± {spread:.2g}" if spread < 99.5 else f" ± {spread:.0f}"
    undefined = f", undefined in {group['size'] - group['count']:.0f}" if group["count"] < group["size"] else ""
    return f"{_named(column)} {mean}{deviation} (n = {group['size']:.0f}{undefined})"


def _not_evaluated(statement: str, *conditions: str) -> Claim:
    return Claim(statement, None, f"needs {' and '.join(conditions)}")
