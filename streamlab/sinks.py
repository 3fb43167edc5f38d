"""What a sink is: a system that takes frames, and remembers the position with them.

Like a source, a sink is two things: a :class:`Sink`, a frozen value whose fields are
its settings, and the :class:`Writer` that ``open`` returns, which holds the
connection. The order of calls, all from one thread (the worker's writing thread)::

    writer = sink.open(context)
    stored = writer.claim(initial)     # at start, and whenever partitions are given
    loop:  writer.write(batch)         # one epoch; raises what the worker should do
    writer.close()

``write`` is all or nothing where the guarantee is ``atomic``. After an exception the
worker either calls ``write`` again with the same batch, or with some rows fewer (they
went to the dead letters), or ``claim``, when it cannot know whether the last ``write``
took effect. What is *not* promised to a sink: that a batch has the rows it had before
a restart, that a batch has rows at all (an epoch whose events were all filtered moves
the position too), or that ``close`` is called (a killed process calls nothing).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

import polars as pl

from streamlab.errors import Fenced
from streamlab.positions import Progress
from streamlab.sources import Headers


class Guarantee(Enum):
    """What a sink promises when a worker dies and another one goes on."""

    ATOMIC = "atomic"
    """Rows and position in one transaction: every row once."""

    IDEMPOTENT = "idempotent"
    """Written again under the same name or version: each row once in the end."""

    AT_LEAST_ONCE = "at-least-once"
    """Rows of the last epoch can be written again after a crash."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event that could not be processed, kept with its bytes, origin and reason.

    Its identity is its origin: a replayed epoch may write it again, and readers
    count distinct origins.

    Attributes:
        topic: Topic, partition and position of the event.
        partition: See ``topic``.
        position: See ``topic``.
        timestamp_ms: The source's own time of the event, ms since 1970 UTC.
        key: The original key.
        value: The original value, untouched.
        headers: The original headers, untouched.
        stage: Where it failed: ``decode``, ``transform`` or ``sink``.
        code: A short stable name of the kind of failure, such as ``not-json``.
        reason: One sentence for a person, without any value of the event.
    """

    topic: str
    partition: int
    position: object
    timestamp_ms: int | None
    key: bytes | None
    value: bytes | None
    headers: Headers
    stage: str
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class SinkBatch:
    """One epoch's output, and the progress that it makes.

    Attributes:
        frame: The rows to write; may be empty.
        before: Progress that must be stored now, for each task, or another worker
            has taken over. Compared on epoch, state and positions.
        after: Progress to store with the rows; same tasks in the same order.
        ticket: What ``Reader.commit_ticket`` returned for ``after``.
        dead_letters: The epoch's dead letters, for a sink that ``takes_dead_letters``.
    """

    frame: pl.DataFrame
    before: Sequence[Progress]
    after: Sequence[Progress]
    ticket: object | None = None
    dead_letters: Sequence[DeadLetter] = ()


@dataclass(frozen=True, slots=True)
class SinkContext:
    """What a sink is told when it is opened.

    Attributes:
        pipeline: Name of the pipeline: the namespace of the progress.
        schema: Columns of every frame that will come, with their dtypes.
        worker: Name of this worker, unique among the workers of the pipeline.
        dead_letter_topic: Where a sink that takes dead letters puts them.
        whole: Whether a change among the rows has all values of its row: none of the
            inputs is a stream of changes, which may leave out what did not change.
    """

    pipeline: str
    schema: Mapping[str, pl.DataType]
    worker: str = "worker-0"
    dead_letter_topic: str | None = None
    whole: bool = False


class Writer(ABC):
    """An open sink. See the module's docstring for the order of calls."""

    @abstractmethod
    def claim(self, initial: Sequence[Progress]) -> Sequence[Progress] | None:
        """Make sure that progress exists for each task, and return what is stored.

        Args:
            initial: For each task, what to store if nothing is stored yet. Where the
                pipeline has history but not for this task, the task is a new
                partition, and its position is 0 instead.

        Returns:
            The stored progress in the order of ``initial``; None if this sink keeps
            no progress and leaves it to the source.

        Raises:
            Unavailable: Try again later.
        """

    @abstractmethod
    def write(self, batch: SinkBatch) -> int:
        """Write one epoch, durably on return, and return the number of rows written.

        Raises:
            Unavailable: Nothing or everything was written; ``claim`` tells which.
            RowsRefused: Nothing was written; these rows are at fault.
            Fenced: Stored progress is not ``batch.before``; nothing was written.
            Refused: The sink will not take this frame, ever.
        """

    @abstractmethod
    def close(self) -> None:
        """Drop the connection; a second call does nothing."""


@dataclass(frozen=True)
class Sink(ABC):
    """Where to write. Subclasses are frozen dataclasses; their fields are settings."""

    @property
    @abstractmethod
    def guarantee(self) -> Guarantee:
        """What this sink promises with its present settings."""

    @abstractmethod
    def open(self, context: SinkContext) -> Writer:
        """Connect, and create or check what is written to.

        Raises:
            SchemaError: The target exists and its columns do not fit.
            UsageError: The settings cannot work.
            Unavailable: It cannot be reached now.
        """

    @abstractmethod
    def describe(self) -> str:
        """Return one line for the plan: ``postgres table delays (append, atomic)``."""

    def stored(self, pipeline: str) -> Sequence[Progress] | None:
        """Return the progress that this sink keeps of a pipeline, changing nothing.

        Returns:
            The progress of every task, none before the first run; None if this sink
            keeps no progress and leaves it to the source.

        Raises:
            Unavailable: It cannot be reached now.
        """
        del pipeline
        return None

    @property
    def keeps_order(self) -> bool:
        """Whether the order of rows within a partition matters to the target."""
        return False

    @property
    def takes_changes(self) -> bool:
        """Whether rows with ``_op`` do to the target what that says, or are a log."""
        return True

    @property
    def takes_dead_letters(self) -> bool:
        """Whether dead letters go into the same transaction as the rows."""
        return False


def first_claims(
    initial: Sequence[Progress], stored: Mapping[str, Progress]
) -> list[Progress]:
    """Return what ``Writer.claim`` has to store for the tasks that have nothing yet.

    Args:
        initial: What the worker handed to ``claim``.
        stored: Task → progress, for all tasks of the pipeline.

    Returns:
        A task of a pipeline without history begins where the worker said; a task
        that is new to a pipeline with history is a new partition, and begins at 0.
    """
    new = [progress for progress in initial if progress.task not in stored]
    return [progress.from_the_start() for progress in new] if stored else new


def require_same_place(
    before: Sequence[Progress], stored: Mapping[str, Progress]
) -> None:
    """Compare what a batch builds on with what is stored, for compare-and-set.

    Raises:
        Fenced: A task is missing or stands elsewhere: another worker took over.
    """
    for expected in before:
        found = stored.get(expected.task)
        if found is None or not found.same_place(expected):
            message = (
                f"task {expected.task} is not where this worker left it: expected "
                f"epoch {expected.epoch}, stored is "
                f"{'nothing' if found is None else f'epoch {found.epoch}'}"
            )
            raise Fenced(message, hint="another worker has taken over this task")
