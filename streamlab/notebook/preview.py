"""A preview: a transform on live events, in memory only."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from streamlab.errors import StreamlabError, UsageError
from streamlab.operators.chain import Chain
from streamlab.operators.whole import rows_of
from streamlab.taps.live import LiveTap
from streamlab.transforms.application import prepare
from streamlab.transforms.transform import Transform


class Preview:
    """Applies a transform to the events that a live tap follows.

    Nothing is written, no group is joined, nothing is committed. Plain Python: a
    view listens to :attr:`changed`. A transform with a window or state is shown as if
    the stream began with the tap's events and ended with them.

    Attributes:
        changed: Functions to call when there are new events.
        error: Why the transform failed on the last events.
    """

    def __init__(self, transform: Transform[Any, Any], tap: LiveTap) -> None:
        """Prepare the transform for the tap's schema and listen.

        Raises:
            StreamlabError: It does not fit the tap's events.
        """
        require_one_stream(transform)
        self.changed: list[Callable[[], None]] = tap.changed
        self.error: StreamlabError | None = None
        self._apply, self._columns = _applied(transform, tap)
        self._tap = tap

    @property
    def tap(self) -> LiveTap:
        """Return the tap that it follows."""
        return self._tap

    def output(self) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Return the tap's newest events, and what becomes of them."""
        events = self._tap.frame
        try:
            output = self._apply(events)
        except StreamlabError as error:
            self.error = error
            return events, pl.DataFrame(schema=self._columns)
        self.error = None
        return events, output

    def stop(self) -> None:
        """Follow no more."""
        self._tap.stop()


def require_one_stream(transform: Transform[Any, Any]) -> None:
    """Refuse a transform that reads several streams.

    Raises:
        UsageError: A live tap follows one.
    """
    if len(transform.streams) > 1:
        streams = " and ".join(transform.streams)
        message = f"a preview follows one topic, and {transform.name}() reads {streams}"
        hint = "tap each of them: the cell then shows it on the samples"
        raise UsageError(message, hint=hint)


def _applied(
    transform: Transform[Any, Any], tap: LiveTap
) -> tuple[Callable[[pl.DataFrame], pl.DataFrame], pl.Schema]:
    """Return what makes rows of a tap's events, and their columns."""
    if transform.needs is None:
        prepared = prepare([transform], tap.schema, Path())
        return prepared.apply, prepared.output_schema
    (stream,) = transform.streams
    chain = Chain.of([transform], {stream: tap.schema}, Path())

    def apply(events: pl.DataFrame) -> pl.DataFrame:
        return rows_of([transform], events, tap.schema, Path())

    return apply, chain.output_schema
