"""The strict decision on one value: does it decode, does it fit, and if not, why.

Slow and exact: only values that the fast reader refuses, or that could be something
else than they look like, come here. A reason names columns and types, never a value.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson
import polars as pl

from streamlab.contracts import Schema
from streamlab.formats import framing
from streamlab.formats.json.dtypes import leaf_of, parts

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
WHITESPACE = b" \t\r\n"  # RFC 8259 section 2, and no other

# What the reader holds before it looks at the column's type.
SMALLEST_INTEGER, LARGEST_INTEGER = -(2**127), 2**128 - 1

INTEGER_RANGES: dict[pl.DataType, tuple[int, int]] = {
    pl.Int32(): (-(2**31), 2**31 - 1),
    pl.Int64(): (-(2**63), 2**63 - 1),
    pl.Int128(): (-(2**127), 2**127 - 1),
    pl.UInt32(): (0, 2**32 - 1),
    pl.UInt64(): (0, 2**64 - 1),
}


class Fault(NamedTuple):
    """Why a value is rejected; see :class:`streamlab.formats.Rejection`."""

    code: str
    reason: str


TOMBSTONE = Fault("tombstone", "the event has no value (a tombstone)")
EMPTY = Fault("empty-value", "the value is empty, or whitespace only")
UNREADABLE = Fault("not-json", "the value is beyond what the JSON reader can hold")


class NotJson(ValueError):
    """The value is not JSON, or beyond what can be held; the text is the reason."""


def without_mark(value: bytes) -> bytes:
    """Return the value without a byte order mark, which RFC 8259 8.1 lets us ignore."""
    return value.removeprefix(BYTE_ORDER_MARK)


def parse(value: bytes) -> Any:
    """Return what a value holds; of a key that is there twice, the first.

    The first, because that is the one that polars' reader takes.

    Raises:
        NotJson: It is not JSON, or it has a number that nothing can hold.
    """
    try:
        last_wins = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise NotJson(f"not JSON: {error.msg} at character {error.pos}") from None
    try:
        return json.loads(value, object_pairs_hook=_first_wins, parse_int=_integer)
    except RecursionError:
        # Deeper than Python's parser goes, but not than polars and orjson do (1,024
        # levels both): the answers differ only for a key that is there twice.
        return last_wins


def judge(value: bytes | None, schema: Schema) -> Fault | None:
    """Return why a value is rejected; None when the fast reader may have it.

    Whether a text converts to the declared type, and whether a required field is
    there, is left to the vectorised checks: they see all rows.
    """
    if value is None:
        return TOMBSTONE
    text = without_mark(value)
    if not text.strip(WHITESPACE):
        return EMPTY
    try:
        found = parse(text)
    except NotJson as error:
        return _unread(value, error)
    if not isinstance(found, dict):
        reason = f"the value is {_kind(found)}, not an object"
        return Fault("not-an-object", reason)
    for field in schema.fields:
        reason = misfit(found.get(field.name), field.dtype, field.name)
        if reason:
            return Fault("type-mismatch", reason)
    return None


def _unread(value: bytes, error: NotJson) -> Fault:
    """Return why a value is no JSON: what it is instead, if its first bytes tell."""
    framed = framing.recognised(value)
    if framed is None:
        return Fault("not-json", str(error))
    return Fault(framed.code, framed.reason)


def misfit(found: Any, dtype: pl.DataType, path: str) -> str:
    """Return why a parsed value does not fit the base of a type; empty if it does."""
    if found is None:
        return ""
    if isinstance(dtype, pl.List) and isinstance(found, list):
        [(place, inner)] = parts(dtype)
        return _first(misfit(each, inner, path + place) for each in found)
    if isinstance(dtype, pl.Struct) and isinstance(found, dict):
        return _first(
            misfit(found.get(place[1:]), inner, path + place)
            for place, inner in parts(dtype)
        )
    if not isinstance(dtype, pl.List | pl.Struct) and _leaf_fits(found, dtype):
        return ""
    return f"column {path!r} is {dtype}, the value has {_kind(found, dtype)}"


def _first(reasons: Any) -> str:
    return next(filter(None, reasons), "")


def _leaf_fits(found: Any, dtype: pl.DataType) -> bool:
    base = leaf_of(dtype).base
    if isinstance(found, bool):
        return base == pl.Boolean()
    if isinstance(found, str):
        return base == pl.String()
    if base == pl.Float64():
        return isinstance(found, int | float)
    if isinstance(found, int) and base in INTEGER_RANGES:
        low, high = INTEGER_RANGES[base]
        return low <= found <= high
    return False


def _kind(found: Any, dtype: pl.DataType | None = None) -> str:
    if isinstance(found, bool):
        return "true or false"
    if isinstance(found, int):
        integer = dtype is not None and dtype.is_integer()
        return "an integer out of its range" if integer else "an integer"
    names = {
        float: "a number with a fraction or exponent",
        str: "a string",
        list: "an array",
        dict: "an object",
    }
    return names.get(type(found), "null")


def _first_wins(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    return found if len(found) == len(pairs) else dict(reversed(pairs))


def _integer(digits: str) -> int:
    number = int(digits)
    if not SMALLEST_INTEGER <= number <= LARGEST_INTEGER:
        raise NotJson("it has an integer of more than 128 bits")
    return number
