"""Debezium's envelopes to change rows.

The JSON is read as plain JSON is, by :mod:`streamlab.formats.json`, so a bad value is
one rejection and its neighbours pass; what follows are a few expressions a column.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import orjson
import polars as pl

from streamlab.contracts import Field, Schema
from streamlab.errors import SchemaError
from streamlab.formats import Decoded, Rejection, changes
from streamlab.formats.debezium.connect import ConnectSchema
from streamlab.formats.debezium.encoding import VERSION_PREFIX, placeholder_of
from streamlab.formats.debezium.wire import Wire, wire_of
from streamlab.formats.json import reading

_OPERATIONS = {
    "r": "snapshot",
    "c": "insert",
    "u": "update",
    "d": "delete",
    "t": "truncate",
}
_SCHEMA_FIRST = b'{"schema":'
_PAYLOAD_NEXT = b',"payload":'
_PAYLOAD_NAME = b'"payload"'
_SOURCE = pl.Struct(
    {
        "version": pl.String,
        "sequence": pl.String,
        "ts_ms": pl.Int64,
        "ts_us": pl.Int64,
        "schema": pl.String,
        "table": pl.String,
        "txId": pl.Int64,
        "lsn": pl.Int64,
    }
)
_TRANSACTION = pl.Struct({"total_order": pl.Int64})
_Faults: TypeAlias = dict[int, tuple[str, str]]
_LAST_XID = (1 << 32) - 1


def decode(
    values: Sequence[bytes | None], schema: Schema, decimals: str, placeholder: str
) -> Decoded:
    """Read envelopes; see :meth:`streamlab.formats.debezium.DebeziumFormat.decode`.

    Raises:
        SchemaError: The schema is not one of change rows.
    """
    own = changes.own_columns(schema.dtypes, "reading Debezium's envelope")
    groups = _by_schema(values)
    parts: list[tuple[Sequence[int], Decoded]] = []
    for said, group in groups.items():
        try:
            wires = _wires(own, said, precise=decimals == "precise")
        except SchemaError as error:
            # The schema part is data: what is wrong with it is wrong with the value.
            reason = f"its schema part does not fit: {error.message}"
            decoded = _all_rejected(len(group.rows), schema, reason)
        else:
            decoded = _Reader(schema, own, wires, placeholder).read(group.payloads)
        parts.append((group.rows, decoded))
    return _together(parts, schema)


def _wires(own: pl.Schema, said: bytes, *, precise: bool) -> Mapping[str, Wire]:
    """Return how each column travels.

    Raises:
        SchemaError: The schema part is none, or says otherwise than is declared.
    """
    row = _row_schema(said)
    try:
        return {
            name: wire_of(
                name, dtype, None if row is None else row.get(name), precise=precise
            )
            for name, dtype in own.items()
        }
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise SchemaError("it is not a schema of Kafka Connect's") from error


def _all_rejected(rows: int, schema: Schema, reason: str) -> Decoded:
    rejected = (Rejection(row, "schema-mismatch", reason) for row in range(rows))
    return Decoded(schema.empty(), tuple(rejected))


@dataclass(frozen=True, slots=True)
class _Group:
    """Values whose schema part is the same."""

    rows: list[int] = field(default_factory=list)
    payloads: list[bytes | None] = field(default_factory=list)


def _by_schema(values: Sequence[bytes | None]) -> Mapping[bytes, _Group]:
    """Return the payloads by their schema part; that of bare envelopes is ``b""``."""
    groups: dict[bytes, _Group] = {}
    for row, value in enumerate(values):
        said, payload = _split(value)
        group = groups.get(said)
        if group is None:
            group = groups[said] = _Group()
        group.rows.append(row)
        group.payloads.append(payload)
    return groups


def _split(value: bytes | None) -> tuple[bytes, bytes | None]:
    """Return the schema part of a value, and its payload.

    JsonConverter writes the schema first, compact and always the same way, so the
    value is cut and not parsed: the schema is often ten times as long as the payload.
    """
    if value is None or _PAYLOAD_NAME not in value:
        return b"", value
    if value.startswith(_SCHEMA_FIRST) and value.endswith(b"}"):
        said, found, payload = value[len(_SCHEMA_FIRST) : -1].partition(_PAYLOAD_NEXT)
        if found:
            return said, payload
    try:
        whole = orjson.loads(value)
        return orjson.dumps(whole["schema"]), orjson.dumps(whole["payload"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return b"", value  # no JSON, or a column happens to have that name


def _row_schema(said: bytes) -> Mapping[str, ConnectSchema] | None:
    """Return what a schema part says of each column; None if there is nothing."""
    try:
        fields = {part["field"]: part for part in orjson.loads(said)["fields"]}
        row = fields.get("after") or fields["before"]
        return {part["field"]: part for part in row["fields"]}
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None  # then the payloads are read as declared, or rejected


def _together(
    parts: Sequence[tuple[Sequence[int], Decoded]], schema: Schema
) -> Decoded:
    """Put the rows of all groups back into the order of the batch."""
    if len(parts) == 1:
        return parts[0][1]
    frames = [schema.empty()]
    places: list[int] = []
    rejected: list[Rejection] = []
    for rows, decoded in parts:
        kept = decoded.kept(len(rows))
        places += rows if kept is None else [rows[row] for row in kept]
        frames.append(decoded.frame)
        rejected += [
            Rejection(rows[one.row], one.code, one.reason) for one in decoded.rejected
        ]
    order = pl.Series(places, dtype=pl.Int64).arg_sort()
    rejected.sort(key=lambda one: one.row)
    return Decoded(pl.concat(frames)[order], tuple(rejected))


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads envelopes that agree on how their values travel."""

    schema: Schema
    own: pl.Schema
    wires: Mapping[str, Wire]
    placeholder: str

    def read(self, values: Sequence[bytes | None]) -> Decoded:
        """Return the change rows, and the rejections of what is none."""
        envelope = {
            "before": self._row(),
            "after": self._row(),
            "source": _SOURCE,
            "op": pl.String(),
            "transaction": _TRANSACTION,
        }
        fields = [Field(n, dtype, required=n == "op") for n, dtype in envelope.items()]
        read = reading.decode(values, Schema(tuple(fields)))
        frame = read.frame
        kept = read.kept(len(values))
        rows = list(range(len(values))) if kept is None else kept
        changed, faults = self._changes(frame)
        rejected = [
            *read.rejected,
            *(Rejection(rows[row], *fault) for row, fault in faults.items()),
        ]
        if faults:
            gone = pl.Series(list(faults), dtype=pl.Int64)
            changed = changed.filter(~pl.int_range(pl.len()).is_in(gone.implode()))
        return Decoded(changed, tuple(sorted(rejected, key=lambda one: one.row)))

    def _row(self) -> pl.Struct:
        return pl.Struct({name: wire.dtype for name, wire in self.wires.items()})

    def _changes(self, frame: pl.DataFrame) -> tuple[pl.DataFrame, _Faults]:
        faults = _unknown_operations(frame)
        op = frame["op"].replace_strict(
            _OPERATIONS, default=None, return_dtype=changes.OPERATIONS
        )
        deleted = op == "delete"
        frame = frame.with_columns(op.alias("op"), deleted.alias("deleted"))
        columns: list[pl.Series] = []
        marks: dict[str, pl.Series] = {}
        for name in self.own:
            lost = self._is_placeholder(frame, name)
            column = self._image(frame, "after", name, lost, faults)
            if deleted.any():
                old = self._image(frame, "before", name, ~deleted, faults)
                column = old.zip_with(deleted, column)
            marks[name] = lost
            columns.append(column.alias(name))
        own = pl.DataFrame(columns, height=frame.height)
        shown = own.with_columns(frame.select(self._metadata()))
        shown = self._with_before(shown, frame, faults)
        if changes.UNAVAILABLE in self.schema.dtypes:
            shown = shown.with_columns(self._unavailable(marks, deleted))
        return shown.select(self.schema.dtypes.names()), faults

    def _image(
        self,
        frame: pl.DataFrame,
        image: str,
        name: str,
        left_out: pl.Series,
        faults: _Faults,
    ) -> pl.Series:
        """Return a column of one image, null where it is left out; note misfits."""
        raw = frame.select(pl.col(image).struct.field(name).alias(name)).to_series()
        if left_out.any():
            raw = pl.select(pl.when(~left_out).then(raw)).to_series().alias(name)
        read = raw.to_frame().select(self.wires[name].convert(pl.col(name)))
        column = read.to_series().cast(self.own[name]).alias(name)
        if column.null_count() != raw.null_count():
            reason = (
                f"column {name!r} is {self.own[name]}, and the value in {image!r} does "
                "not fit it"
            )
            for row in (raw.is_not_null() & column.is_null()).arg_true():
                faults.setdefault(row, ("type-mismatch", reason))
        return column

    def _is_placeholder(self, frame: pl.DataFrame, name: str) -> pl.Series:
        """Return where the value after the change stands for one not sent."""
        wire = self.wires[name].dtype
        placeholder = placeholder_of(wire, self.placeholder)
        if placeholder is None:
            return pl.repeat(value=False, n=frame.height, dtype=pl.Boolean, eager=True)
        value = pl.col("after").struct.field(name)
        if isinstance(wire, pl.Enum | pl.Categorical):
            value = value.cast(pl.String)
        same = (value == placeholder).fill_null(value=False)
        return frame.select(same.alias(name)).to_series()

    def _with_before(
        self, shown: pl.DataFrame, frame: pl.DataFrame, faults: _Faults
    ) -> pl.DataFrame:
        dtype = self.schema.dtypes.get(changes.BEFORE)
        if not isinstance(dtype, pl.Struct):
            return shown
        absent = frame["before"].is_null()
        if absent.all():
            return shown.with_columns(pl.lit(None, dtype=dtype).alias(changes.BEFORE))
        fields = [
            self._image(frame, "before", part.name, absent, faults)
            for part in dtype.fields
        ]
        whole = pl.DataFrame(fields).to_struct()
        column = pl.select(pl.when(~absent).then(whole).alias(changes.BEFORE))
        return shown.with_columns(column)

    def _unavailable(
        self, marks: Mapping[str, pl.Series], deleted: pl.Series
    ) -> pl.Series:
        """Return the names of the columns whose values were not sent."""
        before = self.schema.dtypes.get(changes.BEFORE)
        if isinstance(before, pl.Struct):
            known = {part.name for part in before.fields}
            marks = {
                name: lost if name in known else lost | deleted
                for name, lost in marks.items()
            }
        names = pl.DataFrame([lost.alias(name) for name, lost in marks.items()])
        lists = pl.concat_list(
            pl.when(pl.col(name)).then(pl.lit(name)) for name in names.columns
        ).list.drop_nulls()
        column = names.select(lists.alias(changes.UNAVAILABLE))
        return column.select(
            pl.when(pl.col(changes.UNAVAILABLE).list.len() > 0).then(
                pl.col(changes.UNAVAILABLE)
            )
        ).to_series()

    def _metadata(self) -> list[pl.Expr]:
        """Return the metadata columns that the schema has, but for the unavailable."""
        source = pl.col("source").struct
        microseconds = source.field("ts_us").fill_null(source.field("ts_ms") * 1_000)
        xid = source.field("txId")
        is_own = source.field("version").str.starts_with(VERSION_PREFIX)
        index = source.field("sequence").str.extract(r'"([0-9]+)"\]$').cast(pl.Int64)
        total_order = pl.col("transaction").struct.field("total_order")
        found = {
            changes.OP: pl.col("op"),
            changes.LSN: source.field("lsn"),
            changes.INDEX: pl.when(is_own).then(index).otherwise(total_order),
            changes.COMMIT_TIME: microseconds.cast(pl.Datetime("us", "UTC")),
            changes.XID: pl.when(xid.is_between(0, _LAST_XID))
            .then(xid)
            .cast(pl.UInt32),
            changes.SCHEMA: source.field("schema"),
            changes.TABLE: source.field("table"),
        }
        wanted = self.schema.dtypes
        return [one.alias(name) for name, one in found.items() if name in wanted]


def _unknown_operations(frame: pl.DataFrame) -> _Faults:
    """Return the faults of rows whose operation is none, or that lack their image."""
    op = pl.col("op")
    unknown = ~op.is_in(list(_OPERATIONS)).fill_null(value=False)
    lacks = (op.is_in(["r", "c", "u"]) & pl.col("after").is_null()) | (
        (op == "d") & pl.col("before").is_null()
    )
    found = frame.select(
        unknown.alias("unknown"), lacks.fill_null(False).alias("lacks")
    )
    reasons = {
        "unknown": (
            "unknown-operation",
            "the envelope's op is not one of r, c, u, d, t",
        ),
        "lacks": ("no-image", "the envelope lacks the row that its op is about"),
    }
    faults: _Faults = {}
    for name, reason in reasons.items():
        for row in found[name].arg_true():
            faults.setdefault(row, reason)
    return faults
