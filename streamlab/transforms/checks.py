"""What a test on a sample says of a function. It can refute a claim, not prove it.

A function that looks at one row only gives the same rows however the events are cut.
So the sample is cut in several ways, each piece is run by itself, and the outputs
together are compared with the output of the whole: as a multiset of rows for the first
verdict, in order for the second. Values are compared exactly; NaN equals NaN.
"""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from streamlab.errors import first_line
from streamlab.transforms import failure
from streamlab.transforms.steps import Step, collected, difference
from streamlab.transforms.verdicts import (
    LOOKS_ACROSS,
    NOT_REPEATABLE,
    ORDER_NOT_PROMISED,
    SCHEMA_DEPENDS,
    Verdict,
    failed,
)

SINGLE_EVENTS = 100  # rows that are run one at a time
RANDOM_CUTS = (2, 5, 13)  # pieces of consecutive rows
DEALT_PIECES = 4  # pieces of rows that are not consecutive
STREAMING_RUNS = 2  # the streaming engine reorders by chance
WHOLE_RUNS = 10  # about how often the whole sample is run by all checks together

_SEED = 20130101


@dataclass(frozen=True, slots=True)
class Outcome:
    """The two verdicts of a test."""

    rows: Verdict
    order: Verdict


@dataclass(frozen=True, slots=True, eq=False)
class _Cut:
    """One way to run the events in pieces.

    Attributes:
        name: How to say it: "the events …".
        pieces: Run one after another.
        expected: What they must give together.
        in_order: Whether the pieces are in the order of the events.
    """

    name: str
    pieces: Sequence[pl.DataFrame]
    expected: pl.DataFrame
    in_order: bool = True


class _RefutedError(Exception):
    """A check failed; carries the verdict."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict.message)
        self.verdict = verdict


@dataclass(frozen=True, eq=False)
class Trial:
    """A function on trial.

    Attributes:
        steps: The function, or several in a row.
        schema: The output's schema on no rows, which every piece must have.
        events: The sample, with the columns that the first step gets.
        partition: Partition of each event, if that is known.
        deadline: ``time.monotonic()`` after which no further check begins.
    """

    steps: Sequence[Step]
    schema: pl.Schema
    events: pl.DataFrame
    partition: pl.Series | None
    deadline: float

    def verdicts(self) -> Outcome:
        """Run the checks until one fails or time is up."""
        checks = 0
        order = ""
        try:
            whole = self._run(self.events)
            for cut in self._cuts(whole):
                if time.monotonic() > self.deadline:
                    break
                order = order or self._compare(cut)
                checks += 1
            else:
                return self._passed(order or self._streaming(whole))
        except _RefutedError as refuted:
            unknown = Verdict("unknown", "not looked at, because the rows differ")
            return Outcome(refuted.verdict, unknown)
        slow = f"too slow to test within the time: {checks} checks held"
        return Outcome(Verdict("unknown", slow), Verdict("unknown", slow))

    def _passed(self, disorder: str) -> Outcome:
        sample = f"on {self.events.height:,} events, cut in several ways"
        rows = Verdict("tested", f"held {sample}; other events may show otherwise")
        if disorder:
            return Outcome(rows, failed(ORDER_NOT_PROMISED, disorder))
        return Outcome(rows, Verdict("tested", f"held {sample}"))

    def _cuts(self, whole: pl.DataFrame) -> Iterator[_Cut]:
        events, chance = self.events, random.Random(_SEED)  # noqa: S311 -- no secret
        yield _Cut("a second time", [events], whole)
        first = events.head(SINGLE_EVENTS)
        singles = [first.slice(row, 1) for row in range(first.height)]
        yield _Cut("one at a time", singles, self._run(first))
        for number in RANDOM_CUTS:
            yield _Cut(f"in {number} pieces", _pieces(events, number, chance), whole)
        dealt = pl.Series([chance.randrange(DEALT_PIECES) for _ in range(len(events))])
        yield _Cut("dealt at random", _groups(events, dealt), whole, in_order=False)
        if self.partition is not None:
            pieces = _groups(events, self.partition)
            yield _Cut("one partition at a time", pieces, whole, in_order=False)
        twice = pl.concat([whole, whole])
        yield _Cut("followed by themselves", [pl.concat([events, events])], twice)

    def _compare(self, cut: _Cut) -> str:
        """Return why the order is wrong, or an empty text.

        Raises:
            _RefutedError: The rows are wrong.
        """
        found = pl.concat([self._run(piece) for piece in cut.pieces] or [cut.expected])
        if not same_rows(found, cut.expected):
            again = len(cut.pieces) == 1 and cut.pieces[0] is self.events
            what = NOT_REPEATABLE if again else LOOKS_ACROSS
            why = f"the events {cut.name} gave other rows "
            counts = f"({found.height:,} instead of {cut.expected.height:,})"
            if found.height == cut.expected.height:
                counts = "(as many, with other values)"
            advice = (
                ""
                if again
                else ". Use expressions that need one row only; windows, keys and "
                "state will come with stateful transforms"
            )
            raise _RefutedError(failed(what, why + counts + advice))
        if cut.in_order and not found.equals(cut.expected):
            return f"the events {cut.name} gave the rows in another order"
        return ""

    def _streaming(self, whole: pl.DataFrame) -> str:
        for _ in range(STREAMING_RUNS):
            found = collected(self.steps, self.events, engine="streaming")
            if not found.equals(whole):
                return "polars' streaming engine gave the rows in another order"
        return ""

    def _run(self, piece: pl.DataFrame) -> pl.DataFrame:
        try:
            output = collected(self.steps, piece)
        except failure.RAISED as error:
            told = failure.explained(error, self.steps, piece)
            why = f"it fails on {piece.height:,} of the events: {first_line(told)}"
            raise _RefutedError(failed(LOOKS_ACROSS, why)) from None
        if output.schema != self.schema:
            why = f"{difference(self.schema, output.schema)}; give the dtype"
            raise _RefutedError(failed(SCHEMA_DEPENDS, why))
        return output


def same_rows(left: pl.DataFrame, right: pl.DataFrame) -> bool:
    """Return whether two frames of one schema have the same multiset of rows."""
    if left.height != right.height:
        return False
    if left.equals(right):
        return True
    return left.hash_rows().sort().equals(right.hash_rows().sort())


def _pieces(
    events: pl.DataFrame, number: int, chance: random.Random
) -> list[pl.DataFrame]:
    """Cut at random places; two equal places make an empty piece."""
    places = sorted(chance.randint(0, events.height) for _ in range(number - 1))
    places = [0, *places, *places[-1:], events.height]
    return [
        events.slice(start, end - start) for start, end in itertools.pairwise(places)
    ]


def _groups(events: pl.DataFrame, number: pl.Series) -> list[pl.DataFrame]:
    return [events.filter(number == one) for one in number.unique().sort()]
