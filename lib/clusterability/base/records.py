"""Dataclasses whose equal values have equal keys."""

from functools import cache
from typing import get_type_hints

_LARGEST = 2**53  # up to here every whole number is a float


@cache
def _kinds(record_type: type) -> dict[str, type]:
    hints = get_type_hints(record_type).items()
    return {name: kind for name, hint in hints for kind in (float, int, bool) if hint in (kind, kind | None)}


def as_declared(record: object) -> None:
    """Give the numbers of a frozen dataclass the types of its fields: 1 is stored as 1.0 where a float is meant.

    The two are equal in Python and not in JSON, from which keys are made. A number that the type cannot hold
    exactly stays as it is.
    """
    for name, kind in _kinds(type(record)).items():  # type: ignore[arg-type]  # mypy: classes are not Hashable
        value = getattr(record, name)
        if isinstance(value, (int, float)) and abs(value) <= _LARGEST and kind(value) == value:
            object.__setattr__(record, name, kind(value))
