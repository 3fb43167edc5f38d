"""Writing epochs as Kafka transactions: rows, dead letters and position together.

The position of the source is committed in the transaction, under the generation of
its consumer group; so a worker that lost its partitions cannot commit, and neither
can one whose successor of the same name has begun.

Source: https://cwiki.apache.org/confluence/x/UpM0C (KIP-447) for the fencing by
generation; ``rd_kafka_commit_transaction`` in librdkafka's rdkafka.h for what to do
about each kind of error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import polars as pl
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from streamlab import failpoints
from streamlab.connectors.kafka import rights
from streamlab.connectors.kafka.dead_letters import record
from streamlab.connectors.kafka.failures import FENCED, kafka_error, translated
from streamlab.connectors.kafka.producing import Encoding, Outbox, check_sizes
from streamlab.connectors.kafka.rights import Right
from streamlab.errors import ConnectorError, Fenced, Refused, Unavailable
from streamlab.positions import Progress
from streamlab.sinks import SinkBatch, SinkContext, Writer

TRANSACTION_TIMEOUT_MS = 10_000
"""After a worker was killed, readers of the topic and its successor wait this long."""

STEP_S = 5.0
"""How long a step of a transaction may take before the broker counts as away."""

OPTIONS: Mapping[str, object] = {
    "transaction.timeout.ms": TRANSACTION_TIMEOUT_MS,
    "message.timeout.ms": TRANSACTION_TIMEOUT_MS,
}


class TransactionalWriter(Writer):
    """Writes each epoch as one transaction.

    Args:
        options: librdkafka options, references resolved.
        topic: Where the rows go.
        encoding: How rows become messages.
        most: Largest message that the topic takes, in bytes.
        cluster: Id of the topic's cluster; the source's must be the same.
        context: Who writes.

    Raises:
        Unavailable: The broker does not answer.
    """

    def __init__(
        self,
        options: Mapping[str, Any],
        topic: str,
        *,
        encoding: Encoding,
        most: int,
        cluster: str,
        context: SinkContext,
    ) -> None:
        name = f"streamlab.{context.pipeline}.{context.worker}"
        self._options = {**options, **OPTIONS, "transactional.id": name}
        self._topic = topic
        self._encoding = encoding
        self._most = most
        self._cluster = cluster
        self._context = context
        self._in_doubt: pl.DataFrame | None = None
        self._settled: pl.DataFrame | None = None
        self._outbox: Outbox | None = self._opened()
        self._closed = False

    def claim(self, initial: Sequence[Progress]) -> None:
        """Keep no progress here: it is the offset of the source's group.

        An epoch of which it is not known whether it was committed is settled first,
        so that the group's offset can be relied on.
        """
        del initial
        if self._in_doubt is not None:
            self._settle()

    def write(self, batch: SinkBatch) -> int:
        """Write rows, dead letters and the source's position in one transaction."""
        if self._closed:
            raise Refused("the sink is closed")
        if self._in_doubt is not None:
            self._settle()
        if batch.frame is not self._settled:
            self._check_source(batch)
            self._transact(batch)
        self._settled = None
        return batch.frame.height

    def close(self) -> None:
        """Drop the connection; a second call does nothing."""
        self._closed = True
        self._discard()

    def _transact(self, batch: SinkBatch) -> None:
        records = self._encoding.records(batch.frame)
        check_sizes(records, self._most)
        offsets, group = cast("tuple[list[TopicPartition], object]", batch.ticket)
        outbox = self._outbox or self._opened()
        self._outbox = outbox
        producer = outbox.producer
        self._step(producer.begin_transaction)
        try:
            if next(iter(outbox.send(iter(records))), None) is not None:
                raise outbox.away("the queue is full")
            outbox.send_letters(
                [record(one, self._context.pipeline) for one in batch.dead_letters],
                self._context.dead_letter_topic or "",
            )
            outbox.flush(records)
        except ConnectorError:
            self._abort()
            raise
        self._step(producer.send_offsets_to_transaction, offsets, group, STEP_S)
        failpoints.passing("in-sink-transaction")
        self._in_doubt = batch.frame
        self._settle()
        self._settled = None

    def _settle(self) -> None:
        """Commit the transaction that is under way, or find out that it was.

        Raises:
            Unavailable: Still not known; the same call goes on with it.
            Fenced: Another worker took over; whether it was committed is in the
                offset of the group.
        """
        frame = self._in_doubt
        if self._outbox is None or frame is None:
            return
        try:
            self._outbox.producer.commit_transaction(STEP_S)
        except KafkaException as error:
            reason = kafka_error(error)
            if reason.retriable() and not reason.txn_requires_abort():
                raise self._outbox.away("the commit was not answered") from error
            self._in_doubt = None
            failure = self._given_up(reason)
            if not reason.txn_requires_abort():
                # Only the group's offset can tell whether it took effect: the worker
                # joins anew and reads on from there.
                raise Fenced(failure.message) from error
            raise failure from error
        self._in_doubt = None
        self._settled = frame

    def _step(self, call: Callable[..., object], *arguments: object) -> None:
        try:
            call(*arguments)
        except KafkaException as error:
            raise self._given_up(kafka_error(error)) from error

    def _given_up(self, error: KafkaError) -> ConnectorError:
        """End the transaction without effect, and return what the worker should do."""
        if error.fatal():
            self._discard()
        else:
            self._abort()
        doing = f"writing topic {self._topic!r} in a transaction"
        failure = translated(error, doing, *self._needed())
        if isinstance(failure, Refused) and error.fatal():
            # A new producer can go on: only this one is broken.
            return Unavailable(failure.message)
        if error.code() in FENCED:
            return Fenced(failure.message)
        return failure

    def _abort(self) -> None:
        """Abort the transaction; if that fails, the next producer's start does it."""
        if self._outbox is None:
            return
        try:
            self._outbox.producer.abort_transaction(STEP_S)
        except KafkaException:
            self._discard()
        else:
            self._outbox.forget()

    def _discard(self) -> None:
        outbox, self._outbox = self._outbox, None
        if outbox is not None:
            outbox.close()

    def _opened(self) -> Outbox:
        outbox = Outbox(self._options, self._topic)
        try:
            # Ends what an earlier producer of the same name left open.
            outbox.producer.init_transactions(STEP_S)
        except KafkaException as error:
            outbox.close()
            doing = f"starting transactions on topic {self._topic!r}"
            raise translated(kafka_error(error), doing, *self._needed()) from error
        return outbox

    def _needed(self) -> tuple[Right, ...]:
        """Return the rights that a transaction takes."""
        name = self._options["transactional.id"]
        return (
            rights.write(self._topic),
            Right("WRITE", "transactional-id", name),
            rights.IDEMPOTENT_WRITE,
        )

    def _check_source(self, batch: SinkBatch) -> None:
        clusters = {
            incarnation.partition("/")[0]
            for progress in batch.after
            for incarnation in progress.incarnations.values()
        }
        if batch.ticket is None or not clusters <= {self._cluster}:
            raise Refused(
                f"topic {self._topic!r} cannot be written in one transaction with the "
                "position of this source",
                hint="the source must be Kafka on the same cluster; or leave out "
                "`transactional`",
            )
