"""A run: what happened to a state table in some time, as its newer part of a log.

A table is a list of runs, oldest first. A run has rows, and *graves*: keys whose rows
in all older runs are gone. In a table that is ``unique`` a row hides those of its key
in older runs, too. What was released because it was due has no graves: each run has a
*floor*, at or before which its rows are gone.

``merge`` makes one run of some neighbours; it is all that compaction does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import polars as pl

from streamlab.state.block import Block
from streamlab.state.hashing import HASH, SEQUENCE
from streamlab.state.table import TableLayout

_DEAD = "streamlab:dead"


@dataclass(frozen=True)
class StoredBlock:
    """A block in a file.

    Attributes:
        name: Of the file, which is the hash of its content.
        bytes: Its length.
        rows: How many rows it has.
        graves: Whether they are graves.
    """

    name: str
    bytes: int
    rows: int
    graves: bool = False


@dataclass
class Run:
    """Rows and graves of one table.

    Attributes:
        blocks: The rows, in blocks with hashes that do not overlap, ascending.
        graves: The graves, in one block or none.
        floor: Rows that were due at or before it are gone.
        next_due: The earliest due time behind the floor.
        files: The files of the blocks, if it is a segment.
        fingerprint: Of the hash that the files are sorted by.
        frozen: Whether it is being written to a segment.
        is_merged: Whether it was merged in memory already.
    """

    blocks: list[Block]
    graves: Block | None = None
    floor: int | None = None
    next_due: int | None = None
    files: tuple[StoredBlock, ...] = ()
    fingerprint: str = ""
    frozen: bool = False
    is_merged: bool = False
    _bytes: int = field(default=-1, repr=False)

    @classmethod
    def in_memory(
        cls,
        layout: TableLayout,
        rows: pl.DataFrame | None,
        graves: pl.DataFrame | None,
    ) -> Run:
        """Return a run of rows and graves that are not sorted yet."""
        blocks = [] if rows is None else [Block(rows, layout.keys, layout.due)]
        buried = None if graves is None else Block(graves, layout.keys)
        run = cls(blocks, buried)
        run.look_ahead()
        return run

    @property
    def is_kept(self) -> bool:
        """Return whether it is in files, or on its way there."""
        return bool(self.files) or self.frozen

    @property
    def is_loose(self) -> bool:
        """Return whether it is the only trace of one epoch."""
        return not (self.is_kept or self.is_merged)

    @property
    def height(self) -> int:
        """Return how many rows and graves there are, also those that are gone."""
        return self.rows_height + (self.graves.height if self.graves else 0)

    @property
    def rows_height(self) -> int:
        """Return how many rows there are, also those that are gone."""
        return sum(block.height for block in self.blocks)

    @property
    def bytes(self) -> int:
        """Return about how many bytes it takes, in its files or in memory."""
        if self.files:
            return sum(file.bytes for file in self.files)
        if self._bytes < 0:
            parts = [*self.blocks, *([self.graves] if self.graves else [])]
            self._bytes = int(sum(part.rows.estimated_size() for part in parts))
        return self._bytes

    def raise_floor(self, floor: int) -> None:
        """Say that the rows due at or before ``floor`` are gone."""
        if self.floor is None or floor > self.floor:
            self.floor = floor
            if self.next_due is not None and self.next_due <= floor:
                self.look_ahead()

    def look_ahead(self) -> None:
        """Find out when the next row is due."""
        dues = [block.next_due(self.floor) for block in self.blocks]
        self.next_due = min((due for due in dues if due is not None), default=None)

    def find(self, wanted: pl.DataFrame) -> tuple[list[pl.DataFrame], pl.Series]:
        """Return the rows of some keys, also those that are gone.

        Args:
            wanted: The key columns and the hash, sorted by it, each key once.

        Returns:
            Frames of rows, and which rows of ``wanted`` have any.
        """
        frames: list[pl.DataFrame] = []
        found: list[pl.Series] = []
        for block, start, some in self._by_block(wanted):
            at, asked = block.find(some)
            if not at.is_empty():
                frames.append(block.taken(at))
                found.append(asked + start)
        return frames, pl.concat(found) if found else pl.Series(dtype=pl.UInt32)

    def holds(self, wanted: pl.DataFrame) -> pl.Series:
        """Return which rows of ``wanted`` have a row or a grave here."""
        found = [
            block.find(some)[1] + start for block, start, some in self._by_block(wanted)
        ]
        return pl.concat([self.buried(wanted), *found])

    def buried(self, wanted: pl.DataFrame) -> pl.Series:
        """Return which rows of ``wanted`` have a grave here."""
        if self.graves is None:
            return pl.Series(dtype=pl.UInt32)
        return self.graves.find(wanted)[1]

    def _by_block(
        self, wanted: pl.DataFrame
    ) -> Iterator[tuple[Block, int, pl.DataFrame]]:
        """Yield each block with the wanted keys that may be in it, and their place."""
        if len(self.blocks) > 1:
            firsts = [block.sorted_rows[HASH][0] for block in self.blocks[1:]]
            starts = pl.Series(firsts, dtype=pl.UInt64)
            cuts = wanted[HASH].search_sorted(starts, "left").to_list()
        elif self.blocks:
            cuts = []
        else:
            return
        for block, start, end in zip(
            self.blocks, [0, *cuts], [*cuts, wanted.height], strict=True
        ):
            if end > start:
                yield block, start, wanted.slice(start, end - start)

    def is_due(self, until: int) -> bool:
        """Return whether a row that is not gone is due at or before ``until``."""
        return self.next_due is not None and self.next_due <= until

    def due_frames(self, until: int) -> list[pl.DataFrame]:
        """Return the rows that are not gone and due at or before ``until``."""
        if not self.is_due(until):
            return []
        frames = []
        for block in self.blocks:
            at = block.due_rows(self.floor, until)
            if not at.is_empty():
                frames.append(block.taken(at))
        return frames


@dataclass(frozen=True)
class Part:
    """Rows and graves of a run, or of a range of hashes of it, to be merged.

    Attributes:
        rows: With the layout's columns, the sequence where it has one, and perhaps
            the hash.
        graves: Key columns, and perhaps the hash; or None.
        floor: As in the run.
    """

    rows: pl.DataFrame
    graves: pl.DataFrame | None = None
    floor: int | None = None


def whole(layout: TableLayout, run: Run) -> Part:
    """Return all of a run in memory."""
    rows = pl.concat(
        [
            stored_schema(layout).to_frame(),
            *(conformed(layout, block.rows) for block in run.blocks),
        ]
    )
    graves = None
    if run.graves is not None:
        graves = run.graves.rows.select(layout.keys)
    return Part(rows, graves, run.floor)


def merge(layout: TableLayout, parts: Sequence[Part], *, bottom: bool) -> Part:
    """Return some neighbours as one.

    Args:
        layout: Of the table.
        parts: Oldest first, of the same columns.
        bottom: Whether no older part exists, so that graves have nothing to hide.

    Returns:
        What is not gone, without a floor; rows of a key in the order they were put.
    """
    keys = list(layout.keys)
    pieces: list[pl.DataFrame] = []
    hidden: pl.DataFrame | None = None
    for part in reversed(parts):
        rows = _marked(layout, part) if layout.unique else alive(layout, part)
        if hidden is not None:
            rows = without(rows, hidden, keys)
        pieces.append(rows)
        if part.graves is not None:
            graves = part.graves.select(keys)
            hidden = graves if hidden is None else pl.concat([hidden, graves]).unique()
    rows = pl.concat(reversed(pieces)) if len(pieces) > 1 else pieces[0]
    if layout.unique:
        rows = rows.unique(keys, keep="last", maintain_order=True)
        if layout.due is not None:
            if not bottom:
                dead = rows.filter(_DEAD).select(keys)
                hidden = dead if hidden is None else pl.concat([hidden, dead]).unique()
            rows = rows.filter(~pl.col(_DEAD)).drop(_DEAD)
        if hidden is not None:
            hidden = without(hidden, rows, keys)
    if bottom or hidden is None or not hidden.height:
        return Part(rows)
    return Part(rows, hidden)


def alive(layout: TableLayout, part: Part) -> pl.DataFrame:
    """Return the rows that are above the floor."""
    if layout.due is None or part.floor is None:
        return part.rows
    due = pl.col(layout.due)
    return part.rows.filter(due.is_null() | (due > part.floor))


def _marked(layout: TableLayout, part: Part) -> pl.DataFrame:
    """Return the rows with whether they are gone: even then they hide older ones."""
    if layout.due is None:
        return part.rows
    if part.floor is None:
        return part.rows.with_columns(pl.lit(value=False).alias(_DEAD))
    is_dead = (pl.col(layout.due) <= part.floor).fill_null(value=False)
    return part.rows.with_columns(is_dead.alias(_DEAD))


def without(
    rows: pl.DataFrame, others: pl.DataFrame, keys: Sequence[str]
) -> pl.DataFrame:
    """Return the rows whose key is not among the others', in their order."""
    if not rows.height or not others.height:
        return rows
    return rows.join(
        others.select(keys),
        on=list(keys),
        how="anti",
        nulls_equal=True,
        maintain_order="left",
    )


def is_ordered(layout: TableLayout) -> bool:
    """Return whether rows carry the order in which they were put."""
    return layout.due is not None or not layout.keys


def stored_schema(layout: TableLayout) -> pl.Schema:
    """Return the columns of a row as it is kept, without its hash."""
    columns = dict(layout.schema)
    if is_ordered(layout):
        columns[SEQUENCE] = pl.UInt64()
    return pl.Schema(columns)


def conformed(layout: TableLayout, rows: pl.DataFrame) -> pl.DataFrame:
    """Return stored rows with today's columns: those that are new are null."""
    schema = stored_schema(layout)
    if rows.columns == schema.names():
        return rows
    return rows.select(
        pl.col(name) if name in rows.columns else pl.lit(None, dtype).alias(name)
        for name, dtype in schema.items()
    )


def visible(layout: TableLayout, rows: pl.DataFrame) -> pl.DataFrame:
    """Return stored rows as the layout has them."""
    names = layout.schema.names()
    return conformed(layout, rows).select(names)
