"""The names of polars types in a contract file: ODCS ``logicalType``, ``physicalType``.

The logical type is what the standard knows. The physical type carries the exact polars
type, such as ``int16``; a name of another system (``varchar(18)``) leaves the choice
to the logical type.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping

import polars as pl

from streamlab.errors import near_names

LOGICAL: Mapping[str, pl.DataType] = {
    "boolean": pl.Boolean(),
    "date": pl.Date(),
    "integer": pl.Int64(),
    "number": pl.Float64(),
    "string": pl.String(),
    "time": pl.Time(),
    "timestamp": pl.Datetime("us", "UTC"),
}
"""The type of a property that has a logical type only."""

NESTED = ("array", "object")
"""Logical types that have ``items`` or ``properties``."""

PLAIN: Mapping[str, pl.DataType] = {
    "binary": pl.Binary(),
    "boolean": pl.Boolean(),
    "categorical": pl.Categorical(),
    "date": pl.Date(),
    "float32": pl.Float32(),
    "float64": pl.Float64(),
    "int8": pl.Int8(),
    "int16": pl.Int16(),
    "int32": pl.Int32(),
    "int64": pl.Int64(),
    "int128": pl.Int128(),
    "string": pl.String(),
    "time": pl.Time(),
    "uint8": pl.UInt8(),
    "uint16": pl.UInt16(),
    "uint32": pl.UInt32(),
    "uint64": pl.UInt64(),
}
"""Physical types without arguments."""

# What could only be meant as one of ours.
_OURS = re.compile(r"u?int[0-9]+|float[0-9]+|(timestamp|decimal|enum)\(.*\)")
_TIMESTAMP = re.compile(r"timestamp\((?P<unit>ms|us|ns)(?:, *(?P<zone>[^)]+))?\)")
_DECIMAL = re.compile(r"decimal\((?P<precision>[0-9]{1,2}), *(?P<scale>[0-9]{1,2})\)")
_ENUM = re.compile(r"enum\((?P<categories>\[.*\])\)")


class NotAType(ValueError):
    """A physical type that is none; the text says why."""


def physical_name(dtype: pl.DataType) -> str:
    """Return the physical type's name.

    Raises:
        NotAType: The type has no name in a contract file.
    """
    if isinstance(dtype, pl.Datetime):
        zone = f", {dtype.time_zone}" if dtype.time_zone else ""
        return f"timestamp({dtype.time_unit}{zone})"
    if isinstance(dtype, pl.Decimal):
        return f"decimal({dtype.precision}, {dtype.scale})"
    if isinstance(dtype, pl.Enum):
        return f"enum({json.dumps(dtype.categories.to_list(), ensure_ascii=False)})"
    for name, known in PLAIN.items():
        if dtype == known:
            return name
    raise NotAType(f"{dtype} has no name in a contract file")


def logical_name(dtype: pl.DataType) -> str:
    """Return the logical type's name of a type without parts."""
    if isinstance(dtype, pl.Datetime):
        return "timestamp"
    if dtype.is_integer():
        return "integer"
    if dtype.is_numeric():
        return "number"
    return next((name for name, known in LOGICAL.items() if dtype == known), "string")


def type_named(physical: str) -> pl.DataType | None:
    """Return the polars type of a physical type; None for a name of another system.

    Raises:
        NotAType: It looks like one of ours, but is none.
    """
    if physical in PLAIN:
        return PLAIN[physical]
    for pattern, build in _WITH_ARGUMENTS.items():
        found = pattern.fullmatch(physical)
        if found:
            return build(physical, found)
    if _OURS.fullmatch(physical):
        names = [*PLAIN, "timestamp(us, UTC)", "decimal(10, 2)", 'enum(["a", "b"])']
        raise NotAType(
            f"{physical!r} is no physical type: {near_names(physical, names)}"
        )
    return None


def _timestamp(physical: str, found: re.Match[str]) -> pl.DataType:
    try:
        dtype = pl.Datetime(found["unit"], found["zone"])  # type: ignore[arg-type]  # by the pattern
        pl.Series([0]).cast(dtype)
    except pl.exceptions.PolarsError as error:
        raise NotAType(f"{physical!r}: there is no such time zone") from error
    return dtype


def _decimal(physical: str, found: re.Match[str]) -> pl.DataType:
    precision, scale = int(found["precision"]), int(found["scale"])
    if not (0 < precision <= 38 and scale <= precision):  # noqa: PLR2004 -- polars' limit
        raise NotAType(f"{physical!r}: precision is 1 to 38, scale at most that")
    return pl.Decimal(precision, scale)


def _enum(physical: str, found: re.Match[str]) -> pl.DataType:
    try:
        return pl.Enum(json.loads(found["categories"]))
    except (ValueError, TypeError, pl.exceptions.PolarsError) as error:
        raise NotAType(f'{physical!r}: write enum(["a", "b"])') from error


_WITH_ARGUMENTS: Mapping[
    re.Pattern[str], Callable[[str, re.Match[str]], pl.DataType]
] = {_TIMESTAMP: _timestamp, _DECIMAL: _decimal, _ENUM: _enum}
