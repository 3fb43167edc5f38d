"""Inputs: the streams that a pipeline reads, each by the name of its parameter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args, overload

from streamlab.contracts import Schema
from streamlab.errors import PipelineError, UsageError, near_names
from streamlab.formats import Context
from streamlab.sources import Source
from streamlab.transforms.event_time import EventTime, as_event_time

Partitioner: TypeAlias = Literal["murmur2", "crc32"]
"""How a key chooses its partition: as Java's clients do (streamlab's own sinks, too),
or as librdkafka's do by default."""

KeyFormat: TypeAlias = Literal["string", "json"]
"""What the bytes of a key are: the text of one column, or a JSON object of them all."""


@dataclass(frozen=True, slots=True)
class Keyed:
    """How the events of a topic were spread over its partitions.

    Where a transform keeps by these columns, each partition is a task of its own; a
    worker makes sure on the keys that it reads.

    Attributes:
        columns: Columns that the key of a message is made of.
        partitioner: How the key chose the partition.
        key_format: What the bytes of the key are.
    """

    columns: tuple[str, ...]
    partitioner: Partitioner = "murmur2"
    key_format: KeyFormat = "string"

    def __post_init__(self) -> None:
        """Refuse what cannot be recomputed."""
        for name, known in (
            ("partitioner", get_args(Partitioner)),
            ("key_format", get_args(KeyFormat)),
        ):
            if getattr(self, name) not in known:
                message = f"{name} is {getattr(self, name)!r}"
                raise PipelineError(message, hint=f"use one of {', '.join(known)}")
        if not self.columns:
            message = "keyed_by names no column"
            raise PipelineError(message, hint="leave it out, or name the key's columns")
        if len(self.columns) > 1 and self.key_format == "string":
            message = f"keyed_by names {len(self.columns)} columns, and a string is one"
            raise PipelineError(message, hint='add key_format = "json"')


class _EventTimeField:
    """Takes the name of a column or an event time, and gives an event time.

    Source: https://docs.python.org/3/library/dataclasses.html#descriptor-typed-fields
    """

    @overload
    def __get__(self, instance: None, owner: type) -> None: ...
    @overload
    def __get__(self, instance: Input, owner: type) -> EventTime | None: ...
    def __get__(self, instance: Input | None, owner: type) -> EventTime | None:
        return None if instance is None else instance.__dict__["event_time"]

    def __set__(self, instance: Input, given: str | EventTime | None) -> None:
        time = None if given is None else as_event_time(given)
        instance.__dict__["event_time"] = time


@dataclass(frozen=True)
class Input:
    """One stream that a pipeline reads.

    Attributes:
        source: What to read.
        format: Name of the format of its values.
        schema: What its events are; fixed before the pipeline runs.
        event_time: When an event happened: a column, or ``sl.event_time(…)`` with how
            far its partitions are out of order. The latency is measured from it, and
            windows pass by it; the transform's own if left out.
        format_options: Settings of the format, by the names that its page lists.
        keyed_by: How its events are spread over its partitions, if that is known.
    """

    source: Source
    format: str
    schema: Schema
    event_time: _EventTimeField = _EventTimeField()
    format_options: Mapping[str, str] = field(default_factory=dict)
    keyed_by: Keyed | None = None

    @property
    def context(self) -> Context:
        """Return where the values are, for their format."""
        topic = getattr(self.source, "topic", "")
        return Context(
            topic if isinstance(topic, str) else "",
            getattr(self.source, "profile", ""),
            self.format_options,
            getattr(self.source, "schemas", ()),
        )

    def __post_init__(self) -> None:
        """Check that the event time is a time, and that the keys are there."""
        if self.event_time is not None:
            try:
                self.event_time.check(self.schema.dtypes, "the input")
            except UsageError as error:
                raise PipelineError(error.message, hint=error.hint) from None
        known = self.schema.dtypes.names()
        for column in self.keyed_by.columns if self.keyed_by else ():
            if column not in known:
                message = f"keyed_by names {column!r}, which is no column of the schema"
                raise PipelineError(message, hint=near_names(column, known))
