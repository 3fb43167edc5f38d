"""Debezium's JSON envelope: change rows as other people's connectors write them.

``connect`` has Kafka Connect's types and Debezium's names for them, ``decimals`` the
bytes of exact numbers, ``encoding`` writes envelopes, ``decoding`` reads them,
``inferring`` finds the columns of a topic. Rows have the shape of
:mod:`streamlab.formats.changes`.

Source: https://debezium.io/documentation/reference/stable/connectors/postgresql.html
(change events, data type mappings)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import polars as pl

from streamlab.contracts import Schema
from streamlab.errors import UsageError
from streamlab.formats import (
    DEBEZIUM_DATABASE,
    DEBEZIUM_DECIMALS,
    DEBEZIUM_PLACEHOLDER,
    DEBEZIUM_SCHEMA,
    DEBEZIUM_SERVER,
    Context,
    Decoded,
)
from streamlab.formats.debezium import decoding, encoding, inferring
from streamlab.formats.debezium.connect import PLACEHOLDER


@dataclass(frozen=True, slots=True)
class DebeziumFormat:
    """JSON envelopes of ``before``, ``after``, ``source`` and ``op``.

    Attributes:
        server: The logical name (``topic.prefix``) that envelopes carry.
        database: The database's name that envelopes carry.
        with_schema: Write the ``schema`` part too, as Kafka Connect's JsonConverter
            does with ``schemas.enable``. Reading finds out by itself.
        decimals: How exact numbers travel: ``precise`` as the bytes of their digits,
            in base64, or ``string``: Debezium's ``decimal.handling.mode``. Reading
            goes by the ``schema`` part where there is one.
        placeholder: What stands for a value that the database did not send:
            Debezium's ``unavailable.value.placeholder``.
        clock_ms: Milliseconds since 1970 for ``ts_ms``, the time of processing.
    """

    name: ClassVar[str] = "debezium"

    server: str = "streamlab"
    database: str = ""
    with_schema: bool = False
    decimals: Literal["precise", "string"] = "precise"
    placeholder: str = PLACEHOLDER
    clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000

    def encode(self, frame: pl.DataFrame) -> list[bytes]:
        """Write each change row as an envelope.

        Deleted rows are no tombstones: see :meth:`encode_with_tombstones`.

        Raises:
            RowsRefused: Rows with a float that is not finite, or where a value is
                unavailable whose type has no placeholder.
            SchemaError: The rows are no change rows, or a type has no JSON form.
        """
        return encoding.encode(frame, self.envelope())

    def encode_keys(
        self, frame: pl.DataFrame, key: Sequence[str]
    ) -> list[bytes | None]:
        """Write each row's key as Debezium does: an object of the key's columns.

        A truncation has no key: None.

        Raises:
            SchemaError: A key column is not there.
        """
        return encoding.encode_keys(frame, key, self.envelope())

    def encode_with_tombstones(
        self, frame: pl.DataFrame, key: Sequence[str]
    ) -> list[tuple[bytes | None, bytes | None]]:
        """Write (key, value) pairs; a deleted row is followed by (key, None).

        Raises:
            RowsRefused: As for :meth:`encode`.
            SchemaError: As for :meth:`encode`, or a key column is not there.
        """
        return encoding.encode_with_tombstones(frame, key, self.envelope())

    def decode(self, values: Sequence[bytes | None], schema: Schema) -> Decoded:
        """Read envelopes into change rows, with the columns that the schema has.

        Args:
            values: JSON envelopes, with or without the ``schema`` part.
            schema: The table's columns and, of the metadata columns, ``_op`` at
                least. ``_before`` may have a part of the columns: then the others
                count as unavailable in deleted rows.

        Returns:
            The rows; ``_index`` is null in envelopes of Debezium's own that have no
            ``transaction`` part. A tombstone is rejected with the code ``tombstone``.

        Raises:
            SchemaError: The schema is not one of change rows.
        """
        return decoding.decode(values, schema, self.decimals, self.placeholder)

    def infer(self, values: Sequence[bytes | None]) -> Schema:
        """Return the schema of change rows that fits a sample.

        With the ``schema`` part the types are exact. Without, a date is a number and
        stays one: declare what it is.

        Raises:
            SchemaError: No value is an envelope with a row.
        """
        return inferring.infer(values)

    def envelope(self) -> encoding.Envelope:
        """Return what all envelopes of a call have in common."""
        return encoding.Envelope(
            self.server,
            self.database,
            self.with_schema,
            self.decimals == "precise",
            self.placeholder,
            self.clock_ms(),
        )


def in_context(context: Context) -> DebeziumFormat:
    """Return the format with the options of a context, by Debezium's names.

    Raises:
        UnknownName: There is no such option.
        UsageError: An option has a value that it cannot have.
    """
    context.check(DebeziumFormat.name)
    return with_options(context.options)


def with_options(options: Mapping[str, str]) -> DebeziumFormat:
    """Return the format with options by Debezium's names; others are not read.

    Raises:
        UsageError: An option has a value that it cannot have.
    """
    return DebeziumFormat(
        server=options.get(DEBEZIUM_SERVER, "streamlab"),
        database=options.get(DEBEZIUM_DATABASE, ""),
        with_schema=_chosen(options, DEBEZIUM_SCHEMA, ("false", "true")) == "true",
        decimals=_chosen(options, DEBEZIUM_DECIMALS, ("precise", "string")),  # type: ignore[arg-type]  # one of the two
        placeholder=options.get(DEBEZIUM_PLACEHOLDER, PLACEHOLDER),
    )


def _chosen(options: Mapping[str, str], name: str, choices: Sequence[str]) -> str:
    """Return an option with few values; the first is the default."""
    value = options.get(name, choices[0])
    if value not in choices:
        message = f"the debezium option {name} is {value!r}"
        raise UsageError(message, hint=f"it is one of {', '.join(choices)}")
    return value
