"""Formats: bytes to frames and back, a whole batch in one call.

A format is a plain object with the methods of :class:`Format`; :func:`named` finds
one by the name that a pipeline file uses, and tells it where its values are: some
formats need the topic, a schema registry or settings of their own. A value that cannot
be decoded is not an exception but part of the result: a :class:`Rejection`, and its
neighbours pass.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

import polars as pl

from streamlab import registry
from streamlab.contracts import Schema
from streamlab.errors import MissingExtra, UnknownName, UsageError

BUILT_IN = {
    "avro": "streamlab.formats.avro:AvroFormat",
    "json": "streamlab.formats.json:JsonFormat",
    "debezium": "streamlab.formats.debezium:in_context",
    "debezium-avro": "streamlab.formats.debezium.avro:DebeziumAvroFormat",
    "string": "streamlab.formats.plain:StringFormat",
    "json-schema": "streamlab.formats.json_schema:JsonSchemaFormat",
    "csv": "streamlab.formats.csv:CsvFormat",
    "protobuf": "streamlab.formats.protobuf:ProtobufFormat",
    "bytes": "streamlab.formats.plain:BytesFormat",
    "rows": "streamlab.formats.rows:RowsFormat",
}

OF_REGISTRY = frozenset(("avro", "debezium-avro", "json-schema", "protobuf"))
"""Formats whose schemas are in a registry; they need its extra."""

CSV_SEPARATOR, CSV_NULL = "separator", "null"

DEBEZIUM_SERVER, DEBEZIUM_DATABASE = "topic.prefix", "database.dbname"
DEBEZIUM_SCHEMA, DEBEZIUM_DECIMALS = "schemas.enable", "decimal.handling.mode"
DEBEZIUM_PLACEHOLDER = "unavailable.value.placeholder"

_DEBEZIUM = (
    *(DEBEZIUM_SERVER, DEBEZIUM_DATABASE),
    *(DEBEZIUM_DECIMALS, DEBEZIUM_PLACEHOLDER),
)

OPTIONS: Mapping[str, Sequence[str]] = {
    **dict.fromkeys(OF_REGISTRY, registry.OPTIONS),
    "csv": (CSV_SEPARATOR, CSV_NULL),
    "debezium": (*_DEBEZIUM, DEBEZIUM_SCHEMA),
    "debezium-avro": (*registry.OPTIONS, *_DEBEZIUM),
}
"""The options of each format that has some."""


def options_of(words: Iterable[str]) -> dict[str, str]:
    """Return the settings of a format that words such as ``separator=;`` give.

    Raises:
        UsageError: A word is not of that form.
    """
    options = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not (name and equals):
            message = f"{word!r} is not an option of a format"
            raise UsageError(message, hint="--option NAME=VALUE, in quotes")
        options[name] = value
    return options


@dataclass(frozen=True, slots=True)
class Context:
    """Where the values of a format are, and its settings.

    Attributes:
        topic: The topic that holds the values; empty where there is none.
        profile: Profile of the servers; empty for the default one.
        options: Settings of the format, by the names that its page lists.
        schemas: Registered schemas that come with the values, as the registry's JSON;
            with them no registry is asked.
    """

    topic: str = ""
    profile: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    schemas: Sequence[Mapping[str, Any]] = ()

    def check(self, format_name: str) -> None:
        """Refuse options that a format does not have.

        Raises:
            UnknownName: It has no such option.
        """
        options = OPTIONS.get(format_name, ())
        for name in self.options:
            if name not in options:
                raise UnknownName(f"{format_name} option", name, options)


@dataclass(frozen=True, slots=True)
class Rejection:
    """A value that does not decode, or does not fit the schema.

    Attributes:
        row: Its place in the batch that was given to ``decode``.
        code: A short stable name of the kind of failure, such as ``not-json``.
        reason: One sentence for a person. It names columns and types, never a value.
    """

    row: int
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Decoded:
    """A decoded batch.

    Attributes:
        frame: The rows that decoded, in the order of the batch; its columns and
            dtypes are exactly the schema's.
        rejected: The others, by rising row number. ``frame.height`` plus their
            number is the number of values: nothing is dropped silently.
    """

    frame: pl.DataFrame
    rejected: tuple[Rejection, ...] = ()

    def kept(self, total: int) -> list[int] | None:
        """Return the batch rows that the frame's rows came from; None means all."""
        if not self.rejected:
            return None
        gone = {rejection.row for rejection in self.rejected}
        return [row for row in range(total) if row not in gone]


class Format(Protocol):
    """What a format can do; each method works on a whole batch."""

    name: str

    def decode(self, values: Sequence[bytes | None], schema: Schema) -> Decoded:
        """Decode values into a frame that has exactly the schema's columns."""

    def encode(self, frame: pl.DataFrame) -> list[bytes]:
        """Encode each row; the result has one item a row, in order."""

    def infer(self, values: Sequence[bytes | None]) -> Schema:
        """Return a schema that fits the values, as far as they agree.

        Raises:
            SchemaError: No value decodes, or they do not agree on a type.
        """


def known(name: str) -> None:
    """Refuse a name that no format has; nothing is imported.

    Raises:
        UnknownName: There is no format of that name.
    """
    if name not in BUILT_IN:
        raise UnknownName("format", name, BUILT_IN)


def schemas_of(format_: Format) -> tuple[Mapping[str, Any], ...]:
    """Return the registered schemas that a format has used, as JSON; most use none.

    A :class:`Context` with them needs no registry.
    """
    used: Callable[[], tuple[Mapping[str, Any], ...]] = getattr(
        format_, "used_schemas", tuple
    )
    return used()


def named(name: str, context: Context | None = None) -> Format:
    """Return the format of that name.

    Args:
        name: Its name in the table of formats.
        context: Where its values are; formats that stand by themselves need none.

    Raises:
        UnknownName: There is none, or it has no such option.
        MissingExtra: A library that it needs is not installed.
        SettingsError: It needs a schema registry, and the profile has none.
    """
    known(name)
    module, _, attribute = BUILT_IN[name].partition(":")
    try:
        format_class = getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        if (error.name or "streamlab").startswith("streamlab"):
            raise
        raise MissingExtra(f"format {name!r}", registry.EXTRA) from error
    return cast("Format", format_class(context or Context()))
