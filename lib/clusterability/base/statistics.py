"""Two samples compared by their summaries: how far apart, how surely, and whether they are equivalent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.optimize
import scipy.stats


@dataclass(frozen=True)
class Sample:
    """Mean, sample standard deviation and size of a sample."""

    mean: float
    sd: float
    n: int

    @classmethod
    def of(cls, values: np.ndarray) -> Sample:
        """Summary of at least two values."""
        values = np.asarray(values, dtype=float)
        return cls(float(values.mean()), float(values.std(ddof=1)), len(values))


def pooled_sd(a: Sample, b: Sample) -> float:
    """Square root of the variances' mean, weighted by degrees of freedom."""
    return float(np.sqrt(((a.n - 1) * a.sd**2 + (b.n - 1) * b.sd**2) / (a.n + b.n - 2)))


def cohens_d(a: Sample, b: Sample) -> float:
    """Difference of means in pooled standard deviations (Cohen, 1988).

    >>> cohens_d(Sample(3.0, 1.0, 10), Sample(1.0, 1.0, 10))
    2.0
    """
    return (a.mean - b.mean) / pooled_sd(a, b)


def cohens_d_interval(a: Sample, b: Sample, confidence: float = 0.95) -> tuple[float, float]:
    """Confidence interval of Cohen's d: noncentralities that make the observed t just credible.

    Exact for normal samples of equal variance (Cumming & Finch, 2001).

    >>> low, high = cohens_d_interval(Sample(3.0, 1.0, 10), Sample(1.0, 1.0, 10))
    >>> round(low, 2), round(high, 2)
    (0.89, 3.07)
    """
    scale = float(np.sqrt(1 / a.n + 1 / b.n))
    freedom = a.n + b.n - 2
    t = cohens_d(a, b) / scale
    tail = (1 - confidence) / 2

    def bound(share: float, direction: int) -> float:
        def excess(noncentrality: float) -> float:
            return scipy.stats.nct.cdf(t, freedom, noncentrality) - share

        # Outwards from t: far beyond the bound, the distribution function loses its digits.
        step = 1 + abs(t) * scipy.stats.norm.isf(tail) / np.sqrt(2 * freedom)
        outer = t + direction * step
        while excess(outer) * direction > 0:
            outer += direction * step
        return scale * float(scipy.optimize.brentq(excess, t - direction * step, outer))

    return bound(1 - tail, -1), bound(tail, 1)


def difference_p(a: Sample, b: Sample) -> float:
    """Two-sided p that equal means differ so much (Welch, 1947)."""
    return float(scipy.stats.ttest_ind_from_stats(a.mean, a.sd, a.n, b.mean, b.sd, b.n, equal_var=False).pvalue)


def equivalence_p(a: Sample, b: Sample, margin: float) -> float:
    """p that means at least ``margin`` apart look so close: two one-sided tests (Schuirmann, 1987),
    Welch's."""
    error_a, error_b = a.sd**2 / a.n, b.sd**2 / b.n
    error = np.sqrt(error_a + error_b)
    freedom = (error_a + error_b) ** 2 / (error_a**2 / (a.n - 1) + error_b**2 / (b.n - 1))
    difference = a.mean - b.mean
    lower = scipy.stats.t.sf((difference + margin) / error, freedom)
    upper = scipy.stats.t.cdf((difference - margin) / error, freedom)
    return float(max(lower, upper))


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


_ROUNDING = 1e-12  # relative size of what n-cuts of the same graph and labels differ by


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


def numbers(text: str | np.ndarray) -> np.ndarray:
    """The numbers that :func:`listed` wrote.

    >>> numbers("0.25 10").tolist()
    [0.25, 10.0]
    """
    return np.array(text.split(), dtype=float) if isinstance(text, str) else text
