"""A live tap: follows a topic and keeps its newest events, noticed by nobody."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence

import polars as pl

from streamlab.connectors.kafka import connection, rights, topics
from streamlab.connectors.kafka.following import Chunk, Follower
from streamlab.contracts import Schema
from streamlab.errors import SchemaError, StreamlabError, Unavailable
from streamlab.formats import Context
from streamlab.positions import TopicPartition
from streamlab.sources import METADATA_DTYPES
from streamlab.taps.decoding import Decoder, Part
from streamlab.taps.gathering import sample_of
from streamlab.taps.masking import Masking
from streamlab.taps.origin import Origin
from streamlab.taps.sample import Sample

KEEP_ROWS = 1_000

_WAIT_S = 0.25
_LOGGER = logging.getLogger("streamlab.taps")


class LiveTap:
    """The newest events of a topic. Made by :func:`live_tap`; plain Python, no view.

    A daemon thread reads; it ends with :meth:`stop` or with the interpreter. Where
    more events come than are kept, the older ones go, unseen if nobody looked in
    between: :attr:`skipped` says how many went without being decoded at all, because
    more came at once than there is room for.

    Attributes:
        topic: The topic.
        changed: Functions to call, from the reading thread, when there are new
            events or the tap has failed; they should be quick.
        read: Events that arrived since the tap began.
        skipped: Events that went past without being decoded.
        error: Why the tap ended by itself, or why it has to wait; None while it reads.
    """

    def __init__(self, follower: Follower, decoder: Decoder, keep_rows: int) -> None:
        self.topic = decoder.topic
        self.changed: list[Callable[[], None]] = []
        self.read = 0
        self.skipped = 0
        self.error: StreamlabError | None = None
        self._follower = follower
        self._decoder = decoder
        self._keep_rows = keep_rows
        self._parts: deque[Part] = deque()
        self._rejected = 0
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name=f"live tap {decoder.topic}", daemon=True
        )
        self._thread.start()

    @property
    def schema(self) -> Schema:
        """Return the schema of the events; without fields until it is inferred."""
        return self._decoder.schema or Schema(())

    @property
    def frame(self) -> pl.DataFrame:
        """Return the newest events: metadata columns, then the schema's."""
        with self._lock:
            parts = [part.frame for part in self._parts if part.events]
        empty = pl.DataFrame(schema={**METADATA_DTYPES, **self.schema.dtypes})
        return pl.concat([empty, *parts]).tail(self._keep_rows)

    def sample(self) -> Sample:
        """Return the newest events as a sample, those that did not decode included."""
        with self._lock:
            parts = list(self._parts)
        held = sample_of(parts, self._decoder, spans=(), cut={"live": True})
        first = max(0, held.frame.height - self._keep_rows)
        rejected = held.origins[held.frame.height :]
        return held.only(range(first, held.frame.height), at=rejected)

    def pick(self, *at: str | Origin) -> Sample:
        """Return some of the newest events as a sample, by their origins.

        ``cases = cases.with_events(live.pick("flights/0@17"))`` makes one a test case.

        Raises:
            UnknownName: It is not among those that are kept.
        """
        return self.sample().only(at=at)

    @property
    def rejected(self) -> int:
        """Return how many values did not decode."""
        return self._rejected

    @property
    def running(self) -> bool:
        """Return whether it still follows."""
        return self._thread.is_alive() and not self._stopping.is_set()

    def stop(self, timeout_s: float = 5.0) -> None:
        """Follow no more; the events stay. A second call does nothing."""
        self._stopping.set()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout_s)

    def _run(self) -> None:
        with contextlib.closing(self._follower) as follower:
            while not self._stopping.is_set():
                try:
                    chunk = follower.read(_WAIT_S)
                except Unavailable as error:
                    self._tell(error)  # the client connects again by itself
                    continue
                except StreamlabError as error:
                    self._tell(error)
                    return
                try:
                    if chunk is not None and len(chunk):
                        self._add(chunk)
                except StreamlabError as error:
                    self._tell(error)
                    return

    def _add(self, chunk: Chunk) -> None:
        self.read += len(chunk)
        beyond = max(0, len(chunk) - self._keep_rows)
        self.skipped += beyond
        newest = chunk.take(range(beyond, len(chunk)), chunk.positions)
        try:
            part = self._decoder.part(newest)
        except SchemaError as error:
            self.skipped += len(newest)  # no schema to be had from these
            self._tell(error)
            return
        with self._lock:
            self._parts.append(part)
            self._rejected += len(part.rejected)
            kept = sum(map(_rows, self._parts))
            while kept - _rows(self._parts[0]) >= self._keep_rows:
                kept -= _rows(self._parts.popleft())
        self._tell(None)

    def _tell(self, error: StreamlabError | None) -> None:
        self.error = error
        for listener in list(self.changed):
            try:
                listener()
            except Exception:  # a view that fails must not end the tap
                _LOGGER.exception("a listener of the live tap %s failed", self.topic)


def live_tap(  # noqa: PLR0913 -- each is an option of `%tap --live`
    topic: str,
    *,
    keep_rows: int = KEEP_ROWS,
    where: pl.Expr | None = None,
    format: str = "json",  # noqa: A002 -- the word for it everywhere
    format_options: Mapping[str, str] | None = None,
    schema: Schema | None = None,
    personal: Sequence[str] = (),
    unmask: bool = False,
    profile: str = "",
) -> LiveTap:
    """Follow a topic, beginning with its last events; return at once.

    It joins no group, commits nothing and creates nothing.

    Args:
        topic: The topic.
        keep_rows: How many of the newest events are kept.
        where: Only events for which this is true.
        format: Name of the format of the values.
        format_options: Settings of the format, by the names that its page lists.
        schema: Schema of the events; inferred from the first that come if left out.
        personal: Fields with personal data, besides those that the schema marks. They
            are masked before anything is kept; ``where`` sees them as they are.
        unmask: Do not mask.
        profile: Profile of the broker; empty for the default one.

    Raises:
        UnknownName: There is no such topic, profile, format or field.
        Unavailable: The broker does not answer.
    """
    client = connection.admin(profile)
    partitions = topics.describe(client, topic, needed=rights.read).partitions
    masking = Masking.of(personal, unmask)
    decoder = Decoder(
        topic,
        format,
        schema=schema,
        where=where,
        masking=masking,
        context=Context(topic, profile, format_options or {}),
    )
    masking.tell(topic, decoder.schema)
    starts = _last(
        topics.starts(client, partitions, topics.EARLIEST),
        topics.starts(client, partitions, topics.LATEST),
        -(-keep_rows // len(partitions)),
    )
    return LiveTap(Follower(profile, starts), decoder, keep_rows)


def _rows(part: Part) -> int:
    """Return how many events a part holds, those that did not decode included."""
    return part.frame.height + len(part.rejected)


def _last(
    earliest: dict[TopicPartition, int], ends: dict[TopicPartition, int], share: int
) -> dict[TopicPartition, int]:
    """Return where the last events of each partition begin, in equal shares."""
    return {p: max(earliest[p], end - share) for p, end in ends.items()}
