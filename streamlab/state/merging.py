"""Going through several runs at once, in ranges of hashes that fit in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import polars as pl

from streamlab.state.block import Block
from streamlab.state.hashing import HASH
from streamlab.state.run import Part, Run, conformed, stored_schema
from streamlab.state.table import TableLayout

SLICE_ROWS: Final = 65_536
"""About how many rows are merged at a time, so that no epoch waits long for it."""


def slices(layout: TableLayout, runs: Sequence[Run]) -> Iterator[list[Part]]:
    """Yield the parts of some runs for one range of hashes after another.

    All rows of a key are in one range. The parts carry the column the hash.

    Args:
        layout: Of the table.
        runs: Oldest first.
    """
    starts = _starts(runs)
    cursors = [_Cursor(layout, run) for run in runs]
    for end in [*starts, None]:
        yield [cursor.until(end) for cursor in cursors]


def _starts(runs: Sequence[Run]) -> list[int]:
    """Return hashes at which ranges of about equal size begin, but for the first."""
    if sum(run.height for run in runs) <= SLICE_ROWS:
        return []
    step = max(1, SLICE_ROWS // 16)
    samples = [
        block.sorted_rows[HASH].gather_every(step)
        for run in runs
        for block in (*run.blocks, *([run.graves] if run.graves else []))
    ]
    sample = pl.concat(samples).sort()
    # Each sample stands for ``step`` rows; a range ends after ``SLICE_ROWS`` of them.
    chosen = sample.gather_every(SLICE_ROWS // step).unique().sort()
    return [int(start) for start in chosen.to_list()[1:]]


class _Cursor:
    """How far the slices of a run have come."""

    def __init__(self, layout: TableLayout, run: Run) -> None:
        self._layout = layout
        self._run = run
        self._blocks = [_Place(block) for block in run.blocks]
        self._graves = _Place(run.graves) if run.graves else None

    def until(self, end: int | None) -> Part:
        """Return what lies before a hash and behind what was returned before."""
        slices = [place.until(end) for place in self._blocks]
        frames = [
            conformed(self._layout, rows).with_columns(rows[HASH])
            for rows in slices
            if rows.height
        ]
        rows = pl.concat(frames) if frames else _empty(self._layout)
        graves = self._graves.until(end) if self._graves else None
        return Part(rows, graves, self._run.floor)


class _Place:
    def __init__(self, block: Block) -> None:
        self.block = block
        self._at = 0

    def until(self, end: int | None) -> pl.DataFrame:
        rows = self.block.sorted_rows
        stop = rows.height
        if end is not None:
            found = rows[HASH].search_sorted(pl.Series([end], dtype=pl.UInt64), "left")
            stop = int(found[0])
        start, self._at = self._at, max(self._at, stop)
        return rows.slice(start, self._at - start)


def _empty(layout: TableLayout) -> pl.DataFrame:
    empty = stored_schema(layout).to_frame()
    return empty.with_columns(pl.Series(HASH, [], dtype=pl.UInt64))
