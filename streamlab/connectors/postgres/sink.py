"""The PostgreSQL sink: rows by COPY, and the position in the same transaction."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import polars as pl
import psycopg
from psycopg import sql

from streamlab import failpoints
from streamlab.connectors.postgres import connection as database
from streamlab.connectors.postgres import progress, table
from streamlab.connectors.postgres.applying import Application
from streamlab.connectors.postgres.columns import CopyText
from streamlab.connectors.postgres.failures import (
    blames_rows,
    reason,
    translated,
    translation,
)
from streamlab.connectors.postgres.reducing import own_columns
from streamlab.errors import (
    ConnectorError,
    Refused,
    RowsRefused,
    SchemaError,
    Unavailable,
    UsageError,
)
from streamlab.formats.changes import METADATA, OP, UNAVAILABLE
from streamlab.positions import Progress
from streamlab.sinks import Guarantee, Sink, SinkBatch, SinkContext, Writer

UNSENT = METADATA[UNAVAILABLE]
MOST_REFUSED = 1_000
"""Refused rows found before the rest is left to the next attempt."""


@dataclass(frozen=True)
class PostgresSink(Sink):
    """Rows into a PostgreSQL table.

    Attributes:
        table: ``table`` or ``schema.table``.
        mode: ``append`` adds each row; ``upsert`` replaces the row with the same key;
            ``changes`` does to the row what ``_op`` says, and leaves out the columns
            that describe the change (they begin with an underscore).
        key: Columns that identify a row, for ``upsert`` and ``changes``.
        version: For ``upsert``: a row replaces only one whose value in this column
            is not greater. Without it, the row written last wins.
        profile: Profile of the settings file that has the database.
        dsn: Connection string or a reference such as ``${env:DSN}``, instead of
            the profile's.
        create: Whether a missing table is created.
        truncate: For ``changes``: whether a TRUNCATE of the source empties the table.
    """

    table: str
    mode: Literal["append", "upsert", "changes"] = "append"
    key: Sequence[str] = ()
    version: str = ""
    profile: str = ""
    dsn: str = field(default="", repr=False)
    create: bool = True
    truncate: bool = False

    def __post_init__(self) -> None:
        """Check what needs no connection."""
        key = (self.key,) if isinstance(self.key, str) else tuple(self.key)
        object.__setattr__(self, "key", key)
        table.TableName.parse(self.table)
        if self.mode not in {"append", "upsert", "changes"}:
            message = f"{self.mode!r} is not a mode of the PostgreSQL sink"
            raise UsageError(message, hint="use 'append', 'upsert' or 'changes'")
        if self.mode != "append" and not self.key:
            message = f"{self.mode} needs the columns that identify a row"
            raise UsageError(message, hint='give them: key=("carrier", "flight")')
        if self.mode == "append" and (self.key or self.version):
            message = "append takes neither a key nor a version"
            raise UsageError(message, hint="use mode='upsert'")
        if self.mode == "changes" and self.version:
            message = "changes are in order already, and take no version"
            raise UsageError(message)
        if self.mode != "changes" and self.truncate:
            message = "truncate is for mode='changes'"
            raise UsageError(message)

    @property
    def guarantee(self) -> Guarantee:
        """Rows and position are in one transaction."""
        return Guarantee.ATOMIC

    @property
    def takes_changes(self) -> bool:
        """Only ``changes`` deletes the row of a delete."""
        return self.mode == "changes"

    def open(self, context: SinkContext) -> PostgresWriter:
        """Connect, and create or check the table."""
        return PostgresWriter(self, context)

    def stored(self, pipeline: str) -> Sequence[Progress]:
        """Return the progress of a pipeline from ``streamlab.progress``."""
        address = database.find(self.profile, self.dsn)
        with (
            database.connect(address, f"streamlab {pipeline} position") as connection,
            translation("reading the progress"),
        ):
            return progress.of(connection, pipeline)

    def describe(self) -> str:
        """Return one line for the plan."""
        key = f" by {', '.join(self.key)}" if self.key else ""
        return f"postgres table {self.table} ({self.mode}{key}, {self.guarantee.value})"


class PostgresWriter(Writer):
    """An open PostgreSQL sink; it connects again by itself after a break."""

    def __init__(self, sink: PostgresSink, context: SinkContext) -> None:
        """Connect, and make the table ready."""
        self._sink = sink
        self._context = context
        self._schema = pl.Schema(context.schema)
        if sink.version and sink.version not in context.schema:
            message = f"the version column {sink.version!r} is not among the rows' ones"
            raise SchemaError(message, hint=f"they are {', '.join(context.schema)}")
        self._name = table.TableName.parse(sink.table)
        written, self._put = self._way()
        self._text = CopyText(written)
        self._address = database.find(sink.profile, sink.dsn)
        self._closed = False
        self._connection = self._connect()
        try:
            with translation(f"preparing table {self._name}"):
                progress.create(self._connection)
                table.prepare(
                    self._connection,
                    self._name,
                    written,
                    sink.key,
                    may_create=sink.create,
                )
        except BaseException:
            self._connection.close()
            raise

    def _way(
        self,
    ) -> tuple[
        Mapping[str, pl.DataType],
        Callable[[psycopg.Connection[Any], pl.DataFrame], None],
    ]:
        """Return the columns that are written, and what writes a frame.

        Raises:
            SchemaError: The rows do not say what happened to them.
        """
        sink, schema = self._sink, self._schema
        if sink.mode == "upsert":
            return schema, self._upsert
        if sink.mode == "append":
            return schema, self._append
        if not isinstance(schema.get(OP), pl.String | pl.Enum):
            message = f"mode 'changes' needs the column {OP!r}"
            raise SchemaError(
                message, hint="a PostgreSQL source gives it: keep it in the transform"
            )
        whole = self._context.whole and UNAVAILABLE not in schema
        if schema.get(UNAVAILABLE) != UNSENT and not whole:
            # Without the list, values that were not sent would be written as null.
            found = schema.get(UNAVAILABLE, "missing")
            message = (
                f"mode 'changes' needs the column {UNAVAILABLE!r} as {UNSENT}, and it "
                f"is {found}: a long value that did not change is not sent, and "
                "without the column it would be lost"
            )
            raise SchemaError(
                message,
                hint="name it in the schema and keep it in the transform; for rows "
                "that are always whole: "
                f'pl.lit([], dtype=pl.List(pl.String)).alias("{UNAVAILABLE}")',
            )
        own = {name: schema[name] for name in own_columns(schema.names())}
        staging = f"streamlab_{zlib.crc32(f'{self._name}: {own}'.encode()):08x}"
        replica = Application(self._name, own, tuple(sink.key), sink.truncate, staging)
        if not whole:
            return own, replica.put
        nothing = pl.lit([], dtype=UNSENT).alias(UNAVAILABLE)
        return own, lambda connection, rows: replica.put(
            connection, rows.with_columns(nothing)
        )

    def claim(self, initial: Sequence[Progress]) -> Sequence[Progress]:
        """Insert progress for new tasks and return what is stored."""
        connection = self._open_connection()
        with translation("reading the progress"):
            return progress.claim(connection, self._context.pipeline, initial)

    def write(self, batch: SinkBatch) -> int:
        """Write rows and progress in one transaction.

        Returns:
            The rows of the frame; with ``upsert`` a row that a later one of the same
            epoch replaces counts too.
        """
        if batch.frame.schema != self._schema:
            message = "the frame does not have the columns the sink was opened for"
            raise Refused(message)
        connection = self._open_connection()
        try:
            with connection.transaction():
                self._advance(connection, batch)
                self._put(connection, batch.frame)
                failpoints.passing("in-sink-transaction")
        except psycopg.Error as error:
            if not blames_rows(error):
                raise translated(error, self._doing) from None
        else:
            return batch.frame.height
        raise self._culprits(connection, batch)

    def close(self) -> None:
        """Drop the connection; a second call does nothing."""
        self._closed = True
        self._connection.close()

    @property
    def _doing(self) -> str:
        return f"writing to table {self._name}"

    def _connect(self) -> psycopg.Connection[Any]:
        worker = f"streamlab {self._context.pipeline} {self._context.worker}"
        return database.connect(self._address, worker)

    def _open_connection(self) -> psycopg.Connection[Any]:
        if self._closed:
            message = "the writer is closed"
            raise UsageError(message)
        if self._connection.closed:
            self._connection = self._connect()
        return self._connection

    def _advance(self, connection: psycopg.Connection[Any], batch: SinkBatch) -> None:
        progress.begin(connection)
        progress.advance(connection, self._context.pipeline, batch.before, batch.after)

    def _append(self, connection: psycopg.Connection[Any], frame: pl.DataFrame) -> None:
        self._copy(connection, self._name.identifier, frame)

    def _upsert(self, connection: psycopg.Connection[Any], frame: pl.DataFrame) -> None:
        """Copy into a temporary table and merge it: the last row of each key.

        The rows are sorted by key, so that workers that touch the same keys take the
        locks in the same order.
        """
        if frame.is_empty():
            return
        key = list(self._sink.key)
        if self._sink.version:
            frame = frame.sort(self._sink.version, maintain_order=True)
        last = frame.unique(key, keep="last", maintain_order=True).sort(key)
        staging = self._staging
        connection.execute(
            sql.SQL(
                "CREATE TEMPORARY TABLE IF NOT EXISTS {} ON COMMIT DELETE ROWS "
                "AS SELECT {} FROM {} WITH NO DATA"
            ).format(staging, self._column_list, self._name.identifier)
        )
        # Empty, unless this transaction has put another part of the epoch there.
        connection.execute(sql.SQL("DELETE FROM {}").format(staging))
        self._copy(connection, staging, last)
        connection.execute(self._merge)

    def _copy(
        self,
        connection: psycopg.Connection[Any],
        target: sql.Identifier,
        frame: pl.DataFrame,
    ) -> None:
        if frame.is_empty():
            return
        statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv)").format(
            target, self._column_list
        )
        with connection.cursor() as cursor, cursor.copy(statement) as copy:
            for part in self._text.parts(frame):
                copy.write(part)

    @property
    def _column_list(self) -> sql.Composed:
        return sql.SQL(", ").join(map(sql.Identifier, self._schema))

    @property
    def _staging(self) -> sql.Identifier:
        """Return a name of its own for each table and set of columns.

        A pooler may hand this pipeline a session in which another one has been.
        """
        described = f"{self._name}: {self._schema}"
        return sql.Identifier(f"streamlab_{zlib.crc32(described.encode()):08x}")

    @property
    def _merge(self) -> sql.Composed:
        others = [name for name in self._schema if name not in self._sink.key]
        if others:
            changes = sql.SQL(", ").join(
                sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name))
                for name in others
            )
            action: sql.Composable = sql.SQL("UPDATE SET {}").format(changes)
        else:
            action = sql.SQL("NOTHING")
        if others and self._sink.version:
            action += sql.SQL(
                " WHERE target.{0} IS NULL OR excluded.{0} >= target.{0}"
            ).format(sql.Identifier(self._sink.version))
        return sql.SQL(
            "INSERT INTO {} AS target ({}) SELECT {} FROM {} ON CONFLICT ({}) DO {}"
        ).format(
            self._name.identifier,
            self._column_list,
            self._column_list,
            self._staging,
            sql.SQL(", ").join(map(sql.Identifier, self._sink.key)),
            action,
        )

    def _culprits(
        self, connection: psycopg.Connection[Any], batch: SinkBatch
    ) -> ConnectorError:
        """Find the refused rows by halving, and leave nothing written."""
        try:
            with connection.transaction(force_rollback=True):
                self._advance(connection, batch)
                reasons = refused_rows(connection, self._put, batch.frame)
        except psycopg.Error as error:
            return translated(error, self._doing)
        if reasons:
            return RowsRefused(reasons)
        return Unavailable(f"PostgreSQL refused rows of table {self._name} only once")


def refused_rows(
    connection: psycopg.Connection[Any],
    put: Callable[[psycopg.Connection[Any], pl.DataFrame], None],
    frame: pl.DataFrame,
) -> dict[int, str]:
    """Return the rows that cannot be written, with the reason of each.

    What can be written stays, up to the end of the transaction, so that of two rows
    that exclude each other only the second is refused.

    Args:
        connection: Inside a transaction.
        put: Writes a frame.
        frame: The rows.

    Returns:
        Row number → reason, of at most ``MOST_REFUSED`` rows.

    Raises:
        psycopg.Error: Something failed that is no row's fault.
    """
    reasons: dict[int, str] = {}
    pending = [(0, frame.height)]
    while pending and len(reasons) < MOST_REFUSED:
        start, end = pending.pop()
        try:
            with connection.transaction():
                put(connection, frame.slice(start, end - start))
        except psycopg.Error as error:
            if not blames_rows(error):
                raise
            if end - start == 1:
                reasons[start] = reason(error)
                continue
            middle = (start + end) // 2
            pending += [(middle, end), (start, middle)]
    return reasons
