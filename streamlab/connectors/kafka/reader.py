"""An open Kafka topic: group membership, positions and batches of messages.

Where a reader stands in a rebalance decides what it may do. A callback of the client
only notes what it was told; partitions are taken up in ``poll``, outside of it, so
that a broker that does not answer just then is an ordinary ``Unavailable`` and the
next ``poll`` tries again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import confluent_kafka as ck
from confluent_kafka import KafkaError, KafkaException, Message
from confluent_kafka.admin import AdminClient, OffsetSpec

from streamlab.connectors.kafka import (
    committed,
    connection,
    membership,
    messages,
    rights,
    topics,
)
from streamlab.connectors.kafka.ends import KnownEnds
from streamlab.connectors.kafka.failures import (
    UNAVAILABLE,
    UNKNOWN_TOPIC,
    kafka_error,
    translated,
)
from streamlab.connectors.kafka.turns import Turns
from streamlab.connectors.kafka.watch import Watch
from streamlab.errors import (
    ConnectorError,
    Fenced,
    OffsetExpired,
    PositionLost,
    TopicRecreated,
)
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
        topic: The topic as it is now.
        group: The consumer group.
        start: Where to begin without history.
        listener: Told of partitions that come and go.
    """

    def __init__(
        self,
        options: Mapping[str, Any],
        client: AdminClient,
        topic: topics.Topic,
        *,
        group: str,
        start: Start,
        listener: Listener,
    ) -> None:
        self._client = client
        self._topic = topic
        self._start = start
        self._listener = listener
        self._group = group
        self._needed = (rights.read(topic.name), rights.group(group))
        self._incremental = membership.is_incremental(options)
        self._numbers = {p.partition: p for p in topic.partitions}
        self._positions: dict[TopicPartition, int] = {}
        self._given: list[TopicPartition] = []
        self._rebalanced = False
        self._deferred: Exception | None = None
        self._held = False
        self._ends = KnownEnds()
        self._closed = False
        self._turns = Turns()
        self._watch = Watch(lambda: topics.describe(client, topic.name), topic)
        self._consumer = connection.consumer(
            membership.options_of(options, group),
            lambda _: self._watch.doubt(),
        )
        self._consumer.subscribe(
            [topic.name],
            on_assign=self._on_assign,
            on_revoke=self._on_revoke,
            on_lost=self._on_lost,
        )

    def poll(self, max_rows: int, timeout_s: float) -> RawBatch | None:
        """Return what is there, waiting for the first message only.

        A batch without events is possible: its spans move past the markers of a
        transaction, or past messages that were aborted or compacted away.
        """
        self._watch.raise_found()
        self._raise_deferred()
        self._take_up()
        # From here on nothing may be raised once messages were taken: the client's
        # position is behind them already, and they would be skipped.
        batch = self._batch(self._take(max_rows, timeout_s))
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
        if held == self._held:
            return
        self._held = held
        partitions = _to_kafka(self._positions)
        if not held:
            # A paused consumer does not notice that its topic was re-created.
            self._watch.doubt()
        change = self._consumer.pause if held else self._consumer.resume
        try:
            self._turns.commit(lambda: change(partitions))
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

    def _batch(self, taken: list[Message]) -> RawBatch | None:
        reports: list[Message] = []
        if messages.has_errors(taken):
            reports = [message for message in taken if message.error() is not None]
            taken = [message for message in taken if message.error() is None]
        if self._rebalanced:
            # What was taken in the same call may be of partitions that went away;
            # those that stayed are read again from their position.
            here = {partition.partition for partition in self._positions}
            taken = [message for message in taken if message.partition() in here]
            self._rebalanced = False
        spans = self._advance()
        self._handle_all(reports)
        if not spans:
            return None
        values = messages.values(taken)
        return RawBatch(
            values=values,
            spans=spans,
            origins=messages.MessageOrigins(taken, self._numbers),
            size_bytes=sum(map(len, filter(None, values))),
        )

    def _advance(self) -> tuple[Span, ...]:
        """Move our positions to where the client stands; return what that covers.

        The client's position passes the markers of transactions too, so it can move
        without a message.
        """
        spans = []
        for found in self._consumer.position(_to_kafka(self._positions)):
            partition = self._numbers[found.partition]
            before = self._positions[partition]
            if found.offset > before:
                spans.append(Span(partition, before, found.offset))
                self._positions[partition] = found.offset
        return tuple(spans)

    # -- errors -----------------------------------------------------------------------

    def _handle_all(self, reports: Sequence[Message]) -> None:
        for report in reports:
            error, number = report.error(), report.partition()
            if error is None:
                continue
            try:
                self._handle(error, -1 if number is None else number)
            except ConnectorError as found:
                self._defer(found)

    def _handle(self, error: KafkaError, number: int) -> None:
        connection.LOGGER.info("%s: %s", self._doing("reading"), error)
        self._watch.doubt()
        code = error.code()
        if code in UNAVAILABLE | UNKNOWN_TOPIC or error.retriable():
            return  # the watch finds out what it was
        if code in {KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE}:
            self._find_gap(self._numbers[number])
        elif code != KafkaError._MAX_POLL_EXCEEDED:  # the partitions are lost next
            raise translated(error, self._doing("reading"), *self._needed)

    def _find_gap(self, partition: TopicPartition) -> None:
        """Find out why a position cannot be read, and raise exactly that."""
        self.healthy()
        position = self._positions.get(partition)
        if position is None:
            return
        low = self._offset_of(partition, OffsetSpec.earliest())
        high = self._offset_of(partition, OffsetSpec.latest())
        if position < low:
            raise OffsetExpired({str(partition): (position, low)})
        if position > high:
            raise PositionLost(
                f"position {position} of {partition} is behind its end {high}: "
                "the broker lost events that were already read",
                hint="find out what the broker lost, then reset the position: "
                f"streamlab position reset PIPELINE --to {high}",
            )
        self._consumer.seek(ck.TopicPartition(*partition, position))

    def _offset_of(self, partition: TopicPartition, spec: OffsetSpec) -> int:
        return topics.offsets(self._client, [partition], spec)[partition][0]

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
        return f"{what} topic {self._topic.name!r}"

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

    def _take_up(self) -> None:
        """Begin to read the partitions that were given, at the positions we are told.

        Raises:
            Unavailable: The broker did not say where; the next call asks again.
            PositionLost: The topic is another one than the one of the positions.
        """
        if not self._given:
            return
        topic = self._current_topic()
        self._numbers.update({p.partition: p for p in topic.partitions})
        positions = self._listener.assigned(self._assignment(topic))
        self._positions.update({p: committed.offset(positions[p]) for p in self._given})
        started = [ck.TopicPartition(*p, self._positions[p]) for p in self._given]
        try:
            if self._incremental:
                self._consumer.incremental_assign(started)
            else:
                self._consumer.assign(
                    [ck.TopicPartition(*p, at) for p, at in self._positions.items()]
                )
            if self._held:
                self._consumer.pause(started)
        except KafkaException as error:
            raise self._translated(error, self._doing("assigning")) from error
        self._given = []

    def _current_topic(self) -> topics.Topic:
        topic = topics.describe(self._client, self._topic.name)
        if topic.incarnation != self._topic.incarnation:
            raise TopicRecreated(
                topic.name, stored=self._topic.incarnation, found=topic.incarnation
            )
        return topic

    def _assignment(self, topic: topics.Topic) -> Assignment:
        """Gather what is known of the given partitions; store where a new group begins.

        The whole topic is looked at: a partition without an offset in a group that
        has others is a new one, and is read from 0. A group without any begins at
        ``start``, for all partitions at once and stored at once, so that the next
        start does not take a partition that was quiet for a new one.
        """
        stored = committed.from_kafka(self._stored_offsets(topic))
        if stored:
            start = dict.fromkeys(topic.partitions, 0)
        else:
            start = topics.starts(self._client, topic.partitions, self._start)
            self._commit(committed.first(start, topic.incarnation))
        given = set(self._given)
        new = [one for one in topic.partitions if one not in stored] if stored else []
        return Assignment(
            partitions=tuple(sorted(given)),
            committed={p: one for p, one in stored.items() if p in given},
            start=start,
            incarnations={topic.name: topic.incarnation},
            new=tuple(new),
        )

    def _stored_offsets(self, topic: topics.Topic) -> list[ck.TopicPartition]:
        asked = [ck.TopicPartition(*partition) for partition in topic.partitions]
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
