"""Claims of the papers, tested on rows: shown, shown in part, contradicted, or not decided by so few networks."""

import math
import operator
from collections.abc import Callable, Iterable
from typing import NamedTuple

import pandas as pd

from clusterability.base import statistics
from clusterability.base.statistics import Sample
from clusterability.data.catalogue import TITLES
from clusterability.papers import words

SHOWN, IN_PART, CONTRADICTED = "shown", "shown in part", "contradicted"
UNDECIDED, NOT_EVALUATED = "cannot tell", "not evaluated"
LEVEL = 0.05
_RELATIONS = {"<": operator.lt, ">": operator.gt, "≤": operator.le, "≥": operator.ge}


class Claim(NamedTuple):
    """A statement about a figure and what the rows say of it."""

    statement: str
    verdict: str  # one of the five words above
    numbers: str  # the evidence in words


def every(
    statement: str,
    rows: pd.DataFrame,
    condition: str,
    column: str,
    relation: str = "",
    bound: float = math.nan,
    *,
    theirs: pd.DataFrame | None = None,
    noun: str = "networks",
) -> Claim:
    """Claim that a number stands in ``relation`` ("<", ">", "≤" or "≥") to ``bound`` in every network of a condition.

    The column "beyond_all" needs neither: no shuffle's n-cut is as low. One exception contradicts the claim; where
    ``theirs``, published values network by network, have the condition, only more exceptions than theirs do, beyond
    chance (Fisher's exact test). Beside a count stands the share's exact 95 % interval (Clopper & Pearson, 1934).
    ``noun`` is what the rows are called, where they are not a network each.

    >>> rows = pd.DataFrame({"dataset": "mnist", "condition": "Control", "z": [-3.0, -1.0]})
    >>> every("Clusterable.", rows, "Control", "z", "<", 0)
    Claim(statement='Clusterable.', verdict='shown', numbers='MNIST: z < 0 in 2 of 2 networks (16 to 100 %)')
    """
    chosen = rows[rows["condition"] == condition]
    if chosen.empty:
        return _not_evaluated(statement, condition)
    tested = column
    if column == "beyond_all":
        tested, relation, bound = "p", "≤", 1 / (1 + chosen["n_shuffles"].min())
    named, numbers, verdicts = words.column(tested), [], []
    for dataset, values in chosen.groupby("dataset", sort=False)[tested]:
        own = [_verdict(value, relation, bound) for value in values]
        n_true, n = own.count(True), len(own) - own.count(None)
        test = f"{named.in_text} {relation} {named.factor * bound:.3g}"
        text = f"{TITLES.get(dataset, dataset)}: {test} in {n_true} of {len(own)} {noun}"
        if n and noun == "networks":
            low, high = statistics.share_interval(n_true, n)
            text += f" ({100 * low:.0f} to {100 * high:.0f} %)"
        text += f", undefined in {len(own) - n}" if n < len(own) else ""
        known = chosen[:0] if theirs is None else theirs
        known = known[(known["condition"] == condition) & (known["dataset"] == dataset)]
        p_exceptions = 0.0
        if len(known):
            as_published = [v if column == "beyond_all" else _verdict(v, relation, bound) for v in known[column]]
            p_exceptions = statistics.fewer_p(n_true, n, as_published.count(True), len(known))
            text += f", published {as_published.count(True)} of {len(known)}"
            text += f", {_p(p_exceptions)}" if n_true < n else ""
        numbers.append(text)
        for_it = int(n == len(own)) if n else None
        verdicts.append(-int(p_exceptions < LEVEL) if n_true < n else for_it)
    return Claim(statement, _together(verdicts), "; ".join(numbers))


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
    Tested one-sided: means by Welch's t, standard deviations by F, "≈" by two tests (Schuirmann, 1987). A number
    is shown where p < 0.05, and contradicted where the opposite is.
    """
    needed = [condition] if not isinstance(other, str) else [condition, other]
    numbers, verdicts = [], []
    for dataset, part in rows.groupby("dataset", sort=False) if by_dataset else [("", rows)]:
        groups = part.groupby("condition")[column].agg(["mean", "std", "size", "count"])
        if not set(needed) <= set(groups.index):
            continue
        samples = [Sample(*groups.loc[name, ["mean", "std", "count"]]) for name in needed]
        ours, theirs = samples if isinstance(other, str) else (samples[0], Sample(other, 0.0, math.inf))
        p, opposite = _tested(ours, theirs, relation, margin, statistic)
        known = not any(math.isnan(getattr(one, "sd" if statistic == "std" else "mean")) for one in (ours, theirs))
        verdicts.append(int(p < LEVEL) - int(opposite < LEVEL) if known and not math.isnan(margin) else None)
        described = [_described(column, groups.loc[name], statistic) for name in needed]
        if len(needed) > 1:
            described = [f"{name} {text}" for name, text in zip(needed, described, strict=True)]
        of_test = [] if math.isnan(p) else [_p(p)]
        numbers.append(
            (f"{TITLES.get(dataset, dataset)}: " if by_dataset else "") + ", ".join([*described, *of_test])
        )
    if not verdicts:
        return _not_evaluated(statement, *needed)
    return Claim(statement, _together(verdicts), "; ".join(numbers))


def for_every(column: str, rows: pd.DataFrame, evaluate: Callable[[pd.DataFrame], Claim]) -> Claim:
    """A claim evaluated for every value of a column; shown if it is for all, in part if for some and against none.

    >>> rows = pd.DataFrame({"dataset": "mnist", "condition": "Control", "n_clusters": [2, 4], "z": [-3.0, 1.0]})
    >>> claim = for_every("n_clusters", rows, lambda k: every("Clusterable.", k, "Control", "z", "<", 0))
    >>> claim.verdict, claim.numbers
    ('contradicted', 'shown for 2; contradicted for 4 (MNIST: z < 0 in 0 of 1 networks (0 to 98 %))')
    """
    evaluated = {value: evaluate(part) for value, part in rows.groupby(column)}
    if not evaluated:
        return evaluate(rows)._replace(verdict=NOT_EVALUATED, numbers="there are no rows")
    signs: dict[str, list[int | None]] = {
        SHOWN: [1],
        IN_PART: [1, 0],
        UNDECIDED: [0],
        CONTRADICTED: [-1],
        NOT_EVALUATED: [None],
    }
    found = {claim.verdict for claim in evaluated.values()}
    told = []
    for word in sorted(found, key=list(signs).index):
        own = {value: claim for value, claim in evaluated.items() if claim.verdict == word}
        if word == SHOWN:
            told.append(f"shown for {', '.join(map(str, own))}")
        else:
            told += [f"{word} for {value} ({claim.numbers})" for value, claim in own.items()]
    statement = next(iter(evaluated.values())).statement
    return Claim(statement, _together(sign for word in found for sign in signs[word]), "; ".join(told))


def _tested(ours: Sample, theirs: Sample, relation: str, margin: float, statistic: str) -> tuple[float, float]:
    """p of the claim and p of its opposite."""
    if statistic == "std":
        ordered = (ours, theirs) if relation in ">≥" else (theirs, ours)
        return float(statistics.spread_p(*ordered)), float(statistics.spread_p(*ordered[::-1]))
    above, below = (theirs._replace(mean=theirs.mean + side * margin) for side in (1, -1))
    if relation == "≈":
        inside = max(statistics.less_p(ours, above), statistics.less_p(below, ours))
        return inside, min(statistics.less_p(above, ours), statistics.less_p(ours, below))
    ordered = (above, ours) if relation in ">≥" else (ours, above)
    return statistics.less_p(*ordered), statistics.less_p(*ordered[::-1])


def _verdict(value: float, relation: str, bound: float) -> bool | None:
    """Whether the value stands in the relation to the bound; None if one of them is undefined."""
    return None if math.isnan(value) or math.isnan(bound) else bool(_RELATIONS[relation](value, bound))


def _together(signs: Iterable[int | None]) -> str:
    """One word for several data sets: 1 for it, −1 against it, 0 open, None undefined."""
    found = set(signs)
    if -1 in found:
        return CONTRADICTED
    if 1 in found:
        return SHOWN if found == {1} else IN_PART
    return UNDECIDED if 0 in found else NOT_EVALUATED


def _p(p: float) -> str:
    return "p < 0.0001" if p < 1e-4 else f"p {p:.2g}"


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
    return Claim(statement, NOT_EVALUATED, f"needs {' and '.join(conditions)}")
