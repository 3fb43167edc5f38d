"""JSON in Confluent's wire format, with JSON Schemas from a registry.

Bodies are read and written as by the format ``json``: the declared schema decides
what is read. The registered schema says where a column comes from, and is checked on
writing; its rules beyond types are the producer's to keep, and are not checked again.
``columns`` turns schemas into columns and back.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import jsonschema_rs
import orjson
import polars as pl

from streamlab.contracts import Field, Schema
from streamlab.errors import RowsRefused, SchemaError
from streamlab.formats import wire
from streamlab.formats.json import dtypes, inferring, reading, writing
from streamlab.formats.json_schema import columns
from streamlab.formats.registered import (
    Decode,
    Encode,
    Faults,
    Incompatible,
    RegisteredFormat,
    with_references,
)
from streamlab.registry.schemas import Registered


class JsonSchemaFormat(RegisteredFormat):
    """JSON objects: the schema's fields are read, others are ignored."""

    name: ClassVar[str] = "json-schema"
    kind: ClassVar[str] = "JSON"

    def reader(
        self, written: Registered, latest: Registered | None, schema: Schema
    ) -> Decode:
        """Return how values are decoded; any JSON Schema may be behind them.

        Raises:
            SchemaError: The declared schema has a type that JSON cannot carry.
        """
        del written, latest
        dtypes.check(schema)

        def decode(values: Sequence[bytes]) -> tuple[pl.DataFrame, Faults]:
            bodies = [value[wire.HEADER_BYTES :] for value in values]
            decoded = reading.decode(bodies, schema)
            faults = {one.row: (one.code, one.reason) for one in decoded.rejected}
            return decoded.frame, faults

        return decode

    def writer(self, schema: pl.Schema) -> Encode:
        """Return how frames of a schema are encoded; may ask the registry.

        Raises:
            SchemaError: A column's type cannot be written, or what is registered is
                no JSON Schema.
            Refused: The registry does not have the schema to write with.
            Unavailable: The registry does not answer.
        """
        name = self.writing.record or self.writing.topic or "events"
        if self.writing.use_latest:
            used = self.writing.latest(self.registry, self.writing.record)
        else:
            made = Registered(0, self.kind, columns.written(schema, name))
            used = self.writing.schema(self.registry, made, name)
        try:
            needed = with_references(self.registry, used)
            return _Rows(used, _documents(needed))
        except (Incompatible, ValueError) as error:
            raise SchemaError(
                f"schema {used.id} cannot be written with: it is no JSON Schema, or "
                "what it refers to is not there"
            ) from error

    def derived(self, written: Registered, bodies: Sequence[bytes]) -> Schema:
        """Return the declared schema that a registered one amounts to.

        What it leaves open is inferred from the values.

        Raises:
            SchemaError: It is no JSON Schema, or the values do not agree on a type
                that it leaves open.
        """
        try:
            needed = _documents(with_references(self.registry, written))
            document = json.loads(written.text)
        except (Incompatible, ValueError) as error:
            raise SchemaError(f"schema {written.id} is no JSON Schema") from error
        found = columns.properties(document, _Resolver(document, needed))
        if found and None not in found.values():
            seen: Mapping[str, pl.DataType] = {}
        else:
            seen = inferring.infer(bodies).dtypes
        known = found or dict(seen)
        fields = tuple(
            Field(name, dtype or seen.get(name, pl.String()))
            for name, dtype in known.items()
        )
        return Schema(fields)


class _Resolver:
    """Finds what a ``$ref`` refers to, in the document or in another one."""

    def __init__(self, document: Any, others: Mapping[str, Any]) -> None:
        self._document = document
        self._others = others

    def __call__(self, reference: str) -> Any:
        name, _, pointer = reference.partition("#")
        found = _named(self._others, name) if name else self._document
        for part in filter(None, pointer.split("/")):
            key = part.replace("~1", "/").replace("~0", "~")
            found = found.get(key) if isinstance(found, Mapping) else None
        return found


class _Rows:
    """Encodes frames, and checks each value by a registered schema."""

    def __init__(self, used: Registered, others: Mapping[str, Any]) -> None:
        self._header = wire.header(used.id)
        self._number = used.id
        self._validator = jsonschema_rs.validator_for(
            json.loads(used.text), retriever=lambda uri: _named(others, uri)
        )

    def __call__(self, frame: pl.DataFrame) -> list[bytes]:
        """Return the value of each row.

        Raises:
            RowsRefused: Rows that the schema does not allow.
        """
        reasons: dict[int, str] = {}
        written = []
        for row, body in enumerate(writing.encode(frame)):
            found = orjson.loads(body)
            if self._validator.is_valid(found):
                written.append(self._header + body)
                continue
            # A field that may be absent need not allow null.
            without = _without_nulls(found)
            if self._validator.is_valid(without):
                written.append(self._header + orjson.dumps(without))
            else:
                reasons[row] = self._reason(found)
        if reasons:
            raise RowsRefused(reasons)
        return written

    def _reason(self, found: Any) -> str:
        """Return which rule is broken, and where; never the value."""
        first = next(self._validator.iter_errors(found))
        # Not the whole path: further down there may be keys that are data.
        place = f"column {first.instance_path[0]!r}" if first.instance_path else "row"
        rule = "/".join(map(str, first.schema_path))
        return f"schema {self._number} does not allow this {place}: {rule}"


def _without_nulls(found: Any) -> Any:
    if isinstance(found, dict):
        return {k: _without_nulls(v) for k, v in found.items() if v is not None}
    return (
        [_without_nulls(each) for each in found] if isinstance(found, list) else found
    )


def _documents(needed: Mapping[str, Registered]) -> dict[str, Any]:
    return {name: json.loads(each.text) for name, each in needed.items()}


def _named(others: Mapping[str, Any], uri: str) -> Any:
    """Return the document of a name, which a relative reference ends with."""
    for name, document in others.items():
        if uri == name or uri.endswith(f"/{name}"):
            return document
    raise ValueError(f"there is no schema {uri!r}")
