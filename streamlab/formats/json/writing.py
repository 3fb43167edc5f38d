"""Frames to values: one call for all rows, each value a compact object on one line.

Written so that :mod:`streamlab.formats.json.reading` reads it back equal: times in
RFC 3339 (zoned ones in UTC with a ``Z``), binaries in base64, decimals as text.
"""

from __future__ import annotations

import io

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
    _refuse_types(frame.schema)
    _refuse_rows(frame)
    changed = {
        name: _written(pl.col(name), dtype).alias(name)
        for name, dtype in frame.schema.items()
        if _changes(dtype)
    }
    if frame.width and frame.height <= FEW_ROWS:
        columns = [changed.get(name, pl.col(name)) for name in frame.columns]
        texts = frame.select(pl.struct(columns).struct.json_encode()).to_series()
        return texts.cast(pl.Binary).to_list()
    written = frame.with_columns(changed.values())
    lines = io.BytesIO()
    written.write_ndjson(lines)
    # Line ends inside of texts are escaped; the last one ends the last line.
    return lines.getvalue().split(b"\n")[:-1]


def _refuse_types(schema: pl.Schema) -> None:
    for name, dtype in schema.items():
        for path, leaf in _leaves(name, dtype):
            if type(leaf) not in WRITABLE:
                raise SchemaError(
                    f"column {path!r} is {leaf}, which has no JSON form",
                    hint=f"convert it: pl.col({name!r}).cast(...)",
                )


def _refuse_rows(frame: pl.DataFrame) -> None:
    reasons: dict[int, str] = {}
    for name, dtype in frame.schema.items():
        if any(leaf.is_float() for _, leaf in _leaves(name, dtype)):
            rows = frame.select(_not_finite(pl.col(name), dtype)).to_series()
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


def _changes(dtype: pl.DataType) -> bool:
    """Say whether polars would write a type otherwise than the reader wants it."""
    changed = (pl.Datetime, pl.Binary)
    return any(isinstance(leaf, changed) for _, leaf in _leaves("", dtype))


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
