"""Columns of text to frames with the table's types, and what happened to each row."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from streamlab.connectors.postgres.changes.catalog import Catalog
from streamlab.connectors.postgres.changes.pgoutput import Changes
from streamlab.connectors.postgres.changes.relation import Relation
from streamlab.connectors.postgres.changes.tuples import Tuples, repeated
from streamlab.connectors.postgres.changes.types import TEXT, ColumnType, column_type
from streamlab.errors import SchemaError, UnknownName
from streamlab.formats import Rejection
from streamlab.formats.changes import (
    BEFORE,
    COMMIT_TIME,
    INDEX,
    LSN,
    METADATA,
    OP,
    OPERATIONS,
    SCHEMA,
    TABLE,
    UNAVAILABLE,
    XID,
    change_schema,
)


@dataclass(frozen=True, slots=True)
class Rows:
    """Changes as a frame.

    Attributes:
        frame: Columns and types of :attr:`ChangeTable.schema`, in commit order.
        rejected: Changes with a value that its column's type cannot hold; ``row`` is
            the change's place in the :class:`Changes` (or the row of the snapshot).
            The frame does not have them.
    """

    frame: pl.DataFrame
    rejected: tuple[Rejection, ...] = ()


class ChangeTable:
    """How the rows of one version of a table become frames.

    A frame has the table's columns: the row as it is after the change; of a delete what
    is known of the row before. Then come the columns of :data:`METADATA`:

    - ``_op``: ``snapshot``, ``insert``, ``update``, ``delete`` or ``truncate`` (a row
      of its own, without any value);
    - ``_lsn`` and ``_index``: unique, and rising in the order of commits;
    - ``_commit_time``, ``_xid``, ``_schema``, ``_table``;
    - ``_unavailable``: the columns whose value the stream did **not** send: unchanged
      values stored out of line (TOAST), and those of a deleted row that are not part of
      the replica identity. They are null in the frame and must not be written;
    - ``_before``: the old row as far as the replica identity gives it: its columns,
      or every column with the identity FULL; null where the stream sent none.

    An update of the key becomes two rows: a delete of the old key, with the change's
    index, and an insert with the index after it, whose ``_before`` is the old key. Such
    an insert may have unavailable values too: they stand under the old key.

    Attributes:
        relation: The version.
        key: The columns of the key.
        types: How each of the table's columns is read.
        known: The columns whose old values the stream sends.
        schema: The columns of each frame, and their types.
    """

    def __init__(
        self,
        relation: Relation,
        catalog: Catalog,
        *,
        key: Sequence[str] | None = None,
        as_text: Collection[str] = (),
    ) -> None:
        """Prepare for one version of a table.

        Args:
            relation: The version.
            catalog: The server's types.
            key: The primary key's columns. Without it the replica identity is taken,
                which says nothing about the key if it is FULL.
            as_text: Columns to read as text, exactly as PostgreSQL writes them.

        Raises:
            SchemaError: A column has the name of a metadata column, or the key has a
                column that is not published or not in the replica identity.
            UnknownName: ``as_text`` has one that is not there.
        """
        self.relation = relation
        identity = () if relation.is_full else relation.identity
        self.key: tuple[str, ...] = tuple(identity if key is None else key)
        _check(relation, self.key, as_text)
        self.types: Mapping[str, ColumnType] = {
            column.name: TEXT
            if column.name in as_text
            else column_type(column.type_oid, column.type_modifier, catalog)
            for column in relation.columns
        }
        self.known = tuple(identity) or relation.names
        own = pl.Schema({name: one.dtype for name, one in self.types.items()})
        self.schema = change_schema(own, self.known)

    def rows(self, changes: Changes) -> Rows:
        """Return changes of this version as a frame."""
        return _Conversion(self, changes).rows()

    def snapshot_rows(
        self, text: pl.DataFrame, *, lsn: int, time_us: int, first_index: int = 0
    ) -> Rows:
        """Return rows that a snapshot read as text, in the shape of changes.

        Args:
            text: String columns of the table's names.
            lsn: The LSN at which the snapshot is consistent.
            time_us: When it was taken, in microseconds since 1970, UTC.
            first_index: Index of the first row; the others count up from it.
        """
        faults: dict[int, str] = {}
        columns = {name: self.parsed(name, text[name], faults) for name in self.types}
        rows = text.height
        place = pl.int_range(rows, eager=True)
        frame = pl.DataFrame(
            {
                **columns,
                OP: repeated("snapshot", OPERATIONS, rows),
                LSN: repeated(lsn, pl.Int64(), rows),
                INDEX: place + first_index,
                COMMIT_TIME: repeated(time_us, pl.Int64(), rows).cast(
                    METADATA[COMMIT_TIME]
                ),
                XID: repeated(None, pl.UInt32(), rows),
                **self.name_columns(rows),
                UNAVAILABLE: repeated(None, METADATA[UNAVAILABLE], rows),
                BEFORE: repeated(None, self.schema[BEFORE], rows),
            }
        )
        return _without(frame, place, faults)

    def name_columns(self, rows: int) -> dict[str, pl.Series]:
        """Return the columns that say which table it is."""
        return {
            SCHEMA: repeated(self.relation.schema, pl.String(), rows),
            TABLE: repeated(self.relation.table, pl.String(), rows),
        }

    def parsed(self, name: str, text: pl.Series, faults: dict[int, str]) -> pl.Series:
        """Return a column in its type, and note rows whose value does not fit."""
        chosen = self.types[name]
        parsed = chosen.parse(text).alias(name)
        if parsed.null_count() != text.null_count():
            reason = (
                f"column {name!r} of {self.relation} is read as {chosen.dtype}, which "
                f"cannot hold {chosen.misfits or 'this value'}; it can be read as text"
            )
            lost = (parsed.is_null() & text.is_not_null()).arg_true()
            for row in lost:
                faults.setdefault(row, reason)
        return parsed


class _Conversion:
    """One call of :meth:`ChangeTable.rows`."""

    def __init__(self, table: ChangeTable, changes: Changes) -> None:
        self._table = table
        self._changes = changes
        self._faults: dict[int, str] = {}

    def rows(self) -> Rows:
        changes, table = self._changes, self._table
        has_old = changes.old.present.any()
        old = self._columns(changes.old) if has_old else {}
        new = self._columns(changes.new)
        moved = self._moved() if has_old else None
        after, missing = self._after(new, old) if has_old else (new, {})
        for number, marks in changes.new.unchanged.items():
            name = table.relation.columns[number].name
            unknown = marks & ~(changes.is_whole & changes.old.present)
            missing[name] = missing[name] | unknown if name in missing else unknown
        frame = pl.DataFrame(
            {
                **after,
                OP: changes.op,
                LSN: changes.lsn,
                INDEX: changes.index,
                COMMIT_TIME: changes.commit_time,
                XID: changes.xid,
                **table.name_columns(len(changes)),
                UNAVAILABLE: self._unavailable(missing),
                BEFORE: self._before(old),
            }
        )
        places = pl.int_range(len(changes), eager=True)
        if moved is not None and moved.any():
            frame, places = self._split(frame, places, moved, old)
        return _without(frame, places, self._faults)

    def _columns(self, image: Tuples) -> dict[str, pl.Series]:
        return {
            name: self._table.parsed(name, text, self._faults)
            for name, text in zip(self._table.types, image.columns, strict=True)
        }

    def _after(
        self, new: Mapping[str, pl.Series], old: Mapping[str, pl.Series]
    ) -> tuple[dict[str, pl.Series], dict[str, pl.Series]]:
        """Return the row to show, and where a column of it is not known."""
        changes = self._changes
        deleted = changes.op == "delete"
        unchanged = changes.new.unchanged
        shown: dict[str, pl.Series] = {}
        missing: dict[str, pl.Series] = {}
        partial = deleted & ~changes.is_whole
        known = set(self._table.known)
        for number, name in enumerate(new):
            take_old = deleted
            if number in unchanged:
                # The old row is whole, and the value is the same in both.
                take_old = deleted | (unchanged[number] & changes.is_whole)
            shown[name] = old[name].zip_with(take_old, new[name])
            if name not in known:
                missing[name] = partial
        return shown, missing

    def _moved(self) -> pl.Series:
        """Return which updates changed the key."""
        changes, table = self._changes, self._table
        updated = (changes.op == "update") & changes.old.present
        different = pl.repeat(False, len(changes), dtype=pl.Boolean, eager=True)
        numbers = {name: number for number, name in enumerate(table.types)}
        for name in table.key:  # which the identity has, or no update says enough
            before = changes.old.columns[numbers[name]]
            after = changes.new.columns[numbers[name]]
            changed = before.ne_missing(after)
            if numbers[name] in changes.new.unchanged:
                changed &= ~changes.new.unchanged[numbers[name]]
            different |= changed
        return updated & different

    def _unavailable(self, missing: Mapping[str, pl.Series]) -> pl.Series:
        if not any(marks.any() for marks in missing.values()):
            return repeated(None, METADATA[UNAVAILABLE], len(self._changes))
        marked = pl.DataFrame([marks.alias(name) for name, marks in missing.items()])
        lists = pl.concat_list(
            pl.when(pl.col(name)).then(pl.lit(name)) for name in marked.columns
        ).list.drop_nulls()
        return marked.select(pl.when(lists.list.len() > 0).then(lists)).to_series()

    def _before(self, old: Mapping[str, pl.Series]) -> pl.Series:
        present, dtype = self._changes.old.present, self._table.schema[BEFORE]
        if not present.any():
            return repeated(None, dtype, len(self._changes))
        whole = pl.DataFrame([old[name].alias(name) for name in self._table.known])
        nothing = repeated(None, dtype, len(self._changes))
        return whole.to_struct().zip_with(present, nothing)

    def _split(
        self,
        frame: pl.DataFrame,
        places: pl.Series,
        moved: pl.Series,
        old: Mapping[str, pl.Series],
    ) -> tuple[pl.DataFrame, pl.Series]:
        """Make a delete and an insert of each update that changed the key."""
        table = self._table
        known = set(table.known)
        others = [name for name in table.types if name not in known]
        deletes = frame.filter(moved).with_columns(
            pl.lit("delete", dtype=OPERATIONS).alias(OP),
            *(
                old[name].filter(moved).alias(name)
                if name in known
                else pl.lit(None, dtype=one.dtype).alias(name)
                for name, one in table.types.items()
            ),
            pl.lit(others or None, dtype=METADATA[UNAVAILABLE]).alias(UNAVAILABLE),
        )
        op, index = pl.col(OP), pl.col(INDEX)
        inserted = pl.lit("insert", dtype=OPERATIONS)
        mask = pl.lit(moved)
        inserts = frame.with_columns(
            pl.when(mask).then(inserted).otherwise(op).alias(OP),
            pl.when(mask).then(index + 1).otherwise(index).alias(INDEX),
        )
        both = pl.concat([places.filter(moved), places])
        halves = pl.concat([places.filter(moved) * 2, places * 2 + 1])
        order = halves.arg_sort()
        return pl.concat([deletes, inserts])[order], both[order]


def _without(frame: pl.DataFrame, places: pl.Series, faults: Mapping[int, str]) -> Rows:
    """Take rejected changes out of the frame."""
    if not faults:
        return Rows(frame)
    gone = pl.Series(list(faults), dtype=pl.Int64)
    kept = frame.filter(~places.is_in(gone.implode()))
    rejected = tuple(
        Rejection(row, "unrepresentable", faults[row]) for row in sorted(faults)
    )
    return Rows(kept, rejected)


def _check(relation: Relation, key: Iterable[str], as_text: Collection[str]) -> None:
    for name in relation.names:
        if name in METADATA or name == BEFORE:
            raise SchemaError(
                f"column {name!r} of {relation} has the name of a metadata column",
                hint="leave it out of the publication with a column list, or rename it",
            )
    given = relation.identity
    for name in key:
        if name not in relation.names:
            raise SchemaError(
                f"the key column {name!r} of {relation} is not published",
                hint="publish it: a row without its key cannot be told from another",
            )
        if given and name not in given:
            raise SchemaError(
                f"the replica identity of {relation} does not have the key column "
                f"{name!r}: updates and deletes would not say which row they are about",
                hint=f"ALTER TABLE {relation} REPLICA IDENTITY DEFAULT (or FULL)",
            )
    for name in as_text:
        if name not in relation.names:
            raise UnknownName(f"column of {relation}", name, relation.names)
