"""Debezium's envelope in Avro, with schemas from a registry.

It is what Debezium's connectors write with Confluent's or Apicurio's Avro converter of
Kafka Connect. ``schemas`` has Connect's schemas as Avro has them, ``reading`` decodes;
what a change is, and what its values mean, is in :mod:`streamlab.formats.debezium`.

Source: https://debezium.io/documentation/reference/stable/configuration/avro.html
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import polars as pl

from streamlab.contracts import Schema
from streamlab.errors import RowsRefused, SchemaError, UsageError
from streamlab.formats import Context, Decoded, changes
from streamlab.formats.avro import type_of
from streamlab.formats.avro.writing import Rows
from streamlab.formats.debezium import encoding, with_options
from streamlab.formats.debezium.avro.reading import EnvelopeReading, row_of
from streamlab.formats.debezium.avro.schemas import avro_name, avro_of, connect_of
from streamlab.formats.debezium.connect import ConnectSchema, dtype_of
from streamlab.formats.debezium.schema_part import envelope_schema, key_schema
from streamlab.formats.registered import (
    Decode,
    Encode,
    Incompatible,
    RegisteredFormat,
)
from streamlab.registry import RECORD
from streamlab.registry.schemas import Registered
from streamlab.registry.subjects import KEY, Writing

ENVELOPE = ".Envelope"
"""How the name of an envelope's record ends; before it stands the table's."""

_NEEDED = (changes.COMMIT_TIME, changes.SCHEMA, changes.TABLE)
"""What the ``source`` of an envelope must have, where rows have such a column."""


class DebeziumAvroFormat(RegisteredFormat):
    """Avro records of ``before``, ``after``, ``source`` and ``op``."""

    name: ClassVar[str] = "debezium-avro"
    kind: ClassVar[str] = "AVRO"

    def __init__(self, context: Context) -> None:
        """Find the registry; nothing is asked of it yet.

        Raises:
            UnknownName: There is no such option, or no such profile.
            UsageError: An option has a value that it cannot have.
            SettingsError: The profile has no registry.
        """
        super().__init__(context)
        self.settings = with_options(context.options)
        record = self.writing.record or avro_name(context.topic or "events") + ENVELOPE
        if not record.endswith(ENVELOPE):
            raise UsageError(
                f"{RECORD} of {self.name} is {record!r}, the name of no envelope",
                hint=f'"{RECORD}" = "shop.public.orders{ENVELOPE}"',
            )
        self._table = record.removesuffix(ENVELOPE)
        self._key_writers: dict[tuple[tuple[str, pl.DataType], ...], Encode] = {}

    def decode(self, values: Sequence[bytes | None], schema: Schema) -> Decoded:
        """Read envelopes into change rows, with the columns that the schema has.

        Args:
            values: Avro envelopes in Confluent's wire format.
            schema: The table's columns and, of the metadata columns, ``_op`` at
                least; see :meth:`streamlab.formats.debezium.DebeziumFormat.decode`.

        Raises:
            SchemaError: The schema is not one of change rows.
            Unavailable: The registry does not answer; nothing is decided yet.
            Refused: It does not want to talk to us.
        """
        # What may not be null in the table can still be unavailable in a change.
        fields = tuple(replace(field, required=False) for field in schema.fields)
        return super().decode(values, Schema(fields, schema.name))

    def reader(
        self, written: Registered, latest: Registered | None, schema: Schema
    ) -> Decode:
        """Return how values of one schema are decoded into the declared one.

        Raises:
            Incompatible: The one cannot be read as the other.
            SchemaError: The declared schema is not one of change rows.
        """
        del latest  # columns are told by name
        return EnvelopeReading(
            written.id,
            type_of(self.registry, written),
            schema,
            precise=self.settings.decimals == "precise",
            placeholder=self.settings.placeholder,
        )

    def derived(self, written: Registered, bodies: Sequence[bytes]) -> Schema:
        """Return the schema of change rows that a registered one amounts to.

        Raises:
            SchemaError: It is no envelope, or some of it has no polars type.
        """
        del bodies
        try:
            row = row_of(type_of(self.registry, written))
            said = {
                field.name: {**(connect_of(field.type) or {}), "field": field.name}
                for field in row.fields
            }
            own = pl.Schema({name: dtype_of(one) for name, one in said.items()})
        except Incompatible as error:
            raise SchemaError(f"schema {written.id} cannot be read: {error}") from error
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            message = f"schema {written.id} is not one of Kafka Connect's"
            raise SchemaError(message) from error
        return Schema.of(changes.change_schema(own))

    def writer(self, schema: pl.Schema) -> Encode:
        """Return how change rows are encoded; may ask the registry.

        Raises:
            SchemaError: The rows are no change rows, or a type cannot be written.
            Refused: The registry does not have the schema to write with.
            Unavailable: The registry does not answer.
        """
        precise = self.settings.decimals == "precise"
        said = envelope_schema(schema, self._table, precise=precise)
        empty = self._parts(schema.to_frame())
        rows = self._rows(self.writing, said, empty.schema)

        def encode(frame: pl.DataFrame) -> list[bytes]:
            _refuse_nulls(frame)
            return rows(self._parts(frame))

        return encode

    def encode_keys(
        self, frame: pl.DataFrame, key: Sequence[str]
    ) -> list[bytes | None]:
        """Write each row's key as Debezium does: a record of the key's columns.

        Its subject is the topic's for keys. A truncation has no key: None.

        Raises:
            SchemaError: A key column is not there.
            RowsRefused: Rows with a null in a column of the key.
            Refused: The registry does not have the schema to write with.
            Unavailable: The registry does not answer; try again.
        """
        envelope = self.settings.envelope()
        shown = (frame[changes.OP] != "truncate").arg_true()
        parts = encoding.key_parts(frame[shown], key, envelope)
        columns = pl.Schema({name: frame.schema[name] for name in key})
        place = tuple(columns.items())
        if place not in self._key_writers:
            said = key_schema(columns, self._table, precise=envelope.precise)
            writing = replace(self.writing, part=KEY)
            self._key_writers[place] = self._rows(writing, said, parts.schema)
        try:
            written = self._key_writers[place](parts)
        except RowsRefused as error:
            reasons = {shown[row]: reason for row, reason in error.reasons.items()}
            raise RowsRefused(reasons) from error
        keys: list[bytes | None] = [None] * frame.height
        for row, one in zip(shown, written, strict=True):
            keys[row] = one
        return keys

    def encode_with_tombstones(
        self, frame: pl.DataFrame, key: Sequence[str]
    ) -> list[tuple[bytes | None, bytes | None]]:
        """Write (key, value) pairs; a deleted row is followed by (key, None).

        Raises:
            RowsRefused: As for :meth:`encode` and :meth:`encode_keys`.
            SchemaError: As for them.
            Refused: As for them.
            Unavailable: As for them.
        """
        keys, values = self.encode_keys(frame, key), self.encode(frame)
        return encoding.with_tombstones(frame, keys, values)

    def _rows(self, writing: Writing, said: ConnectSchema, parts: pl.Schema) -> Rows:
        """Return how columns are written with a schema, or with the newest."""
        made = Registered(0, self.kind, avro_of(said))
        used = writing.schema(self.registry, made, avro_name(said["name"]))
        try:
            kind = type_of(self.registry, used)
        except Incompatible as error:
            raise SchemaError(
                f"schema {used.id} cannot be written with: {error}"
            ) from error
        return Rows(used.id, kind.plain, parts)

    def _parts(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the parts of envelopes that have a value at all."""
        parts = encoding.parts(frame, self.settings.envelope())
        return parts.select(n for n, dtype in parts.schema.items() if dtype != pl.Null)


def _refuse_nulls(frame: pl.DataFrame) -> None:
    """Refuse rows without what the source of an envelope needs."""
    reasons: dict[int, str] = {}
    for name in (name for name in _NEEDED if name in frame.schema):
        reason = f"column {name!r} is null, and the envelope's source needs it"
        for row in frame[name].is_null().arg_true():
            reasons.setdefault(row, reason)
    if reasons:
        raise RowsRefused(dict(sorted(reasons.items())))
