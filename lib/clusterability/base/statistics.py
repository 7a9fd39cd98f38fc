"""Significance: a value among null values, two samples by their summaries, many p-values at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.special
import scipy.stats
from numpy.typing import ArrayLike

_ROUNDING = 1e-12  # relative size of what n-cuts of the same graph and labels differ by
Summary = tuple[ArrayLike, ArrayLike, ArrayLike]  # mean, sample standard deviation and size; arrays: of many samples


def summary(values: ArrayLike) -> Summary:
    """Mean, sample standard deviation and number of at least two values."""
    return np.mean(values), np.std(values, ddof=1), len(values)


def cohens_d(a: Summary, b: Summary) -> np.ndarray:
    """Difference of means in pooled standard deviations (Cohen, 1988)."""
    (mean_a, sd_a, n_a), (mean_b, sd_b, n_b) = (map(np.asarray, sample) for sample in (a, b))
    return (mean_a - mean_b) / np.sqrt(((n_a - 1) * sd_a**2 + (n_b - 1) * sd_b**2) / (n_a + n_b - 2))


def cohens_d_interval(a: Summary, b: Summary, confidence: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Confidence interval of Cohen's d: noncentralities that make the observed t just credible, exact for
    normal samples of equal variance (Cumming & Finch, 2001)."""
    n_a, n_b = np.asarray(a[2]), np.asarray(b[2])
    scale, tail = np.sqrt(1 / n_a + 1 / n_b), (1 - confidence) / 2
    t = cohens_d(a, b) / scale
    return tuple(scale * scipy.special.nctdtrinc(n_a + n_b - 2, share, t) for share in (1 - tail, tail))


def welch_p(a: Summary, b: Summary, alternative: str = "two-sided") -> np.ndarray:
    """p that equal means differ so much, or that much to one side: "greater", "less" (Welch, 1947)."""
    return scipy.stats.ttest_ind_from_stats(*a, *b, equal_var=False, alternative=alternative).pvalue


def equivalence_p(a: Summary, b: Summary, margin: float) -> np.ndarray:
    """p that means at least ``margin`` apart look so close: two one-sided tests (Schuirmann, 1987), Welch's."""
    mean, *rest = a
    return np.maximum(welch_p((mean + margin, *rest), b, "greater"), welch_p((mean - margin, *rest), b, "less"))


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
