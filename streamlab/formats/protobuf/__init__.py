"""Protobuf in Confluent's wire format, with ``.proto`` files from a registry.

``compiling`` makes descriptors of files, ``fields`` makes columns of messages,
``indexes`` says which message of a file a value is, ``writing`` encodes. What becomes
of which type is a table in docs/registry.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import polars as pl
from google.protobuf.descriptor import Descriptor, FileDescriptor
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from streamlab.contracts import Field, Schema
from streamlab.errors import SchemaError
from streamlab.formats import wire
from streamlab.formats.protobuf import compiling, fields, scanning, writing
from streamlab.formats.protobuf.compiling import NotProto
from streamlab.formats.protobuf.indexes import FIRST, indexes_of, path_of
from streamlab.formats.registered import (
    Decode,
    Encode,
    Faults,
    Incompatible,
    RegisteredFormat,
    with_references,
)
from streamlab.registry.schemas import Registered

SCANNED_ROWS = 500
"""Of fewer values each is parsed by itself: that takes less time then."""


class ProtobufFormat(RegisteredFormat):
    """Protobuf messages: the schema's fields are read, others are ignored."""

    name: ClassVar[str] = "protobuf"
    kind: ClassVar[str] = "PROTOBUF"

    def reader(
        self, written: Registered, latest: Registered | None, schema: Schema
    ) -> Decode:
        """Return how values of one file are decoded into the declared schema.

        Raises:
            Incompatible: The file cannot be used. Whether a message of it can be read
                is decided message by message.
        """
        # Protobuf's fields have numbers, so a newer file reads older values.
        return _Reading(written.id, self._file(latest or written), schema)

    def writer(self, schema: pl.Schema) -> Encode:
        """Return how frames of a schema are encoded; may ask the registry.

        Raises:
            SchemaError: A column's type cannot be written.
            Refused: The registry does not have the schema to write with.
            Unavailable: The registry does not answer.
        """
        name = self.writing.record or writing.message_name(self.writing.topic)
        if self.writing.use_latest:
            used = self.writing.latest(self.registry, self.writing.record)
        else:
            made = Registered(0, self.kind, writing.proto(schema, name))
            used = self.writing.schema(self.registry, made, name)
        try:
            file = self._file(used)
        except Incompatible as error:
            message = f"schema {used.id} cannot be written with: {error}"
            raise SchemaError(message) from error
        return writing.Rows(used.id, file, self.writing.record, schema)

    def derived(self, written: Registered, bodies: Sequence[bytes]) -> Schema:
        """Return the declared schema that a message of a file amounts to.

        Raises:
            SchemaError: The file cannot be used, or a field has no column type.
        """
        try:
            file = self._file(written)
        except Incompatible as error:
            raise SchemaError(f"schema {written.id} cannot be read: {error}") from error
        paths = (indexes_of(body) for body in bodies)
        path = next((found[0] for found in paths if found), FIRST)
        kind = compiling.message(file, path)
        if kind is None or not kind.fields:
            raise SchemaError(f"schema {written.id} has no such message, or no fields")
        return Schema(
            tuple(Field(f.name, fields.dtype_of(f, f.name)) for f in kind.fields),
            kind.name,
        )

    def _file(self, registered: Registered) -> FileDescriptor:
        """Compile a schema with what it imports.

        Raises:
            Incompatible: It is none, or one that cannot be used.
        """
        needed = with_references(self.registry, registered)
        texts = {name: each.text for name, each in needed.items()}
        try:
            return compiling.compiled(registered.text, texts)
        except NotProto as error:
            raise Incompatible(str(error)) from error


class _Reading:
    """Reads values of one file as the declared schema."""

    def __init__(self, number: int, file: FileDescriptor, schema: Schema) -> None:
        self._number = number
        self._file = file
        self._schema = schema
        self._known: dict[bytes, _Messages | tuple[str, str]] = {}

    def __call__(self, values: Sequence[bytes]) -> tuple[pl.DataFrame, Faults]:
        """Return the frame of the good values, and the faults of the others."""
        rows: dict[bytes, list[int]] = {}
        for row, value in enumerate(values):
            rows.setdefault(path_of(value), []).append(row)
        faults: dict[int, tuple[str, str]] = {}
        frames, kept = [self._schema.empty()], []
        for path, its in rows.items():
            messages = self._of(path)
            if isinstance(messages, tuple):
                faults |= dict.fromkeys(its, messages)
                continue
            frame, found = messages([values[row] for row in its])
            frames.append(frame)
            kept += [row for at, row in enumerate(its) if at not in found]
            faults |= {its[at]: fault for at, fault in found.items()}
        whole = pl.concat(frames)
        if len(rows) > 1:
            whole = whole[pl.Series(kept, dtype=pl.UInt32).arg_sort()]
        return whole, faults

    def _of(self, path: bytes) -> _Messages | tuple[str, str]:
        """Return how the messages of a path are read, or the fault of all of them."""
        if path not in self._known:
            self._known[path] = self._found(path)
        return self._known[path]

    def _found(self, path: bytes) -> _Messages | tuple[str, str]:
        decoded = indexes_of(path)
        kind = compiling.message(self._file, decoded[0]) if decoded else None
        if kind is None:
            reason = f"the value names no message of schema {self._number}"
            return ("not-protobuf", reason)
        try:
            return _Messages(self._number, kind, len(path), self._schema)
        except Incompatible as error:
            reason = f"schema {self._number} cannot be read as the declared one: "
            return ("incompatible-schema", reason + str(error))


class _Messages:
    """Reads values that are one kind of message."""

    def __init__(
        self, number: int, kind: Descriptor, path_bytes: int, schema: Schema
    ) -> None:
        self._class: Any = GetMessageClass(kind)
        self._skipped = wire.HEADER_BYTES + path_bytes
        self._schema = schema
        self._reason = f"the value is no {kind.full_name} of schema {number}"
        self._take = fields.of_message(kind, schema.dtypes, "")
        names = [name for name in schema.dtypes if name in kind.fields_by_name]
        self._names = names
        flat = scanning.is_flat(kind)
        self._scanned = fields.of_scanned(kind, schema.dtypes) if flat else None

    def __call__(self, values: Sequence[bytes]) -> tuple[pl.DataFrame, Faults]:
        """Return the frame of the good values, and the faults of the others."""
        if self._scanned is None or len(values) < SCANNED_ROWS:
            return self._each(values)
        bodies = [value[self._skipped :] for value in values]
        scanned, odd = scanning.scan(bodies, self._class.DESCRIPTOR, self._names)
        struct, misfits = self._scanned(scanned, len(values))
        # What is odd or does not fit is looked at again, one by one.
        again = pl.Series(odd, dtype=pl.Boolean) | misfits
        frame = struct.struct.unnest()
        if not again.any():
            return frame, {}
        places = again.arg_true().to_list()
        others, found = self._each([values[row] for row in places])
        faults = {places[at]: fault for at, fault in found.items()}
        kept = (~again).arg_true().to_list()
        kept += [row for at, row in enumerate(places) if at not in found]
        order = pl.Series(kept, dtype=pl.UInt32).arg_sort()
        return pl.concat([frame.filter(~again), others])[order], faults

    def _each(self, values: Sequence[bytes]) -> tuple[pl.DataFrame, Faults]:
        """Return the same, each value parsed by Protobuf's library."""
        faults: dict[int, tuple[str, str]] = {}
        messages, rows = self._parsed(values, faults)
        struct, misfits = self._take(messages)
        frame = struct.struct.unnest() if messages else self._schema.empty()
        if misfits.any():
            for place in misfits.arg_true():
                reason = self._misfit(messages[place])
                faults[rows[place]] = ("type-mismatch", reason)
            frame = frame.filter(~misfits)
        return frame, faults

    def _parsed(
        self, values: Sequence[bytes], faults: dict[int, tuple[str, str]]
    ) -> tuple[list[Any], Sequence[int]]:
        parse, skipped = self._class.FromString, self._skipped
        try:
            return [parse(value[skipped:]) for value in values], range(len(values))
        except DecodeError:
            messages: list[Any] = []
            rows: list[int] = []
        for row, value in enumerate(values):
            try:
                messages.append(parse(value[skipped:]))
            except DecodeError:
                faults[row] = ("not-protobuf", self._reason)
            else:
                rows.append(row)
        return messages, rows

    def _misfit(self, message: Any) -> str:
        """Return which column does not fit."""
        for name, dtype in self._schema.dtypes.items():
            alone = fields.of_message(self._class.DESCRIPTOR, {name: dtype}, "")
            if alone([message])[1].any():
                return f"column {name!r} is {dtype}, the value does not fit"
        raise AssertionError  # one of them did not
