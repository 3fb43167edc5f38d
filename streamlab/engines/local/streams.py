"""Streams: the inputs of a pipeline with state, as a worker needs them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from streamlab.contracts import Schema
from streamlab.engines.local import keyed
from streamlab.engines.local.processing import Decoded
from streamlab.formats import Format, named
from streamlab.operators.chain import Chain
from streamlab.pipelines import Keyed, Pipeline
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
        partitions: Topic → number of its partitions, as far as it is known.
    """

    by_name: Mapping[str, Stream]
    by_topic: Mapping[str, str]
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
        by_name = {
            name: Stream(
                name=name,
                format=named(one.format, one.context),
                schema=one.schema,
                on=times.get(name),
                is_watched=name in times and name not in chain.timeless,
                keyed=one.keyed_by if spread else None,
            )
            for name, one in pipeline.inputs.items()
        }
        return cls(by_name, pipeline.topics)

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
