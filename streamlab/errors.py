"""Every error that streamlab raises on purpose.

    StreamlabError
    ├── UsageError               a mistake in what the user wrote
    │   ├── UnknownName          a topic, column … that is not there, with near names
    │   ├── MissingExtra         an optional dependency is not installed
    │   ├── SettingsError        streamlab.toml or the environment
    │   ├── SchemaError          a schema file, or a frame that does not fit one
    │   ├── PipelineError        pipeline.toml, or a plan that cannot run
    │   ├── TransformError       the user's function failed, or broke its promise
    │   ├── WrongParameters      values that a notebook does not take
    │   └── ExportRefused        something that an export does not carry
    ├── StateError               the state of a task is missing, damaged or too large
    ├── StackError               a local server did not start or died
    ├── VerificationFailed       a package does not do what its sample shows
    └── ConnectorError           what a source or sink tells the worker to do
        ├── Unavailable          the other side is down: pause, try again
        ├── Refused              the other side said no for good: stop
        ├── RowsRefused          only these rows: dead-letter them, write the rest
        ├── Fenced               another worker owns this now: write nothing more
        └── PositionLost         the stored position cannot be read on from: stop
            ├── TopicRecreated   the topic is not the one the position is of
            ├── OffsetExpired    events behind the position are gone
            ├── SlotLost         a replication slot cannot send what comes next
            └── DatabaseReplaced the server is not the one the position is of

A message says what failed and on which value; its ``Hint:`` line says what to do.
The docstring of a class is its default message, so wording an error and
documenting it are one act. A driver's error is kept as ``__cause__``.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

DISTRIBUTION = "streamlab-data"
"""The name to install; the import and the command are ``streamlab``."""


class StreamlabError(Exception):
    """Something went wrong in streamlab.

    Attributes:
        message: What failed, on which value.
        hint: What to do about it.
        events: The events that caused it where that is known, by origin
            (``topic/partition@offset``) or row number, never by value.
        more_events: Whether there may be more of them.
    """

    events: Sequence[str] = ()
    more_events: bool = False

    def __init__(self, message: str = "", *, hint: str = "") -> None:
        """Keep the message and the hint apart, so that views can style them."""
        self.message = message or (type(self).__doc__ or "").splitlines()[0]
        self.hint = hint
        super().__init__(self.message)

    def __str__(self) -> str:
        """Return the message, the events and the hint, each on a line of its own."""
        return "\n".join([self.message, *self.notes])

    @property
    def notes(self) -> list[str]:
        """Return the lines below the message: the events behind it, and the hint."""
        lines = []
        if self.events:
            more = " and more" if self.more_events else ""
            lines.append(f"Events: {', '.join(self.events)}{more}")
        if self.hint:
            lines.append(f"Hint: {self.hint}")
        return lines


class UsageError(StreamlabError):
    """The request cannot be carried out as it was written."""


class UnknownName(UsageError):
    """A name was used that is not there."""

    def __init__(
        self, kind: str, name: str, candidates: Iterable[str], *, hint: str = ""
    ) -> None:
        """Name the kind of thing, the unknown name and the nearest known ones.

        Args:
            kind: What the name should have named, such as ``"topic"``.
            name: The name as the user wrote it.
            candidates: The names that exist.
            hint: What to do where none of the known names is meant.
        """
        self.kind = kind
        self.name = name
        self.candidates: Sequence[str] = sorted(candidates)
        super().__init__(
            f"there is no {kind} {name!r}",
            hint="; or ".join(filter(None, (near_names(name, self.candidates), hint))),
        )


class MissingExtra(UsageError):
    """An optional dependency is not installed."""

    def __init__(self, what: str, extra: str) -> None:
        """Say what needs the extra, and the command that installs it."""
        self.extra = extra
        super().__init__(
            f"{what} needs an optional dependency that is not installed",
            hint=f"pip install '{DISTRIBUTION}[{extra}]'",
        )


class SettingsError(UsageError):
    """streamlab.toml or an environment variable holds something unusable."""


class SchemaError(UsageError):
    """A schema cannot be read, or a frame does not fit it."""


class ValuesDisagree(SchemaError):
    """Values of a sample have no common schema.

    Attributes:
        index: Number of the value that does not agree with those before it.
    """

    def __init__(self, message: str, index: int, *, hint: str = "") -> None:
        """Say which value it is, besides what is wrong."""
        super().__init__(message, hint=hint)
        self.index = index


class PipelineError(UsageError):
    """A pipeline cannot run as it is described."""


class TransformError(UsageError):
    """A transform failed, or did not keep a promise it made."""


class WrongParameters(UsageError):
    """A notebook does not take the parameters that it was given."""

    def __init__(self, notebook: str, problems: Sequence[str]) -> None:
        """Name the notebook and all that is wrong, one line each.

        Args:
            notebook: What to call the notebook.
            problems: What is wrong.
        """
        self.problems = tuple(problems)
        listed = "\n".join(f"  {problem}" for problem in problems)
        super().__init__(
            f"{notebook} cannot run with these parameters:\n{listed}",
            hint="streamlab notebook parameters PATH lists what it takes",
        )


class ExportRefused(UsageError):
    """The transform uses something that an export does not carry."""


class StateError(StreamlabError):
    """The state of a task cannot be used; nothing was read from it or written."""


class StackError(StreamlabError):
    """A server of the local stack did not start, or died."""


class VerificationFailed(StreamlabError):
    """An exported package does not do what its sample shows."""


class ConnectorError(StreamlabError):
    """A source or a sink could not go on."""


class Unavailable(ConnectorError):
    """The other side cannot be reached now; nothing is lost, try again."""

    def __init__(
        self, message: str = "", *, hint: str = "", after_s: float | None = None
    ) -> None:
        """Add after how many seconds to try again, where the other side said so."""
        super().__init__(message, hint=hint)
        self.after_s = after_s


class Refused(ConnectorError):
    """The other side refused for good; trying again would not help."""


class RowsRefused(ConnectorError):
    """Some rows were refused; the others can be written without them."""

    def __init__(self, reasons: Mapping[int, str]) -> None:
        """Keep the reason of each refused row.

        Args:
            reasons: Row number in the frame handed to the sink → reason, without
                any value of the row (it may be personal data).
        """
        self.reasons: dict[int, str] = dict(reasons)
        first = next(iter(self.reasons.values()), "")
        super().__init__(f"{len(self.reasons)} row(s) were refused: {first}")


class Fenced(ConnectorError):
    """Another worker owns this work now; nothing more may be written."""


class PositionLost(ConnectorError):
    """The stored position cannot be read on from."""


class TopicRecreated(PositionLost):
    """The topic is not the one that the stored position was made on."""

    def __init__(self, topic: str, *, stored: str, found: str) -> None:
        """Name the topic and both incarnations (cluster id/topic id)."""
        self.topic, self.stored, self.found = topic, stored, found
        super().__init__(
            f"topic {topic!r} was deleted and created again: the position was stored "
            f"for incarnation {stored}, the broker now has {found}",
            hint="the old events are gone. To read the new topic from its start: "
            "streamlab position reset PIPELINE --to earliest",
        )


class OffsetExpired(PositionLost):
    """Events that were not yet read are no longer in the log."""

    def __init__(self, gaps: Mapping[str, tuple[int, int]]) -> None:
        """Name the exact gap.

        Args:
            gaps: ``topic/partition`` → half-open range ``[start, end)`` of the
                offsets that are gone.
        """
        self.gaps = dict(gaps)
        listed = ", ".join(
            f"{name} [{start}, {end}) = {end - start} offsets"
            for name, (start, end) in self.gaps.items()
        )
        super().__init__(
            f"events expired before they were read: {listed}",
            hint="they cannot be recovered from Kafka. To go on behind the gap: "
            "streamlab position reset PIPELINE --to earliest",
        )


class SlotLost(PositionLost):
    """The replication slot cannot send what comes next."""

    def __init__(self, slot: str, what: str, *, hint: str = "") -> None:
        """Say what is the matter with a slot.

        Args:
            slot: Its name.
            what: What is missing, in words that follow the name.
            hint: What to do; by default to take a new snapshot on purpose.
        """
        self.slot = slot
        super().__init__(
            f"replication slot {slot!r} {what}",
            hint=hint
            or "what changed in the meantime cannot be read any more. To "
            "read the tables anew: empty the target, then "
            "streamlab position reset PIPELINE --to earliest",
        )


class DatabaseReplaced(PositionLost):
    """The server is not the one that the position was made on."""

    def __init__(self, topic: str, *, stored: str, found: str) -> None:
        """Name the slot, and both databases (system identifier/name)."""
        self.slot, self.stored, self.found = topic, stored, found
        super().__init__(
            f"the position of slot {topic!r} was stored for database {stored}, "
            f"this one is {found}: positions of one server mean nothing on another",
            hint="connect to the server it was made on; or read this one from its "
            "start: streamlab position reset PIPELINE --to earliest",
        )


def near_names(name: str, candidates: Sequence[str], *, most: int = 5) -> str:
    """Return ``did you mean 'a', 'b'?``, or the names there are, or ``""``."""
    folded = {candidate.lower(): candidate for candidate in reversed(candidates)}
    near = difflib.get_close_matches(name.lower(), list(folded), n=most, cutoff=0.6)
    if near:
        return f"did you mean {', '.join(repr(folded[match]) for match in near)}?"
    if not candidates:
        return ""
    more = f", … ({len(candidates)} in all)" if len(candidates) > most else ""
    return f"there are {', '.join(repr(c) for c in candidates[:most])}{more}"


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text, or its type where it has none."""
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__


def attributes(error: StreamlabError) -> dict[str, Any]:
    """Return what an error carries beside its message, for JSON logs."""
    hidden = {"message", "hint"}
    return {name: value for name, value in vars(error).items() if name not in hidden}
