"""Static tables: rows to join a stream against, read once when a worker starts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from streamlab.errors import UsageError, first_line

READERS: dict[str, Callable[[Path], pl.DataFrame]] = {
    ".parquet": pl.read_parquet,
    ".csv": pl.read_csv,
    ".ndjson": pl.read_ndjson,
    ".jsonl": pl.read_ndjson,
}


@dataclass(frozen=True, eq=False)
class Table:
    """A static table.

    Attributes:
        frame: Its rows, if it was made from a frame.
        path: Its file, if it was made from one.
        key: Columns that name a row; checked to be unique when the table is read.
    """

    frame: pl.DataFrame | None = field(default=None, repr=False)
    path: Path | None = None
    key: tuple[str, ...] = ()

    def read(self, base: Path | None = None) -> pl.DataFrame:
        """Return the rows; a relative path counts from ``base``.

        Raises:
            UsageError: The file is missing or unreadable, the key column is not
                there, or two rows share a key.
        """
        frame = self.frame if self.frame is not None else self._read_file(base)
        missing = [name for name in self.key if name not in frame.columns]
        if missing:
            message = f"the table {self} has no key column {missing[0]!r}"
            raise UsageError(message, hint=f"it has {', '.join(frame.columns)}")
        if self.key and frame.select(self.key).is_duplicated().any():
            message = (
                f"two rows of the table {self} share a key ({', '.join(self.key)})"
            )
            raise UsageError(message, hint="a join would then multiply events")
        return frame

    def _read_file(self, base: Path | None) -> pl.DataFrame:
        if self.path is None:
            message = "a table needs a frame or a file"
            raise UsageError(message)
        path = (base or Path()) / self.path
        try:
            return READERS[path.suffix](path)
        except KeyError:
            message = f"tables are not read from {path.suffix or 'such'} files"
            raise UsageError(message, hint=f"use {', '.join(READERS)}") from None
        except FileNotFoundError as error:
            message = f"there is no table file {self.path}"
            where = base or "the current folder"
            raise UsageError(message, hint=f"it is searched in {where}") from error
        except OSError as error:
            why = error.strerror or first_line(error)
            raise UsageError(
                f"the table file {self.path} cannot be read: {why}"
            ) from error
        except pl.exceptions.PolarsError as error:
            # Without the cause: its text may quote a line of the file.
            kind = type(error).__name__
            raise UsageError(
                f"the table file {self.path} is not a {path.suffix} file ({kind})"
            ) from None

    def __str__(self) -> str:
        """Return the file's name, or the frame's size."""
        if self.frame is not None:
            return f"of {self.frame.height} rows × {self.frame.width} columns"
        return str(self.path)


def table(source: Any, *, key: str | tuple[str, ...] = ()) -> Table:
    """Return a static table from a frame or a Parquet, CSV or NDJSON file.

    Args:
        source: A polars (or pandas) frame, or the path of a file.
        key: Column or columns that name a row; checked to be unique.

    Raises:
        UsageError: ``source`` is neither.
    """
    keys = (key,) if isinstance(key, str) else tuple(key)
    if isinstance(source, str | Path):
        return Table(path=Path(source), key=keys)
    if isinstance(source, pl.DataFrame):
        return Table(frame=source, key=keys)
    if type(source).__module__.startswith("pandas"):
        return Table(frame=pl.from_pandas(source), key=keys)
    message = f"a table is made from a frame or a file, not {type(source).__name__}"
    raise UsageError(message)
