"""Kafka Connect's schemas as its Avro converter writes them, and back.

What Avro has no word for is in properties beside the type: ``connect.name`` has the
name of a type of Debezium's or Connect's, ``connect.parameters`` the scale of a
decimal, ``connect.type`` the size of a small integer.

Source: https://github.com/confluentinc/schema-registry/blob/master/avro-data/src/main/
java/io/confluent/connect/avro/AvroData.java (``fromConnectSchema``); Apicurio's
converter is a copy of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from streamlab.formats.avro.schemas import checked_name
from streamlab.formats.avro.types import AvroType
from streamlab.formats.debezium.connect import DECIMAL, ConnectSchema

_NAME, _TYPE, _PARAMETERS = "connect.name", "connect.type", "connect.parameters"
_VERSION, _DEFAULT = "connect.version", "connect.default"

_PRECISION = "connect.decimal.precision"
_DEFAULT_PRECISION = 64  # of decimals that do not say theirs

_CONNECT_TYPES: Mapping[str, str] = {
    "boolean": "boolean",
    "int": "int32",
    "long": "int64",
    "float": "float",
    "double": "double",
    "string": "string",
    "enum": "string",
    "bytes": "bytes",
    "fixed": "bytes",
}
_AVRO_TYPES: Mapping[str, str] = {
    "boolean": "boolean",
    "int8": "int",
    "int16": "int",
    "int32": "int",
    "int64": "long",
    "float": "float",
    "double": "double",
    "string": "string",
    "bytes": "bytes",
}
_LOGICAL: Mapping[str, str] = {
    "date": "org.apache.kafka.connect.data.Date",
    "time-millis": "org.apache.kafka.connect.data.Time",
    "time-micros": "io.debezium.time.MicroTime",
    "timestamp-millis": "org.apache.kafka.connect.data.Timestamp",
    "timestamp-micros": "io.debezium.time.MicroTimestamp",
    "timestamp-nanos": "io.debezium.time.NanoTimestamp",
    "local-timestamp-millis": "org.apache.kafka.connect.data.Timestamp",
    "local-timestamp-micros": "io.debezium.time.MicroTimestamp",
    "local-timestamp-nanos": "io.debezium.time.NanoTimestamp",
    "decimal": DECIMAL,
}
"""Logical types of Avro → the names of the same in Connect."""


def says_names(envelope: AvroType) -> bool:
    """Return whether a schema was written with Connect's metadata.

    Without them (``connect.meta.data=false``) a number is a number.
    """
    return _NAME in envelope.said


def connect_of(kind: AvroType, *, named: bool = True) -> ConnectSchema | None:
    """Return the schema of Connect's that an Avro type stands for.

    Args:
        kind: The type.
        named: Whether types without a name are what they are. Where names were left
            out nothing is known of them, and None is returned.
    """
    kind = kind.present
    if kind.kind == "array":
        return {"type": "array", "items": connect_of(kind.inner[0], named=named)}
    name = kind.said.get(_NAME) or _LOGICAL.get(kind.said.get("logicalType", ""), "")
    if kind.kind == "record":
        fields = [
            {**said, "field": field.name}
            for field in kind.fields
            if (said := connect_of(field.type, named=named)) is not None
        ]
        return {"type": "struct", "fields": fields, "name": name}
    if not (named or name):
        return None
    made = kind.said.get(_TYPE) or _CONNECT_TYPES.get(kind.kind, kind.kind)
    return {"type": made, "name": name, "parameters": _parameters(kind.said)}


def _parameters(said: Mapping[str, Any]) -> Mapping[str, Any]:
    digits = {"scale": said.get("scale", 0)}
    # The default is written where nobody knows, and says nothing.
    if said.get("precision", _DEFAULT_PRECISION) != _DEFAULT_PRECISION:
        digits[_PRECISION] = said["precision"]
    return {**digits, **(said.get(_PARAMETERS) or {})}


def avro_of(schema: ConnectSchema) -> str:
    """Return the Avro schema of a struct of Connect's, as JSON text.

    Raises:
        SchemaError: A field has a name that Avro does not allow.
    """
    return json.dumps(_Writer().type(schema, schema["name"]))


class _Writer:
    """Writes types; a struct of a name is written once, and named from then on."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def type(self, schema: ConnectSchema, path: str) -> Any:
        made = self._present(schema, path)
        if not schema.get("optional"):
            return made
        # A default is of the first type of a union.
        return [made, "null"] if "default" in schema else ["null", made]

    def _present(self, schema: ConnectSchema, path: str) -> Any:
        if schema["type"] == "struct":
            return self._record(schema, path)
        if schema["type"] == "array":
            base = {"type": "array", "items": self.type(schema["items"], path)}
        else:
            base = {"type": _AVRO_TYPES[schema["type"]]}
        said = {**base, **_small(schema), **_said(schema)}
        return said if len(said) > 1 else said["type"]

    def _record(self, schema: ConnectSchema, path: str) -> Any:
        full = avro_name(schema.get("name") or path)
        if full in self._known and schema.get("name"):
            return full
        while full in self._known:
            full += "_"
        self._known.add(full)
        space, _, name = full.rpartition(".")
        fields = [self._field(one, full) for one in schema["fields"]]
        head = {"type": "record", "name": name, "namespace": space}
        return {**head, "fields": fields, **_said(schema)}

    def _field(self, schema: ConnectSchema, record: str) -> Mapping[str, Any]:
        name = checked_name(schema["field"], "")
        # What has no name is named after its record and column.
        field = {"name": name, "type": self.type(schema, f"{record}_{name}")}
        if not schema.get("optional"):
            return field
        return {**field, "default": schema.get("default")}


def _small(schema: ConnectSchema) -> Mapping[str, Any]:
    """Return what is said of an integer that Avro has no type for."""
    kind = schema["type"]
    return {_TYPE: kind} if kind in {"int8", "int16"} else {}


def _said(schema: ConnectSchema) -> Mapping[str, Any]:
    """Return the properties of a type."""
    known = {
        _VERSION: schema.get("version"),
        _PARAMETERS: schema.get("parameters"),
        _DEFAULT: schema.get("default"),
        _NAME: schema.get("name"),
    }
    said = {name: value for name, value in known.items() if value is not None}
    if schema.get("name") != DECIMAL:
        return said
    scale = int(schema["parameters"]["scale"])
    precision = int(schema["parameters"].get(_PRECISION, _DEFAULT_PRECISION))
    logical = {"logicalType": "decimal", "precision": precision, "scale": scale}
    return {**said, **logical}


def avro_name(name: str) -> str:
    """Return a full name with what Avro does not allow in it replaced.

    Source: Debezium's ``schema.name.adjustment.mode=avro``.
    """
    parts = (re.sub(r"[^A-Za-z0-9_]", "_", part) for part in name.split("."))
    return ".".join(f"_{one}" if not one or one[0].isdigit() else one for one in parts)
