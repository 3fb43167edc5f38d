"""Writing frames as messages: encoding, the produce loop, and what comes back."""

from __future__ import annotations

import contextlib
import itertools
import operator
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
from confluent_kafka import KafkaError, KafkaException, Message

from streamlab.connectors.kafka import connection, rights
from streamlab.connectors.kafka.failures import kafka_error, translated
from streamlab.errors import ConnectorError, Refused, RowsRefused, Unavailable
from streamlab.formats import Format
from streamlab.positions import Progress
from streamlab.sinks import SinkBatch, Writer
from streamlab.sources import Headers

OPTIONS: Mapping[str, object] = {
    "enable.idempotence": True,
    "acks": "all",
    # As Java clients place keys; librdkafka's own default places them elsewhere.
    "partitioner": "murmur2_random",
    "compression.type": "lz4",
    # Rows of an epoch are produced in one go, and while a request is on its way the
    # next ones gather: waiting for company gains nothing, and a small epoch waits.
    "linger.ms": 0,
    "queue.buffering.max.messages": 200_000,
    "queue.buffering.max.kbytes": 131_072,
    # While the broker is away messages wait; giving up on some would lose order.
    "message.timeout.ms": 0,
    "delivery.report.only.error": True,
    "socket.timeout.ms": 10_000,
    "allow.auto.create.topics": False,
}

FLUSH_S = 5.0
"""How long an epoch waits for its acknowledgements before the broker counts as away."""

FLUSH_POLL_S = 0.001
"""How long a full queue is served before the next attempt to add to it."""

FLUSH_WAIT_S = 0.05
"""How long is waited for the next delivery between two looks at the clock."""

PARTITION_UA = -1
"""librdkafka's RD_KAFKA_PARTITION_UA: the partitioner chooses."""

OVERHEAD_BYTES = 256
"""What a batch of one message takes beside its key and value, rounded up."""

ROW_ERRORS = {
    KafkaError.MSG_SIZE_TOO_LARGE: "the message is larger than the topic takes",
    KafkaError.INVALID_RECORD: "the broker refused the record as invalid",
    KafkaError.INVALID_TIMESTAMP: "the broker refused the record's timestamp",
}
"""Refusals of one message that say nothing about its neighbours."""

Record = tuple[bytes | None, bytes | None]
"""Key and value."""

Letter = tuple[bytes | None, bytes | None, Headers]
"""Key, value and headers."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """How rows become messages.

    Attributes:
        format: Format of the values.
        key: Column of the key, empty for none; a Binary one called ``_key`` is left
            out of the value.
    """

    format: Format
    key: str

    def records(self, frame: pl.DataFrame) -> list[Record]:
        """Return key and value of each row, in order."""
        values = self.format.encode(frame[self._value_columns(frame)])
        keys: Iterable[bytes | None] = itertools.repeat(None)
        if self.key:
            column = frame[self.key]
            text = column if column.dtype == pl.Binary else column.cast(pl.String)
            keys = text.cast(pl.Binary).to_list()
        return list(zip(keys, values, strict=False))

    def _value_columns(self, frame: pl.DataFrame) -> list[str]:
        """Return the columns that the value is made of.

        Bytes are encoded already, and columns that say what they are of lie beside.
        """
        if self.format.name == "bytes":
            return [name for name in frame.columns if not name.startswith("_")]
        return [name for name in frame.columns if name != "_key"]


def check_sizes(records: Sequence[Record], most: int) -> None:
    """Refuse the rows that no broker of this topic would take, before any is sent.

    Raises:
        RowsRefused: Some are larger than ``most`` bytes.
    """
    room = most - OVERHEAD_BYTES
    if _longest(records, 0) + _longest(records, 1) <= room:
        return
    too_large = {
        row: f"the message has {size} bytes, the topic takes {room}"
        for row, size in enumerate(len(v or b"") + len(k or b"") for k, v in records)
        if size > room
    }
    if too_large:
        raise RowsRefused(too_large)


def _longest(records: Sequence[Record], part: int) -> int:
    """Return the length of the longest key (0) or value (1)."""
    present = filter(None, map(operator.itemgetter(part), records))
    return max(map(len, present), default=0)


class Outbox:
    """A producer and the epoch that is on its way through it.

    While the broker is away, an epoch stays in the producer and goes on by itself,
    until it is dropped: then what was on its way may be there twice.

    Args:
        options: librdkafka options, references resolved.
        topic: Where the records go.

    Attributes:
        gave_up: Whether the last flush found messages that the producer has thrown
            away, so that a retry must send them again.
    """

    def __init__(self, options: Mapping[str, Any], topic: str) -> None:
        self._topic = topic
        self._needed = (rights.write(topic), rights.IDEMPOTENT_WRITE)
        self.gave_up = False
        self._closed = False
        self._last_error: KafkaError | None = None
        self._failed: list[tuple[KafkaError, bytes | None, bytes | None]] = []
        self.producer = connection.producer(
            {**options, "on_delivery": self._on_delivery}, self._on_error
        )

    def send(self, left: Iterator[Record], topic: str = "") -> Iterator[Record]:
        """Produce records, to another topic if one is named.

        Returns:
            Those for which there was no room in time.
        """
        produce, topic = self.producer.produce, topic or self._topic
        for record in left:
            key, value = record
            try:
                produce(topic, value, key)
            except (BufferError, KafkaException):
                try:
                    self._produce_one(topic, key, value)
                except Unavailable:
                    return itertools.chain([record], left)
        return iter(())

    def send_letters(self, letters: Iterable[Letter], topic: str = "") -> None:
        """Produce records with headers, to another topic if one is named.

        Raises:
            Unavailable: There is no room; nothing can be sent now.
        """
        for key, value, headers in letters:
            self._produce_one(topic or self._topic, key, value, list(headers))

    def send_back(self, letter: Letter, partition: int) -> None:
        """Produce a record with headers into the partition that it came from.

        Raises:
            Unavailable: There is no room; nothing can be sent now.
            Refused: The topic has no such partition any more.
        """
        key, value, headers = letter
        self._produce_one(self._topic, key, value, list(headers), partition)

    def flush(self, records: Sequence[Record]) -> None:
        """Wait until all that was sent is acknowledged.

        Args:
            records: What was sent, to tell which rows were refused.

        Raises:
            Unavailable: Not in time; call again.
            RowsRefused: The broker refused some for what they are.
            Refused: The broker refused all, such as for missing rights.
        """
        # Not by the client's own flush: with a fatal error and a delivery report at
        # once, that raises something that is no exception.
        until = time.monotonic() + FLUSH_S
        while (waiting := len(self.producer)) and time.monotonic() < until:
            self._serve(FLUSH_WAIT_S)
        self._serve(0)
        self.gave_up = bool(self._failed)
        if self._failed:
            failed, self._failed = self._failed, []
            raise self._failure(failed, records)
        if waiting:
            raise self.away(f"{waiting} message(s) are not acknowledged")

    def away(self, what: str) -> Unavailable:
        """Return the error of a broker that does not answer, with what is known."""
        known = f": {self._last_error.str()}" if self._last_error is not None else ""
        return Unavailable(f"Kafka: writing topic {self._topic!r}: {what}{known}")

    def forget(self) -> None:
        """Forget what was reported of messages that were taken back."""
        self._serve(0)
        self._failed.clear()

    def drop(self) -> None:
        """Forget what was not sent yet."""
        self.producer.purge(in_queue=True, in_flight=False, blocking=True)
        self.forget()

    def close(self) -> None:
        """Drop the connection, and what was not sent."""
        if not self._closed:
            self._closed = True
            with warnings.catch_warnings():
                # It warns when a fenced producer cannot abort; that is known by then.
                warnings.simplefilter("ignore", RuntimeWarning)
                self.producer.purge()
                # A fatal error was raised before; closing raises it once more.
                with contextlib.suppress(KafkaException):
                    self.producer.close()

    def _produce_one(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: list[tuple[str, bytes | None]] | None = None,
        partition: int = PARTITION_UA,
    ) -> None:
        """Produce one record, waiting for room in the queue."""
        until = time.monotonic() + FLUSH_S
        while True:
            try:
                self.producer.produce(topic, value, key, partition, headers=headers)
            except BufferError as error:
                if time.monotonic() > until:
                    raise self.away("the queue is full") from error
                self._serve(FLUSH_POLL_S)
            except KafkaException as error:
                doing = f"writing topic {topic!r}"
                raise translated(kafka_error(error), doing, *self._needed) from error
            else:
                return

    def _serve(self, timeout_s: float) -> None:
        """Hear of deliveries and errors."""
        try:
            self.producer.poll(timeout_s)
        except KafkaException as error:
            doing = f"writing topic {self._topic!r}"
            raise translated(kafka_error(error), doing, *self._needed) from error

    def _failure(
        self,
        failed: Sequence[tuple[KafkaError, bytes | None, bytes | None]],
        records: Sequence[Record],
    ) -> ConnectorError:
        """Return one error for all deliveries that failed."""
        reasons: dict[Record, str] = {}
        for error, key, value in failed:
            if error.code() in ROW_ERRORS:
                reasons[(key, value)] = ROW_ERRORS[error.code()]
            elif error.code() != KafkaError._INVALID_DIFFERENT_RECORD:
                doing = f"writing topic {self._topic!r}"
                return translated(error, doing, *self._needed)
        if not reasons:
            return Refused(f"Kafka refused messages for topic {self._topic!r}")
        return RowsRefused(
            {i: reasons[one] for i, one in enumerate(records) if one in reasons}
        )

    def _on_delivery(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._failed.append((error, message.key(), message.value()))

    def _on_error(self, error: KafkaError) -> None:
        self._last_error = error


class MessageWriter(Writer):
    """Writes each epoch and waits for its acknowledgements: at least once.

    Args:
        outbox: Where the messages go.
        encoding: How rows become messages.
        most: Largest message that the topic takes, in bytes.
    """

    def __init__(self, outbox: Outbox, encoding: Encoding, most: int) -> None:
        self._outbox = outbox
        self._encoding = encoding
        self._most = most
        self._frame: pl.DataFrame | None = None
        self._records: list[Record] = []
        self._left: Iterator[Record] = iter(())
        self._closed = False

    def claim(self, initial: Sequence[Progress]) -> None:
        """Keep no progress: the offsets of the source's group are the record of it."""
        del initial
        if self._frame is not None:
            self._outbox.drop()
            self._frame = None

    def write(self, batch: SinkBatch) -> int:
        """Produce the rows and wait until all replicas have them."""
        if self._closed:
            raise Refused("the sink is closed")
        if batch.frame is not self._frame:
            self._records = self._encoding.records(batch.frame)
            check_sizes(self._records, self._most)
            self._left = iter(self._records)
            self._frame = batch.frame
        left = self._outbox.send(self._left)
        for record in left:
            self._left = itertools.chain([record], left)
            raise self._outbox.away("the queue is full")
        try:
            self._outbox.flush(self._records)
        except ConnectorError as error:
            if self._outbox.gave_up or not isinstance(error, Unavailable):
                self._frame = None
            raise
        # Not kept until the next epoch is encoded: that would be two in memory.
        self._frame, self._records = None, []
        return batch.frame.height

    def close(self) -> None:
        """Drop the connection; a second call does nothing."""
        if not self._closed:
            self._closed = True
            self._outbox.close()
