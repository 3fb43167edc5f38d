"""Both ends of a worker as a person writes them: a topic; ``table:delays``."""

from __future__ import annotations

from pathlib import Path

from streamlab.connectors import sink_class, source_class
from streamlab.errors import UnknownName, UsageError
from streamlab.sinks import Sink
from streamlab.sources import Source

KINDS = ("table", "topic", "folder")


def source(topic: str, *, start: str, profile: str = "") -> Source:
    """Return the source that reads a topic.

    Args:
        topic: The topic.
        start: Where to begin the first time: ``earliest``, ``latest`` or a time.
        profile: Profile of the broker; empty for the default one.
    """
    return source_class("kafka")(topic=topic, start=start, profile=profile)  # type: ignore[call-arg]  # the fields are the connector's own


def sink(destination: str, *, key: str = "", profile: str = "") -> Sink:
    """Return the sink that a destination names.

    Args:
        destination: ``table:NAME`` in PostgreSQL, ``topic:NAME`` in Kafka, or
            ``folder:PATH`` for Parquet files, beside the worker's pipeline file.
        key: Columns that name a row, with commas. A table is then updated by key
            instead of appended to; a topic takes one column, the key of its messages.
        profile: Profile of the servers; empty for the default one.

    Raises:
        UsageError: The destination is not written so, or takes no key.
        MissingExtra: The driver is not installed.
    """
    kind, _, name = destination.partition(":")
    if kind not in KINDS:
        hint = "write table:NAME, topic:NAME or folder:PATH"
        raise UnknownName("kind of destination", kind, KINDS, hint=hint)
    if not name:
        message = f"the destination {destination!r} has no name"
        raise UsageError(message, hint=f"such as {kind}:delays")
    keys = tuple(filter(None, (each.strip() for each in key.split(","))))
    if kind == "table":
        mode = "upsert" if keys else "append"
        return sink_class("postgres")(table=name, mode=mode, key=keys, profile=profile)  # type: ignore[call-arg]  # the fields are the connector's own
    if kind == "topic":
        return sink_class("kafka")(topic=name, key=key, profile=profile)  # type: ignore[call-arg]  # the fields are the connector's own
    if keys:
        message = "Parquet files take no key"
        raise UsageError(message, hint="leave out --key, or write to table:NAME")
    return sink_class("parquet")(folder=Path(name))  # type: ignore[call-arg]  # the fields are the connector's own
