"""The Kafka sink: each row a message, acknowledged by all replicas."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from streamlab.connectors.kafka import connection, rights, topics
from streamlab.connectors.kafka.producing import (
    OPTIONS,
    Encoding,
    MessageWriter,
    Outbox,
)
from streamlab.connectors.kafka.routing import Route, RoutedWriter, Topics
from streamlab.connectors.kafka.transactions import TransactionalWriter
from streamlab.errors import SchemaError, UnknownName, UsageError
from streamlab.formats import Context, named
from streamlab.sinks import Guarantee, Sink, SinkContext, Writer

MOST_MESSAGE_BYTES = 1_000_000_000
"""The most that librdkafka's ``message.max.bytes`` can be."""

BYTES = "bytes"
VALUE_COLUMN = "value"
"""What the bytes of an event are called that is encoded already."""

KEY_COLUMN = "_key"
"""Where a frame has it, its bytes are the message's key and no part of the value."""


@dataclass(frozen=True)
class KafkaSink(Sink):
    """A topic to write to; it must exist. Or several: a name with columns in it.

    The value of a message is the row without its ``_key`` column. Its key is the text
    of the column ``key``, in UTF-8, or without one the bytes of ``_key`` if the frame
    has it; else there is none and rows are spread over the partitions.

    Attributes:
        topic: Its name. Where it holds columns, as in ``shop.{_schema}.{_table}``,
            each row goes to the topic that they name.
        key: Column whose text is the message's key; empty for none or ``_key``.
        format: Name of the format of the values.
        transactional: Whether rows, dead letters and the position of the source are
            one transaction; the source must then be Kafka on the same cluster.
        tombstones: Whether a row whose ``_op`` is ``delete`` is followed by a message
            without value; for a name with columns.
        partitions: How many a topic gets that is missing, for a name with columns; 0
            creates none.
        profile: Profile of its broker; empty for the default one.
        format_options: Settings of the format, by the names that its page lists.
        options: librdkafka options on top of the profile's, for tuning.
    """

    topic: str
    key: str = ""
    format: str = "json"
    transactional: bool = False
    tombstones: bool = False
    partitions: int = 0
    profile: str = ""
    options: Mapping[str, str] = field(default_factory=dict, repr=False)
    format_options: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what only a name with columns can have, and the other way round."""
        routed = Route.parse(self.topic) is not None
        if routed and self.transactional:
            message = "a transaction goes to one topic, not to a name with columns"
            raise UsageError(message, hint="leave out transactional = true")
        if not routed and (self.tombstones or self.partitions):
            message = "tombstones and partitions are for a topic named by columns"
            raise UsageError(message, hint='such as topic = "shop.{_schema}.{_table}"')

    @property
    def guarantee(self) -> Guarantee:
        """Return atomic for a transactional sink, else at-least-once."""
        return Guarantee.ATOMIC if self.transactional else Guarantee.AT_LEAST_ONCE

    @property
    def keeps_order(self) -> bool:
        """Return True: a partition is read in the order in which it was written."""
        return True

    @property
    def takes_dead_letters(self) -> bool:
        """Return whether dead letters go into the same transaction as the rows."""
        return self.transactional

    def open(self, context: SinkContext) -> Writer:
        """Check the topic and the columns, and make a producer.

        Raises:
            UnknownName: The topic or the key column does not exist.
            SchemaError: The key column has no text form.
            SettingsError: The profile or an option cannot be used.
            Unavailable: The broker does not answer.
        """
        where = Context(self.topic, self.profile, self.format_options)
        encoding = Encoding(named(self.format, where), self._key(context))
        options = connection.client_options(self.profile, self.options)
        client = connection.admin(self.profile, self.options)
        if (route := Route.parse(self.topic)) is not None:
            return self._routed(context, encoding, options, route)
        found = topics.describe(client, self.topic, needed=rights.write)
        cluster = found.incarnation.partition("/")[0]
        most = topics.max_message_bytes(client, self.topic)
        options = {
            "client.id": f"streamlab.{context.pipeline}.{context.worker}",
            **OPTIONS,
            **options,
            "message.max.bytes": most,
        }
        if not self.transactional:
            return MessageWriter(Outbox(options, self.topic), encoding, most)
        if context.dead_letter_topic is not None:
            topics.describe(client, context.dead_letter_topic, needed=rights.write)
        return TransactionalWriter(
            options,
            self.topic,
            encoding=encoding,
            most=most,
            cluster=cluster,
            context=context,
        )

    def _routed(
        self,
        context: SinkContext,
        encoding: Encoding,
        options: Mapping[str, object],
        route: Route,
    ) -> Writer:
        route.require(context.schema)
        self._require_plain(context.schema)
        options = {
            "client.id": f"streamlab.{context.pipeline}.{context.worker}",
            **OPTIONS,
            **options,
            # What a topic takes is checked for each; the client must not say no first.
            "message.max.bytes": MOST_MESSAGE_BYTES,
        }
        known = Topics(connection.admin(self.profile, self.options), self.partitions)
        return RoutedWriter(
            Outbox(options, self.topic),
            encoding,
            route,
            known,
            tombstones=self.tombstones,
        )

    def _require_plain(self, schema: Mapping[str, pl.DataType]) -> None:
        """Refuse to encode events a second time.

        Raises:
            UsageError: Their values are bytes, and another format would wrap them.
        """
        if self.format != BYTES and schema.get(VALUE_COLUMN) == pl.Binary:
            message = f"the events are encoded, and {self.format!r} would wrap them"
            raise UsageError(message, hint='give the sink format = "bytes"')

    def _key(self, context: SinkContext) -> str:
        """Return the column of the key, checked; empty for none."""
        if not self.key:
            dtype = context.schema.get(KEY_COLUMN)
            return KEY_COLUMN if dtype == pl.Binary else ""
        if self.key not in context.schema:
            raise UnknownName("column", self.key, context.schema)
        if context.schema[self.key].is_nested():
            raise SchemaError(
                f"the key column {self.key!r} is {context.schema[self.key]}, "
                "which has no text form",
                hint="select one of its fields as a column of its own",
            )
        return self.key

    def describe(self) -> str:
        """Return one line for the plan."""
        where = f" on {self.profile}" if self.profile else ""
        key = f", key {self.key}" if self.key else ""
        how = f"{self.format}{key}, {self.guarantee.value}"
        return f"kafka topic {self.topic}{where} ({how})"
