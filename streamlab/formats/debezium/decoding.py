"""Debezium's envelopes to change rows.

The JSON is read as plain JSON is, by :mod:`streamlab.formats.json`, so a bad value is
one rejection and its neighbours pass; what follows are a few expressions a column.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson
import polars as pl

from streamlab.contracts import Field, Schema
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
_PAYLOAD = b'"payload":'
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
_LAST_XID = (1 << 32) - 1


def decode(
    values: Sequence[bytes | None], schema: Schema, decimals: str, placeholder: str
) -> Decoded:
    """Read envelopes; see :meth:`streamlab.formats.debezium.DebeziumFormat.decode`.

    Raises:
        SchemaError: The schema is not one of change rows, or does not agree with what
            the envelopes say of themselves.
    """
    own = changes.own_columns(schema.dtypes, "reading Debezium's envelope")
    groups = _by_schema(values)
    parts: list[tuple[list[int], Decoded]] = []
    for head, rows in groups.items():
        said = _row_schema(head)
        wires = {
            name: wire_of(
                name,
                dtype,
                None if said is None else said.get(name),
                precise=decimals == "precise",
            )
            for name, dtype in own.items()
        }
        reader = _Reader(schema, own, wires, placeholder, is_nested=bool(head))
        whole = len(rows) == len(values)
        some = values if whole else [values[row] for row in rows]
        parts.append((rows, reader.read(some)))
    return _together(parts, schema, len(values))


def _by_schema(values: Sequence[bytes | None]) -> Mapping[bytes, list[int]]:
    """Return the rows by what stands before their payload; b"" for bare envelopes.

    JsonConverter writes the schema first, and always the same way.
    """
    groups: dict[bytes, list[int]] = {}
    for row, value in enumerate(values):
        head = b""
        if value is not None and value.startswith(b'{"schema":'):
            head, found, _ = value.partition(_PAYLOAD)
            head = head if found else b""
        groups.setdefault(head, []).append(row)
    return groups


def _row_schema(head: bytes) -> Mapping[str, ConnectSchema] | None:
    """Return what a schema part says of each column; None if there is nothing."""
    if not head:
        return None
    try:
        envelope = orjson.loads(head + _PAYLOAD + b"null}")["schema"]
        fields = {part["field"]: part for part in envelope["fields"]}
        row = fields.get("after") or fields["before"]
        return {part["field"]: part for part in row["fields"]}
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None  # then the payloads are read as declared, or rejected


def _together(
    parts: Sequence[tuple[list[int], Decoded]], schema: Schema, total: int
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
    decoded = Decoded(pl.concat(frames)[order], tuple(rejected))
    assert decoded.frame.height + len(rejected) == total  # noqa: S101 -- nothing is lost
    return decoded


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads envelopes that agree on how their values travel."""

    schema: Schema
    own: pl.Schema
    wires: Mapping[str, Wire]
    placeholder: str
    is_nested: bool

    def read(self, values: Sequence[bytes | None]) -> Decoded:
        """Return the change rows, and the rejections of what is none."""
        envelope = {
            "before": self._row(),
            "after": self._row(),
            "source": _SOURCE,
            "op": pl.String(),
            "transaction": _TRANSACTION,
        }
        if self.is_nested:
            read = reading.decode(
                values, Schema((Field("payload", pl.Struct(envelope), required=True),))
            )
            frame = read.frame.unnest("payload")
        else:
            fields = [
                Field(n, dtype, required=n == "op") for n, dtype in envelope.items()
            ]
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

    def _changes(
        self, frame: pl.DataFrame
    ) -> tuple[pl.DataFrame, dict[int, tuple[str, str]]]:
        faults = _unknown_operations(frame)
        op = frame["op"].replace_strict(
            _OPERATIONS, default=None, return_dtype=changes.OPERATIONS
        )
        deleted = op == "delete"
        frame = frame.with_columns(op.alias("op"), deleted.alias("deleted"))
        columns: list[pl.Series] = []
        marks: dict[str, pl.Series] = {}
        for name in self.own:
            old, new = self._images(frame, name, faults)
            lost = self._is_placeholder(frame, name)
            columns.append(old.zip_with(deleted, new).alias(name))
            marks[name] = lost
            if lost.any():
                columns[-1] = pl.select(pl.when(~lost).then(columns[-1])).to_series()
        own = pl.DataFrame(columns, height=frame.height)
        shown = own.with_columns(frame.select(self._metadata()))
        shown = self._with_before(shown, frame)
        if changes.UNAVAILABLE in self.schema.dtypes:
            shown = shown.with_columns(self._unavailable(marks, deleted))
        return shown.select(self.schema.dtypes.names()), faults

    def _images(
        self, frame: pl.DataFrame, name: str, faults: dict[int, tuple[str, str]]
    ) -> tuple[pl.Series, pl.Series]:
        """Return a column before and after, and note values that do not fit."""
        found: list[pl.Series] = []
        for image in ("before", "after"):
            raw = frame.select(pl.col(image).struct.field(name).alias(name))
            read = raw.select(self.wires[name].convert(pl.col(name)).alias(name))
            lost = raw[name].is_not_null() & read[name].is_null()
            if image == "after":
                lost &= ~self._is_placeholder(frame, name)
            if lost.any():
                reason = (
                    f"column {name!r} is {self.own[name]}, and the value in {image!r} "
                    "does not fit it"
                )
                for row in lost.arg_true():
                    faults.setdefault(row, ("type-mismatch", reason))
            found.append(read[name].cast(self.own[name]))
        return found[0], found[1]

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

    def _with_before(self, shown: pl.DataFrame, frame: pl.DataFrame) -> pl.DataFrame:
        dtype = self.schema.dtypes.get(changes.BEFORE)
        if not isinstance(dtype, pl.Struct):
            return shown
        before = pl.struct(
            self.wires[part.name]
            .convert(pl.col("before").struct.field(part.name))
            .cast(self.own[part.name])
            .alias(part.name)
            for part in dtype.fields
        )
        has = pl.col("before").is_not_null()
        column = frame.select(pl.when(has).then(before).alias(changes.BEFORE))
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


def _unknown_operations(frame: pl.DataFrame) -> dict[int, tuple[str, str]]:
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
    faults: dict[int, tuple[str, str]] = {}
    for name, reason in reasons.items():
        for row in found[name].arg_true():
            faults.setdefault(row, reason)
    return faults
