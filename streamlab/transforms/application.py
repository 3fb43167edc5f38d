"""Transforms made ready to run: the same object in a notebook, a test and a worker.

``prepare`` does once what must not be done for every batch: it reads the tables,
finds the metadata columns that are named, and fixes the schema of the output by
running on no rows. ``Prepared.apply`` then costs the query itself and a comparison.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from streamlab.contracts import Schema
from streamlab.errors import TransformError
from streamlab.transforms import failure, metadata, plan
from streamlab.transforms.steps import (
    Step,
    collected,
    difference,
    input_schema,
    on_no_rows,
    read_tables,
)
from streamlab.transforms.transform import Transform


@dataclass(frozen=True, eq=False)
class Prepared:
    """Transforms that are ready to run, one after another, as one query.

    Attributes:
        steps: The transforms with their tables.
        schema: Schema of the events.
        metadata: Metadata columns that the functions name, in the order of
            ``streamlab.sources.METADATA``.
        output_schema: Columns and dtypes of every output.
        at_most_one: Whether each event is shown to give at most one row, so that
            "events in minus rows out" is the number of filtered events.
    """

    steps: tuple[Step, ...]
    schema: Schema
    metadata: tuple[str, ...]
    output_schema: pl.Schema
    at_most_one: bool

    @property
    def input_schema(self) -> pl.Schema:
        """Return the columns that ``apply`` needs: metadata, then the event's own."""
        return input_schema(self.schema, self.metadata)

    def apply(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Transform a batch.

        Args:
            frame: Has at least the columns of ``input_schema``, in any order.

        Returns:
            Rows with exactly ``output_schema``.

        Raises:
            TransformError: A function failed, or the output has another schema.
        """
        names = self.input_schema.names()
        events = frame if frame.columns == names else frame.select(names)
        if not self.steps:
            return events
        try:
            output = collected(self.steps, events)
        except failure.RAISED as error:
            raise failure.explained(error, self.steps, events) from None
        if output.schema != self.output_schema:
            raise _another_schema(self, output.schema)
        return output


def prepare(
    transforms: Sequence[Transform[Any, Any]], schema: Schema, base: Path
) -> Prepared:
    """Read the tables, find the metadata, fix the output's schema.

    Args:
        transforms: Functions, applied in order; none passes events through.
        schema: Schema of the events.
        base: Folder that the paths of tables count from.

    Raises:
        TransformError: A function fails on an empty frame.
        UsageError: A table cannot be read, or its key is not unique.
    """
    steps = read_tables(transforms, base)
    named = metadata.named(steps, schema)
    columns = input_schema(schema, named)
    output_schema = on_no_rows(steps, pl.DataFrame(schema=columns)).schema
    at_most_one = plan.claims(steps, columns).at_most_one
    return Prepared(steps, schema, named, output_schema, at_most_one)


def _another_schema(prepared: Prepared, found: pl.Schema) -> TransformError:
    names = " and ".join(f"{step.transform.name}()" for step in prepared.steps)
    what = difference(prepared.output_schema, found)
    return TransformError(
        f"the output of {names} has a schema that depends on the data: {what}",
        hint="give the dtype in the function, such as .cast(…), "
        "return_dtype=… or a format",
    )
