"""Reading without a trace: assigned partitions, no group, nothing committed.

librdkafka wants a group name even of a consumer that never joins one. It gets a new
one each time, never subscribes and never commits, so the broker never hears of it.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, chain
from typing import Any

import confluent_kafka as ck
from confluent_kafka import KafkaError, KafkaException, Message

from streamlab.connectors.kafka import connection, messages, rights
from streamlab.connectors.kafka.failures import kafka_error, translated
from streamlab.errors import OffsetExpired, Unavailable
from streamlab.positions import TopicPartition
from streamlab.sources import Headers

CHUNK = 10_000

OPTIONS: Mapping[str, object] = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "error",
    "isolation.level": "read_committed",
    "fetch.queue.backoff.ms": 5,
    # Markers of transactions and compacted messages can be the last offsets of a
    # partition: only the broker can tell that there is nothing more to come.
    "enable.partition.eof": True,
    "queued.min.messages": 50_000,
    "queued.max.messages.kbytes": 32_768,
    "allow.auto.create.topics": False,
}


@dataclass(frozen=True, slots=True)
class Chunk:
    """Messages in columns, in reading order.

    Attributes:
        values: Value of each message; None is a tombstone.
        keys: Key of each message.
        partitions: Number of each message's partition.
        offsets: Offset of each message.
        timestamps_ms: Timestamp of each message, ms since 1970 UTC.
        positions: Where each partition was read to, past gaps in the log.
        headers: Row → headers, of the messages that have any.
    """

    values: Sequence[bytes | None]
    keys: Sequence[bytes | None]
    partitions: Sequence[int]
    offsets: Sequence[int]
    timestamps_ms: Sequence[int | None]
    positions: Mapping[TopicPartition, int]
    headers: Mapping[int, Headers] = field(default_factory=dict)

    def __len__(self) -> int:
        """Return the number of messages."""
        return len(self.values)

    def take(
        self, rows: Sequence[int], positions: Mapping[TopicPartition, int]
    ) -> Chunk:
        """Return just these messages, each partition being read to ``positions``."""
        return Chunk(
            values=[self.values[row] for row in rows],
            keys=[self.keys[row] for row in rows],
            partitions=[self.partitions[row] for row in rows],
            offsets=[self.offsets[row] for row in rows],
            timestamps_ms=[self.timestamps_ms[row] for row in rows],
            positions=positions,
            headers={
                at: self.headers[row]
                for at, row in enumerate(rows if self.headers else ())
                if row in self.headers
            },
        )

    def head(self, count: int) -> Chunk:
        """Return the first messages, and positions in front of the others."""
        positions = {p.partition: (p, at) for p, at in self.positions.items()}
        left_out = slice(len(self) - 1, count - 1 if count else None, -1)
        for number, offset in zip(
            self.partitions[left_out], self.offsets[left_out], strict=True
        ):
            positions[number] = (positions[number][0], offset)
        return self.take(range(count), dict(positions.values()))

    @staticmethod
    def concat(chunks: Sequence[Chunk]) -> Chunk:
        """Return one chunk with the messages of all, in order; one at least."""
        if len(chunks) == 1:
            return chunks[0]
        firsts = accumulate(map(len, chunks), initial=0)
        return Chunk(
            values=list(chain.from_iterable(chunk.values for chunk in chunks)),
            keys=list(chain.from_iterable(chunk.keys for chunk in chunks)),
            partitions=list(chain.from_iterable(chunk.partitions for chunk in chunks)),
            offsets=list(chain.from_iterable(chunk.offsets for chunk in chunks)),
            timestamps_ms=list(
                chain.from_iterable(chunk.timestamps_ms for chunk in chunks)
            ),
            positions=chunks[-1].positions,
            headers={
                first + row: headers
                for first, chunk in zip(firsts, chunks, strict=False)
                for row, headers in chunk.headers.items()
            },
        )


class Follower:
    """Reads a topic from given offsets on, up to given ends if there are any.

    Args:
        profile: Profile of the broker; empty for the default one.
        starts: Where to begin, for each partition to read.
        ends: Where to stop, for each partition; None follows for ever.
    """

    def __init__(
        self,
        profile: str,
        starts: Mapping[TopicPartition, int],
        ends: Mapping[TopicPartition, int] | None = None,
    ) -> None:
        name = f"streamlab-tap-{uuid.uuid4().hex[:12]}"
        options: dict[str, Any] = {**connection.client_options(profile), **OPTIONS}
        self._away: KafkaError | None = None
        self._needed = [rights.read(topic) for topic in {p.topic for p in starts}]
        self._consumer = connection.consumer(
            {**options, "client.id": name, "group.id": name}, self._on_error
        )
        self._ends = ends
        self._partitions = {p.partition: p for p in starts}
        self._positions = dict(starts)
        self._open = {p for p, at in starts.items() if not ends or at < ends[p]}
        self._consumer.assign(
            [ck.TopicPartition(*p, at) for p, at in starts.items() if p in self._open]
        )

    @property
    def finished(self) -> bool:
        """Return whether all partitions are read up to their ends."""
        return not self._open

    @property
    def positions(self) -> Mapping[TopicPartition, int]:
        """Return where each partition is read to."""
        return self._positions

    def read(self, timeout_s: float) -> Chunk | None:
        """Return the next messages, None if there are none within the time.

        Raises:
            Unavailable: The broker is away; call again.
            OffsetExpired: Messages went while they were about to be read.
        """
        # Until the messages are columns, and gone.
        with messages.uncollected():
            return self._read(timeout_s)

    def close(self) -> None:
        """Drop the connection; a second call does nothing."""
        self._consumer.close()

    def _read(self, timeout_s: float) -> Chunk | None:
        try:
            taken = self._consumer.consume(CHUNK, timeout_s)
        except KafkaException as error:
            raise translated(kafka_error(error), "tapping", *self._needed) from error
        if not taken:
            self._raise_away()
            return None
        self._away = None
        if messages.has_errors(taken):
            self._note([message for message in taken if message.error() is not None])
            taken = [message for message in taken if message.error() is None]
        return self._chunk(taken)

    def _chunk(self, taken: list[Message]) -> Chunk:
        open_ = [ck.TopicPartition(*partition) for partition in self._open]
        for place in self._consumer.position(open_):
            self._move(self._partitions[place.partition], place.offset)
        over = self._stop_at_ends()
        if over:
            ends = {partition.partition: end for partition, end in over.items()}
            taken = [m for m in taken if _is_before(m, ends)]
        return Chunk(
            values=messages.values(taken),
            keys=messages.keys(taken),
            partitions=messages.numbers(taken),
            offsets=messages.offsets(taken),
            timestamps_ms=messages.timestamps_ms(taken),
            positions=dict(self._positions),
            headers=messages.headers(taken),
        )

    def _stop_at_ends(self) -> Mapping[TopicPartition, int]:
        """Read no more of the partitions that are read to their ends; return those."""
        if self._ends is None:
            return {}
        over = {
            partition: self._ends[partition]
            for partition in self._open
            if self._positions[partition] >= self._ends[partition]
        }
        if over:
            # A new assignment of the others would throw away what is fetched already.
            self._consumer.pause([ck.TopicPartition(*partition) for partition in over])
            self._positions.update(over)
            self._open -= over.keys()
        return over

    def _note(self, reports: Sequence[Message]) -> None:
        for report in reports:
            error, number, offset = report.error(), report.partition(), report.offset()
            if error is None or number is None or offset is None:
                continue
            code = error.code()
            if code == KafkaError._PARTITION_EOF:
                self._move(self._partitions[number], offset)
            elif code in {
                KafkaError._AUTO_OFFSET_RESET,
                KafkaError.OFFSET_OUT_OF_RANGE,
            }:
                self._raise_expired(self._partitions[number])
            else:
                doing = f"tapping topic {report.topic()!r}"
                failure = translated(error, doing, *self._needed)
                if not isinstance(failure, Unavailable):
                    raise failure
                self._away = error

    def _move(self, partition: TopicPartition, offset: int) -> None:
        self._positions[partition] = max(self._positions[partition], offset)

    def _raise_expired(self, partition: TopicPartition) -> None:
        low, _ = self._consumer.get_watermark_offsets(
            ck.TopicPartition(*partition), timeout=connection.REQUEST_TIMEOUT_S
        )
        raise OffsetExpired({str(partition): (self._positions[partition], low)})

    def _on_error(self, error: KafkaError) -> None:
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            self._away = error

    def _raise_away(self) -> None:
        away, self._away = self._away, None
        if away is not None:
            raise translated(away, "tapping", *self._needed)


def _is_before(message: Message, ends: Mapping[int, int]) -> bool:
    number, offset = message.partition(), message.offset()
    if number is None or offset is None:
        return False
    return number not in ends or offset < ends[number]
