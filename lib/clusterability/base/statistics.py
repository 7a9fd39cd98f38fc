"""Statistics: two samples compared, p-values corrected, a value beside a null model, several numbers as one text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy.special
import scipy.stats

_ROUNDING = 1e-12  # relative size of what n-cuts of the same graph and labels differ by


class Sample(NamedTuple):
    """Mean, sample standard deviation and size of a sample, or arrays of those of several."""

    mean: float | np.ndarray
    sd: float | np.ndarray
    n: int | np.ndarray

    @classmethod
    def of(cls, values: np.ndarray) -> Sample:
        """Summary of at least two values."""
        return cls(float(np.mean(values)), float(np.std(values, ddof=1)), len(values))


def cohens_d(a: Sample, b: Sample) -> float | np.ndarray:
    """Difference of means in pooled standard deviations (Cohen, 1988).

    >>> float(cohens_d(Sample(3.0, 1.0, 10), Sample(1.0, 1.0, 10)))
    2.0
    """
    return (a.mean - b.mean) / np.sqrt(((a.n - 1) * a.sd**2 + (b.n - 1) * b.sd**2) / (a.n + b.n - 2))


def cohens_d_interval(a: Sample, b: Sample, confidence: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Confidence interval of Cohen's d: noncentralities that make the observed t just credible.

    Exact for normal samples of equal variance (Cumming & Finch, 2001).

    >>> [round(float(end), 2) for end in cohens_d_interval(Sample(3.0, 1.0, 10), Sample(1.0, 1.0, 10))]
    [0.89, 3.07]
    """
    scale, tail = np.sqrt(1 / a.n + 1 / b.n), (1 - confidence) / 2
    t, freedom = cohens_d(a, b) / scale, a.n + b.n - 2
    low, high = (scipy.special.nctdtrinc(freedom, share, t) for share in (1 - tail, tail))
    return scale * low, scale * high


def difference_p(a: Sample, b: Sample) -> float | np.ndarray:
    """Two-sided p that equal means differ so much (Welch, 1947)."""
    return scipy.stats.ttest_ind_from_stats(*a, *b, equal_var=False).pvalue


def equivalence_p(a: Sample, b: Sample, margin: float) -> float | np.ndarray:
    """p that means at least ``margin`` apart look so close: two one-sided tests of Welch's (Schuirmann, 1987)."""
    return np.maximum(*(
        scipy.stats.ttest_ind_from_stats(a.mean + shift, a.sd, a.n, *b, equal_var=False, alternative=side).pvalue
        for shift, side in ((margin, "greater"), (-margin, "less"))
    ))  # fmt: skip


def adjusted(p_values: np.ndarray, method: str = "bh") -> np.ndarray:
    """p-values corrected for their number.

    Parameters
    ----------
    p_values : ndarray (n,)
    method : {"bh", "holm"}
        Benjamini & Hochberg (1995): the expected share of false discoveries stays below the level.
        Holm (1979): so does the chance of a single one.

    >>> adjusted(np.array([0.01, 0.04, 0.03]), "holm").round(4).tolist()
    [0.03, 0.06, 0.06]
    """
    p_values = np.asarray(p_values, dtype=float)
    if len(p_values) == 0:
        return p_values
    if method == "bh":
        return scipy.stats.false_discovery_control(p_values, method="bh")
    order = np.argsort(p_values, kind="stable")
    stepped = np.maximum.accumulate(p_values[order] * np.arange(len(p_values), 0, -1))
    result = np.empty_like(stepped)
    result[order] = np.minimum(stepped, 1)
    return result


def z_score(value: float, null: np.ndarray) -> float:
    """(value − mean) / population standard deviation of the null values; NaN if they vary by no more
    than rounding.

    >>> z_score(1.0, np.array([2.0, 4.0]))
    -2.0
    """
    mean, deviation = float(np.mean(null)), float(np.std(null))
    return (value - mean) / deviation if deviation > _ROUNDING * max(1, abs(mean)) else float("nan")


def p_value(value: float, null: np.ndarray) -> float:
    """One-sided p that chance gives less: (1 + #{null < value}) / (1 + #null), at least 1 / (1 + #null).

    Null values that differ from the value by no more than rounding count as less: a null model that
    changes nothing shows nothing.

    >>> p_value(1.0, np.array([2.0, 4.0, 0.5]))
    0.5
    """
    tolerance = _ROUNDING * max(1, abs(value))
    return (1 + int(np.sum(np.asarray(null) < value + tolerance))) / (1 + len(null))


def listed(values: Sequence[float]) -> str:
    """Several numbers as one text, to six digits; what is below 1e-8 is rounding.

    >>> listed([0.25, 10.0])
    '0.25 10'
    """
    return " ".join(f"{round(float(value), 8):.6g}" for value in values)


def numbers(text: str) -> np.ndarray:
    """The numbers that :func:`listed` wrote.

    >>> numbers("0.25 10").tolist()
    [0.25, 10.0]
    """
    return np.array(text.split(), dtype=float)
