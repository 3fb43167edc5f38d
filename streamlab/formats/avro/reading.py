"""Values of one writer schema to a frame: one call for a good batch.

All values go into one block of an object container file, which polars reads at a
million values a second. Behind each one stands a *seal*, random bytes and the number
of the row: a value that is shorter or longer than its schema says would shift all that
follow, and shows by the seal not being where it belongs. A batch that fails is cut
into parts; small ones are judged value by value by fastavro, which also reads the
schemas that polars cannot.

Source: https://avro.apache.org/docs/1.12.0/specification/#object-container-files
"""

from __future__ import annotations

import io
import itertools
import json
import os
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import fastavro
import polars as pl

from streamlab.contracts import Schema
from streamlab.formats import wire
from streamlab.formats.avro.logical import Conversion
from streamlab.formats.avro.physical import (
    Physical,
    branches,
    has_unions,
    place,
    raw_dtype,
)
from streamlab.formats.avro.resolving import (
    conversion,
    field_of,
    misfit_of,
)
from streamlab.formats.avro.types import AvroType, NotAvro
from streamlab.formats.avro.unions import Chosen, chosen
from streamlab.formats.registered import Faults, Incompatible

PARTS = 16  # how many parts a failing batch is cut into
JUDGED_ROWS = 1024  # a part of this size is judged value by value

HEAD, SEAL = "head", "seal"
SYNC = bytes(16)
SEAL_BYTES = 12
_NONCE = os.urandom(8)  # nobody who writes into a topic can foresee a seal

Default = Callable[[pl.DataType], pl.Expr]


class Reading:
    """Reads values of one record type as the declared schema.

    Args:
        number: Id of the writer's schema, for reasons.
        written: The record in the writer's schema.
        reader: The record in the reader's schema, where there is one.
        defaults: Column → the value of the reader's default, as a literal.
        schema: The declared schema.
        head_bytes: What stands before the body in each value.

    Raises:
        Incompatible: The one cannot be read as the other.
    """

    def __init__(
        self,
        number: int,
        written: AvroType,
        schema: Schema,
        *,
        reader: AvroType | None = None,
        defaults: Mapping[str, pl.Expr] | None = None,
        head_bytes: int = wire.HEADER_BYTES,
    ) -> None:
        self._number = number
        self._written = written
        self._schema = schema
        self._head_bytes = head_bytes
        self._values: dict[str, pl.Expr] = {}
        self._conversions: dict[str, tuple[pl.Expr, Conversion]] = {}
        self._chosen: dict[str, Chosen] = {}
        self._raw: dict[str, pl.DataType] = {}
        self._writer_types: dict[str, AvroType] = {}
        for field in schema.fields:
            self._plan(field.name, field.dtype, reader, defaults or {})
        self._fast = not has_unions(written)
        self._container = self._container_head()
        self._judging = fastavro.parse_schema(Physical().schema(written))

    def __call__(self, values: Sequence[bytes]) -> tuple[pl.DataFrame, Faults]:
        """Return the frame of the good values, and the faults of the others."""
        faults: dict[int, tuple[str, str]] = {}
        frames: list[pl.DataFrame] = []
        rows = self._sift(values, range(len(values)), frames, faults)
        raw = pl.concat(frames) if len(frames) != 1 else frames[0]
        misfits = misfit_of(self._conversions)
        if misfits:
            found = raw.select(pl.any_horizontal(misfits.values())).to_series()
            if found.any():
                bad = raw.filter(found).select(**misfits)
                at = found.arg_true().to_list()
                faults.update(
                    (rows[row], self._misfit(flags))
                    for row, flags in zip(at, bad.iter_rows(named=True), strict=True)
                )
                raw = raw.filter(~found)
        # Not by `select`: without a column of the writer's it would make one row.
        frame = raw.with_columns(**self._values).select(self._schema.dtypes.names())
        return frame, faults

    def _plan(
        self,
        name: str,
        dtype: pl.DataType,
        reader: AvroType | None,
        defaults: Mapping[str, pl.Expr],
    ) -> None:
        """Decide how one column is read."""
        index, field, wanted = field_of(self._written, name, reader)
        if field is None or field.type.takes_no_bytes:
            self._values[name] = defaults.get(name, pl.lit(None)).cast(dtype)
            return
        raw = pl.col(place(index))
        self._writer_types[name] = field.type
        if len(branches(field.type)) > 1:
            self._chosen[place(index)] = chosen(field.type, dtype, name)
            self._raw[place(index)] = dtype
            self._values[name] = raw
            return
        made = conversion(field.type, dtype, name, wanted.type if wanted else None)
        try:
            self._raw[place(index)] = raw_dtype(field.type)
        except NotAvro as error:
            raise Incompatible(f"column {name!r}: {error}") from error
        self._values[name] = made.value(raw)
        self._conversions[name] = (raw, made)

    def _misfit(self, flags: Mapping[str, bool]) -> tuple[str, str]:
        name = next(name for name, bad in flags.items() if bad)
        dtype, written = self._schema.dtypes[name], self._writer_types[name]
        reason = (
            f"column {name!r} is {dtype}, the value is written as {written} and does "
            "not fit"
        )
        return ("type-mismatch", reason)

    def _sift(
        self,
        values: Sequence[bytes],
        rows: range,
        frames: list[pl.DataFrame],
        faults: dict[int, tuple[str, str]],
    ) -> list[int]:
        """Read what can be read, and note the faults of the rest.

        Returns:
            The row of the batch that each row of the frames is.
        """
        frame = self._read(values[rows.start : rows.stop]) if self._fast else None
        if frame is not None:
            frames.append(frame)
            return list(rows)
        if self._fast and len(rows) > JUDGED_ROWS:
            size = -(-len(rows) // PARTS)
            cuts = [rows[start : start + size] for start in range(0, len(rows), size)]
            return [
                row for cut in cuts for row in self._sift(values, cut, frames, faults)
            ]
        kept, found = self._judge_each(values, rows, faults)
        if self._fast and len(kept) < len(rows):
            frame = self._read([values[row] for row in kept])
        frames.append(self._frame(found) if frame is None else frame)
        return kept

    def _read(self, values: Sequence[bytes]) -> pl.DataFrame | None:
        """Return the frame of values that are all good; else None."""
        count = len(values)
        seals, expected = _seals(max(1, count - 1).bit_length())
        data = b"".join(itertools.chain.from_iterable(zip(values, seals, strict=False)))
        container = b"".join(
            (self._container, _long(count), _long(len(data)), data, SYNC)
        )
        if not count:
            return self._frame([])
        try:
            frame = pl.read_avro(io.BytesIO(container), columns=[*self._raw, SEAL])
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError):
            return None
        if frame.height != count or not (frame[SEAL] == expected.head(count)).all():
            return None
        return frame

    def _judge_each(
        self,
        values: Sequence[bytes],
        rows: range,
        faults: dict[int, tuple[str, str]],
    ) -> tuple[list[int], list[dict[str, Any]]]:
        """Return the rows that decode, and what they hold."""
        kept: list[int] = []
        found: list[dict[str, Any]] = []
        for row in rows:
            try:
                found.append(self._judge(values[row]))
            except _Fault as fault:
                faults[row] = (fault.code, str(fault))
            else:
                kept.append(row)
        return kept, found

    def _judge(self, value: bytes) -> dict[str, Any]:
        """Return the raw values of the wanted fields.

        Raises:
            _Fault: The value does not decode, or does not fit.
        """
        body = io.BytesIO(value)
        body.seek(self._head_bytes)
        try:
            record: Any = fastavro.schemaless_reader(body, self._judging, None)
        except Exception as error:  # noqa: BLE001 -- fastavro lets through whatever a bad value causes
            reason = f"the value is not what its schema {self._number} says"
            raise _Fault("not-avro", f"{reason} ({type(error).__name__})") from None
        left = len(value) - body.tell()
        if left:
            reason = f"the value has {left} bytes more than its schema says"
            raise _Fault("not-avro", f"{reason} (schema {self._number})")
        for name, choice in self._chosen.items():
            if not choice.fits(record[name]):
                raise _Fault("type-mismatch", choice.reason)
        return {name: record[name] for name in self._raw}

    def _frame(self, found: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
        """Return what was read value by value as polars would have read it."""
        columns = {
            name: pl.Series([one[name] for one in found], dtype=dtype)
            for name, dtype in self._raw.items()
        }
        seals = pl.Series([None] * len(found), dtype=pl.Binary)
        return pl.DataFrame({**columns, SEAL: seals})

    def _container_head(self) -> bytes:
        """Return the head of the container file with the physical schema."""
        physical = Physical()
        record = physical.schema(self._written)
        ends = {
            HEAD: physical.fixed(self._head_bytes),
            SEAL: physical.fixed(SEAL_BYTES),
        }
        [head, seal] = [{"name": name, "type": ends[name]} for name in ends]
        record["fields"] = [head, *record["fields"], seal]
        schema = json.dumps(record).encode()
        key = b"avro.schema"
        meta = b"".join((_long(1), _long(len(key)), key, _long(len(schema)), schema))
        return b"Obj\x01" + meta + _long(0) + SYNC


class BranchReading:
    """Reads values of a schema that is a union of records.

    Args:
        branches: How each branch is read; None for null.
    """

    def __init__(
        self, number: int, readings: Sequence[Reading | Incompatible], schema: Schema
    ) -> None:
        self._number = number
        self._readings = readings
        self._schema = schema

    def __call__(self, values: Sequence[bytes]) -> tuple[pl.DataFrame, Faults]:
        """Return the frame of the good values, and the faults of the others."""
        rows: dict[int, list[int]] = {}
        for row, value in enumerate(values):
            rows.setdefault(_branch(value), []).append(row)
        faults: dict[int, tuple[str, str]] = {}
        frames, kept = [self._schema.empty()], []
        for branch, its in rows.items():
            reading = self._of(branch)
            if isinstance(reading, Incompatible):
                faults |= dict.fromkeys(its, ("incompatible-schema", str(reading)))
                continue
            frame, found = reading([values[row] for row in its])
            frames.append(frame)
            kept += [row for at, row in enumerate(its) if at not in found]
            faults |= {its[at]: fault for at, fault in found.items()}
        order = pl.Series(kept, dtype=pl.UInt32).arg_sort()
        return pl.concat(frames)[order], faults

    def _of(self, branch: int) -> Reading | Incompatible:
        if 0 <= branch < len(self._readings):
            return self._readings[branch]
        return Incompatible(f"schema {self._number} has no branch of that number")


class _Fault(Exception):
    """A value is rejected; the text is the reason."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


def _branch(value: bytes) -> int:
    """Return the number of the branch that a value begins with; -1 for none."""
    first = value[wire.HEADER_BYTES] if len(value) > wire.HEADER_BYTES else 1
    return first >> 1 if first < 0x80 and not first & 1 else -1  # noqa: PLR2004 -- one byte of a zigzag number


@lru_cache(maxsize=32)
def _seals(bits: int) -> tuple[list[bytes], pl.Series]:
    """Return two to the power of ``bits`` seals."""
    size = SEAL_BYTES - len(_NONCE)
    seals = [_NONCE + number.to_bytes(size, "big") for number in range(1 << bits)]
    return seals, pl.Series(SEAL, seals, dtype=pl.Binary)


def _long(number: int) -> bytes:
    """Return a number that is not negative as Avro writes a long."""
    left = number << 1
    written = bytearray()
    while left > 0x7F:  # noqa: PLR2004 -- seven bits a byte
        written.append((left & 0x7F) | 0x80)
        left >>= 7
    written.append(left)
    return bytes(written)
