"""What Avro, Protobuf and JSON Schema share: a batch, part by part of one schema.

The schema that a value was written with comes from the registry; the one it is read
as is the declared one. Each format decides whether the first can be read as the
second, decodes bodies and encodes rows.
"""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import polars as pl

from streamlab.contracts import Schema
from streamlab.errors import Refused, SchemaError, ValuesDisagree
from streamlab.formats import Context, Decoded, Rejection, wire
from streamlab.registry import connect
from streamlab.registry.client import Registry
from streamlab.registry.recorded import RecordedRegistry
from streamlab.registry.schemas import Registered
from streamlab.registry.subjects import Writing

KNOWN_PLANS = 256
"""So many ways to read one schema as another are kept; then all are forgotten."""

Faults = Mapping[int, tuple[str, str]]
"""Place in a part → code and reason of its rejection."""

Decode = Callable[[Sequence[bytes]], tuple[pl.DataFrame, Faults]]
"""From whole values of one schema to the frame of the good ones, and the others."""

Encode = Callable[[pl.DataFrame], list[bytes]]
"""From a frame to the values of its rows, header included."""


class Incompatible(Exception):
    """One schema cannot be read as another; the text says why."""


class RegisteredFormat(ABC):
    """A format whose schemas are in a registry, in Confluent's wire format.

    Attributes:
        name: Name of the format.
        kind: What the registry calls its schemas.
    """

    name: ClassVar[str]
    kind: ClassVar[str]

    def __init__(self, context: Context) -> None:
        """Find the registry; nothing is asked of it yet.

        Raises:
            UnknownName: There is no such option, or no such profile.
            UsageError: An option has a value that it cannot have.
            SettingsError: The profile has no registry.
        """
        context.check(self.name)
        self.writing = Writing.of(context.topic, context.options)
        self.registry: Registry = (
            RecordedRegistry.of(context.schemas)
            if context.schemas
            else connect(context.profile)
        )
        self._readers: dict[tuple[int, int, Schema], Decode | Incompatible] = {}
        self._writers: dict[tuple[tuple[str, pl.DataType], ...], Encode] = {}
        self._newest: Registered | None = None
        self._used: dict[int, Registered] = {}
        self._guids: dict[int, str] = {}

    @abstractmethod
    def reader(
        self, written: Registered, latest: Registered | None, schema: Schema
    ) -> Decode:
        """Return how values of one schema are decoded into the declared one.

        Args:
            written: What the values were written with.
            latest: The newest of the subject, where that is to be read by.
            schema: The declared schema.

        Raises:
            Incompatible: The one cannot be read as the other.
        """

    @abstractmethod
    def writer(self, schema: pl.Schema) -> Encode:
        """Return how frames of a schema are encoded; may ask the registry.

        Raises:
            SchemaError: A column's type cannot be written.
            Refused: The registry does not have the schema to write with.
            Unavailable: The registry does not answer.
        """

    @abstractmethod
    def derived(self, written: Registered, bodies: Sequence[bytes]) -> Schema:
        """Return the declared schema that a registered one amounts to.

        Args:
            written: The registered schema.
            bodies: Some values of it, without their headers.

        Raises:
            SchemaError: Some of it has no polars type.
        """

    def decode(self, values: Sequence[bytes | None], schema: Schema) -> Decoded:
        """Decode values into a frame that has exactly the schema's columns.

        Raises:
            Unavailable: The registry does not answer; nothing is decided yet.
            Refused: It does not want to talk to us.
        """
        values, framed = self._framed(values)
        rejected = list(framed.rejected)
        frames = [schema.empty()]
        kept: list[int] = []
        for number, rows in framed.rows.items():
            part = values if len(rows) == len(values) else [values[row] for row in rows]
            frame, faults = self._part(number, part, schema)  # type: ignore[arg-type]  # what is framed has a value
            frame, faults = _without_missing(frame, faults, len(rows), schema)
            frames.append(frame)
            kept += [row for at, row in enumerate(rows) if at not in faults]
            rejected += [Rejection(rows[at], *fault) for at, fault in faults.items()]
        whole = pl.concat(frames)
        if len(framed.rows) > 1:
            whole = whole[pl.Series(kept, dtype=pl.UInt32).arg_sort()]
        return Decoded(whole, tuple(sorted(rejected, key=lambda one: one.row)))

    def encode(self, frame: pl.DataFrame) -> list[bytes]:
        """Encode each row; the result has one item a row, in order.

        Raises:
            SchemaError: The columns do not fit the schema to write with.
            RowsRefused: Rows with a value that the schema does not take.
            Refused: The registry does not have the schema to write with.
            Unavailable: The registry does not answer; try again.
        """
        place = tuple(frame.schema.items())
        if place not in self._writers:
            self._writers[place] = self.writer(frame.schema)
        return self._writers[place](frame) if frame.height else []

    def infer(self, values: Sequence[bytes | None]) -> Schema:
        """Return the schema of the values, as the registry has it.

        Where they were written with several, the one that was registered last is
        meant. All fields are optional.

        Raises:
            SchemaError: No value names a schema, or it has no polars type.
            Unavailable: The registry does not answer.
        """
        values, framed = self._framed(values)
        for number in sorted(framed.rows, reverse=True):
            written = self.registry.schema(number)
            if written is not None and written.kind == self.kind:
                sample = {row: values[row] for row in framed.rows[number]}
                bodies = {
                    row: value[wire.HEADER_BYTES :]
                    for row, value in sample.items()
                    if value
                }
                try:
                    return self.derived(written, list(bodies.values()))
                except ValuesDisagree as error:
                    error.index = list(bodies)[error.index]
                    raise
        raise SchemaError(
            f"no schema can be found: none of {len(values)} values names a schema of "
            f"format {self.name} that the registry {self.registry} has",
            hint="look at them with format 'json' or 'bytes', or see whether the "
            "profile names the registry of their producer",
        )

    def used_schemas(self) -> tuple[dict[str, Any], ...]:
        """Return the schemas that values were read with, and what they need, as JSON.

        Raises:
            Unavailable: One that is needed was not asked for yet, and cannot be now.
        """
        found = {
            number: replace(one, guid=self._guids.get(number, one.guid))
            for number, one in self._used.items()
        }
        if self._newest is not None:
            found[self._newest.id] = self._newest
        for each in list(found.values()):
            with contextlib.suppress(Refused):
                for needed in self.registry.references(each).values():
                    found[needed.id] = needed
        return tuple(found[number].as_json() for number in sorted(found))

    def _framed(
        self, values: Sequence[bytes | None]
    ) -> tuple[Sequence[bytes | None], wire.Framed]:
        """Sort a batch by schemas; a GUID is replaced by the id of the same schema."""
        framed = wire.framed(values)
        if not framed.guids:
            return values, framed
        known = {guid: self.registry.id_of(guid) for guid in set(framed.guids.values())}
        self._guids |= {number: guid for guid, number in known.items() if number}
        numbered = list(values)
        for row, guid in framed.guids.items():
            number, value = known[guid], values[row]
            if number is not None and value is not None:
                numbered[row] = wire.header(number) + value[wire.GUID_BYTES :]
        return numbered, wire.framed(numbered)

    def _part(
        self, number: int, values: Sequence[bytes], schema: Schema
    ) -> tuple[pl.DataFrame, Faults]:
        """Decode values of one schema; ``values`` have their headers."""
        written = self.registry.schema(number)
        if written is None:
            reason = f"the registry has no schema {number}"
            fault = (wire.UNKNOWN, reason)
            return schema.empty(), dict.fromkeys(range(len(values)), fault)
        self._used[number] = written
        reader = self._reader(written, schema)
        if isinstance(reader, Incompatible):
            reason = f"schema {number} cannot be read as the declared one: {reader}"
            fault = ("incompatible-schema", reason)
            return schema.empty(), dict.fromkeys(range(len(values)), fault)
        return reader(values)

    def _reader(self, written: Registered, schema: Schema) -> Decode | Incompatible:
        if written.kind != self.kind:
            return Incompatible(f"it is a schema of type {written.kind}")
        latest = self._latest() if self.writing.use_latest else None
        place = (written.id, latest.id if latest else 0, schema)
        if place not in self._readers:
            if len(self._readers) >= KNOWN_PLANS:
                self._readers.clear()
            try:
                self._readers[place] = self.reader(written, latest, schema)
            except Incompatible as error:
                self._readers[place] = error
        return self._readers[place]

    def _latest(self) -> Registered:
        """Return the newest schema of the subject, asked for once."""
        if self._newest is None:
            self._newest = self.writing.latest(self.registry, self.writing.record)
        return self._newest


def with_references(registry: Registry, schema: Registered) -> dict[str, Registered]:
    """Return what a schema refers to; without it, it cannot be read.

    Raises:
        Incompatible: Something of it is not there.
        Unavailable: The registry does not answer.
    """
    try:
        return registry.references(schema)
    except Refused as error:
        raise Incompatible(error.message) from error


def _without_missing(
    frame: pl.DataFrame, faults: Faults, total: int, schema: Schema
) -> tuple[pl.DataFrame, Faults]:
    """Take out the rows without a required field."""
    required = [name for name in schema.required if frame[name].null_count()]
    if not required:
        return frame, faults
    places = [at for at in range(total) if at not in faults]
    found: dict[int, tuple[str, str]] = {}
    for name in reversed(required):
        fault = ("missing-field", f"required column {name!r} is missing or null")
        found |= {places[row]: fault for row in frame[name].is_null().arg_true()}
    whole = pl.all_horizontal(pl.col(name).is_not_null() for name in required)
    return frame.filter(whole), {**faults, **found}
