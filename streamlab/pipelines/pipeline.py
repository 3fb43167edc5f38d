"""The pipeline value: the unit that runs, fails and resumes alone."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from streamlab.connectors.combined import CombinedSource
from streamlab.errors import PipelineError, UnknownName, UsageError
from streamlab.formats.changes import OP
from streamlab.pipelines.input import Input
from streamlab.sinks import Sink
from streamlab.sources import Source
from streamlab.transforms.transform import Transform

TARGET_LATENCY_MS = 100  # from reading an event to committing it, when keeping up
MAX_EPOCH_ROWS = 50_000  # 10,000 costs 18 % of the throughput
MAX_EPOCH_BYTES = 64 * 2**20
STATE_LIMIT_MB = 20 * 1024

EVENTS = "events"
"""The input of a pipeline without transforms."""

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,99}")


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """Where events go that cannot be processed. Exactly one of the two is set.

    Attributes:
        topic: A Kafka topic; it must exist.
        file: A file, one JSON line an event, bytes in base64.
        profile: Profile of the topic's broker; empty for the default one.
    """

    topic: str | None = None
    file: Path | None = None
    profile: str = ""

    def __post_init__(self) -> None:
        """Refuse both and neither."""
        if (self.topic is None) == (self.file is None):
            message = "dead letters need either a topic or a file"
            raise PipelineError(message)


@dataclass(frozen=True, slots=True)
class Pace:
    """How large an epoch may grow.

    Attributes:
        latency_ms: An epoch that is not full ends after this time, in ms.
        max_rows: Rows after which an epoch ends.
        max_bytes: Bytes of values after which an epoch ends.
    """

    latency_ms: int = TARGET_LATENCY_MS
    max_rows: int = MAX_EPOCH_ROWS
    max_bytes: int = MAX_EPOCH_BYTES

    def __post_init__(self) -> None:
        """Refuse what cannot make progress."""
        for name in ("latency_ms", "max_rows", "max_bytes"):
            if getattr(self, name) < 1:
                message = f"{name} must be at least 1, not {getattr(self, name)}"
                raise PipelineError(message)


@dataclass(frozen=True, slots=True)
class StateSettings:
    """Where a pipeline with windows, folds or joins keeps its state.

    Attributes:
        url: Folder of its files, a path or any URL that fsspec knows; a folder of this
            machine if empty. More than one machine needs a shared one.
        limit_mb: How much a task may hold on the disk, in MiB; it then stops.
    """

    url: str = ""
    limit_mb: int = STATE_LIMIT_MB

    def __post_init__(self) -> None:
        """Refuse what can hold nothing."""
        if self.limit_mb < 1:
            message = f"limit_mb must be at least 1, not {self.limit_mb}"
            raise PipelineError(message)


def check_name(name: str) -> None:
    """Refuse what cannot name a pipeline.

    Raises:
        PipelineError: With the letters that can.
    """
    if not _NAME.fullmatch(name):
        message = f"{name!r} cannot name a pipeline"
        raise PipelineError(message, hint="use lower-case letters, digits, '-' and '_'")


class _InputsField:
    """Takes inputs by name, or just one in a sequence, and gives them by name.

    Source: https://docs.python.org/3/library/dataclasses.html#descriptor-typed-fields
    """

    def __get__(self, instance: Pipeline | None, owner: type) -> Mapping[str, Input]:
        if instance is None:
            raise AttributeError("inputs")  # so it has no default
        found: Mapping[str, Input] = instance.__dict__["inputs"]
        return found

    def __set__(
        self, instance: Pipeline, given: Mapping[str, Input] | Sequence[Input]
    ) -> None:
        instance.__dict__["inputs"] = given


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """Sources → transforms → sink, with one position.

    Attributes:
        name: Lower-case letters, digits, ``-`` and ``_``; names the consumer group
            and the progress.
        inputs: Parameter of the first transform → stream. One alone may be given in
            a sequence, and is then named after the parameter.
        transforms: Functions, applied in order; none passes events through.
        sink: Where the rows go.
        dead_letters: Where events go that cannot be processed.
        pace: How large an epoch may grow.
        state: Where windows, folds and joins keep their state.
        folder: What relative paths (tables, schema, files) count from.
    """

    name: str
    inputs: _InputsField = _InputsField()
    sink: Sink
    dead_letters: DeadLetters
    transforms: Sequence[Transform[Any, Any]] = ()
    pace: Pace = field(default_factory=Pace)
    state: StateSettings = field(default_factory=StateSettings)
    folder: Path = field(default_factory=Path)

    def __post_init__(self) -> None:
        """Check what needs no connection."""
        check_name(self.name)
        object.__setattr__(self, "inputs", self._named(self.__dict__["inputs"]))
        if len(self.inputs) > 1:
            self._check_several()

    @property
    def input(self) -> Input:
        """Return the one stream that is read.

        Raises:
            PipelineError: There are several.
        """
        if len(self.inputs) != 1:
            message = f"{self.name} reads {len(self.inputs)} streams: "
            raise PipelineError(message + ", ".join(self.inputs))
        return next(iter(self.inputs.values()))

    @property
    def stateful(self) -> bool:
        """Return whether a transform has a window, keeps state, or joins streams."""
        return any(one.needs is not None for one in self.transforms)

    @property
    def streams(self) -> tuple[str, ...]:
        """Return the names of the streams that the transforms read."""
        declaring = [one for one in self.transforms if one.needs is not None]
        if len(declaring) == 0:
            return self.transforms[0].streams if self.transforms else (EVENTS,)
        return declaring[0].streams

    @property
    def source(self) -> Source:
        """Return what reads all inputs: the source of the one, or all as one."""
        if len(self.inputs) == 1:
            return self.input.source
        return self._combined

    @property
    def rows_are_whole(self) -> bool:
        """Whether changes among the rows are made here, with all values of the row."""
        return all(OP not in one.schema.dtypes for one in self.inputs.values())

    @property
    def topics(self) -> Mapping[str, str]:
        """Return topic → the input that its events are of.

        Raises:
            UsageError: A source cannot tell its topics.
        """
        if len(self.inputs) == 1:
            return {
                t: n for n, i in self.inputs.items() for t in i.source.topics(self.name)
            }
        return self._combined.streams(self.name)

    def input_of(self, topic: str) -> Input:
        """Return the input that has a topic.

        Raises:
            UnknownName: None has it.
        """
        if len(self.inputs) == 1:
            return self.input
        topics = self.topics
        if topic not in topics:
            raise UnknownName("topic of the pipeline", topic, topics)
        return self.inputs[topics[topic]]

    def source_of(self, topic: str) -> Source:
        """Return the source of the input that has a topic; see :meth:`input_of`."""
        return self.input_of(topic).source

    @property
    def _combined(self) -> CombinedSource:
        return CombinedSource({name: one.source for name, one in self.inputs.items()})

    def on(self, source: Source) -> Pipeline:
        """Return the same pipeline with another source: ``on(sample.replay())``.

        Raises:
            PipelineError: It reads several streams.
        """
        return replace(self, inputs=(replace(self.input, source=source),))

    def _named(
        self, given: Mapping[str, Input] | Sequence[Input]
    ) -> Mapping[str, Input]:
        """Return the inputs by the names of the streams that are read.

        Raises:
            PipelineError: They are not those streams.
        """
        wanted = self.streams
        values = tuple(given.values() if isinstance(given, Mapping) else given)
        if len(values) == len(wanted) == 1:
            # With one there is nothing to mistake, so its name follows the function.
            return {wanted[0]: values[0]}
        if not isinstance(given, Mapping):
            message = f"{self.name} reads {' and '.join(wanted)}, and is given "
            message += f"{len(values)} without a name"
            named = ", ".join(f'"{name}": sl.Input(…)' for name in wanted)
            hint = f"give each by its name: inputs={{{named}}}"
            raise PipelineError(message, hint=hint)
        if set(given) != set(wanted):
            raise self._other_streams(tuple(given))
        return {name: given[name] for name in wanted}

    def _check_several(self) -> None:
        """Refuse inputs that cannot be read together.

        Raises:
            PipelineError: With the reason.
        """
        try:
            self._combined.streams(self.name)
        except UsageError as error:
            raise PipelineError(error.message, hint=error.hint) from None
        bounded = {name: one.source.bounded for name, one in self.inputs.items()}
        if len(set(bounded.values())) > 1:
            ends = next(name for name, ends in bounded.items() if ends)
            message = f"the input {ends} ends, and others do not"
            hint = "read a finished table as tables={…}, or samples of all inputs"
            raise PipelineError(message, hint=hint)

    def _other_streams(self, given: Sequence[str]) -> PipelineError:
        if not self.stateful:
            message = f"{self.name} has {len(given)} inputs and nothing they meet in"
            hint = "several streams meet in a window or a join, such as join=…"
            return PipelineError(message, hint=hint)
        reader = next(one for one in self.transforms if one.needs is not None)
        message = (
            f"{reader.name}() reads {', '.join(reader.streams)}, and the inputs are "
            f"{', '.join(given) or 'none'}"
        )
        return PipelineError(message, hint="name each input as its parameter")
