"""A preview: a transform on live events, in memory only."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from streamlab.errors import StreamlabError
from streamlab.taps.live import LiveTap
from streamlab.transforms.application import prepare
from streamlab.transforms.transform import Transform


class Preview:
    """Applies a transform to the events that a live tap follows.

    Nothing is written, no group is joined, nothing is committed. Plain Python: a
    view listens to :attr:`changed`.

    Attributes:
        changed: Functions to call when there are new events.
        error: Why the transform failed on the last events.
    """

    def __init__(self, transform: Transform[Any, Any], tap: LiveTap) -> None:
        """Prepare the transform for the tap's schema and listen."""
        self.changed: list[Callable[[], None]] = tap.changed
        self.error: StreamlabError | None = None
        self._prepared = prepare([transform], tap.schema, Path())
        self._tap = tap

    @property
    def tap(self) -> LiveTap:
        """Return the tap that it follows."""
        return self._tap

    def output(self) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Return the tap's newest events, and what becomes of them."""
        events = self._tap.frame
        try:
            output = self._prepared.apply(events)
        except StreamlabError as error:
            self.error = error
            return events, pl.DataFrame(schema=self._prepared.output_schema)
        self.error = None
        return events, output

    def stop(self) -> None:
        """Follow no more."""
        self._tap.stop()
