"""Changes of several tables and versions to one frame in commit order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import polars as pl
import psycopg

from streamlab.connectors.postgres import connection as database
from streamlab.connectors.postgres.changes import frames
from streamlab.connectors.postgres.changes.catalog import Catalog
from streamlab.connectors.postgres.changes.frames import ChangeTable
from streamlab.connectors.postgres.changes.pgoutput import Changes
from streamlab.connectors.postgres.changes.relation import Relation
from streamlab.connectors.postgres.connection import Address
from streamlab.connectors.postgres.failures import translation
from streamlab.connectors.postgres.reading.published import Table
from streamlab.connectors.postgres.reading.shapes import Shape
from streamlab.errors import RowsRefused
from streamlab.formats import changes as columns
from streamlab.positions import Position, TopicPartition
from streamlab.sources import Headers
from streamlab.values import FrameValues, RejectedValue, encoded

ORDER = (columns.LSN, columns.INDEX)


@dataclass(frozen=True, slots=True)
class ChangeOrigins:
    """Where changes came from: their place in the log, and their commit's time.

    Attributes:
        partition: The one partition that a slot is.
        places: The columns ``_lsn``, ``_index`` and ``_commit_time``, one row an event.
    """

    partition: TopicPartition
    places: pl.DataFrame

    def counts(self) -> Mapping[TopicPartition, int]:
        """Return how many events there are."""
        return {self.partition: self.places.height} if self.places.height else {}

    def partitions(self) -> Sequence[TopicPartition]:
        """Return the partition of each event."""
        return [self.partition] * self.places.height

    def positions(self) -> Sequence[Position]:
        """Return the position of each event."""
        return list(self.places.select(ORDER).iter_rows())

    def timestamps_ms(self) -> Sequence[int | None]:
        """Return when each event was committed, ms since 1970 UTC."""
        return self.places[columns.COMMIT_TIME].dt.epoch("ms").to_list()

    def keys(self) -> Sequence[bytes | None]:
        """Return no keys: they are columns of the rows."""
        return [None] * self.places.height

    def timestamp_ms(self, row: int) -> int | None:
        """Return when one event was committed, ms since 1970 UTC."""
        stamp = self.places[columns.COMMIT_TIME][row]
        return None if stamp is None else int(stamp.timestamp() * 1000)

    def headers(self, row: int) -> Headers:
        """Return no headers."""
        del row
        return ()

    def headed(self) -> Mapping[int, Headers]:
        """Return no headers."""
        return {}


@dataclass(frozen=True, slots=True)
class Shaped:
    """Events in the shape of a pipeline, in order.

    Attributes:
        values: The events.
        places: ``_lsn``, ``_index`` and ``_commit_time`` of each.
    """

    values: FrameValues
    places: pl.DataFrame


class TableVersions:
    """The tables of a source, each in the versions that the stream has described."""

    def __init__(
        self,
        address: Address,
        catalog: Catalog,
        tables: Iterable[Table],
        shape: Shape,
        as_text: Sequence[str] = (),
    ) -> None:
        """Prepare for the tables as they are now.

        Args:
            address: Where to read the catalog anew when a type is new.
            catalog: The server's types.
            tables: The tables.
            shape: How rows are handed on.
            as_text: Columns of any table to read as text.
        """
        self._address = address
        self._catalog = catalog
        self._tables = {table.relation.oid: table for table in tables}
        self._shape = shape
        self._as_text = frozenset(as_text)
        self._versions: dict[Relation, ChangeTable] = {}

    def of(self, relation: Relation) -> ChangeTable:
        """Return how rows of one version of a table become frames."""
        found = self._versions.get(relation)
        if found is None:
            if self._catalog.missing(relation):
                self._read_catalog()
            table = self._tables.get(relation.oid)
            found = self._versions[relation] = ChangeTable(
                relation,
                self._catalog,
                key=table.key if table else None,
                as_text=[name for name in relation.names if name in self._as_text],
            )
        return found

    def shaped(
        self, rows: Sequence[tuple[ChangeTable, frames.Rows, Changes | pl.DataFrame]]
    ) -> Shaped:
        """Return rows of several tables as events in commit order."""
        parts: list[pl.DataFrame] = []
        lost: list[Lost] = []
        for table, decoded, source in rows:
            lost += [
                (*_place(source, one.row), _text(source, one.row), one.code, one.reason)
                for one in decoded.rejected
            ]
            part, refused = self._part(table, decoded.frame)
            lost += refused
            if part.height:
                parts.append(part)
        frame = parts[0] if parts else pl.DataFrame()
        if len(parts) > 1:
            together = pl.concat(parts, how="diagonal")
            frame = together.sort(ORDER, maintain_order=True)
        places = frame[NO_PLACES.columns] if frame.width else NO_PLACES
        if not lost:
            return Shaped(FrameValues(frame), places)
        return _with_rejected(frame, places, sorted(lost, key=lambda each: each[:2]))

    def _part(
        self, table: ChangeTable, rows: pl.DataFrame
    ) -> tuple[pl.DataFrame, list[Lost]]:
        """Return rows in the shape, and those that it cannot say."""
        if rows.is_empty():
            return rows, []
        try:
            return self._shape.shaped(table, rows), []
        except RowsRefused as refused:
            reasons = refused.reasons
        lost: list[Lost] = [
            (
                *rows.select(*ORDER, columns.COMMIT_TIME).row(row),
                encoded(rows.row(row, named=True)),
                "unrepresentable",
                reason,
            )
            for row, reason in reasons.items()
        ]
        kept = sorted(set(range(rows.height)) - set(reasons))
        return (self._shape.shaped(table, rows[kept]) if kept else rows.clear()), lost

    def _read_catalog(self) -> None:
        with (
            database.connect(self._address, "streamlab catalog") as connection,
            translation("reading the types"),
        ):
            self._catalog = Catalog.read(connection)


Lost: TypeAlias = tuple[int, int, object, bytes, str, str]
"""LSN, index and commit time of a change, its bytes, and why it is not in the frame."""

NO_PLACES = pl.DataFrame(
    schema={name: columns.METADATA[name] for name in (*ORDER, columns.COMMIT_TIME)}
)


def _place(source: Changes | pl.DataFrame, row: int) -> tuple[int, int, object]:
    if isinstance(source, Changes):
        return source.lsn[row], source.index[row], source.commit_time[row]
    return source[columns.LSN][row], source[columns.INDEX][row], None


def _with_rejected(
    frame: pl.DataFrame, places: pl.DataFrame, lost: Sequence[Lost]
) -> Shaped:
    """Put what was rejected between the rows, where it belongs."""
    own = pl.DataFrame(
        [(lsn, index, time) for lsn, index, time, *_ in lost],
        schema=places.schema,
        orient="row",
    ).with_row_index("#rejected")
    together = pl.concat(
        [places.with_columns(pl.lit(None, pl.UInt32).alias("#rejected")), own],
        how="diagonal",
    ).sort(ORDER, maintain_order=True)
    rows = together["#rejected"].is_not_null().arg_true().to_list()
    rejected = [
        RejectedValue(row, value, code, reason)
        for row, (*_, value, code, reason) in zip(rows, lost, strict=True)
    ]
    return Shaped(FrameValues(frame, rejected), together.drop("#rejected"))


def _text(source: object, row: int) -> bytes:
    """Return a change as PostgreSQL wrote it, as JSON of texts."""
    if isinstance(source, pl.DataFrame):
        return encoded(source.row(row, named=True))
    if not isinstance(source, Changes):
        return b""
    names = source.relation.names
    return encoded(
        {
            "op": source.op[row],
            "new": {n: c[row] for n, c in zip(names, source.new.columns, strict=True)},
            "old": {n: c[row] for n, c in zip(names, source.old.columns, strict=True)},
        }
    )


def read_catalog(connection: psycopg.Connection[object]) -> Catalog:
    """Return the types of a database."""
    with translation("reading the types"):
        return Catalog.read(connection)
