"""Compaction: runs become segments in files, in a thread beside the epochs.

A compaction takes all runs in memory, and in each table the newest segments that are
not much larger than what they are merged with. It goes through ranges of hashes, so it
needs little memory however large the segments are, and it rests after each range so
that an epoch never waits long. What it wrote becomes part of the next version that is
saved; if the process dies before, the files are orphans that nothing names.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import polars as pl

from streamlab.state.block import INDEX, Block, with_due_index
from streamlab.state.files import BLOCK, Files, Written
from streamlab.state.hashing import HASH, by_hash, fingerprint
from streamlab.state.merging import slices
from streamlab.state.run import Part, Run, StoredBlock, merge
from streamlab.state.table import TableLayout

BLOCK_ROWS: Final = 1_048_576
"""About how many rows a block has."""

_RATIO: Final = 3
"""A segment is merged unless it is this much larger than all that is newer."""

_RESTS: Final = 3
"""After a range of hashes it rests this many times as long as that took …"""

_LONGEST_REST_S: Final = 0.2
"""… but not longer, in seconds; and not at all where the store waits for it."""


@dataclass(frozen=True)
class Plan:
    """What is to become one segment.

    Attributes:
        layout: Of the table.
        runs: The newest runs of the table, oldest first, as they were then.
        bottom: Whether the table has no older ones.
    """

    layout: TableLayout
    runs: tuple[Run, ...]
    bottom: bool

    def thaw(self) -> None:
        """Give the runs up: no segment comes of them."""
        for run in self.runs:
            run.frozen = False


def planned(layout: TableLayout, runs: Sequence[Run]) -> Plan | None:
    """Return which of a table's runs to merge, or None if there is nothing to do."""
    first = next((n for n, run in enumerate(runs) if _is_loose(run)), None)
    if first is None:
        return None
    size = sum(run.bytes for run in runs[first:])
    while first > 0 and runs[first - 1].bytes <= _RATIO * size:
        first -= 1
        size += runs[first].bytes
    return Plan(layout, tuple(runs[first:]), bottom=first == 0)


def _is_loose(run: Run) -> bool:
    """Return whether a run must be written: no file has it, or one sorted otherwise."""
    return not run.files or run.fingerprint != fingerprint()


class _Cancelled(Exception):
    """The store was closed."""


class Compaction(threading.Thread):
    """One compaction of some tables, under way."""

    def __init__(self, files: Files, plans: Mapping[str, Plan]) -> None:
        """Freeze the runs; the caller goes on using them.

        Args:
            files: Where to write.
            plans: Table → plan.
        """
        super().__init__(name="streamlab-compaction", daemon=True)
        self.plans = dict(plans)
        self.segments: dict[str, Run | None] = {}
        self.error: BaseException | None = None
        self.urgent = threading.Event()
        self._files = files
        self._cancelled = threading.Event()
        # Copies: floors and blocks of the table's own runs go on changing.
        self._runs = {
            name: [_copy(run) for run in plan.runs] for name, plan in plans.items()
        }
        for plan in plans.values():
            for run in plan.runs:
                run.frozen = True

    def run(self) -> None:
        """Write all segments; what goes wrong is kept in ``error``."""
        try:
            for name, plan in self.plans.items():
                self.segments[name] = self._segment(plan, self._runs.pop(name))
        except BaseException as error:  # noqa: BLE001 - raised where it is adopted
            self.error = error

    def cancel(self) -> None:
        """Stop at the next range of hashes, and wait for that."""
        self._cancelled.set()
        self.urgent.set()
        self.join()

    def _segment(self, plan: Plan, runs: list[Run]) -> Run | None:
        writer = _SegmentWriter(self._files, plan.layout)
        started = time.monotonic()
        for parts in slices(plan.layout, runs):
            if self._cancelled.is_set():
                raise _Cancelled
            writer.add(merge(plan.layout, parts, bottom=plan.bottom))
            self.urgent.wait(
                min(_RESTS * (time.monotonic() - started), _LONGEST_REST_S)
            )
            started = time.monotonic()
        return writer.finish()


class _SegmentWriter:
    """Collects merged ranges into blocks, and writes them."""

    def __init__(self, files: Files, layout: TableLayout) -> None:
        self._files = files
        self._layout = layout
        self._rows: list[pl.DataFrame] = []
        self._graves: list[pl.DataFrame] = []
        self._stored: list[StoredBlock] = []

    def add(self, part: Part) -> None:
        if part.rows.height:
            self._rows.append(Block(part.rows, self._layout.keys).sorted_rows)
        if part.graves is not None:
            self._graves.append(part.graves)
        if sum(frame.height for frame in self._rows) >= BLOCK_ROWS:
            self._flush()

    def finish(self) -> Run | None:
        """Return the segment, or None if nothing is left."""
        self._flush()
        if self._graves:
            graves = by_hash(pl.concat(self._graves), self._layout.keys)
            self._write(graves, are_graves=True)
        if not self._stored:
            return None
        files = tuple(self._stored)
        return mapped(self._files, self._layout, files, None, fingerprint())

    def _flush(self) -> None:
        if self._rows:
            rows = pl.concat(self._rows).rechunk()
            self._rows = []
            self._write(with_due_index(rows, self._layout.due), are_graves=False)

    def _write(self, rows: pl.DataFrame, *, are_graves: bool) -> None:
        name = self._files.adopt(
            lambda path: rows.write_ipc(path, record_batch_size=rows.height), BLOCK
        )
        size = self._files.path(name).stat().st_size
        self._stored.append(StoredBlock(name, size, rows.height, are_graves))


def mapped(
    files: Files,
    layout: TableLayout,
    stored: tuple[StoredBlock, ...],
    floor: int | None,
    hashed_by: str,
    written: Written | None = None,
) -> Run:
    """Return a segment, mapped from its files.

    Args:
        files: Where they are.
        layout: Of the table.
        stored: Its blocks.
        floor: Rows that were due at or before it are gone.
        hashed_by: Fingerprint of the hash that they are sorted by; if it is not
            today's, the rows are read into memory and sorted anew.
        written: Where they were written if they are still to be checked.

    Raises:
        StateError: A file is missing or damaged.
    """
    blocks: list[Block] = []
    graves: Block | None = None
    for one in stored:
        path = files.checked(one.name, written) if written else files.path(one.name)
        rows = _map(path)
        is_sorted = hashed_by == fingerprint()
        if not is_sorted:
            rows = rows.drop(HASH)
        if one.graves:
            graves = Block(rows, layout.keys, is_sorted=is_sorted)
        else:
            blocks.append(Block(rows, layout.keys, layout.due, is_sorted=is_sorted))
    run = Run(blocks, graves, floor, files=stored, fingerprint=hashed_by)
    if hashed_by != fingerprint() and blocks:
        run.blocks = [_unsorted(blocks, layout)]
    run.look_ahead()
    return run


def _unsorted(blocks: Sequence[Block], layout: TableLayout) -> Block:
    """Return the blocks of a segment that was sorted by another hash as one."""
    rows = pl.concat([block.rows.drop(INDEX, strict=False) for block in blocks])
    return Block(rows, layout.keys, layout.due)


def _map(path: Path) -> pl.DataFrame:
    """Return a file's rows without reading them: the system loads what is used."""
    import pyarrow as pa

    try:
        with pa.memory_map(str(path)) as source:
            table = pa.ipc.open_file(source).read_all()
    except pa.ArrowNotImplementedError:
        # A dtype that only polars has, such as Int128.
        return pl.read_ipc(path).rechunk()
    frame = pl.from_arrow(table, rechunk=False)
    return frame if isinstance(frame, pl.DataFrame) else frame.to_frame()


def _copy(run: Run) -> Run:
    blocks = [block.copy() for block in run.blocks]
    return replace(run, blocks=blocks, graves=run.graves and run.graves.copy())
