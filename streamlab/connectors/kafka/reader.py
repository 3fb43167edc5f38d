"""Open Kafka topics: group membership, positions and batches of messages.

Where a reader stands in a rebalance decides what it may do. A callback of the client
only notes what it was told; partitions are taken up in ``poll``, outside of it, so
that a broker that does not answer just then is an ordinary ``Unavailable`` and the
next ``poll`` tries again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import confluent_kafka as ck
from confluent_kafka import KafkaError, KafkaException, Message
from confluent_kafka.admin import AdminClient

from streamlab.connectors.kafka import (
    beginning,
    committed,
    connection,
    membership,
    messages,
    rights,
)
from streamlab.connectors.kafka.ends import KnownEnds
from streamlab.connectors.kafka.failures import (
    UNAVAILABLE,
    UNKNOWN_TOPIC,
    kafka_error,
    translated,
)
from streamlab.connectors.kafka.pausing import Pausing
from streamlab.connectors.kafka.topics import Topic
from streamlab.connectors.kafka.turns import Turns
from streamlab.connectors.kafka.waiting import Waiting
from streamlab.connectors.kafka.watch import Watches
from streamlab.errors import ConnectorError, Fenced
from streamlab.positions import Progress, Span, TopicPartition
from streamlab.sources import Assignment, Listener, RawBatch, Reader, Start

MOST_AT_ONCE = 10_000
"""Messages in one batch, however many are asked for: with 50,000 the batch leaves the
CPU's cache while it is made, which costs a quarter of the speed."""

WAIT_SLICE_S = 0.01
"""An idle wait looks up this often, for partitions given and offsets to commit."""

T = TypeVar("T")

HEALTH_WAIT_S = 5.0


class KafkaReader(Reader):
    """See :class:`streamlab.sources.Reader` for the order of calls.

    Args:
        options: Connection options, references resolved.
        client: Asks the broker of offsets and incarnations.
        found: The topics as they are now. Their partitions come and go together.
        group: The consumer group.
        starts: Topic → where to begin without history.
        listener: Told of partitions that come and go.
    """

    def __init__(
        self,
        options: Mapping[str, Any],
        client: AdminClient,
        found: Sequence[Topic],
        *,
        group: str,
        starts: Mapping[str, Start],
        listener: Listener,
    ) -> None:
        self._client = client
        self._topics = {topic.name: topic for topic in found}
        self._starts = starts
        self._listener = listener
        self._group = group
        self._needed = (*map(rights.read, self._topics), rights.group(group))
        self._incremental = membership.is_incremental(options)
        self._known = {p: p for topic in found for p in topic.partitions}
        self._positions: dict[TopicPartition, int] = {}
        self._given: list[TopicPartition] = []
        self._rebalanced = False
        self._deferred: Exception | None = None
        self._waiting = Waiting()
        self._ends = KnownEnds()
        self._closed = False
        self._turns = Turns()
        self._watch = Watches(client, found)
        self._consumer = connection.consumer(
            membership.options_of(options, group),
            lambda _: self._watch.doubt(),
        )
        self._pausing = Pausing(self._consumer, self._turns)
        self._consumer.subscribe(
            list(self._topics),
            on_assign=self._on_assign,
            on_revoke=self._on_revoke,
            on_lost=self._on_lost,
        )

    def poll(self, max_rows: int, timeout_s: float) -> RawBatch | None:
        """Return what is there, waiting for the first message only.

        A batch without events is possible: its spans move past the markers of a
        transaction, or past messages that were aborted or compacted away. All events
        of a batch are of one topic; those of other topics come with the next calls.
        """
        self._watch.raise_found()
        self._raise_deferred()
        self._take_up()
        waiting = self._waiting.next(self._pausing.is_wanted)
        if waiting is not None:
            return waiting
        # From here on nothing may be raised once messages were taken: the client's
        # position is behind them already, and they would be skipped.
        self._sort(self._take(max_rows, timeout_s))
        batch = self._waiting.next(self._pausing.is_wanted)
        if batch is None:
            self._raise_deferred()
            self._raise_away()
        self._ends.refresh(self._consumer, self._positions)
        return batch

    def acknowledge(self, progress: Sequence[Progress]) -> None:
        """Commit the positions as the group's offsets, with our metadata."""
        self._check_owned(progress)
        self._commit(progress)

    def hold(self, *, held: bool) -> None:
        """Pause or resume all partitions; polling goes on and keeps membership."""
        self._pause(lambda: self._pausing.hold(held=held))

    def only(self, topics: Collection[str] | None) -> None:
        """Pause the partitions of all other topics."""
        self._pause(lambda: self._pausing.only(topics))

    def _pause(self, change: Callable[[], bool]) -> None:
        try:
            if change():
                # A paused consumer does not notice that its topic was re-created.
                self._watch.doubt()
        except KafkaException as error:
            raise self._translated(error, self._doing("holding")) from error

    def close(self) -> None:
        """Leave the group, telling the listener of the partitions given back."""
        if self._closed:
            return
        self._closed = True
        try:
            # Told here, the listener can still commit; inside of the client's own
            # close it could not.
            given_back = list(self._positions)
            if given_back:
                self._listener.revoked(given_back)
        finally:
            self._positions.clear()
            self._given.clear()
            self._waiting.clear()
            self._consumer.close()
            self._watch.stop()

    def healthy(self) -> None:
        """Wait for a pending check of the topic's incarnation."""
        self._watch.passed(HEALTH_WAIT_S)

    def ends(self) -> Mapping[TopicPartition, int]:
        """Return the end of each assigned partition, as the last fetches heard it."""
        return self._ends.known

    def commit_ticket(self, progress: Sequence[Progress]) -> object:
        """Return ``(offsets, group metadata)`` for ``send_offsets_to_transaction``."""
        self._check_owned(progress)
        metadata = self._while_open(self._consumer.consumer_group_metadata)
        return committed.to_kafka(progress), metadata

    # -- taking messages ------------------------------------------------------------

    def _take(self, max_rows: int, timeout_s: float) -> list[Message]:
        most = min(max_rows, MOST_AT_ONCE)
        taken = self._drain(most)
        if not taken:
            taken = self._wait_for_one(timeout_s)
            taken += self._drain(most - len(taken)) if taken else []
        return taken

    @messages.uncollected()
    def _drain(self, count: int) -> list[Message]:
        """Take what is fetched already."""
        return self._consume(count, 0) if count and not self._rebalanced else []

    def _wait_for_one(self, timeout_s: float) -> list[Message]:
        """Wait for one message: ``consume(n, t)`` waits all of t unless n arrive."""
        until = time.monotonic() + timeout_s
        taken: list[Message] = []
        while not taken and not self._rebalanced:
            left_s = until - time.monotonic()
            if left_s <= 0:
                break
            taken = self._consume(1, min(left_s, WAIT_SLICE_S))
        return taken

    def _consume(self, count: int, timeout_s: float) -> list[Message]:
        try:
            return list(
                self._turns.read(lambda: self._consumer.consume(count, timeout_s))
            )
        except KafkaException as error:
            self._defer(self._translated(error, self._doing("reading")))
            return []

    def _sort(self, taken: list[Message]) -> None:
        """Put what was taken in the line of what is delivered, topic by topic."""
        reports: list[Message] = []
        if messages.has_errors(taken):
            reports = [message for message in taken if message.error() is not None]
            taken = [message for message in taken if message.error() is None]
        if self._rebalanced:
            # What was taken in the same call may be of partitions that went away;
            # those that stayed are read again from their position.
            taken = [m for m in taken if (m.topic(), m.partition()) in self._positions]
            self._rebalanced = False
        self._waiting.add(messages.by_topic(taken, list(self._topics)), self._advance())
        self._handle_all(reports)

    def _advance(self) -> tuple[Span, ...]:
        """Move our positions to where the client stands; return what that covers.

        The client's position passes the markers of transactions too, so it can move
        without a message.
        """
        spans = []
        for found in self._consumer.position(_to_kafka(self._positions)):
            partition = self._known[TopicPartition(found.topic, found.partition)]
            before = self._positions[partition]
            if found.offset > before:
                spans.append(Span(partition, before, found.offset))
                self._positions[partition] = found.offset
        return tuple(spans)

    # -- errors -----------------------------------------------------------------------

    def _handle_all(self, reports: Sequence[Message]) -> None:
        for report in reports:
            error = report.error()
            if error is None:
                continue
            try:
                self._handle(error, (report.topic(), report.partition()))
            except ConnectorError as found:
                self._defer(found)

    def _handle(self, error: KafkaError, place: tuple[str | None, int | None]) -> None:
        connection.LOGGER.info("%s: %s", self._doing("reading"), error)
        self._watch.doubt()
        code = error.code()
        if code in UNAVAILABLE | UNKNOWN_TOPIC or error.retriable():
            return  # the watch finds out what it was
        if code in {KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE}:
            self._find_gap(place)
        elif code != KafkaError._MAX_POLL_EXCEEDED:  # the partitions are lost next
            raise translated(error, self._doing("reading"), *self._needed)

    def _find_gap(self, place: tuple[str | None, int | None]) -> None:
        """Find out why a position cannot be read, and raise exactly that."""
        self.healthy()
        for partition, position in self._positions.items():
            if partition == place:
                beginning.require_readable(self._client, partition, position)
                self._consumer.seek(ck.TopicPartition(*partition, position))

    def _raise_away(self) -> None:
        away = self._watch.away()
        if away is not None:
            raise away

    def _defer(self, error: Exception) -> None:
        """Keep an error for when it can be raised without losing anything."""
        self._deferred = self._deferred or error

    def _raise_deferred(self) -> None:
        deferred, self._deferred = self._deferred, None
        if deferred is not None:
            raise deferred

    def _translated(self, error: KafkaException, doing: str) -> ConnectorError:
        return translated(kafka_error(error), doing, *self._needed)

    def _doing(self, what: str) -> str:
        named = ", ".join(map(repr, self._topics))
        return f"{what} topic{'s' * (len(self._topics) > 1)} {named}"

    # -- partitions that come and go --------------------------------------------------

    def _on_assign(self, consumer: Any, partitions: list[ck.TopicPartition]) -> None:
        # Assigning nothing keeps the client from reading at offsets of its own.
        (consumer.incremental_assign if self._incremental else consumer.assign)([])
        self._given += [TopicPartition(p.topic, p.partition) for p in partitions]
        self._rebalanced = True

    def _on_revoke(self, _: Any, partitions: list[ck.TopicPartition]) -> None:
        self._drop(partitions, self._listener.revoked)

    def _on_lost(self, _: Any, partitions: list[ck.TopicPartition]) -> None:
        self._drop(partitions, self._listener.lost)
        self._watch.doubt()

    def _drop(
        self,
        partitions: Sequence[ck.TopicPartition],
        tell: Callable[[Sequence[TopicPartition]], None],
    ) -> None:
        gone = [TopicPartition(p.topic, p.partition) for p in partitions]
        held = [partition for partition in gone if partition in self._positions]
        try:
            if held:
                self._turns.lend(lambda: tell(held))
        except Exception as error:  # noqa: BLE001 -- raised by poll or close instead: not through C
            self._defer(error)
        finally:
            self._rebalanced = True
            self._given = [p for p in self._given if p not in gone]
            for partition in held:
                del self._positions[partition]
            self._pausing.forget(gone)
            self._waiting.drop(gone)

    def _take_up(self) -> None:
        """Begin to read the partitions that were given, at the positions we are told.

        Raises:
            Unavailable: The broker did not say where; the next call asks again.
            PositionLost: The topic is another one than the one of the positions.
        """
        if not self._given:
            return
        found = beginning.current(self._client, self._topics.values())
        self._known.update({p: p for topic in found for p in topic.partitions})
        positions = self._listener.assigned(self._assignment(found))
        self._positions.update({p: committed.offset(positions[p]) for p in self._given})
        started = [ck.TopicPartition(*p, self._positions[p]) for p in self._given]
        try:
            if self._incremental:
                self._consumer.incremental_assign(started)
            else:
                self._consumer.assign(
                    [ck.TopicPartition(*p, at) for p, at in self._positions.items()]
                )
            self._pausing.begin(self._given)
        except KafkaException as error:
            raise self._translated(error, self._doing("assigning")) from error
        self._given = []

    def _assignment(self, found: Sequence[Topic]) -> Assignment:
        """Gather what is known of the given partitions; store where a group begins."""
        asked = _to_kafka(p for topic in found for p in topic.partitions)
        stored = committed.from_kafka(self._stored_offsets(asked))
        start: dict[TopicPartition, int] = {}
        new: list[TopicPartition] = []
        for topic in found:
            begun = any(partition.topic == topic.name for partition in stored)
            at = self._starts[topic.name]
            places = beginning.starts(self._client, topic, at, begun=begun)
            if begun:
                new += [one for one in topic.partitions if one not in stored]
            else:
                self._commit(committed.first(places, topic.incarnation))
            start.update(places)
        given = set(self._given)
        return Assignment(
            partitions=tuple(sorted(given)),
            committed={p: one for p, one in stored.items() if p in given},
            start=start,
            incarnations={topic.name: topic.incarnation for topic in found},
            new=tuple(new),
        )

    def _stored_offsets(
        self, asked: Sequence[ck.TopicPartition]
    ) -> list[ck.TopicPartition]:
        try:
            found: list[ck.TopicPartition] = self._consumer.committed(
                asked, timeout=connection.REQUEST_TIMEOUT_S
            )
        except KafkaException as error:
            doing = f"asking for the offsets of group {self._group!r}"
            raise self._translated(error, doing) from error
        return found

    def _commit(self, progress: Sequence[Progress]) -> None:
        doing = f"committing offsets of group {self._group!r}"
        asked = committed.to_kafka(progress)
        try:
            answers = self._while_open(
                lambda: self._consumer.commit(offsets=asked, asynchronous=False)
            )
        except KafkaException as error:
            raise self._translated(error, doing) from error
        for one in answers or ():
            if one.error is not None:
                raise translated(one.error, doing, *self._needed)

    def _while_open(self, call: Callable[[], T]) -> T:
        """Make a call from the writing thread, which may outlive the reader."""
        try:
            return self._turns.commit(call)
        except RuntimeError as error:
            if not self._closed:
                raise
            raise Fenced("the reader was closed in the meantime") from error

    def _check_owned(self, progress: Sequence[Progress]) -> None:
        for one in progress:
            gone = [p for p in one.positions if p not in self._positions]
            if gone:
                raise Fenced(f"{gone[0]} is no longer assigned to this reader")


def _to_kafka(partitions: Iterable[TopicPartition]) -> list[ck.TopicPartition]:
    return [ck.TopicPartition(*partition) for partition in partitions]
