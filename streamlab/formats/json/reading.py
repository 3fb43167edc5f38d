"""Values to a frame: one call for a good batch, and the culprits of a bad one.

A batch goes through ``read_ndjson`` in one call, at more than a million values a
second. That call fails as a whole for one bad value, so a batch that fails is cut
into parts, those that fail again are cut further, and small ones are judged value by
value. The cost is bounded: each value is read at most once a level, and judged once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import polars as pl

from streamlab.contracts import Schema
from streamlab.formats import Decoded, Rejection
from streamlab.formats.json import dtypes
from streamlab.formats.json.judging import (
    UNREADABLE,
    WHITESPACE,
    Fault,
    judge,
    without_mark,
)
from streamlab.formats.json.text import TextColumns, has_lone_surrogate

PARTS = 8  # how many parts a failing batch is cut into
JUDGED_ROWS = 128  # a part of this size is judged value by value
OBJECT_STARTS = b"{" + WHITESPACE


@dataclass(frozen=True, slots=True)
class Plan:
    """What follows from a schema, worked out once.

    Attributes:
        schema: The schema.
        base: What ``read_ndjson`` reads.
        texts: The columns that may hold something that was no text.
        converted: Columns whose type is not their base.
    """

    schema: Schema
    base: pl.Schema
    texts: TextColumns
    converted: dict[str, pl.DataType]


@lru_cache(maxsize=64)
def plan_of(schema: Schema) -> Plan:
    """Return the plan for a schema.

    Raises:
        SchemaError: JSON cannot carry it.
    """
    dtypes.check(schema)
    base = pl.Schema({f.name: dtypes.base_of(f.dtype) for f in schema.fields})
    converted = {f.name: f.dtype for f in schema.fields if f.dtype != base[f.name]}
    return Plan(schema, base, TextColumns.of(schema), converted)


def decode(values: Sequence[bytes | None], schema: Schema) -> Decoded:
    """Decode values into a frame of the schema, and the reasons of the others.

    Raises:
        SchemaError: JSON cannot carry the schema.
    """
    plan = plan_of(schema)
    faults: dict[int, Fault] = {}
    rows: Sequence[int] = range(len(values))
    read = _read(values, plan)
    if read is None:
        read, rows = _sift(values, range(len(values)), plan, faults)
        values = [values[row] for row in rows]
    frame = read.with_columns(
        dtypes.converted(pl.col(name), dtype).alias(name)
        for name, dtype in plan.converted.items()
    )
    # A later fault replaces an earlier one, so that the code of a value that has
    # several does not depend on what stands beside it.
    found = {
        **_missing(frame, plan),
        **_misfits(read, frame, plan),
        **_no_texts(read, values, plan),
    }
    if found:
        gone = pl.Series(found.keys(), dtype=pl.Int64)
        frame = frame.filter(~pl.int_range(pl.len()).is_in(gone.implode()))
        faults |= {rows[row]: fault for row, fault in found.items()}
    rejected = tuple(Rejection(row, *faults[row]) for row in sorted(faults))
    return Decoded(frame, rejected)


def _no_texts(
    read: pl.DataFrame, values: Sequence[bytes | None], plan: Plan
) -> dict[int, Fault]:
    """Return the faults of rows where a text column holds no text."""
    judged = {
        row: judge(values[row], plan.schema)
        for row in plan.texts.suspects(read, values)
    }
    return {row: fault for row, fault in judged.items() if fault}


def _missing(frame: pl.DataFrame, plan: Plan) -> dict[int, Fault]:
    """Return the faults of rows without a required field."""
    return {
        row: Fault("missing-field", f"required column {name!r} is missing or null")
        for name in reversed(plan.schema.required)
        if frame[name].null_count()
        for row in frame[name].is_null().arg_true()
    }


def _misfits(read: pl.DataFrame, frame: pl.DataFrame, plan: Plan) -> dict[int, Fault]:
    """Return the faults of rows in which a conversion made a value null."""
    faults: dict[int, Fault] = {}
    for name, dtype in reversed(plan.converted.items()):
        count = dtypes.nulls(pl.col(name), dtype)
        before, after = read.select(count), frame.select(count)
        lost = (before.to_series() != after.to_series()).arg_true()
        reason = f"column {name!r} is {dtype}, the value is not {dtypes.form(dtype)}"
        faults |= dict.fromkeys(lost, Fault("type-mismatch", reason))
    return faults


def _read(values: Sequence[bytes | None], plan: Plan) -> pl.DataFrame | None:
    """Return the frame of values that are all good as they are; else None."""
    if not values:
        return pl.DataFrame(schema=plan.base)
    try:
        # Of a blank value no row is made, which a value of two lines could hide.
        if not all(map(bytes.strip, values)):  # type: ignore[arg-type]  # see except
            return None
        joined = b"\n".join(values)  # type: ignore[arg-type]  # see except
        # Polars would undo the compression of a batch that begins as gzip, zlib or
        # Zstandard do, and read what nobody wrote.
        if joined[0] not in OBJECT_STARTS:
            return None
        frame = pl.read_ndjson(joined, schema=plan.base)
    except (TypeError, pl.exceptions.PolarsError):  # a tombstone, or a bad value
        return None
    if frame.height != len(values) or has_lone_surrogate(joined):
        return None
    return frame


def _sift(
    values: Sequence[bytes | None],
    rows: range,
    plan: Plan,
    faults: dict[int, Fault],
) -> tuple[pl.DataFrame, Sequence[int]]:
    """Read what can be read of a failing batch, and note the faults of the rest.

    Returns:
        The frame, and the row of the batch that each of its rows is.
    """
    if len(rows) <= JUDGED_ROWS:
        return _judge_each(values, rows, plan, faults)
    size = -(-len(rows) // PARTS)
    frames: list[pl.DataFrame] = []
    kept: list[int] = []
    for start in range(0, len(rows), size):
        cut = rows[start : start + size]
        part = _read(values[cut.start : cut.stop], plan)
        if part is None:
            part, part_kept = _sift(values, cut, plan, faults)
            kept.extend(part_kept)
        else:
            kept.extend(cut)
        frames.append(part)
    return pl.concat(frames), kept


def _judge_each(
    values: Sequence[bytes | None],
    rows: range,
    plan: Plan,
    faults: dict[int, Fault],
) -> tuple[pl.DataFrame, Sequence[int]]:
    good: dict[int, bytes] = {}
    for row in rows:
        value = values[row]
        fault = judge(value, plan.schema)
        if fault or value is None:
            faults[row] = fault or UNREADABLE
        else:
            good[row] = _on_one_line(value)
    frame = _read(list(good.values()), plan)
    if frame is not None:
        return frame, list(good)
    read = {row: _read([value], plan) for row, value in good.items()}
    faults.update({row: UNREADABLE for row, one in read.items() if one is None})
    frames = {row: one for row, one in read.items() if one is not None}
    empty = pl.DataFrame(schema=plan.base)
    return pl.concat([empty, *frames.values()]), list(frames)


def _on_one_line(value: bytes) -> bytes:
    """Write valid JSON without line ends: outside of strings they are whitespace."""
    return without_mark(value).replace(b"\n", b" ")
