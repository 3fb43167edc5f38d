"""The reader of several sources: polls them in turn, and speaks for all of them.

Whoever listens hears of one assignment: the first answer waits until every part knows
its partitions, because a task may have partitions of several. When a part of several
loses partitions, all of them are given back and the listener enters anew, so that no
task goes on with half of its inputs.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from streamlab.connectors.combined.part import Part, share_of
from streamlab.errors import PositionLost, Unavailable
from streamlab.positions import Position, Progress, TopicPartition
from streamlab.sources import Assignment, Listener, RawBatch, Reader

WAIT_SLICE_S = 0.005
"""How long one part is waited for before the others are looked at again."""

ASSIGNED_WITHIN_S = 30.0
"""How long the partitions of all parts are waited for: joining a group takes a while
where a worker was killed just before."""

AGAIN_S = 0.1


@dataclass
class _Open:
    """An open part, and what it tells us; it is the listener of its reader."""

    part: Part
    topics: frozenset[str]
    owner: CombinedReader
    given: Assignment | None = None
    reader: Reader | None = None
    away: Unavailable | None = None
    away_until: float = 0.0
    answers: dict[TopicPartition, Position] = field(default_factory=dict)

    @property
    def repeats(self) -> bool:
        return self.owner.listener.repeats

    def assigned(self, given: Assignment) -> Mapping[TopicPartition, Position]:
        return self.owner.part_assigned(self, given)

    def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        self.owner.part_revoked(partitions)

    def lost(self, partitions: Sequence[TopicPartition]) -> None:
        self.owner.part_lost(partitions)

    @property
    def opened(self) -> Reader:
        if self.reader is None:
            raise Unavailable(f"{self.part.source.describe()} is not open")
        return self.reader

    def poll(self, max_rows: int, timeout_s: float) -> RawBatch | None:
        """Poll; a part that is away is left alone for a while and holds up no other."""
        if self.away is not None and time.monotonic() < self.away_until:
            return None
        self.away = None
        try:
            return self.opened.poll(max_rows, timeout_s)
        except Unavailable as error:
            self.away = error
            self.away_until = time.monotonic() + (error.after_s or AGAIN_S)
            return None


class CombinedReader(Reader):
    """See :class:`streamlab.sources.Reader` for the order of calls.

    Args:
        parts: What is read.
        listener: Told of partitions that come and go.
        first: Topics that are read to their present end before the others.
    """

    def __init__(
        self, parts: Sequence[Part], listener: Listener, first: frozenset[str]
    ) -> None:
        self.listener = listener
        self._first = first
        self._here: dict[TopicPartition, Position] = {}
        self._reached: set[TopicPartition] = set()
        self._targets: dict[TopicPartition, Position] = {}
        # What came while partitions of other parts were waited for, in order.
        self._ahead: list[RawBatch] = []
        self._only: frozenset[str] | None = None
        self._held = self._closing = self._begun = False
        self._turn = 0
        self._in_first = bool(first)
        self._parts = [_Open(one, frozenset(one.streams), self) for one in parts]
        try:
            for one in self._parts:
                one.reader = one.part.source.open(one.part.pipeline, one)
        except BaseException:
            self.close()
            raise
        self._apply()

    def poll(self, max_rows: int, timeout_s: float) -> RawBatch | None:
        """Return what is there in the next part that has something.

        Raises:
            Unavailable: A part cannot be reached, and the others have nothing.
        """
        batch = self._ahead.pop(0) if self._ahead else self._next(max_rows, timeout_s)
        if batch is not None:
            self._here.update({span.partition: span.end for span in batch.spans})
        if self._in_first:
            self._look_for_the_end()
        return batch

    def acknowledge(self, progress: Sequence[Progress]) -> None:
        """Tell each part of its own positions."""
        for one in self._parts:
            if own := one_share(progress, one.topics):
                one.opened.acknowledge(own)

    def hold(self, *, held: bool) -> None:
        """Stop or go on delivering events of all parts."""
        self._held = held
        self._apply()

    def only(self, topics: Collection[str] | None) -> None:
        """Deliver events of some topics only."""
        self._only = None if topics is None else frozenset(topics)
        self._apply()

    def close(self) -> None:
        """Close all parts; a second call does nothing."""
        self._closing = True
        failure: BaseException | None = None
        for one in self._parts:
            try:
                if one.reader is not None:
                    one.reader.close()
            except BaseException as error:  # noqa: BLE001 -- raised when all are closed
                failure = failure or error
        self._ahead.clear()
        if failure is not None:
            raise failure

    def healthy(self) -> None:
        """Raise what a background check of any part has found."""
        for one in self._parts:
            one.opened.healthy()

    def ends(self) -> Mapping[TopicPartition, Position]:
        """Return where each assigned partition ends now."""
        return {k: v for one in self._parts for k, v in one.opened.ends().items()}

    def facts(self) -> Mapping[str, float]:
        """Return what the parts know of themselves."""
        return {k: v for one in self._parts for k, v in one.opened.facts().items()}

    def commit_ticket(self, progress: Sequence[Progress]) -> object | None:
        """Return the ticket of the one part; several have none in common."""
        if len(self._parts) > 1:
            return None
        return self._parts[0].opened.commit_ticket(progress)

    # -- polling in turn --------------------------------------------------------------

    def _next(self, max_rows: int, timeout_s: float) -> RawBatch | None:
        until = time.monotonic() + timeout_s
        wait_s = 0.0
        while True:
            for _ in self._parts:
                # Whoever was asked goes to the end of the line.
                self._turn = (self._turn + 1) % len(self._parts)
                batch = self._parts[self._turn].poll(max_rows, wait_s)
                if batch is not None:
                    self._ahead.append(batch)
                if self._ahead:
                    return self._ahead.pop(0)
            left_s = until - time.monotonic()
            if left_s <= 0:
                break
            wait_s = min(WAIT_SLICE_S, left_s)
            if all(one.away is not None for one in self._parts):
                break
        away = next((one.away for one in self._parts if one.away is not None), None)
        if away is not None:
            raise away
        return None

    # -- first things first -----------------------------------------------------------

    def _look_for_the_end(self) -> None:
        """Let the other topics go on once the first ones are read to their end."""
        if not self._begun:
            return
        ends = self.ends()
        for partition, position in self._here.items():
            end = ends.get(partition)
            if partition.topic in self._first and end is not None:
                target = self._targets.setdefault(partition, end)
                if position >= min(target, end):  # type: ignore[operator]  # positions of one source are of one type
                    self._reached.add(partition)
        waited_for = {one for one in self._here if one.topic in self._first}
        if waited_for <= self._reached:
            self._in_first = False
            self._apply()

    def _apply(self) -> None:
        """Hold what is not wanted now."""
        wanted = self._first if self._in_first else None
        if self._only is not None:
            wanted = self._only if wanted is None else wanted & self._only
        for one in self._parts:
            own = one.topics if wanted is None else one.topics & wanted
            one.opened.hold(held=self._held or not own)
            if len(one.topics) > 1:
                one.opened.only(None if wanted is None else own)

    # -- partitions that come and go --------------------------------------------------

    def part_assigned(
        self, part: _Open, given: Assignment
    ) -> Mapping[TopicPartition, Position]:
        """Ask the listener for all parts at once, the first time."""
        part.given = given
        if self._begun:
            self._ask([part])
        else:
            self._wait_for_the_others()
            if not self._begun:
                self._ask(self._parts)
                self._begun = True
        return part.answers

    def part_revoked(self, partitions: Sequence[TopicPartition]) -> None:
        """Give back all partitions, of every part."""
        gone = self._given_up(partitions)
        if not gone:
            return
        self.listener.revoked(gone)
        if len(self._parts) > 1 and not self._closing:
            self.listener.lost(())  # enter anew, with all parts

    def part_lost(self, partitions: Sequence[TopicPartition]) -> None:
        """Tell of all partitions, of every part."""
        self.listener.lost(self._given_up(partitions))

    def _given_up(self, partitions: Iterable[TopicPartition]) -> list[TopicPartition]:
        known = self._here if len(self._parts) > 1 else partitions
        gone = [one for one in known if one in self._here]
        for one in gone:
            del self._here[one]
        self._ahead.clear()
        return gone

    def _wait_for_the_others(self) -> None:
        """Poll the other parts until they know their partitions.

        Their own calls of ``assigned`` end up here, too: the last one asks for all.

        Raises:
            Unavailable: One does not come up.
        """
        until = time.monotonic() + ASSIGNED_WITHIN_S
        while missing := [one for one in self._parts if one.given is None]:
            batch = missing[0].poll(1, WAIT_SLICE_S)
            if batch is not None:
                self._ahead.append(batch)
            if missing[0].away is not None:
                time.sleep(WAIT_SLICE_S)
            if time.monotonic() > until and missing[0].given is None:
                missing[0].away_until = 0.0
                message = f"{missing[0].part.source.describe()} gives no partitions"
                raise missing[0].away or Unavailable(message)

    def _ask(self, parts: Sequence[_Open]) -> None:
        """Ask the listener where to read the partitions of some parts."""
        every = [one.given for one in self._parts if one.given is not None]
        new = [one.given for one in parts if one.given is not None]
        chosen = self.listener.assigned(
            Assignment(
                partitions=tuple(sorted(p for one in new for p in one.partitions)),
                committed={k: v for one in new for k, v in one.committed.items()},
                start={k: v for one in every for k, v in one.start.items()},
                incarnations={
                    k: v for one in every for k, v in one.incarnations.items()
                },
                replaced=self._replaced,
                new=tuple(p for one in every for p in one.new),
            )
        )
        for part in parts:
            if part.given is not None:
                part.answers = {p: chosen[p] for p in part.given.partitions}
                self._here.update(part.answers)
        if self._first & {one.topic for one in chosen}:
            self._in_first = True
            self._apply()

    def _replaced(self, topic: str, *, stored: str, found: str) -> PositionLost:
        """Return the error of the part whose topic it is."""
        for one in self._parts:
            if topic in one.topics and one.given is not None:
                return one.given.replaced(topic, stored=stored, found=found)
        return PositionLost(f"{topic!r} is another one than {stored}")


def one_share(progress: Iterable[Progress], topics: Collection[str]) -> list[Progress]:
    """Return what some progress says of some topics."""
    return [own for one in progress if (own := share_of(one, topics)) is not None]
