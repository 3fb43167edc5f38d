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
        return self.lazy(self.call({self.transform.inputs[0]: frame}))

    def call(self, frames: Mapping[str, pl.LazyFrame]) -> Any:
        """Call the function with some frames; return what it returns, as it is.

        Args:
            frames: Parameter → rows, in the order of the parameters; a function
                written for pandas gets pandas frames.

        Raises:
            MissingExtra: It is written for pandas, which is not installed.
        """
        # By position: a parameter may be positional only.
        if not self.transform.pandas:
            tables = {name: rows.lazy() for name, rows in self.tables.items()}
            return self.transform.function(*frames.values(), **tables)
        try:
            import pandas as pd  # noqa: F401 -- told before polars says it otherwise
            import pyarrow as pa  # noqa: F401 -- polars converts through it, by itself
        except ImportError:
            raise MissingExtra(f"{self.transform.name}()", "pandas") from None
        collected = [frame.collect(engine="in-memory") for frame in frames.values()]
        return self.transform.function(
            *map(_to_pandas, collected), **self._pandas_tables
        )

    def lazy(self, returned: object) -> pl.LazyFrame:
        """Return a frame that the function returned as a lazy one.

        Raises:
            TransformError: It is not a frame of the kind that the function is for.
        """
        if self.transform.pandas:
            import pandas as pd

            if not isinstance(returned, pd.DataFrame):
                raise self.not_a_frame(returned, "a pandas frame")
            return pl.from_pandas(returned).lazy()
        if isinstance(returned, pl.DataFrame):
            return returned.lazy()
        if not isinstance(returned, pl.LazyFrame):
            raise self.not_a_frame(returned, "a polars frame")
        return returned

    @cached_property
    def _pandas_tables(self) -> dict[str, Any]:
        return {name: _to_pandas(rows) for name, rows in self.tables.items()}

    def not_a_frame(
        self, returned: object, wanted: str, hint: str = "<the frame>"
    ) -> TransformError:
        """Return the error that the function did not return what is wanted."""
        return TransformError(
            f"{self.transform.name}() returned {type(returned).__name__}, not {wanted}",
            hint=f"end the function with: return {hint}",
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
