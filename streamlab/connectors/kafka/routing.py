"""Writing to several topics: each row goes to the topic that its columns name."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import polars as pl
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

from streamlab.connectors.kafka import rights, topics
from streamlab.connectors.kafka.failures import kafka_error, translated
from streamlab.connectors.kafka.producing import Encoding, Outbox, Record, check_sizes
from streamlab.errors import (
    ConnectorError,
    Refused,
    RowsRefused,
    UnknownName,
    UsageError,
)
from streamlab.positions import Progress
from streamlab.sinks import SinkBatch, Writer

OP_COLUMN = "_op"
CREATE_S = 20.0
_PLACE = re.compile(r"\{([^{}]*)\}")
_UNFIT = re.compile(r"[^A-Za-z0-9._-]")
_ROW = "#row"


@dataclass(frozen=True, slots=True)
class Route:
    """A topic's name with places for columns: ``shop.{_schema}.{_table}``.

    Attributes:
        pattern: The name as it was written.
        columns: The columns that it names.
    """

    pattern: str
    columns: tuple[str, ...]

    @classmethod
    def parse(cls, pattern: str) -> Route | None:
        """Return the route that a name is, None if it has no place for a column."""
        columns = tuple(_PLACE.findall(pattern))
        return cls(pattern, columns) if columns else None

    def require(self, schema: Mapping[str, pl.DataType]) -> None:
        """Check the columns.

        Raises:
            UnknownName: One is not there.
            UsageError: One is not text.
        """
        for name in self.columns:
            if name not in schema:
                raise UnknownName("column", name, schema)
            if schema[name] != pl.String:
                message = f"column {name!r} is {schema[name]}, and no part of a name"
                raise UsageError(message, hint="a topic is named by columns of text")

    def parted(
        self, frame: pl.DataFrame
    ) -> Iterator[tuple[str, Sequence[int], pl.DataFrame]]:
        """Yield each topic with its rows, in their order, and their numbers."""
        if frame.is_empty():
            return
        if all(column.n_unique() == 1 for column in frame[self.columns]):
            # One table, as in most epochs of a stream: nothing to part.
            yield self._topic(frame[self.columns].row(0)), range(frame.height), frame
            return
        numbered = frame.with_row_index(_ROW)
        parts = numbered.partition_by(self.columns, as_dict=True, maintain_order=True)
        for values, rows in parts.items():
            yield self._topic(values), rows[_ROW].to_list(), rows[frame.columns]

    def _topic(self, values: Sequence[object]) -> str:
        """Return the topic that some values of the columns name."""
        names = [_UNFIT.sub("_", str(value)) for value in values]
        literal = _PLACE.split(self.pattern)[::2]
        pieces = itertools.zip_longest(literal, names, fillvalue="")
        return "".join(itertools.chain.from_iterable(pieces))


class Topics:
    """The topics that rows may go to, checked when they are first written to.

    Args:
        client: Asks the broker.
        partitions: How many a missing topic gets; 0: a missing topic is an error.
    """

    def __init__(self, client: AdminClient, partitions: int) -> None:
        self._client = client
        self._partitions = partitions
        self._most: dict[str, int] = {}

    def most(self, name: str) -> int:
        """Return how large a message a topic takes, in bytes.

        Raises:
            UnknownName: It does not exist, and is not to be made.
            Unavailable: The broker does not answer.
        """
        if name not in self._most:
            try:
                topics.describe(self._client, name, needed=rights.write)
            except UnknownName:
                if not self._partitions:
                    raise
                self._create(name)
            self._most[name] = topics.max_message_bytes(self._client, name)
        return self._most[name]

    def _create(self, name: str) -> None:
        topic = NewTopic(name, num_partitions=self._partitions)
        made = self._client.create_topics([topic], operation_timeout=CREATE_S)
        try:
            made[name].result(CREATE_S)
        except KafkaException as error:
            raise translated(kafka_error(error), f"creating topic {name!r}") from error


class RoutedWriter(Writer):
    """Writes each epoch to its topics, and waits: at least once, each topic in order.

    Args:
        outbox: Where the messages go.
        encoding: How rows become messages.
        route: Which topic a row goes to.
        known: The topics.
        tombstones: Whether a deleted key gets a message without value, too.
    """

    def __init__(
        self,
        outbox: Outbox,
        encoding: Encoding,
        route: Route,
        known: Topics,
        *,
        tombstones: bool,
    ) -> None:
        self._outbox = outbox
        self._encoding = encoding
        self._route = route
        self._known = known
        self._tombstones = tombstones
        self._frame: pl.DataFrame | None = None
        self._left: list[tuple[str, Iterator[Record]]] = []
        self._sent: list[Record] = []
        self._rows: list[int] = []
        self._closed = False

    def claim(self, initial: Sequence[Progress]) -> None:
        """Keep no progress: the source has the record of it."""
        del initial
        if self._frame is not None:
            self._outbox.drop()
            self._frame = None

    def write(self, batch: SinkBatch) -> int:
        """Produce the rows and wait until all replicas have them."""
        if self._closed:
            raise Refused("the sink is closed")
        if batch.frame is not self._frame:
            self._prepare(batch.frame)
        while self._left:
            topic, records = self._left[0]
            rest = self._outbox.send(records, topic)
            for record in rest:
                self._left[0] = topic, itertools.chain([record], rest)
                raise self._outbox.away("the queue is full")
            self._left.pop(0)
        try:
            self._outbox.flush(self._sent)
        except ConnectorError as error:
            if isinstance(error, RowsRefused):
                rows = {self._rows[n]: why for n, why in error.reasons.items()}
                error = RowsRefused(rows)
            if self._outbox.gave_up or isinstance(error, RowsRefused):
                self._frame = None
            raise error from None
        # Not kept until the next epoch is encoded: that would be two in memory.
        self._frame, self._sent = None, []
        return batch.frame.height

    def close(self) -> None:
        """Drop the connection; a second call does nothing."""
        if not self._closed:
            self._closed = True
            self._outbox.close()

    def _prepare(self, frame: pl.DataFrame) -> None:
        """Encode an epoch, topic by topic."""
        left: list[tuple[str, Iterator[Record]]] = []
        sent: list[Record] = []
        numbers: list[int] = []
        for topic, numbered, part in self._route.parted(frame):
            rows, records = numbered, self._encoding.records(part)
            if self._tombstones and OP_COLUMN in part.columns:
                records, rows = _with_tombstones(records, rows, part[OP_COLUMN])
            try:
                check_sizes(records, self._known.most(topic))
            except RowsRefused as error:
                reasons = {rows[n]: why for n, why in error.reasons.items()}
                raise RowsRefused(reasons) from None
            left.append((topic, iter(records)))
            sent += records
            numbers += rows
        self._left, self._sent, self._rows = left, sent, numbers
        self._frame = frame


def _with_tombstones(
    records: list[Record], rows: Sequence[int], operations: pl.Series
) -> tuple[list[Record], list[int]]:
    """Put a message without value behind each delete."""
    longer: list[Record] = []
    numbers: list[int] = []
    for record, row, operation in zip(records, rows, operations, strict=True):
        longer.append(record)
        numbers.append(row)
        if operation == "delete":
            longer.append((record[0], None))
            numbers.append(row)
    return longer, numbers
