"""What some transforms give of some events, from the first to the last of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from streamlab.contracts import Schema
from streamlab.errors import TransformError
from streamlab.operators.chain import Chain
from streamlab.operators.driving import PARTITION, Drive
from streamlab.transforms.application import prepare
from streamlab.transforms.transform import Transform


def rows_of(
    transforms: Sequence[Transform[Any, Any]],
    events: pl.DataFrame,
    schema: Schema,
    base: Path,
) -> pl.DataFrame:
    """Return the rows that transforms give of a stream that ends with the events.

    Args:
        transforms: In the order of their application.
        events: Decoded events with their metadata columns, as of a sample.
        schema: Schema of the event's own columns.
        base: Folder that the paths of tables count from.

    Raises:
        TransformError: A function fails on them.
        UsageError: A declaration or a table does not fit.
    """
    needing = [one for one in transforms if one.needs is not None]
    if not needing:
        return prepare(transforms, schema, base).apply(events)
    (stream,) = needing[0].streams
    chain = Chain.of(transforms, {stream: schema}, base)
    partitions = (
        {stream: events[PARTITION].unique().to_list()}
        if PARTITION in events.columns
        else None
    )
    drive = Drive.of(chain, partitions)
    on = chain.times.get(stream)
    if on is not None:
        events = events.filter(pl.col(on.column).is_not_null())
    drive.epoch({stream: events}, ended=True)
    if drive.failed:
        rows = sum(one.rows.height for one in drive.failed)
        message = f"the transforms fail on {rows:,} of the rows"
        raise TransformError(f"{message}: {drive.failed[0].reason}")
    return drive.output
