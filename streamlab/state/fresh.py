"""What an epoch has changed in a state table, before it is saved."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from streamlab.state.run import Run, stored_schema, without
from streamlab.state.table import TableLayout


@dataclass(frozen=True)
class Changes:
    """What an epoch changed in one table.

    Attributes:
        rows: Rows that were put and are still there.
        graves: Keys whose older rows are gone.
        floor: Older rows that were due at or before it are gone.
    """

    rows: pl.DataFrame | None = None
    graves: pl.DataFrame | None = None
    floor: int | None = None

    def __bool__(self) -> bool:
        """Return whether anything changed."""
        parts = (self.rows, self.graves, self.floor)
        return any(part is not None for part in parts)


class Fresh:
    """Changes that are being made.

    Attributes:
        rows: Rows that were put and are still there; newer than all runs.
    """

    def __init__(self, layout: TableLayout) -> None:
        """Begin without changes."""
        self.rows = stored_schema(layout).to_frame()
        self._layout = layout
        self._keys = list(layout.keys)
        self._graves: pl.DataFrame | None = None
        self._floor: int | None = None

    @property
    def size_bytes(self) -> int:
        """Return about how many bytes the rows take."""
        return int(self.rows.estimated_size()) if self.rows.height else 0

    @property
    def changes(self) -> Changes:
        """Return all changes."""
        rows = self.rows if self.rows.height else None
        return Changes(rows, self._graves, self._floor)

    @property
    def run(self) -> Run:
        """Return the changes as the newest run."""
        return Run.in_memory(self._layout, self.rows, self._graves)

    def add(self, rows: pl.DataFrame) -> None:
        """Add rows; in a ``unique`` table each key once, to replace its row."""
        if self._layout.unique:
            self.rows = without(self.rows, rows, self._keys)
        self.rows = pl.concat([self.rows, rows]) if self.rows.height else rows

    def find(self, wanted: pl.DataFrame) -> pl.DataFrame:
        """Return the rows of some keys, in the order they were put."""
        names = self._layout.schema.names()
        if not self.rows.height:
            return self.rows.select(names)
        found = self.rows.join(
            wanted.select(self._keys),
            on=self._keys,
            how="semi",
            nulls_equal=True,
            maintain_order="left",
        )
        return found.select(names)

    def remove(self, keys: pl.DataFrame) -> None:
        """Remove the rows of some keys."""
        self.rows = without(self.rows, keys, self._keys)

    def bury(self, keys: pl.DataFrame) -> None:
        """Say that the older rows of some keys are gone."""
        keys = keys.select(self._keys)
        buried = keys if self._graves is None else pl.concat([self._graves, keys])
        self._graves = buried.unique(maintain_order=True)

    def raise_floor(self, floor: int) -> None:
        """Say that older rows that were due at or before it are gone."""
        self._floor = floor if self._floor is None else max(self._floor, floor)

    def take_due(self, until: int) -> pl.DataFrame:
        """Remove and return the rows that are due at or before ``until``."""
        is_due = (pl.col(str(self._layout.due)) <= until).fill_null(value=False)
        taken = self.rows.filter(is_due)
        if taken.height:
            self.rows = self.rows.filter(~is_due)
        return taken

    def not_hidden(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the older rows, or keys, that nothing here hides."""
        if self._layout.unique:
            rows = without(rows, self.rows, self._keys)
        return rows if self._graves is None else without(rows, self._graves, self._keys)
