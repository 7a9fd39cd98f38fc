"""Significance: a value among null values, two samples by their summaries, many p-values at once."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import numpy as np
import scipy.stats
from numpy.typing import ArrayLike

_ROUNDING = 1e-12  # relative size of what n-cuts of the same graph and labels differ by


class Sample(NamedTuple):
    """Mean, sample standard deviation and size of a sample, or arrays of those of several."""

    mean: Any
    sd: Any
    n: Any

    @classmethod
    def of(cls, values: np.ndarray) -> Self:
        """Summary of at least two values."""
        return cls(np.mean(values), np.std(values, ddof=1), len(values))


def cohens_d(a: Sample, b: Sample) -> np.ndarray:
    """Difference of means in pooled standard deviations (Cohen, 1988)."""
    return (a.mean - b.mean) / np.sqrt(((a.n - 1) * a.sd**2 + (b.n - 1) * b.sd**2) / (a.n + b.n - 2))


def difference_interval(a: Sample, b: Sample, confidence: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Confidence interval of the difference of means, whatever the variances (Welch, 1947)."""
    parts = np.array([a.sd**2 / a.n, b.sd**2 / b.n])
    freedom = parts.sum(0) ** 2 / (parts[0] ** 2 / (a.n - 1) + parts[1] ** 2 / (b.n - 1))
    reach = scipy.stats.t.ppf((1 + confidence) / 2, freedom) * np.sqrt(parts.sum(0))
    return a.mean - b.mean - reach, a.mean - b.mean + reach


def difference_p(a: Sample, b: Sample, alternative: str = "two-sided") -> np.ndarray:
    """p that equal means differ so much, or that much to one side: "greater", "less" (Welch, 1947)."""
    return scipy.stats.ttest_ind_from_stats(*a, *b, equal_var=False, alternative=alternative).pvalue


def less_p(a: Sample, b: Sample) -> float:
    """p that a mean not below the other looks so far below it (Welch, 1947); a number is a sample without spread.

    Where neither sample varies, the chance that order alone parts them, 1 / (n + m choose n), or that all values fall
    on one side of a number, 1 / 2ⁿ; NaN where nothing tells a spread.

    >>> zero, half = Sample(0.0, 0.0, 5), Sample(0.5, 0.0, float("inf"))
    >>> less_p(zero, half), less_p(half, zero)
    (0.03125, 1.0)
    """
    if a.sd == b.sd == 0:
        n, m = sorted((a.n, b.n))
        by_chance = 0.5**n if math.isinf(m) else 1 / math.comb(int(n + m), int(n))
        return by_chance if a.mean < b.mean else 1.0
    return float(difference_p(a, b, "less"))


def one_more_p(value: float, sample: Sample) -> float:
    """p that one more value of the sample's kind is as far from its mean (Student's t); NaN without spread."""
    if not sample.sd > 0:
        return math.nan
    reach = sample.sd * math.sqrt(1 + 1 / sample.n)
    return float(2 * scipy.stats.t.sf(abs(value - sample.mean) / reach, sample.n - 1))


def spread_p(a: Sample, b: Sample) -> np.ndarray:
    """p that a standard deviation not above the other looks so far above it (F-test); NaN of single networks."""
    return scipy.stats.f.sf(np.square(a.sd) / np.square(b.sd), a.n - 1, b.n - 1)


def fewer_p(k: int, n: int, other_k: int, other_n: int) -> float:
    """p that k of n are as few beside others' share only by chance (Fisher's exact test)."""
    return float(scipy.stats.fisher_exact([[k, n - k], [other_k, other_n - other_k]], alternative="less").pvalue)


def share_interval(k: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Exact confidence interval of the share that k of n are a sample of (Clopper & Pearson, 1934).

    >>> low, high = share_interval(5, 5)
    >>> round(low, 3), high
    (0.478, 1.0)
    """
    interval = scipy.stats.binomtest(int(k), int(n)).proportion_ci(confidence, "exact")
    return float(interval.low), float(interval.high)


def equivalence_p(a: Sample, b: Sample, margin: float | np.ndarray) -> np.ndarray:
    """p that means at least ``margin`` apart look so close: two one-sided tests (Schuirmann, 1987), Welch's."""
    high, low = a._replace(mean=a.mean + margin), a._replace(mean=a.mean - margin)
    return np.maximum(difference_p(high, b, "greater"), difference_p(low, b, "less"))


def adjusted(p_values: ArrayLike, method: str = "bh") -> np.ndarray:
    """p-values (n,) corrected for their number: the expected share of false discoveries stays below the level
    ("bh": Benjamini & Hochberg, 1995), or so does the chance of a single one ("holm": Holm, 1979)."""
    p_values = np.asarray(p_values, dtype=float)
    if method == "bh":
        return scipy.stats.false_discovery_control(p_values, method="bh")
    order = np.argsort(p_values, kind="stable")
    stepped = np.maximum.accumulate(p_values[order] * np.arange(len(p_values), 0, -1))
    return np.minimum(stepped, 1)[np.argsort(order)]


def z_score(value: float, null: np.ndarray) -> float:
    """(value − mean) / population standard deviation of the null values; NaN if they vary by rounding only."""
    mean, deviation = float(np.mean(null)), float(np.std(null))
    return (value - mean) / deviation if deviation > _ROUNDING * max(1, abs(mean)) else float("nan")


def p_value(value: float, null: np.ndarray) -> float:
    """One-sided p that chance gives less: (1 + #{null < value}) / (1 + #null). Null values that differ from the
    value by rounding only count as less: a null model that changes nothing shows nothing."""
    tolerance = _ROUNDING * max(1, abs(value))
    return (1 + int(np.sum(np.asarray(null) < value + tolerance))) / (1 + len(null))


def listed(values: Sequence[float]) -> str:
    """Several numbers as one text, to six digits, "0.25 10"; what is below 1e-8 is rounding."""
    return " ".join(f"{round(float(value), 8):.6g}" for value in values)


def numbers(text: str) -> np.ndarray:
    """The numbers (n,) of float64 that :func:`listed` wrote."""
    return np.array(text.split(), dtype=float)
