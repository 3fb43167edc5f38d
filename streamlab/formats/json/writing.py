"""Frames to values: one call for all rows, each value a compact object on one line.

Written so that :mod:`streamlab.formats.json.reading` reads it back equal: times in
RFC 3339 (zoned ones in UTC with a ``Z``), binaries in base64, decimals as text.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import polars as pl

from streamlab.contracts.schema import instantiated
from streamlab.errors import RowsRefused, SchemaError
from streamlab.formats.json.dtypes import LEAVES, parts

LOCAL_TIME = "%Y-%m-%dT%H:%M:%S%.f"

FEW_ROWS = 500
"""Up to so many rows one expression is quicker than the writer of files, which is made
for many: it gives work to several threads and waits for them."""

WRITABLE = {*LEAVES, pl.Duration, pl.Null, pl.UInt128}
"""Leaf types that have a JSON form; polars writes a duration in ISO 8601."""


def encode(frame: pl.DataFrame) -> list[bytes]:
    """Encode each row as a JSON object.

    Raises:
        RowsRefused: Rows with a float that is not finite: JSON has no such number,
            and a null in its place would be another value.
        SchemaError: A column's type has no JSON form.
    """
    way = _way(tuple(frame.schema.items()))
    _refuse_rows(frame, way)
    if frame.width and frame.height <= FEW_ROWS:
        return _encode_few(frame, way)
    written = frame.with_columns(way.changed.values())
    lines = io.BytesIO()
    written.write_ndjson(lines)
    # Line ends inside of texts are escaped; the last one ends the last line.
    return lines.getvalue().split(b"\n")[:-1]


def _encode_few(frame: pl.DataFrame, way: _Way) -> list[bytes]:
    """Encode in the thread of the caller: of several expressions polars makes tasks."""
    columns = [
        frame.select(way.changed[column.name]).to_series()
        if column.name in way.changed
        else column
        for column in frame
    ]
    texts = pl.DataFrame(columns).to_struct("").struct.json_encode()
    return texts.cast(pl.Binary).to_list()


@dataclass(frozen=True, slots=True)
class _Way:
    """How frames of one schema are written.

    Attributes:
        changed: Columns that are written otherwise than polars would, by name.
        unsure: Columns that may hold a float that is not finite: where they do.
    """

    changed: Mapping[str, pl.Expr]
    unsure: Mapping[str, pl.Expr]


@lru_cache(maxsize=256)
def _way(columns: tuple[tuple[str, pl.DataType], ...]) -> _Way:
    """Return how frames with these columns are written.

    Raises:
        SchemaError: A column's type has no JSON form.
    """
    changed: dict[str, pl.Expr] = {}
    unsure: dict[str, pl.Expr] = {}
    for name, dtype in columns:
        leaves = _leaves(name, dtype)
        _refuse_types(name, leaves)
        if any(isinstance(leaf, pl.Datetime | pl.Binary) for _, leaf in leaves):
            changed[name] = _written(pl.col(name), dtype).alias(name)
        if any(leaf.is_float() for _, leaf in leaves):
            unsure[name] = _not_finite(pl.col(name), dtype)
    return _Way(changed, unsure)


def _refuse_types(name: str, leaves: Sequence[tuple[str, pl.DataType]]) -> None:
    for path, leaf in leaves:
        if type(leaf) not in WRITABLE:
            raise SchemaError(
                f"column {path!r} is {leaf}, which has no JSON form",
                hint=f"convert it: pl.col({name!r}).cast(...)",
            )


def _refuse_rows(frame: pl.DataFrame, way: _Way) -> None:
    reasons: dict[int, str] = {}
    for name, not_finite in way.unsure.items():
        rows = frame.select(not_finite).to_series()
        reason = (
            f"column {name!r} is NaN or infinite, which JSON cannot hold; "
            "make it null first, with fill_nan(None) or a condition"
        )
        reasons |= dict.fromkeys(rows.arg_true(), reason)
    if reasons:
        raise RowsRefused(dict(sorted(reasons.items())))


def _leaves(path: str, dtype: pl.DataType) -> list[tuple[str, pl.DataType]]:
    """Return the types without parts inside of a type, each with its path."""
    if isinstance(dtype, pl.Array):
        return _leaves(f"{path}[]", instantiated(dtype.inner))
    if not isinstance(dtype, pl.List | pl.Struct):
        return [(path, dtype)]
    return [
        leaf
        for place, inner in parts(dtype)
        for leaf in _leaves(f"{path}{place}", inner)
    ]


def _written(value: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    if isinstance(dtype, pl.Array):
        return _written(value.arr.to_list(), pl.List(dtype.inner))
    if isinstance(dtype, pl.List):
        return value.list.eval(_written(pl.element(), instantiated(dtype.inner)))
    if isinstance(dtype, pl.Struct):
        fields = [
            _written(value.struct.field(place[1:]), inner).alias(place[1:])
            for place, inner in parts(dtype)
        ]
        return pl.when(value.is_not_null()).then(pl.struct(fields))
    if isinstance(dtype, pl.Binary):
        return value.bin.encode("base64")
    if isinstance(dtype, pl.Datetime) and dtype.time_zone:
        return value.dt.convert_time_zone("UTC").dt.strftime(f"{LOCAL_TIME}Z")
    return value.dt.strftime(LOCAL_TIME) if isinstance(dtype, pl.Datetime) else value


def _not_finite(value: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Say for each row whether there is a float that is not finite."""
    if isinstance(dtype, pl.Array):
        return _not_finite(value.arr.to_list(), pl.List(dtype.inner))
    if isinstance(dtype, pl.List):
        inside = _not_finite(pl.element(), instantiated(dtype.inner))
        return value.list.eval(inside).list.any()
    if isinstance(dtype, pl.Struct) and dtype.fields:
        return pl.any_horizontal(
            _not_finite(value.struct.field(place[1:]), inner)
            for place, inner in parts(dtype)
        )
    return ~value.is_finite() if dtype.is_float() else pl.lit(value=False)
