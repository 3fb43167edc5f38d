"""What some transforms give of some events, from the first to the last of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from streamlab.contracts import Schema
from streamlab.operators.chain import Chain
from streamlab.operators.driving import Drive, partitions_of, with_times
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
    events = with_times(chain, stream, events)
    drive = Drive.of(chain, partitions_of({stream: events}))
    drive.epoch({stream: events}, ended=True)
    drive.require_success("the transforms fail")
    return drive.output
