"""Which part of a topic a tap reads: from where, up to where."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from streamlab.connectors.kafka import connection, rights, topics
from streamlab.errors import UsageError
from streamlab.positions import TopicPartition

DEFAULT_LAST = 1_000

Since: TypeAlias = str | dt.datetime | dt.timedelta
"""A time or an age: ``"2013-01-01T05:00Z"``, ``"10m"``, a datetime, a timedelta."""

_AGE = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)")
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


@dataclass(frozen=True, slots=True)
class Cut:
    """Where a tap begins; at most one of the three is set, none is the last 1,000.

    Attributes:
        last: This many events, the latest of all partitions together.
        since: Events from this time on.
        from_offsets: Partition number → offset to begin at; others are not read.
    """

    last: int | None = None
    since: Since | None = None
    from_offsets: Mapping[int, int] | None = None

    @classmethod
    def of(
        cls,
        last: int | None,
        since: Since | None,
        from_offsets: Mapping[int, int] | None,
    ) -> Cut:
        """Return the cut that the arguments of a tap say.

        Raises:
            UsageError: They say more than one, or nothing sensible.
        """
        given = {"last": last, "since": since, "from_offsets": from_offsets}
        names = [name for name, value in given.items() if value is not None]
        if len(names) > 1:
            raise UsageError(
                f"a tap begins at one place, not at {' and '.join(names)}",
                hint="give one of last, since, from_offsets",
            )
        if last is not None and last < 1:
            raise UsageError(f"last must be at least 1, not {last}")
        return cls(last if names else DEFAULT_LAST, since, from_offsets)

    def describe(self) -> dict[str, object]:
        """Return what was asked for, in values that JSON has too."""
        if self.last is not None:
            return {"last": self.last}
        if self.since is not None:
            return {"since": str(self.since)}
        return {"from_offsets": {str(p): at for p, at in (self.offsets or {}).items()}}

    @property
    def offsets(self) -> Mapping[int, int] | None:
        """Return the offsets to begin at, by rising partition."""
        return dict(sorted(self.from_offsets.items())) if self.from_offsets else None


@dataclass(frozen=True, slots=True)
class Window:
    """What a tap reads, fixed when it begins.

    Attributes:
        earliest: The first offset that each partition still has.
        starts: Where reading begins.
        ends: Where it stops: what is written later is not read.
    """

    earliest: Mapping[TopicPartition, int]
    starts: Mapping[TopicPartition, int]
    ends: Mapping[TopicPartition, int]

    @property
    def size(self) -> int:
        """Return the number of offsets in it; messages may be fewer."""
        return sum(self.ends[p] - start for p, start in self.starts.items())

    @property
    def whole(self) -> bool:
        """Return whether nothing is left in front of it."""
        return all(start <= self.earliest[p] for p, start in self.starts.items())

    def widened(self, times: int) -> Window:
        """Return a window that begins this many times as far from the ends."""
        starts = {
            p: max(self.earliest[p], self.ends[p] - times * (self.ends[p] - start))
            for p, start in self.starts.items()
        }
        return Window(self.earliest, starts, self.ends)


def window(profile: str, topic: str, cut: Cut) -> Window:
    """Ask the broker which offsets a cut means now.

    Raises:
        UnknownName: There is no such topic.
        UsageError: An offset or partition is not there, or a time is none.
        Unavailable: The broker does not answer.
    """
    client = connection.admin(profile)
    partitions = topics.describe(client, topic, needed=rights.read).partitions
    earliest = topics.starts(client, partitions, topics.EARLIEST)
    ends = topics.starts(client, partitions, topics.LATEST)
    if cut.offsets is not None:
        starts = _checked(topic, cut.offsets, earliest, ends)
        return Window(earliest, starts, {p: ends[p] for p in starts})
    if cut.since is not None:
        moment = moment_of(cut.since).isoformat()
        return Window(earliest, topics.starts(client, partitions, moment), ends)
    last = cut.last or DEFAULT_LAST
    starts = {p: max(earliest[p], end - last) for p, end in ends.items()}
    return Window(earliest, starts, ends)


def _checked(
    topic: str,
    offsets: Mapping[int, int],
    earliest: Mapping[TopicPartition, int],
    ends: Mapping[TopicPartition, int],
) -> dict[TopicPartition, int]:
    starts = {TopicPartition(topic, number): at for number, at in offsets.items()}
    for partition, offset in starts.items():
        if partition not in ends:
            raise UsageError(
                f"topic {topic!r} has no partition {partition.partition}",
                hint=f"it has 0 to {len(ends) - 1}",
            )
        if not earliest[partition] <= offset <= ends[partition]:
            raise UsageError(
                f"offset {offset} of {partition} is not there",
                hint=f"it has {earliest[partition]} to {ends[partition]}",
            )
    return starts


def moment_of(since: Since) -> dt.datetime:
    """Return the time that ``since`` means; an age counts back from now.

    Raises:
        UsageError: It is neither a time nor an age.
    """
    if isinstance(since, dt.timedelta):
        return dt.datetime.now(dt.UTC) - since
    if isinstance(since, dt.datetime):
        return since if since.tzinfo else since.replace(tzinfo=dt.UTC)
    age = _AGE.fullmatch(since.strip())
    if age:
        seconds = float(age.group(1)) * _SECONDS[age.group(2)]
        return dt.datetime.now(dt.UTC) - dt.timedelta(seconds=seconds)
    try:
        return moment_of(dt.datetime.fromisoformat(since))
    except ValueError:
        raise UsageError(
            f"{since!r} is neither a time nor an age",
            hint="write 2013-01-01T05:00:00Z (UTC if it names no zone), 10m, 2h or 1d",
        ) from None
