"""Names and numbers as readers see them: a column's heading, its published counterpart, a mean and its spread."""

import math
from typing import NamedTuple

STATES = {False: "unpruned", True: "pruned"}


class Column(NamedTuple):
    """What readers call a column of rows."""

    heading: str
    published: str = ""  # stem of its columns in data/published.csv; "": nobody published it

    @property
    def factor(self) -> int:
        """What its numbers are multiplied by for readers."""
        return 100 if self.heading.endswith(", %") else 1

    @property
    def in_text(self) -> str:
        """Its name within a sentence."""
        return self.heading.replace(", %", " in %")


_COLUMNS = {
    "ncut": Column("n-cut", "ncut"),
    "shuffled_mean": Column("shuffled n-cut", "shuffled_ncut"),
    "z": Column("z", "z"),
    "p": Column("p", "p"),
    "released_ncut": Column("n-cut as released", "ncut"),
    "released_z": Column("z as released", "z"),
    "difference_of_ncuts": Column("difference of n-cuts"),
    "largest_volume": Column("volume in the largest cluster, %"),
    "largest_neurons": Column("neurons in the largest cluster, %"),
    "small_weights": Column("small weights, %"),
    "test_accuracy": Column("test accuracy, %", "test_accuracy"),
    "train_accuracy": Column("training accuracy, dropout off, %"),
    "running_train_accuracy": Column("training accuracy, %", "train_accuracy"),
    "penalized_test_loss": Column("test loss", "test_loss"),
    "d": Column("Cohen's d"),
}


def column(name: str) -> Column:
    """What readers call a column; of one without an entry here, its name without underscores.

    >>> column("ncut").heading, column("effective_clusters").heading, column("test_accuracy").in_text
    ('n-cut', 'effective clusters', 'test accuracy in %')
    """
    return _COLUMNS.get(name, Column(name.replace("_", " ")))


def spread(mean: float, sd: float = math.nan, digits: int = 2) -> str:
    """Mean ± standard deviation, in one line however narrow the column, without decimals beyond 200; a dash where
    there is no mean.

    >>> spread(-9.67, 1.214) == "−9.67\\N{NO-BREAK SPACE}±\\N{NO-BREAK SPACE}1.21", spread(float("nan")), spread(1.0)
    (True, '–', '1.00')
    """
    if math.isnan(mean):
        return "–"
    digits = 0 if mean > 200 else digits
    text = f"{mean:.{digits}f}" if math.isnan(sd) else f"{mean:.{digits}f} ± {sd:.{digits}f}"
    return text.replace("-", "−").replace(" ", "\N{NO-BREAK SPACE}")
