"""Dataclasses whose equal values have equal keys."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

_KINDS = {"float": float, "int": int, "bool": bool}
_LARGEST = 2**53  # up to here every whole number is a float


def as_declared(record: Any) -> None:
    """Give the numbers of a frozen dataclass the types of its fields: 1 is stored as 1.0 where a float is meant.

    The two are equal in Python and not in JSON, from which keys are made. A number that the type cannot hold
    exactly stays as it is.
    """
    for field in fields(record):
        kind, value = _KINDS.get(field.type.removesuffix(" | None")), getattr(record, field.name)
        if kind and isinstance(value, (int, float)) and abs(value) <= _LARGEST and kind(value) == value:
            object.__setattr__(record, field.name, kind(value))
