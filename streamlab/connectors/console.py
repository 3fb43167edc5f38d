"""The console sink: each row as one line of JSON on standard output."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from streamlab import formats
from streamlab.errors import Refused, UsageError
from streamlab.positions import Progress
from streamlab.sinks import Guarantee, Sink, SinkBatch, SinkContext, Writer


@dataclass(frozen=True)
class ConsoleSink(Sink):
    """Rows onto standard output, as JSON lines: to look at, or to pipe on."""

    @property
    def guarantee(self) -> Guarantee:
        """A terminal remembers nothing."""
        return Guarantee.AT_LEAST_ONCE

    def open(self, context: SinkContext) -> ConsoleWriter:
        """Return a writer to what is standard output at that time."""
        return ConsoleWriter(context)

    def describe(self) -> str:
        """Return one line for the plan."""
        return f"console (JSON lines, {self.guarantee.value})"


class ConsoleWriter(Writer):
    """An open console sink."""

    def __init__(self, context: SinkContext) -> None:
        """Remember the columns."""
        self._schema = pl.Schema(context.schema)
        self._format = formats.named("json")
        self._closed = False

    def claim(self, initial: Sequence[Progress]) -> None:
        """Leave the progress to the source."""
        del initial
        self._require_open()

    def write(self, batch: SinkBatch) -> int:
        """Print the rows."""
        self._require_open()
        if batch.frame.schema != self._schema:
            message = "the frame does not have the columns the sink was opened for"
            raise Refused(message)
        lines = self._format.encode(batch.frame)
        try:
            sys.stdout.write("".join(f"{line.decode()}\n" for line in lines))
            sys.stdout.flush()
        except BrokenPipeError as error:
            message = "nobody reads the output any more"
            raise Refused(message) from error
        return batch.frame.height

    def close(self) -> None:
        """Refuse further calls; a second call does nothing."""
        self._closed = True

    def _require_open(self) -> None:
        if self._closed:
            message = "the writer is closed"
            raise UsageError(message)
