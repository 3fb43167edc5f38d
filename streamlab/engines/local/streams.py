"""Streams: the inputs of a pipeline with state, as a worker needs them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from streamlab.contracts import Schema
from streamlab.engines.local import keyed
from streamlab.engines.local.processing import Decoded
from streamlab.errors import PipelineError
from streamlab.formats import Format, named
from streamlab.operators.chain import Chain
from streamlab.pipelines import Keyed, Pipeline
from streamlab.pipelines.grouping import keys_of
from streamlab.pipelines.prepared import event_times
from streamlab.positions import TopicPartition
from streamlab.transforms.event_time import EventTime


@dataclass(frozen=True)
class Stream:
    """One input.

    Attributes:
        name: The parameter that takes it.
        format: Format of its values.
        schema: What its events are.
        on: Its event time, if it has one.
        is_watched: Whether its events move the watermark; a table's do not.
        keyed: How it is spread over its partitions, where tasks rest on that.
    """

    name: str
    format: Format
    schema: Schema
    on: EventTime | None
    is_watched: bool
    keyed: Keyed | None = None


@dataclass(frozen=True)
class Streams:
    """All inputs of a pipeline.

    Attributes:
        by_name: Parameter → input.
        by_topic: Topic → parameter.
        in_order: Whether rows of a key are taken in the order in which they come, so
            that all of them must be of one partition.
        partitions: Topic → number of its partitions, as far as it is known.
    """

    by_name: Mapping[str, Stream]
    by_topic: Mapping[str, str]
    in_order: bool = False
    partitions: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, pipeline: Pipeline, chain: Chain, *, spread: bool) -> Streams:
        """Return the inputs of a pipeline.

        Args:
            pipeline: The pipeline.
            chain: Its transforms.
            spread: Whether its tasks rest on how the inputs are keyed.
        """
        times = event_times(pipeline, chain)
        in_order = chain.operators[0].needs_keyed_partitions
        by_name = {
            name: Stream(
                name=name,
                format=named(one.format, one.context),
                schema=one.schema,
                on=times.get(name),
                is_watched=name in times and name not in chain.timeless,
                keyed=one.keyed_by
                if spread or (in_order and _is_kept_by(pipeline, name, one.keyed_by))
                else None,
            )
            for name, one in pipeline.inputs.items()
        }
        return cls(by_name, pipeline.topics, in_order)

    def count(self, partitions: Iterable[TopicPartition]) -> None:
        """Hear of all partitions of some topics.

        Raises:
            PipelineError: Rows of a key can be in several, and their order matters.
        """
        self.partitions.update(Counter(one.topic for one in partitions))
        for topic, count in self.partitions.items():
            stream = self.of_topic(topic)
            if self.in_order and count > 1 and stream.keyed is None:
                message = (
                    f"{topic!r} has {count} partitions, and rows of a key can be in "
                    "any of them: in which order they came cannot be told"
                )
                raise PipelineError(
                    message,
                    hint="give the fold an event time, on=…; or say how the topic is "
                    "keyed, keyed_by in its [source]",
                )

    def of_topic(self, topic: str) -> Stream:
        """Return the input that a topic is of."""
        return self.by_name[self.by_topic[topic]]

    def bounds_us(self, partitions: Iterable[TopicPartition]) -> dict[str, int]:
        """Return topic → bound of its events, in µs, for topics that are watched."""
        bounds = {}
        for topic in {one.topic for one in partitions}:
            stream = self.of_topic(topic)
            if stream.is_watched and stream.on is not None:
                bounds[topic] = stream.on.bound_us
        return bounds

    def idle_after_s(self, topics: Iterable[str]) -> dict[str, float]:
        """Return topic → after how many quiet seconds a partition is set aside."""
        found = {}
        for topic in topics:
            stream = self.of_topic(topic)
            if stream.is_watched and stream.on and stream.on.idle_after_us is not None:
                found[topic] = stream.on.idle_after_us / 1_000_000
        return found

    def check_keys(self, decoded: Decoded) -> None:
        """Make sure that events are where their keys belong, if tasks rest on that.

        Raises:
            PipelineError: They are not.
        """
        stream = self.by_name[decoded.name]
        if stream.keyed is not None:
            keyed.check(decoded, stream.keyed, self.partitions)


def _is_kept_by(pipeline: Pipeline, name: str, by: Keyed | None) -> bool:
    """Return whether rows that are kept together have one key of their topic."""
    first = next(one for one in pipeline.transforms if one.needs is not None)
    return by is not None and set(by.columns) <= set(keys_of(first.needs, name))
