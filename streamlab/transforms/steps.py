"""One transform with its tables in hand, and how a row of them runs as one query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl
from polars._typing import EngineType

from streamlab.contracts import Schema
from streamlab.errors import MissingExtra, TransformError
from streamlab.sources import METADATA, METADATA_DTYPES
from streamlab.transforms import failure
from streamlab.transforms.transform import Transform


@dataclass(frozen=True, eq=False)
class Step:
    """One transform with its tables in hand.

    Attributes:
        transform: The user's function.
        tables: Parameter name → the rows of its static table, read once.
    """

    transform: Transform[Any, Any]
    tables: Mapping[str, pl.DataFrame] = field(default_factory=dict, repr=False)

    def run(self, frame: pl.LazyFrame) -> pl.LazyFrame:
        """Call the function; what it returns is not collected yet if it is lazy.

        Raises:
            TransformError: It did not return a frame.
            MissingExtra: It is written for pandas, which is not installed.
        """
        if self.transform.pandas:
            return self._run_pandas(frame)
        tables = {name: rows.lazy() for name, rows in self.tables.items()}
        result = self.transform.function(frame, **tables)
        if isinstance(result, pl.DataFrame):
            return result.lazy()
        if not isinstance(result, pl.LazyFrame):
            raise self._not_a_frame(result, "a polars frame")
        return result

    def _run_pandas(self, frame: pl.LazyFrame) -> pl.LazyFrame:
        try:
            import pandas as pd
            import pyarrow as pa  # noqa: F401 -- polars converts through it, by itself
        except ImportError:
            raise MissingExtra(f"{self.transform.name}()", "pandas") from None
        events = _to_pandas(frame.collect(engine="in-memory"))
        result = self.transform.function(events, **self._pandas_tables)
        if not isinstance(result, pd.DataFrame):
            raise self._not_a_frame(result, "a pandas frame")
        return pl.from_pandas(result).lazy()

    @cached_property
    def _pandas_tables(self) -> dict[str, Any]:
        return {name: _to_pandas(rows) for name, rows in self.tables.items()}

    def _not_a_frame(self, result: object, wanted: str) -> TransformError:
        return TransformError(
            f"{self.transform.name}() returned {type(result).__name__}, not {wanted}",
            hint="end the function with: return <the frame>",
        )


def _to_pandas(frame: pl.DataFrame) -> Any:
    # Arrow-backed columns keep their types: numpy's turn an integer column into
    # floats as soon as one value is missing, so the schema would depend on data.
    return frame.to_pandas(use_pyarrow_extension_array=True)


def read_tables(
    transforms: Sequence[Transform[Any, Any]], base: Path
) -> tuple[Step, ...]:
    """Return the transforms as steps, with their tables read.

    Args:
        transforms: In the order of their application.
        base: Folder that the paths of tables count from.

    Raises:
        UsageError: A table cannot be read, or its key is not unique.
    """
    return tuple(
        Step(one, {name: table.read(base) for name, table in one.tables.items()})
        for one in transforms
    )


def input_schema(schema: Schema, metadata: Sequence[str]) -> pl.Schema:
    """Return the columns a function sees: metadata it names, then the event's own."""
    chosen = {name: METADATA_DTYPES[name] for name in METADATA if name in metadata}
    return pl.Schema({**chosen, **schema.dtypes})


def on_no_rows(steps: Sequence[Step], empty: pl.DataFrame) -> pl.DataFrame:
    """Return what the functions make of no rows.

    Raises:
        TransformError: One of them fails on it.
    """
    try:
        return collected(steps, empty)
    except failure.RAISED as error:
        raise failure.explained(error, steps, empty) from None


def collected(
    steps: Sequence[Step], frame: pl.DataFrame, engine: EngineType = "in-memory"
) -> pl.DataFrame:
    """Run the steps one after another as one query; raises what they raise.

    The in-memory engine keeps the order of rows, whatever the user's default is.
    """
    query = frame.lazy()
    for step in steps:
        query = step.run(query)
    return query.collect(engine=engine)


def difference(expected: pl.Schema, found: pl.Schema) -> str:
    """Return in words how a schema differs from the one on an empty frame."""
    for name in [*expected, *found]:
        if expected.get(name) != found.get(name):
            return (
                f"column {name!r} is {found.get(name, 'missing')}, "
                f"on an empty frame it is {expected.get(name, 'missing')}"
            )
    return "the columns come in another order"
