"""Avro in Confluent's wire format, with schemas from a registry.

``types`` are schemas as values, ``physical`` what their bytes are, ``resolving`` how a
written type is read as a declared one, ``reading`` decodes a batch, ``schemas`` turns
columns into a schema and back, ``writing`` encodes. What becomes of which type is a
table in docs/registry.md.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import ClassVar

import fastavro
import polars as pl

from streamlab.contracts import Schema
from streamlab.errors import SchemaError
from streamlab.formats import wire
from streamlab.formats.avro import schemas
from streamlab.formats.avro.physical import Physical
from streamlab.formats.avro.reading import BranchReading, Reading
from streamlab.formats.avro.types import (
    NO_DEFAULT,
    AvroField,
    AvroType,
    NotAvro,
    parsed,
)
from streamlab.formats.avro.writing import Rows
from streamlab.formats.registered import (
    Decode,
    Encode,
    Incompatible,
    RegisteredFormat,
    with_references,
)
from streamlab.registry.client import Registry
from streamlab.registry.schemas import Registered


class AvroFormat(RegisteredFormat):
    """Avro records: the schema's fields are read, others are ignored."""

    name: ClassVar[str] = "avro"
    kind: ClassVar[str] = "AVRO"

    def reader(
        self, written: Registered, latest: Registered | None, schema: Schema
    ) -> Decode:
        """Return how values of one schema are decoded into the declared one.

        Raises:
            Incompatible: The one cannot be read as the other.
        """
        kind = type_of(self.registry, written)
        newest = type_of(self.registry, latest) if latest else None
        reader = schemas.record_of(newest) if newest else None
        defaults = _defaults(reader, schema) if reader else {}
        if kind.kind != "union":
            record = schemas.record_of(kind)
            return Reading(written.id, record, schema, reader=reader, defaults=defaults)
        readings: list[Reading | Incompatible] = []
        for branch in kind.inner:
            try:
                reading = Reading(
                    written.id,
                    schemas.record_of(branch),
                    schema,
                    reader=reader,
                    defaults=defaults,
                    head_bytes=wire.HEADER_BYTES + 1,
                )
            except Incompatible as error:
                readings.append(error)
            else:
                readings.append(reading)
        return BranchReading(written.id, readings, schema)

    def writer(self, schema: pl.Schema) -> Encode:
        """Return how frames of a schema are encoded; may ask the registry.

        Raises:
            SchemaError: A column's type cannot be written.
            Refused: The registry does not have the schema to write with.
            Unavailable: The registry does not answer.
        """
        writing = self.writing
        name = writing.record or schemas.record_name(writing.topic)
        if writing.use_latest:
            used = writing.latest(self.registry, writing.record)
        else:
            made = Registered(0, self.kind, schemas.written(schema, name))
            used = writing.schema(self.registry, made, name)
        try:
            kind = type_of(self.registry, used)
        except Incompatible as error:
            raise SchemaError(
                f"schema {used.id} cannot be written with: {error}"
            ) from error
        return Rows(used.id, kind, schema)

    def derived(self, written: Registered, bodies: Sequence[bytes]) -> Schema:
        """Return the declared schema that a registered one amounts to.

        Raises:
            SchemaError: Some of it has no polars type.
        """
        try:
            kind = type_of(self.registry, written)
        except Incompatible as error:
            raise SchemaError(f"schema {written.id} cannot be read: {error}") from error
        if kind.kind == "union":
            first = next(iter(bodies), b"")
            index = first[0] >> 1 if first else 0
            kind = kind.inner[index] if index < len(kind.inner) else kind.inner[0]
        return schemas.declared(schemas.record_of(kind), written.id)


def type_of(registry: Registry, registered: Registered) -> AvroType:
    """Parse a schema with what it refers to.

    Raises:
        Incompatible: It is none, or one that cannot be read.
        Unavailable: The registry does not answer.
    """
    needed = with_references(registry, registered)
    try:
        return parsed(registered.text, [one.text for one in needed.values()])
    except NotAvro as error:
        raise Incompatible(str(error)) from error


def _defaults(reader: AvroType, schema: Schema) -> Mapping[str, pl.Expr]:
    """Return the reader's defaults of declared columns, as literals.

    Each is encoded and read like any other value, so that it becomes what its type
    says.
    """
    found: dict[str, pl.Expr] = {}
    for field in reader.fields:
        dtype = schema.dtypes.get(field.name)
        if dtype is None or field.default in (NO_DEFAULT, None):
            continue
        value = _default_value(field, schema.only([field.name]))
        found[field.name] = pl.lit(value).first()
    return found


def _default_value(field: AvroField, schema: Schema) -> pl.Series:
    kind = field.type
    if kind.kind == "union":
        # A default is of the first type of a union.
        kind = kind.inner[0]
    alone = AvroType("record", "default", fields=(AvroField(field.name, kind),))
    value = field.default
    if kind.kind in {"bytes", "fixed"}:
        value = str(value).encode("latin-1")
    elif kind.kind == "enum":
        value = kind.symbols.index(value)
    elif kind.kind == "boolean":
        value = bytes([bool(value)])
    body = io.BytesIO()
    try:
        physical = fastavro.parse_schema(Physical().schema(alone))
        fastavro.schemaless_writer(body, physical, {"f0": value})
    except Exception as error:  # fastavro lets through whatever a bad default causes
        raise Incompatible(f"the default of {field.name!r} is no {kind}") from error
    frame, faults = Reading(0, alone, schema)([wire.header(0) + body.getvalue()])
    if faults:
        raise Incompatible(f"the default of {field.name!r} does not fit")
    return frame[field.name]
