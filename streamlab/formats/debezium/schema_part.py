"""The ``schema`` part of envelopes, as Kafka Connect's JsonConverter writes it.

Source: https://debezium.io/documentation/reference/stable/connectors/postgresql.html
(change event values), and PostgresSourceInfoStructMaker of Debezium's for ``source``.
"""

from __future__ import annotations

import orjson
import polars as pl

from streamlab.formats import changes
from streamlab.formats.debezium.connect import ConnectSchema, schema_of

_SNAPSHOT_VALUES = (
    "first,first_in_data_collection,last_in_data_collection,last,true,false,incremental"
)


def head_of(schema: ConnectSchema) -> bytes:
    """Return what stands before each payload; a brace closes it behind."""
    return b'{"schema":' + orjson.dumps(schema) + b',"payload":'


def envelope_schema(rows: pl.Schema, table: str, *, precise: bool) -> ConnectSchema:
    """Return the schema of envelopes of one table.

    Args:
        rows: The columns of change rows.
        table: ``server.schema.table``.
        precise: Whether decimals are bytes.

    Raises:
        SchemaError: They are no change rows, or a type has no form in an envelope.
    """
    own = changes.own_columns(rows, "Debezium's envelope")
    row: ConnectSchema = {
        "type": "struct",
        "fields": _fields(own, precise=precise),
        "optional": True,
        "name": f"{table}.Value",
    }
    return {
        "type": "struct",
        "fields": [
            {**row, "field": "before"},
            {**row, "field": "after"},
            _source_schema(rows),
            _field("op", "string"),
            _field("ts_ms", "int64", optional=True),
            _TRANSACTION_SCHEMA,
        ],
        "optional": False,
        "name": f"{table}.Envelope",
        "version": 2,
    }


def key_schema(key: pl.Schema, table: str, *, precise: bool) -> ConnectSchema:
    """Return the schema of keys of one table; a key's columns are never null."""
    fields = [{**one, "optional": False} for one in _fields(key, precise=precise)]
    return {
        "type": "struct",
        "fields": fields,
        "optional": False,
        "name": f"{table}.Key",
    }


def _fields(columns: pl.Schema, *, precise: bool) -> list[ConnectSchema]:
    return [schema_of(name, dtype, precise=precise) for name, dtype in columns.items()]


def _field(name: str, kind: str, *, optional: bool = False) -> ConnectSchema:
    return {"type": kind, "optional": optional, "field": name}


def _source_schema(rows: pl.Schema) -> ConnectSchema:
    """Return the schema of what says where a change comes from.

    Rows that have no such column have no such value.
    """
    has = {name: name in rows for name in changes.METADATA}
    fields = [
        *(_field(name, "string") for name in ("version", "connector", "name")),
        _field("ts_ms", "int64", optional=not has[changes.COMMIT_TIME]),
        {
            **_field("snapshot", "string", optional=True),
            "name": "io.debezium.data.Enum",
            "version": 1,
            "parameters": {"allowed": _SNAPSHOT_VALUES},
            "default": "false",
        },
        _field("db", "string"),
        _field("sequence", "string", optional=True),
        _field("ts_us", "int64", optional=True),
        _field("ts_ns", "int64", optional=True),
        _field("schema", "string", optional=not has[changes.SCHEMA]),
        _field("table", "string", optional=not has[changes.TABLE]),
        *(_field(name, "int64", optional=True) for name in ("txId", "lsn", "xmin")),
    ]
    return {
        "type": "struct",
        "fields": fields,
        "optional": False,
        "name": "io.debezium.connector.postgresql.Source",
        "field": "source",
    }


_TRANSACTION_SCHEMA: ConnectSchema = {
    "type": "struct",
    "fields": [
        _field("id", "string"),
        _field("total_order", "int64"),
        _field("data_collection_order", "int64"),
    ],
    "optional": True,
    "name": "event.block",
    "version": 1,
    "field": "transaction",
}
