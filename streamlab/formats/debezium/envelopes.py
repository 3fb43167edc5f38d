"""Envelopes as a frame to change rows, however they were encoded.

A format reads the parts of its envelopes into the columns of :meth:`Envelopes.parts`;
what follows are a few expressions a column.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import polars as pl

from streamlab.contracts import Field, Schema
from streamlab.formats import changes
from streamlab.formats.debezium.encoding import VERSION_PREFIX, placeholder_of
from streamlab.formats.debezium.wire import Wire
from streamlab.formats.json.dtypes import nulls

_OPERATIONS = {
    "r": "snapshot",
    "c": "insert",
    "u": "update",
    "d": "delete",
    "t": "truncate",
}
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
Faults: TypeAlias = dict[int, tuple[str, str]]
"""Row → code and reason of its rejection."""

_LAST_XID = (1 << 32) - 1


@dataclass(frozen=True, slots=True)
class Envelopes:
    """Envelopes that agree on how their values travel.

    Attributes:
        schema: The declared schema, of change rows.
        own: Its columns of the table.
        wires: How each of those travels.
        placeholder: What stands for a value that was not sent.
    """

    schema: Schema
    own: pl.Schema
    wires: Mapping[str, Wire]
    placeholder: str

    def parts(self) -> Schema:
        """Return the parts of an envelope that are read, as columns."""
        row = pl.Struct({name: wire.dtype for name, wire in self.wires.items()})
        parts = {
            "before": row,
            "after": row,
            "source": _SOURCE,
            "op": pl.String(),
            "transaction": _TRANSACTION,
        }
        return Schema(
            tuple(Field(n, dtype, required=n == "op") for n, dtype in parts.items())
        )

    def changes(self, frame: pl.DataFrame) -> tuple[pl.DataFrame, Faults]:
        """Return the change rows of a frame of the parts, and what is none.

        Args:
            frame: It has the columns of :meth:`parts`.

        Returns:
            The rows that are changes, and the faults of the others, by their place in
            the frame.
        """
        changed, faults = self._changes(frame)
        if faults:
            gone = pl.Series(list(faults), dtype=pl.Int64)
            changed = changed.filter(~pl.int_range(pl.len()).is_in(gone.implode()))
        return changed, faults

    def _changes(self, frame: pl.DataFrame) -> tuple[pl.DataFrame, Faults]:
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
        faults: Faults,
    ) -> pl.Series:
        """Return a column of one image, null where it is left out; note misfits."""
        raw = frame.select(pl.col(image).struct.field(name).alias(name)).to_series()
        if left_out.any():
            raw = pl.select(pl.when(~left_out).then(raw)).to_series().alias(name)
        read = raw.to_frame().select(self.wires[name].convert(pl.col(name)))
        column = read.to_series().cast(self.own[name]).alias(name)
        reason = (
            f"column {name!r} is {self.own[name]}, and the value in {image!r} does "
            "not fit it"
        )
        for row in _lost(raw, column):
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
        self, shown: pl.DataFrame, frame: pl.DataFrame, faults: Faults
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
        text = source.field("sequence").str.extract(r'"([0-9]+)"\]$')
        index = text.cast(pl.Int64, strict=False)
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


def _lost(raw: pl.Series, converted: pl.Series) -> Sequence[int]:
    """Return the rows where a conversion made a null of something, at any depth."""
    dtype = converted.dtype
    if not dtype.is_nested() and raw.null_count() == converted.null_count():
        return ()
    counts = [
        one.to_frame().select(nulls(pl.col(one.name), dtype)).to_series()
        for one in (raw, converted)
    ]
    return (counts[0] != counts[1]).arg_true().to_list()


def _unknown_operations(frame: pl.DataFrame) -> Faults:
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
    faults: Faults = {}
    for name, reason in reasons.items():
        for row in found[name].arg_true():
            faults.setdefault(row, reason)
    return faults
