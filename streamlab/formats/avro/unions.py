"""Unions of several types: each value is one of them, and must be the declared one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from streamlab.formats.avro.types import AvroType
from streamlab.formats.registered import Incompatible

_PYTHON: Mapping[type[pl.DataType], tuple[type, frozenset[str]]] = {
    pl.String: (str, frozenset(("string",))),
    pl.Binary: (bytes, frozenset(("bytes", "fixed"))),
    pl.Int64: (int, frozenset(("int", "long"))),
    pl.Float64: (float, frozenset(("float", "double"))),
}
"""What a union of several types can be read as: Python's type, and Avro's kinds."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which values of a union are read.

    Attributes:
        python: Python's type of them.
        reason: Why others are rejected.
    """

    python: type
    reason: str

    def fits(self, value: Any) -> bool:
        """Return whether a value is null or of the type that is read."""
        return value is None or type(value) is self.python


def chosen(written: AvroType, dtype: pl.DataType, name: str) -> Chosen:
    """Return which values of a union are read as a declared type.

    Raises:
        Incompatible: None of them is.
    """
    python, kinds = _PYTHON.get(type(dtype), (object, frozenset()))
    ambiguous = {"enum", "boolean"} & {one.kind for one in written.inner}
    if not kinds & {one.kind for one in written.inner} or ambiguous:
        raise Incompatible(
            f"column {name!r} is {dtype}, it is written as {written}; of such a union "
            "texts, bytes, integers or floats can be read"
        )
    reason = f"column {name!r} is {dtype}, the value is of another type of {written}"
    return Chosen(python, reason)
