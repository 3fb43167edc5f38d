"""The interface of a state table: rows that are found by key, and by when they are due.

The order of calls, all from one thread::

    table.get / put / take / take_due      # in any order, within an epoch
    (the store saves all tables of a task at the end of the epoch)

Keys and rows travel as frames; nothing is called row by row. Two keys are equal where
all their columns are, and null equals null.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from streamlab.errors import UsageError


@dataclass(frozen=True)
class TableLayout:
    """What a state table holds.

    Attributes:
        name: Unique among the tables of a task, such as ``hourly.rows``.
        schema: Columns of a row with their dtypes.
        keys: Columns that rows are found by; may be none where rows are only due.
        due: Column of dtype Int64, in µs since 1970 UTC: when a row must be looked
            at again (its window closes, it expires); null is never. None without.
        unique: Whether a key has one row at most, which ``put`` then replaces.
    """

    name: str
    schema: pl.Schema
    keys: tuple[str, ...] = ()
    due: str | None = None
    unique: bool = False

    def __post_init__(self) -> None:
        """Refuse what names no column."""
        for column in (*self.keys, *([self.due] if self.due else [])):
            if column not in self.schema:
                message = f"the state table {self.name} has no column {column!r}"
                raise UsageError(message)
        if self.due and self.schema[self.due] != pl.Int64:
            message = f"{self.due!r} of the state table {self.name} must be Int64"
            raise UsageError(message)


class StateTable(ABC):
    """Rows of one layout. See the module's docstring for the order of calls."""

    layout: TableLayout

    @abstractmethod
    def put(self, rows: pl.DataFrame) -> None:
        """Add rows; in a table that is ``unique`` they replace the row of their key.

        Args:
            rows: Have the layout's schema; of equal keys in a ``unique`` table the
                last row wins.
        """

    @abstractmethod
    def get(self, keys: pl.DataFrame) -> pl.DataFrame:
        """Return all rows of some keys.

        Args:
            keys: The key columns; duplicates count once.

        Returns:
            Rows with the layout's schema; those of one key in the order in which they
            were put, in no order between keys.
        """

    @abstractmethod
    def take(self, keys: pl.DataFrame) -> pl.DataFrame:
        """Remove all rows of some keys and return them; see :meth:`get`."""

    @abstractmethod
    def take_due(self, until: int) -> pl.DataFrame:
        """Remove and return the rows whose due time is at or before ``until``, in µs.

        Returns:
            Rows with the layout's schema; those of equal due time in the order in
            which they were put.
        """

    @abstractmethod
    def scan(self) -> Iterator[pl.DataFrame]:
        """Yield all rows, in pieces that fit in memory, in no order."""

    @property
    @abstractmethod
    def height(self) -> int:
        """Return the number of rows."""

    @property
    @abstractmethod
    def size_bytes(self) -> int:
        """Return about how many bytes the rows take."""
