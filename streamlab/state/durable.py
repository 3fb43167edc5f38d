"""A durable state table: runs in files and in memory, and the changes of an epoch.

The changes since the last save are *fresh*: rows that were put, graves, and a floor.
A save hands them over (:meth:`DurableTable.seal`) to be written, and they become the
newest run in memory. What is searched is, newest first, the fresh rows, the runs in
memory and the segments; in a ``unique`` table only until each key is found.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from streamlab.errors import UsageError
from streamlab.state.compaction import Plan, planned
from streamlab.state.fresh import Changes, Fresh
from streamlab.state.hashing import HASH, SEQUENCE, hashes
from streamlab.state.merging import slices
from streamlab.state.run import (
    Run,
    is_ordered,
    merge,
    visible,
    whole,
)
from streamlab.state.table import StateTable, TableLayout

_LOOSE_RUNS = 4
"""So many epochs are merged in memory at a time."""

_MOST_MERGED = 131_072
"""Rows beyond which older runs in memory are left for the compaction."""


@dataclass
class _Looked:
    """The keys that were last looked for, by their hashes, and how many have a row."""

    hashes: pl.Series
    found: int


class DurableTable(StateTable):
    """Rows of one layout, in runs. The store opens, saves and compacts it."""

    def __init__(
        self,
        layout: TableLayout,
        runs: Sequence[Run] = (),
        *,
        height: int = 0,
        sequence: int = 0,
    ) -> None:
        """Begin with what was stored.

        Args:
            layout: The layout.
            runs: Oldest first.
            height: How many rows they hold that are not gone.
            sequence: The number of the next row that is put.
        """
        self.layout = layout
        self.runs = list(runs)
        self.sequence = sequence
        self._height = height
        self._keys = list(layout.keys)
        self._fresh = Fresh(layout)
        self._looked: _Looked | None = None
        # The highest floor since a compaction began, which its segment gets, too.
        self._floor_since: int | None = None

    def put(self, rows: pl.DataFrame) -> None:
        """Add rows; see ``StateTable.put``."""
        rows = rows.select(self.layout.schema.names())
        self._require_dtypes(rows.schema, "rows")
        if not rows.height:
            return
        if is_ordered(self.layout):
            numbers = pl.int_range(
                self.sequence, self.sequence + rows.height, dtype=pl.UInt64, eager=True
            )
            rows = rows.with_columns(numbers.alias(SEQUENCE))
            self.sequence += rows.height
        if self.layout.unique:
            rows = rows.unique(self._keys, keep="last", maintain_order=True)
            self._height -= self._present(rows)
        self._fresh.add(rows)
        self._height += rows.height
        self._looked = None

    def get(self, keys: pl.DataFrame) -> pl.DataFrame:
        """Return all rows of some keys; see ``StateTable.get``."""
        older, fresh = self._search(keys)
        return pl.concat([older, fresh])

    def take(self, keys: pl.DataFrame) -> pl.DataFrame:
        """Remove all rows of some keys and return them; see ``StateTable.take``."""
        older, fresh = self._search(keys)
        if fresh.height:
            self._fresh.remove(keys)
            if self.layout.unique and self.runs:
                # They may hide an older row of their key.
                self._fresh.bury(fresh)
        if older.height:
            self._fresh.bury(older)
        taken = pl.concat([older, fresh])
        self._height -= taken.height
        if self._looked is not None:
            self._looked.found = 0
        return taken

    def take_due(self, until: int) -> pl.DataFrame:
        """Remove and return the rows that are due; see ``StateTable.take_due``."""
        due = self.layout.due
        if due is None:
            return self.layout.schema.to_frame()
        fresh = self._fresh.take_due(until)
        if fresh.height and self.layout.unique and self.runs:
            # They are gone, and go on hiding older rows of their keys.
            self._fresh.bury(fresh)
        older = self._due_in_runs(until)
        if any(run.is_due(until) for run in self.runs):
            # Also if all that was due is hidden: it need not be looked at again.
            self._fresh.raise_floor(until)
            self._raise_floors(until)
        names = [*self.layout.schema.names(), SEQUENCE]
        frames = [rows.select(names) for rows in (*older, fresh) if rows.height]
        if not frames:
            return self.layout.schema.to_frame()
        taken = pl.concat(frames).sort(due, SEQUENCE).drop(SEQUENCE)
        self._height -= taken.height
        self._looked = None
        return taken

    def scan(self) -> Iterator[pl.DataFrame]:
        """Yield all rows, in pieces that fit in memory; see ``StateTable.scan``."""
        runs = [*self.runs, self._fresh.run]
        for parts in slices(self.layout, runs):
            rows = merge(self.layout, parts, bottom=True).rows
            if rows.height:
                yield visible(self.layout, rows)

    @property
    def height(self) -> int:
        """Return the number of rows."""
        return self._height

    @property
    def size_bytes(self) -> int:
        """Return how many bytes its segments have on disk and its rows in memory."""
        return self._fresh.size_bytes + sum(run.bytes for run in self.runs)

    @property
    def memory_bytes(self) -> int:
        """Return about how many bytes of it are in memory only, but for the epoch's."""
        return sum(run.bytes for run in self.runs if not (run.files or run.frozen))

    @property
    def oldest_due(self) -> int | None:
        """Return the earliest due time of its runs, in µs; it may be too early."""
        dues = [run.next_due for run in self.runs if run.next_due is not None]
        return min(dues, default=None)

    def seal(self) -> Changes:
        """End an epoch: return what it changed, which is a run from now on."""
        changes = self._fresh.changes
        self.replay(changes, floors=False)
        self._fresh, self._looked = Fresh(self.layout), None
        return changes

    def replay(self, changes: Changes, *, floors: bool = True) -> None:
        """Add a sealed epoch behind the runs.

        Args:
            changes: What it changed.
            floors: Whether its floor is still to be applied to the runs.
        """
        if floors and changes.floor is not None:
            self._raise_floors(changes.floor)
        if changes.rows is None and changes.graves is None:
            return
        self.runs.append(Run.in_memory(self.layout, changes.rows, changes.graves))
        self._tidy()

    def adopt(self, plan: Plan, segment: Run | None) -> None:
        """Put a segment in the place of the runs that it was made of."""
        first = next(n for n, run in enumerate(self.runs) if run is plan.runs[0])
        if segment is not None and self._floor_since is not None:
            segment.raise_floor(self._floor_since)
        adopted = [] if segment is None else [segment]
        self.runs[first : first + len(plan.runs)] = adopted
        self._floor_since = None

    def plan(self) -> Plan | None:
        """Return which runs a compaction should merge, if any."""
        self._floor_since = None
        return planned(self.layout, self.runs)

    def _raise_floors(self, floor: int) -> None:
        for run in self.runs:
            run.raise_floor(floor)
        since = self._floor_since
        self._floor_since = floor if since is None else max(since, floor)

    def _tidy(self) -> None:
        """Merge the newest runs in memory once there are some, and what is as small."""
        first, size = len(self.runs), 0
        while first > 0 and self.runs[first - 1].is_loose:
            first -= 1
            size += self.runs[first].height
        if len(self.runs) - first < _LOOSE_RUNS:
            return
        while first > 0 and not self.runs[first - 1].is_kept:
            height = self.runs[first - 1].height
            if height > size or size + height > _MOST_MERGED:
                break
            first -= 1
            size += height
        parts = [whole(self.layout, run) for run in self.runs[first:]]
        merged = merge(self.layout, parts, bottom=first == 0)
        self.runs[first:] = []
        if merged.rows.height or merged.graves is not None:
            rows = merged.rows.rechunk() if merged.rows.height else None
            run = Run.in_memory(self.layout, rows, merged.graves)
            run.is_merged = True
            self.runs.append(run)

    def _require_dtypes(self, schema: pl.Schema, what: str) -> None:
        """Refuse what would be another value in another dtype."""
        stored = self.layout.schema
        wrong = [name for name, dtype in schema.items() if dtype != stored[name]]
        if wrong:
            message = (
                f"{what} for the state table {self.layout.name} have another dtype"
            )
            raise UsageError(f"{message} in {', '.join(wrong)}")

    def _search(self, keys: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Return the rows of some keys in the runs, and the fresh ones."""
        if not self._keys:
            message = f"the state table {self.layout.name} has no keys"
            raise UsageError(message)
        wanted = keys.select(self._keys)
        self._require_dtypes(wanted.schema, "keys")
        wanted = wanted.with_columns(hashes(wanted, self._keys)).sort(HASH)
        if wanted[HASH].n_unique() < wanted.height:
            wanted = wanted.unique(maintain_order=True)
        fresh = self._fresh.find(wanted)
        older = self._in_runs(self._fresh.not_hidden(wanted))
        if self.layout.unique:
            self._looked = _Looked(wanted[HASH], older.height + fresh.height)
        return older, fresh

    def _in_runs(self, wanted: pl.DataFrame) -> pl.DataFrame:
        """Return the rows of some keys in the runs, oldest first."""
        pieces: list[list[pl.DataFrame]] = []
        for run in reversed(self.runs):
            if not wanted.height:
                break
            frames, asked = run.find(wanted)
            if frames:
                floor = run.floor
                pieces.append([self._above(frame, floor) for frame in frames])
            gone = run.buried(wanted)
            if self.layout.unique:
                gone = pl.concat([gone, asked])
            wanted = _less(wanted, gone)
        ordered = [frame for frames in reversed(pieces) for frame in frames]
        return pl.concat([self.layout.schema.to_frame(), *ordered])

    def _above(self, rows: pl.DataFrame, floor: int | None) -> pl.DataFrame:
        due = self.layout.due
        if due is not None and floor is not None:
            rows = rows.filter(pl.col(due).is_null() | (pl.col(due) > floor))
        return visible(self.layout, rows)

    def _present(self, rows: pl.DataFrame) -> int:
        """Return how many of some keys have a row, each key given once."""
        if not self._height:
            return 0
        if self._looked is not None and self._looked.hashes.equals(
            hashes(rows, self._keys).sort()
        ):
            return self._looked.found
        older, fresh = self._search(rows)
        return older.height + fresh.height

    def _due_in_runs(self, until: int) -> list[pl.DataFrame]:
        """Return the due rows of the runs that nothing newer hides."""
        pieces: list[pl.DataFrame] = []
        for number, run in enumerate(self.runs):
            frames = run.due_frames(until)
            if frames:
                due = pl.concat(_with_sequence(self.layout, one) for one in frames)
                pieces.append(self._not_hidden(due, self.runs[number + 1 :]))
        return pieces

    def _not_hidden(self, rows: pl.DataFrame, newer: Sequence[Run]) -> pl.DataFrame:
        """Return the rows whose key has nothing in newer runs, or fresh, that hides."""
        if not self._keys:
            return rows
        rows = self._fresh.not_hidden(rows)
        hiding = [run for run in newer if self.layout.unique or run.graves]
        if not hiding or not rows.height:
            return rows
        wanted = rows.select(self._keys).unique()
        wanted = wanted.with_columns(hashes(wanted, self._keys)).sort(HASH)
        left = wanted
        for run in hiding:
            gone = run.holds(left) if self.layout.unique else run.buried(left)
            left = _less(left, gone)
        if left.height == wanted.height:
            return rows
        return rows.join(
            left.select(self._keys),
            on=self._keys,
            how="semi",
            nulls_equal=True,
            maintain_order="left",
        )


def _less(rows: pl.DataFrame, numbers: pl.Series) -> pl.DataFrame:
    """Return the rows but for those of some numbers."""
    if numbers.is_empty():
        return rows
    if numbers.n_unique() == rows.height:
        return rows.clear()
    every = pl.int_range(rows.height, dtype=pl.UInt32, eager=True)
    return rows.filter(~every.is_in(numbers.cast(pl.UInt32).implode()))


def _with_sequence(layout: TableLayout, rows: pl.DataFrame) -> pl.DataFrame:
    return visible(layout, rows).with_columns(rows[SEQUENCE])
