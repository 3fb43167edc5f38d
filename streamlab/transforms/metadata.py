"""Which metadata columns a function names.

A function sees the event's own columns. A metadata column (``_offset`` …) is there
only if the function names it: reading one costs time for each event, and
``select(pl.all())`` must not let it slip into the output. Notebook and worker find
the names by the same trial on no rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from streamlab.contracts import Schema
from streamlab.errors import MissingExtra
from streamlab.sources import METADATA
from streamlab.transforms import failure
from streamlab.transforms.steps import Step, input_schema, on_no_rows, read_tables
from streamlab.transforms.transform import Transform


def needed(
    transform: Transform[Any, Any], schema: Schema, base: Path | None = None
) -> tuple[str, ...]:
    """Return the metadata columns that one transform names.

    Args:
        transform: Its ``metadata`` are taken as named; the others are found.
        schema: Schema of the events.
        base: Folder that the paths of tables count from.

    Raises:
        TransformError: The function fails on an empty frame, whatever it is given.
    """
    return named(read_tables([transform], base or Path()), schema)


def named(steps: Sequence[Step], schema: Schema) -> tuple[str, ...]:
    """Return the metadata columns that the steps name, in ``METADATA``'s order.

    Tried without them first, then with all of them, then with one fewer at a time.

    Raises:
        TransformError: A function fails on an empty frame, whatever it is given.
    """
    declared = {name for step in steps for name in step.transform.metadata or ()}
    # An event's own column of the same name wins, as in input_schema.
    offered = set(METADATA) - set(schema.dtypes)
    try:
        on_no_rows(steps, _empty(schema, declared))
    except MissingExtra:
        raise
    except failure.RAISED as without:
        if not _works(steps, schema, offered):
            raise without from None
        for name in sorted(offered - declared):
            if _works(steps, schema, offered - {name}):
                offered.discard(name)
        declared = offered
    return tuple(name for name in METADATA if name in declared)


def _works(steps: Sequence[Step], schema: Schema, metadata: set[str]) -> bool:
    try:
        on_no_rows(steps, _empty(schema, metadata))
    except failure.RAISED:
        return False
    return True


def _empty(schema: Schema, metadata: set[str]) -> pl.DataFrame:
    return pl.DataFrame(schema=input_schema(schema, sorted(metadata)))
