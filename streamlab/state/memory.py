"""A state table in memory: for notebooks, bounded samples and tests.

It is written for clarity: each call may cost as much as the table is large. The tests
of the durable tables compare them with this one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import polars as pl

from streamlab.state.table import StateTable, TableLayout


class MemoryTable(StateTable):
    """Rows of one layout in one frame."""

    def __init__(self, layout: TableLayout) -> None:
        """Begin without rows."""
        self.layout = layout
        self._rows = layout.schema.to_frame()

    def put(self, rows: pl.DataFrame) -> None:
        """Add rows; see ``StateTable.put``."""
        keys = self.layout.keys
        if self.layout.unique:
            rows = rows.unique(keys, keep="last", maintain_order=True)
            self._rows = self._rows.join(rows, on=keys, how="anti", nulls_equal=True)
        self._rows = pl.concat([self._rows, rows.select(self.layout.schema.names())])

    def get(self, keys: pl.DataFrame) -> pl.DataFrame:
        """Return all rows of some keys; see ``StateTable.get``."""
        return self._of(keys, "semi")

    def take(self, keys: pl.DataFrame) -> pl.DataFrame:
        """Remove all rows of some keys and return them; see ``StateTable.take``."""
        taken = self._of(keys, "semi")
        self._rows = self._of(keys, "anti")
        return taken

    def take_due(self, until: int) -> pl.DataFrame:
        """Remove and return the rows that are due; see ``StateTable.take_due``."""
        if self.layout.due is None:
            return self._rows.clear()
        is_due = (pl.col(self.layout.due) <= until).fill_null(value=False)
        taken = self._rows.filter(is_due)
        self._rows = self._rows.filter(~is_due)
        return taken.sort(self.layout.due, maintain_order=True)

    def scan(self) -> Iterator[pl.DataFrame]:
        """Yield all rows; see ``StateTable.scan``."""
        yield self._rows

    @property
    def height(self) -> int:
        """Return the number of rows."""
        return self._rows.height

    @property
    def size_bytes(self) -> int:
        """Return about how many bytes the rows take."""
        return sum(map(_size, self._rows.get_columns()))

    def _of(self, keys: pl.DataFrame, how: str) -> pl.DataFrame:
        return self._rows.join(
            keys.select(self.layout.keys),
            on=list(self.layout.keys),
            how="semi" if how == "semi" else "anti",
            nulls_equal=True,
            maintain_order="left",
        )


def _size(column: pl.Series) -> int:
    """Return about how many bytes the values of a column take.

    It is what a file of these rows would hold; polars' own estimate leaves out that
    each text has an entry beside its bytes.
    """
    if column.dtype not in (pl.String, pl.Binary):
        return int(column.estimated_size())
    sizes = column.cast(pl.Binary).bin.size()
    return _VIEW * column.len() + int(sizes.filter(sizes > _INLINE).sum())


_VIEW, _INLINE = 16, 12
"""Bytes of a text's entry in its column, and up to how many are in the entry itself.

Source: Apache Arrow columnar format, variable-size binary view layout.
"""


def in_memory(layouts: Sequence[TableLayout]) -> dict[str, StateTable]:
    """Return an empty table of each layout, by its name."""
    return {layout.name: MemoryTable(layout) for layout in layouts}
