"""Changes of a table applied to another one: upserts and deletes by key."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import polars as pl
import psycopg
from psycopg import sql

from streamlab.connectors.postgres.columns import CopyText
from streamlab.connectors.postgres.reducing import (
    behind_truncation,
    is_whole,
    moved_incompletely,
    reduced,
)
from streamlab.connectors.postgres.table import TableName
from streamlab.errors import Refused, RowsRefused
from streamlab.formats.changes import BEFORE, OP, UNAVAILABLE


@dataclass
class Application:
    """How changes are applied to one table.

    Attributes:
        name: The table.
        schema: Its columns, without those that describe a change.
        key: Columns that identify a row.
        may_truncate: Whether a TRUNCATE of the source empties the table.
        staging: Name of a temporary table that nobody else uses.
    """

    name: TableName
    schema: Mapping[str, pl.DataType]
    key: tuple[str, ...]
    may_truncate: bool
    staging: str
    _inserts_meet_rows: bool = field(default=False, init=False)

    def put(self, connection: psycopg.Connection[Any], changes: pl.DataFrame) -> None:
        """Apply changes in their order, inside a transaction.

        Raises:
            Refused: The source's table was truncated, and this one may not be.
            RowsRefused: Rows lack a value that the target does not have either.
            psycopg.Error: The server refused.
        """
        emptied, left = behind_truncation(changes)
        if emptied:
            self._empty(connection)
        first = changes.height - left.height
        for part in self._parts(left):
            try:
                self._put_part(connection, part)
            except RowsRefused as error:
                raise RowsRefused(
                    {row + first: why for row, why in error.reasons.items()}
                ) from None
            first += part.height

    def _parts(self, changes: pl.DataFrame) -> list[pl.DataFrame]:
        """Cut where a row takes values from a key that was touched just before."""
        moved = moved_incompletely(changes)
        if not moved:
            return [changes] if changes.height else []
        touched: set[tuple[Any, ...]] = set()
        keys = changes.select(self.key).rows()
        olds = self._old_keys(changes)
        cuts, start = [0], 0
        for row in moved:
            # The delete of the old key stands just before.
            touched.update(keys[start : max(start, row - 1)])
            start = row
            if olds[row] in touched:
                cuts.append(max(cuts[-1], row - 1))
                touched = set()
        cuts.append(changes.height)
        return [
            changes[begin:end] for begin, end in itertools.pairwise(cuts) if end > begin
        ]

    def _old_keys(self, changes: pl.DataFrame) -> list[tuple[Any, ...]]:
        before = changes[BEFORE].struct.unnest()
        return before.select(self.key).rows()

    def _put_part(
        self, connection: psycopg.Connection[Any], changes: pl.DataFrame
    ) -> None:
        if self._is_written_as_new(connection, changes):
            return
        moved = moved_incompletely(changes)
        if moved:
            changes = self._completed(connection, changes, moved)
        left = reduced(changes, self.key)
        self._delete(connection, left.deleted)
        for lacking, rows in left.partial:
            self._update(connection, rows, lacking)
        self._upsert(connection, left.whole)

    def _completed(
        self,
        connection: psycopg.Connection[Any],
        changes: pl.DataFrame,
        moved: Sequence[int],
    ) -> pl.DataFrame:
        """Copy values of rows whose key changed from where they stood."""
        olds = self._old_keys(changes)
        wanted = pl.DataFrame(
            [olds[row] for row in moved],
            schema={name: self.schema[name] for name in self.key},
            orient="row",
        )
        lacking = changes[UNAVAILABLE].gather(list(moved))
        names = [str(name) for name in lacking.explode().drop_nulls().unique()]
        found = self._looked_up(connection, wanted, names)
        missing = {
            row: "the row's key changed, and the target has no row of the old key"
            for row in moved
            if olds[row] not in found
        }
        if missing:
            raise RowsRefused(missing)
        lists = dict(zip(moved, lacking.to_list(), strict=True))
        for name in names:
            column = changes[name].to_list()
            for row in moved:
                if name in lists[row]:
                    column[row] = found[olds[row]][name]
            changes = changes.with_columns(
                pl.Series(name, column, dtype=self.schema[name])
            )
        marked = pl.int_range(pl.len()).is_in(list(moved))
        kept = pl.when(~marked).then(pl.col(UNAVAILABLE))
        return changes.with_columns(kept.alias(UNAVAILABLE))

    def _looked_up(
        self,
        connection: psycopg.Connection[Any],
        keys: pl.DataFrame,
        names: Sequence[str],
    ) -> dict[tuple[Any, ...], dict[str, Any]]:
        """Return the values of some columns by key, as they are in the table."""
        self._stage(connection, keys.unique(), self.key)
        statement = sql.SQL("SELECT {} FROM {} AS t JOIN {} AS s ON {}").format(
            sql.SQL(", ").join(
                # A target made by hand may have jsonb where the source has text.
                sql.SQL(
                    "t.{}::text" if self.schema[name] == pl.String else "t.{}"
                ).format(sql.Identifier(name))
                for name in (*self.key, *names)
            ),
            self.name.identifier,
            sql.Identifier(self.staging),
            self._same_key,
        )
        rows = connection.execute(statement).fetchall()
        width = len(self.key)
        return {
            tuple(row[:width]): dict(zip(names, row[width:], strict=True))
            for row in rows
        }

    def _empty(self, connection: psycopg.Connection[Any]) -> None:
        if not self.may_truncate:
            message = f"the source's table was truncated, and {self.name} was not"
            raise Refused(
                message,
                hint="to empty it, too: truncate = true in [sink]; the position stays "
                "before the truncation until then",
            )
        connection.execute(sql.SQL("DELETE FROM {}").format(self.name.identifier))

    def _delete(self, connection: psycopg.Connection[Any], rows: pl.DataFrame) -> None:
        if rows.is_empty():
            return
        self._stage(connection, rows.select(self.key), self.key)
        connection.execute(
            sql.SQL("DELETE FROM {} AS t USING {} AS s WHERE {}").format(
                self.name.identifier, sql.Identifier(self.staging), self._same_key
            )
        )

    def _update(
        self,
        connection: psycopg.Connection[Any],
        rows: pl.DataFrame,
        lacking: Sequence[str],
    ) -> None:
        """Write rows without some columns: those keep their value."""
        names = [name for name in self.schema if name not in lacking]
        self._stage(connection, rows.select(names), names)
        others = [name for name in names if name not in self.key] or list(self.key)
        changed = sql.SQL(", ").join(
            sql.SQL("{0} = s.{0}").format(sql.Identifier(name)) for name in others
        )
        written = connection.execute(
            sql.SQL("UPDATE {} AS t SET {} FROM {} AS s WHERE {}").format(
                self.name.identifier,
                changed,
                sql.Identifier(self.staging),
                self._same_key,
            )
        ).rowcount
        if written != rows.height:
            self._refuse_unknown(connection, rows, lacking)

    def _refuse_unknown(
        self,
        connection: psycopg.Connection[Any],
        rows: pl.DataFrame,
        lacking: Sequence[str],
    ) -> None:
        there = self._looked_up(connection, rows.select(self.key), ())
        listed = ", ".join(repr(name) for name in lacking)
        reasons = {
            place: f"the target has no row of this key, and the change no {listed}"
            for place, key in zip(
                rows["#place"].to_list(), rows.select(self.key).rows(), strict=True
            )
            if key not in there
        }
        if reasons:
            raise RowsRefused(reasons)

    def _upsert(self, connection: psycopg.Connection[Any], rows: pl.DataFrame) -> None:
        if rows.is_empty():
            return
        names = list(self.schema)
        self._stage(connection, rows.select(names), names)
        connection.execute(self._upserting)

    @cached_property
    def _upserting(self) -> sql.Composed:
        """Return the statement that writes whole rows from the temporary table."""
        others = [name for name in self.schema if name not in self.key]
        action: sql.Composable = sql.SQL("NOTHING")
        if others:
            changed = sql.SQL(", ").join(
                sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name))
                for name in others
            )
            action = sql.SQL("UPDATE SET {}").format(changed)
        columns = _listed(self.schema)
        return sql.SQL(
            "INSERT INTO {} ({}) SELECT {} FROM {} ON CONFLICT ({}) DO {}"
        ).format(
            self.name.identifier,
            columns,
            columns,
            sql.Identifier(self.staging),
            _listed(self.key),
            action,
        )

    def _is_written_as_new(
        self, connection: psycopg.Connection[Any], changes: pl.DataFrame
    ) -> bool:
        """Copy rows straight into the table if it should have none of them yet.

        So it is with a snapshot, and with inserts of a source whose key is the
        target's, too. Once one of those was there before, the next ones may be, and
        trying costs as much as writing.
        """
        operations = changes[OP]
        if (operations == "snapshot").all():
            return self._copied(connection, changes)
        if self._inserts_meet_rows or not (operations == "insert").all():
            return False
        if not is_whole(changes):
            return False
        copied = self._copied(connection, changes)
        self._inserts_meet_rows = not copied
        return copied

    def _copied(self, connection: psycopg.Connection[Any], rows: pl.DataFrame) -> bool:
        """Copy rows straight into the table, as they come.

        Returns:
            Whether no key was there before, or came twice: else nothing is written.
        """
        try:
            with connection.transaction():
                self._copy(connection, self.name.identifier, rows, tuple(self.schema))
        except psycopg.errors.UniqueViolation:
            return False
        return True

    def _stage(
        self,
        connection: psycopg.Connection[Any],
        rows: pl.DataFrame,
        names: Sequence[str],
    ) -> None:
        """Copy rows into the temporary table, which has nothing else afterwards."""
        connection.execute(self._emptying)
        self._copy(connection, sql.Identifier(self.staging), rows, names)

    @cached_property
    def _emptying(self) -> sql.Composed:
        """Return the statements that make sure of an empty temporary table."""
        return sql.SQL(
            "CREATE TEMPORARY TABLE IF NOT EXISTS {0} ON COMMIT DELETE ROWS "
            "AS SELECT {1} FROM {2} WITH NO DATA; DELETE FROM {0}"
        ).format(
            sql.Identifier(self.staging), _listed(self.schema), self.name.identifier
        )

    def _copy(
        self,
        connection: psycopg.Connection[Any],
        target: sql.Identifier,
        rows: pl.DataFrame,
        names: Sequence[str],
    ) -> None:
        statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv)").format(
            target, _listed(names)
        )
        text = self._text
        if len(names) < len(self.schema):
            text = CopyText({name: self.schema[name] for name in names})
        with connection.cursor() as cursor, cursor.copy(statement) as copy:
            for part in text.parts(rows.select(names)):
                copy.write(part)

    @cached_property
    def _text(self) -> CopyText:
        return CopyText(self.schema)

    @property
    def _same_key(self) -> sql.Composed:
        return sql.SQL(" AND ").join(
            sql.SQL("t.{0} = s.{0}").format(sql.Identifier(name)) for name in self.key
        )


def _listed(names: Iterable[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))
