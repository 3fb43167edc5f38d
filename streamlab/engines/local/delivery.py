"""Delivery: the writing end of the worker, one epoch after another.

The order is the promise: dead letters first, then the check that the positions still
mean what they meant, then rows and position together, then the source. Whatever kills
the worker in between, the next one finds a position that is not behind the rows.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from streamlab import failpoints
from streamlab.engines.local.dead_letters import DeadLetterWriter
from streamlab.engines.local.processing import Processed, Processing
from streamlab.engines.local.retrying import Retrying
from streamlab.errors import Fenced, RowsRefused, Unavailable
from streamlab.positions import Progress
from streamlab.sinks import Sink, SinkBatch, SinkContext, Writer
from streamlab.sources import Reader

LAG_COMMIT_S = 1.0  # how often a source hears of a position that the sink keeps

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Delivered:
    """A committed epoch.

    Attributes:
        processed: The epoch, less what the sink refused.
        rows: Rows that the sink wrote.
        write_s: Seconds until the sink had committed.
        acknowledge_s: Seconds until the source had heard of it.
    """

    processed: Processed
    rows: int
    write_s: float
    acknowledge_s: float


class Delivery:
    """Writes epochs of one pipeline. All calls come from the writing thread."""

    def __init__(
        self,
        sink: Sink,
        context: SinkContext,
        processing: Processing,
        open_dead_letters: Callable[[], DeadLetterWriter],
        retrying: Retrying,
    ) -> None:
        """Keep the parts; nothing is opened before :meth:`open`."""
        self._sink = sink
        self._context = context
        self._processing = processing
        self._open_dead_letters = open_dead_letters
        self._dead_letters: DeadLetterWriter | None = None
        self._retrying = retrying
        self._writer: Writer | None = None
        self._sink_keeps_progress = False
        self._lag_committed_at = 0.0
        self._unacknowledged: dict[str, Progress] = {}

    def open(self) -> None:
        """Open the sink and the dead letters, waiting while they are down."""
        self.close()
        self._writer = self._retrying(lambda: self._sink.open(self._context))
        if not self._sink.takes_dead_letters:
            self._dead_letters = self._retrying(self._open_dead_letters)

    def close(self) -> None:
        """Close the sink and the dead letters."""
        writer, self._writer = self._writer, None
        dead_letters, self._dead_letters = self._dead_letters, None
        try:
            if writer is not None:
                writer.close()
        finally:
            if dead_letters is not None:
                dead_letters.close()

    def claim(self, initial: Sequence[Progress]) -> Sequence[Progress] | None:
        """Return the progress that the sink has stored; see ``Writer.claim``."""
        stored = self._retrying(lambda: self._open_writer.claim(initial))
        self._sink_keeps_progress = stored is not None
        return stored

    def deliver(
        self,
        reader: Reader,
        processed: Processed,
        before: Sequence[Progress],
        after: Sequence[Progress],
        written: Callable[[], None] = lambda: None,
    ) -> Delivered:
        """Commit one epoch: write its dead letters and rows, move its position.

        Args:
            reader: Where the epoch was read.
            processed: The epoch.
            before: Progress of its tasks before it.
            after: Progress of its tasks with it.
            written: Told when the sink has committed, before the source hears of it.

        Raises:
            Fenced: Another worker has these tasks; nothing was written.
            PositionLost: The positions no longer mean what they meant.
            Refused: The sink will never take this.
            Stopped: The worker stops while the other side is down.
        """
        began = time.monotonic()
        if not self._sink.takes_dead_letters:
            self._write_dead_letters(processed)
        failpoints.passing("after-dead-letters")
        self._retrying(reader.healthy)
        processed, rows = self._write(reader, processed, before, after)
        failpoints.passing("after-sink-commit")
        committed = time.monotonic()
        written()
        self._acknowledge(reader, after)
        failpoints.passing("after-group-commit")
        return Delivered(
            processed,
            rows,
            write_s=committed - began,
            acknowledge_s=time.monotonic() - committed,
        )

    @property
    def settling_is_due(self) -> bool:
        """Return whether the source should hear of a position now."""
        waited_s = time.monotonic() - self._lag_committed_at
        return bool(self._unacknowledged) and waited_s >= LAG_COMMIT_S

    def settle(self, reader: Reader) -> None:
        """Tell the source about positions that it has not heard of yet."""
        self._lag_committed_at = time.monotonic()
        if self._unacknowledged:
            reader.acknowledge(list(self._unacknowledged.values()))
            self._unacknowledged.clear()

    def try_to_settle(self, reader: Reader) -> None:
        """Settle, or leave it: the positions only show the lag."""
        try:
            self.settle(reader)
        except (Unavailable, Fenced) as error:
            logger.info("the lag shown by the broker is late: %s", error.message)

    def forget(self) -> None:
        """Drop what the source has not heard of: the partitions were taken away."""
        self._unacknowledged.clear()

    @property
    def _open_writer(self) -> Writer:
        if self._writer is None:
            self._writer = self._sink.open(self._context)
        return self._writer

    def _write_dead_letters(self, processed: Processed, done: int = 0) -> None:
        letters, writer = processed.letters[done:], self._dead_letters
        if letters and writer is not None:
            self._retrying(lambda: writer.write(letters))

    def _write(
        self,
        reader: Reader,
        processed: Processed,
        before: Sequence[Progress],
        after: Sequence[Progress],
    ) -> tuple[Processed, int]:
        """Write until the sink has taken the epoch, less the rows it refuses."""
        uncertain = False

        def attempt() -> int:
            nonlocal uncertain
            if uncertain and self._has_committed(before, after):
                return processed.output.height
            uncertain = True
            try:
                return self._open_writer.write(
                    SinkBatch(
                        frame=processed.output,
                        before=before,
                        after=after,
                        ticket=reader.commit_ticket(after),
                        dead_letters=processed.letters
                        if self._sink.takes_dead_letters
                        else (),
                    )
                )
            except RowsRefused:
                uncertain = False
                raise

        while True:
            try:
                return processed, self._retrying(attempt)
            except RowsRefused as refused:
                done = len(processed.letters)
                count = len(refused.reasons)
                logger.warning("the sink refused %d row(s): %s", count, refused.message)
                processed = self._processing.without_refused(processed, refused, after)
                if not self._sink.takes_dead_letters:
                    self._write_dead_letters(processed, done)

    def _has_committed(
        self, before: Sequence[Progress], after: Sequence[Progress]
    ) -> bool:
        """Return whether a write of unknown outcome took effect.

        Raises:
            Fenced: What is stored is neither the old progress nor the new.
            Unavailable: The sink cannot say yet.
        """
        stored = self._open_writer.claim(before)
        if stored is None:
            return False
        if all(s.same_place(a) for s, a in zip(stored, after, strict=True)):
            return True
        if all(s.same_place(b) for s, b in zip(stored, before, strict=True)):
            return False
        raise Fenced(
            "another worker has written these tasks in the meantime: "
            + ", ".join(progress.task for progress in stored)
        )

    def _acknowledge(self, reader: Reader, after: Sequence[Progress]) -> None:
        if not self._sink_keeps_progress:
            if not self._sink.takes_dead_letters:
                self._retrying(lambda: reader.acknowledge(after))
            return
        # The sink has the position; the source's copy only shows the lag, so it is
        # refreshed now and then, and its failure is no reason to stop.
        self._unacknowledged.update({progress.task: progress for progress in after})
        if self.settling_is_due:
            self.try_to_settle(reader)
