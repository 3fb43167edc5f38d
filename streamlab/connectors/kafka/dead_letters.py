"""Dead letters as Kafka records: the event's bytes as they were, the rest in headers.

The names of Kafka Connect's headers are used for what Connect knows too, so that
tools made for its dead letter topics read ours; what it has no name for is under
``streamlab.``. The event's own headers come first and are untouched.

Source: https://kafka.apache.org/43/kafka-connect/user-guide/ (error reporting), and
``DeadLetterQueueReporter`` of Apache Kafka for the names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from confluent_kafka import Message

from streamlab.connectors.kafka import connection, topics
from streamlab.connectors.kafka.producing import OPTIONS, Letter, Outbox
from streamlab.errors import (
    ConnectorError,
    Refused,
    RowsRefused,
    Unavailable,
    UsageError,
)
from streamlab.sinks import DeadLetter
from streamlab.sources import Headers

_CONNECT = "__connect.errors."
_OURS = "streamlab."
_STAGES = {
    "decode": "VALUE_CONVERTER",
    "transform": "TRANSFORMATION",
    "sink": "TASK_PUT",
}
"""Our stage → Connect's name for it."""

HEADER_NAMES = (
    f"{_CONNECT}topic",
    f"{_CONNECT}partition",
    f"{_CONNECT}offset",
    f"{_CONNECT}connector.name",
    f"{_CONNECT}task.id",
    f"{_CONNECT}stage",
    f"{_CONNECT}class.name",
    f"{_CONNECT}exception.class.name",
    f"{_CONNECT}exception.message",
    f"{_OURS}stage",
    f"{_OURS}code",
    f"{_OURS}timestamp_ms",
)
"""The headers that are added, in this order, behind the event's own."""


def record(letter: DeadLetter, pipeline: str) -> Letter:
    """Return key, value and headers of the record that keeps a dead letter."""
    partition = f"{letter.topic}/{letter.partition}"
    reason = f"{letter.code}: {letter.reason}"
    added = [
        letter.topic,
        str(letter.partition),
        str(letter.position),
        pipeline,
        partition,
        _STAGES.get(letter.stage, letter.stage),
        "streamlab",
        letter.code,
        reason,
        letter.stage,
        letter.code,
        "" if letter.timestamp_ms is None else str(letter.timestamp_ms),
    ]
    ours = [
        (name, text.encode()) for name, text in zip(HEADER_NAMES, added, strict=True)
    ]
    return letter.key, letter.value, [*letter.headers, *ours]


def letter(message: Message) -> DeadLetter:
    """Return the dead letter that :func:`record` made a record of.

    Raises:
        UsageError: The message is none of ours; the text names topic and offset.
    """
    headers: Headers = [
        (name, value if isinstance(value, bytes) else None)
        for name, value in cast("Headers", message.headers() or ())
    ]
    own, added = headers[: -len(HEADER_NAMES)], headers[-len(HEADER_NAMES) :]
    if tuple(name for name, _ in added) != HEADER_NAMES:
        raise UsageError(
            f"the message at offset {message.offset()} of {message.topic()}"
            f"/{message.partition()} is not a dead letter of streamlab",
            hint="a dead letter topic holds nothing else; is it the right one?",
        )
    found = {name: (value or b"").decode() for name, value in added}
    timestamp = found[f"{_OURS}timestamp_ms"]
    position = found[f"{_CONNECT}offset"]
    return DeadLetter(
        topic=found[f"{_CONNECT}topic"],
        partition=int(found[f"{_CONNECT}partition"]),
        position=int(position) if position.lstrip("-").isdigit() else position,
        timestamp_ms=int(timestamp) if timestamp else None,
        key=message.key(),
        value=message.value(),
        headers=own,
        stage=found[f"{_OURS}stage"],
        code=found[f"{_OURS}code"],
        reason=found[f"{_CONNECT}exception.message"].partition(": ")[2],
    )


class KafkaDeadLetterWriter:
    """Writes dead letters to a topic, each acknowledged by all replicas on return.

    Args:
        topic: The topic; it must exist.
        pipeline: Name of the pipeline, for the headers.
        profile: Profile of the topic's broker; empty for the default one.
        options: librdkafka options on top of the profile's.

    Raises:
        UnknownName: The topic does not exist.
        Unavailable: The broker does not answer.
    """

    def __init__(
        self,
        topic: str,
        pipeline: str,
        profile: str = "",
        options: Mapping[str, str] | None = None,
    ) -> None:
        self._topic = topic
        self._pipeline = pipeline
        client = connection.admin(profile, options)
        topics.describe(client, topic)
        chosen: dict[str, Any] = {
            "client.id": f"streamlab.{pipeline}.dead-letters",
            **OPTIONS,
            **connection.client_options(profile, options),
        }
        chosen["message.max.bytes"] = topics.max_message_bytes(client, topic)
        self._outbox = Outbox(chosen, topic)
        self._waiting: Sequence[DeadLetter] | None = None

    def write(self, letters: Sequence[DeadLetter]) -> None:
        """Write the letters, durably on return; the same ones again after a failure.

        Raises:
            Unavailable: Try again later; some may have been written.
            Refused: The topic does not take one of them: it cannot be kept here.
        """
        if letters is not self._waiting:
            for one in letters:
                try:
                    self._outbox.send_letters([record(one, self._pipeline)])
                except Refused as error:
                    raise self._not_taken(one, error) from error
            self._waiting = letters
        try:
            self._outbox.flush([(one.key, one.value) for one in letters])
        except RowsRefused as error:
            self._waiting = None
            first = letters[next(iter(error.reasons))]
            raise self._not_taken(first, error) from error
        except Unavailable:
            if self._outbox.gave_up:
                self._waiting = None
            raise
        self._waiting = None

    def _not_taken(self, one: DeadLetter, error: ConnectorError) -> Refused:
        return Refused(
            f"the dead letter topic {self._topic!r} does not take the event at "
            f"{one.topic}/{one.partition} offset {one.position}: "
            f"{error.message}",
            hint="raise max.message.bytes of the dead letter topic above that of the "
            "source, to leave room for the headers",
        )

    def close(self) -> None:
        """Drop the connection; a second call does nothing."""
        self._outbox.close()
