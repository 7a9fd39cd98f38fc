"""Names and numbers as readers see them."""

from __future__ import annotations

import math

STATES = {False: "unpruned", True: "pruned"}
"""Pruning states for readers."""


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
