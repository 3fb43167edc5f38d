"""The combined source: the inputs of a pipeline, of any systems, as one source.

Inputs that one client can read together are one part (topics of one broker: their
partitions are then assigned together); every other input is a part of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from streamlab.connectors.combined.part import Part, share_of
from streamlab.connectors.combined.reader import CombinedReader
from streamlab.errors import UsageError
from streamlab.positions import Position, Progress, TopicPartition
from streamlab.sources import Listener, Source, SourcePositions, Start


@dataclass(frozen=True)
class CombinedSource(Source):
    """Several inputs.

    Attributes:
        inputs: Name → source.
        first: Inputs that are read to their present end before the first event of
            another one is delivered: tables to look up.
    """

    inputs: Mapping[str, Source]
    first: frozenset[str] = frozenset()

    def parts(self, pipeline: str) -> tuple[Part, ...]:
        """Return what is opened, each under the name that its system knows it by."""
        groups = list(self._groups())
        return tuple(
            Part(
                pipeline if len(groups) == 1 else f"{pipeline}.{names[0]}",
                names,
                source,
                {name: self.inputs[name] for name in names},
            )
            for names, source in groups
        )

    def open(self, pipeline: str, listener: Listener) -> CombinedReader:
        """Open all parts.

        Raises:
            UsageError: A source does not exist as it is described.
            Unavailable: One cannot be reached.
        """
        parts = self.parts(pipeline)
        first = {
            topic
            for part in parts
            for topic, name in part.streams.items()
            if name in self.first
        }
        return CombinedReader(parts, listener, frozenset(first))

    def topics(self, pipeline: str) -> tuple[str, ...]:
        """Return the topics of all inputs."""
        return tuple(self.streams(pipeline))

    def streams(self, pipeline: str) -> dict[str, str]:
        """Return topic → the input that its events are of.

        Raises:
            UsageError: Two inputs read the same topic.
        """
        found: dict[str, str] = {}
        for part in self.parts(pipeline):
            for topic, name in part.pairs():
                if topic in found:
                    message = (
                        f"the inputs {found[topic]} and {name} both read {topic!r}: "
                        "positions are kept by that name"
                    )
                    hint = "read it once; a function can use its input twice"
                    raise UsageError(message, hint=hint)
                found[topic] = name
        return found

    @property
    def is_one(self) -> bool:
        """Whether one client reads all, and is assigned partitions of all at once."""
        return len(list(self._groups())) == 1

    @property
    def bounded(self) -> bool:
        """Whether all of them end."""
        return all(source.bounded for source in self.inputs.values())

    def describe(self) -> str:
        """Return one line for the plan."""
        return "; ".join(source.describe() for source in self.inputs.values())

    def keeps_position_in(self, pipeline: str) -> str:
        """Return where the positions are kept, for the plan."""
        places = (
            part.source.keeps_position_in(part.pipeline)
            for part in self.parts(pipeline)
        )
        return " and ".join(places)

    @property
    def forgets_when(self) -> str:  # type: ignore[override]  # a constant of others
        """How positions can be gone from there."""
        ways = (source.forgets_when for source in self.inputs.values())
        return " or ".join(dict.fromkeys(ways))

    def positions(self, pipeline: str) -> CombinedPositions:
        """Return where the pipeline stands in all inputs."""
        return CombinedPositions(self.parts(pipeline))

    def _groups(self) -> Iterator[tuple[tuple[str, ...], Source]]:
        left = dict(self.inputs)
        while left:
            name, source = next(iter(left.items()))
            names, joint = [name], source
            for other in list(left)[1:]:
                chosen = [self.inputs[one] for one in (*names[1:], other)]
                together = source.together(chosen)
                if together is not None:
                    names.append(other)
                    joint = together
            for one in names:
                del left[one]
            yield tuple(names), joint


class CombinedPositions:
    """Positions of all inputs; see ``SourcePositions``.

    Args:
        parts: The parts of the source.
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts: list[tuple[frozenset[str], SourcePositions]] = [
            (frozenset(part.streams), part.source.positions(part.pipeline))
            for part in parts
        ]

    def incarnations(self) -> Mapping[str, str]:
        """Return topic → its incarnation now."""
        return {k: v for _, one in self._parts for k, v in one.incarnations().items()}

    def locate(self, start: Start) -> Mapping[TopicPartition, Position]:
        """Return where ``start`` points to in every partition."""
        return {k: v for _, one in self._parts for k, v in one.locate(start).items()}

    def stored(self) -> Mapping[TopicPartition, Progress]:
        """Return the progress that the systems keep."""
        return {k: v for _, one in self._parts for k, v in one.stored().items()}

    def store(self, progress: Sequence[Progress]) -> None:
        """Replace the progress that the systems keep.

        Raises:
            Fenced: A worker of the pipeline is running.
        """
        for topics, one in self._parts:
            own = [share for each in progress if (share := share_of(each, topics))]
            if own:
                one.store(own)

    def forget(self) -> None:
        """Remove all that the systems keep.

        Raises:
            Fenced: A worker of the pipeline is running.
        """
        for _, one in self._parts:
            one.forget()
