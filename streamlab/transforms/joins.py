"""Joins: which rows of two inputs meet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, TypeAlias, get_args

from streamlab.errors import UsageError
from streamlab.transforms.event_time import (
    EventTime,
    as_event_time,
    duration_text,
    duration_us,
    signed_us,
)

How: TypeAlias = Literal["inner", "left", "right", "full", "semi", "anti"]
TableHow: TypeAlias = Literal["inner", "left"]
Keys: TypeAlias = "str | Sequence[str | tuple[str, str]]"
OneTime: TypeAlias = "str | EventTime"
Times: TypeAlias = "OneTime | Sequence[OneTime] | Mapping[str, OneTime]"
Bound: TypeAlias = "int | str"
"""A distance in µs from the left row's time, or the name of one of its columns."""


_KEYS_HINT = 'write keys="id", or pairs: keys=[("id", "auction")]'


@dataclass(frozen=True)
class Join:
    """What all kinds of joins have.

    Attributes:
        left: Name of the left input.
        right: Name of the right input.
    """

    left: str
    right: str

    @property
    def streams(self) -> tuple[str, ...]:
        """Return the names of the inputs, left first; of a stream with itself, one."""
        return tuple(dict.fromkeys((self.left, self.right)))

    @property
    def detail(self) -> str:
        """Return in words when rows of equal keys meet, for the plan; may be empty."""
        return ""


@dataclass(frozen=True)
class IntervalJoin(Join):
    """Rows of equal keys whose times are near each other.

    Attributes:
        keys: Column of the left and of the right input, for each part of the key.
        times: Event times of the left and of the right input.
        lower: From when on a right row meets the left one.
        upper: Until when, inclusive.
        how: What becomes of rows that meet none.
        lateness_us: How far behind the watermark a row is still taken, in µs.
    """

    keys: tuple[tuple[str, str], ...]
    times: tuple[EventTime, EventTime]
    lower: Bound
    upper: Bound
    how: How = "inner"
    lateness_us: int = 0

    @property
    def detail(self) -> str:
        """Return the range of the right time."""
        left, right = self.times
        start, end = (
            bound if isinstance(bound, str) else _moved(left.column, bound)
            for bound in (self.lower, self.upper)
        )
        return f"{right} of {self.right} from {start} to {end} of {self.left}"


@dataclass(frozen=True)
class TableJoin(Join):
    """Each row of a stream with the row of a table that has its key.

    Attributes:
        keys: Column of the stream and of the table, for each part of the key.
        how: Whether a row without one is left out, or comes with nulls.
        on: Event time of the stream; None where nothing asks for it.
        as_of: Event time of the table, whose rows are then versions; None takes the
            latest.
        lateness_us: How far behind the watermark a row is still taken, in µs.
    """

    keys: tuple[tuple[str, str], ...]
    how: TableHow = "inner"
    on: EventTime | None = None
    as_of: EventTime | None = None
    lateness_us: int = 0

    @property
    def detail(self) -> str:
        """Return which row of a key counts."""
        if self.as_of is None:
            return f"the latest row of {self.right}"
        return f"the row of {self.right} whose {self.as_of} was last at {self.on}"


def interval_join(
    left: str,
    right: str,
    *,
    keys: Keys,
    times: Times,
    lower: str | timedelta = "0s",
    upper: str | timedelta,
    how: How = "inner",
    lateness: str | timedelta = "0s",
) -> IntervalJoin:
    """Let rows of two streams meet whose keys are equal and whose times are near.

    A pair meets if the right time is in [left time + lower, left time + upper], both
    ends included; a null key meets nothing. The function gets one frame of pairs:
    the left columns, then the right ones, with ``_right`` behind a name that is taken.

    Args:
        left: Name of the left stream.
        right: Name of the right stream; the left one again joins a stream to itself.
        keys: A column of both, several, or pairs: ``[("id", "auction")]``.
        times: Event time of both, of each as a pair, or by the name of the stream.
        lower: A duration, which may be negative such as ``-5m``; or a column of the
            left stream: a time, a Duration from the left time on, or an integer in
            the unit of the left time. A column must not name a time before the left
            one; such a row is a dead letter.
        upper: The same; null, or one that is before the lower one, meets nothing.
        how: ``inner`` gives pairs; ``left``, ``right`` and ``full`` also the rows of
            that side that met none, once the watermark says that they will not;
            ``semi`` and ``anti`` give left rows that met any or none, once each.
        lateness: How far behind its partition's watermark a row is still taken.

    Raises:
        UsageError: An argument is none of its kind.
    """
    _require(how, get_args(How))
    start, end = _bound(lower, "lower"), _bound(upper, "upper")
    if isinstance(start, int) and isinstance(end, int) and start > end:
        message = f"lower is {lower} and upper {upper}, so nothing can meet"
        raise UsageError(message, hint="lower must not be greater than upper")
    both = pair_of_times(times, left, right)
    if left == right and both[0] != both[1]:
        message = f"{left} is joined to itself, and has one event time"
        raise UsageError(message, hint="give times as one column")
    late = duration_us(lateness, "lateness")
    return IntervalJoin(left, right, key_pairs(keys), both, start, end, how, late)


def table_join(
    stream: str,
    table: str,
    *,
    keys: Keys,
    how: TableHow = "inner",
    on: OneTime | None = None,
    as_of: tuple[OneTime, OneTime] | None = None,
    lateness: str | timedelta = "0s",
) -> TableJoin:
    """Give each row of a stream the row of a table that has its key.

    The table is another input: a compacted topic, a stream of changes, or a database.
    Its latest row of a key counts; one whose ``_op`` is ``delete``, and a message
    without a value, remove it. The function gets one frame: the stream's columns, then
    the table's, with ``_right`` behind a name that is taken.

    Args:
        stream: Name of the stream.
        table: Name of the input that is a table.
        keys: A column of both, several, or pairs: ``[("customer", "id")]``.
        how: ``inner`` leaves rows without a match out, ``left`` fills with nulls.
        on: Event time of the stream, where a transform that follows asks for it.
        as_of: Event time of the stream and of the table: a row then meets the version
            that was valid at its time, and waits until the watermark has passed it.
            Without it a row meets the latest version that has come.
        lateness: How far behind its partition's watermark a row is still taken.

    Raises:
        UsageError: An argument is none of its kind.
    """
    _require(how, get_args(TableHow))
    if stream == table:
        message = f"the stream and the table are both {table}"
        raise UsageError(message, hint="a table is an input of its own")
    if as_of is not None and on is not None:
        message = "as_of has the event time of the stream already"
        raise UsageError(message, hint="leave out on=…")
    late = duration_us(lateness, "lateness")
    if as_of is None:
        time = None if on is None else as_event_time(on)
        return TableJoin(stream, table, key_pairs(keys), how, time, None, late)
    first, second = pair_of_times(as_of, stream, table, "as_of")
    return TableJoin(stream, table, key_pairs(keys), how, first, second, late)


def key_pairs(keys: Keys) -> tuple[tuple[str, str], ...]:
    """Return the columns of a key as pairs, left and right.

    Raises:
        UsageError: There are none, or one is neither a column nor a pair.
    """
    listed = [keys] if isinstance(keys, str) else list(keys)
    if not listed:
        message = "a join needs keys"
        raise UsageError(message, hint=_KEYS_HINT)
    return tuple(map(_key_pair, listed))


def _key_pair(key: object) -> tuple[str, str]:
    parts = (key, key) if isinstance(key, str) else key
    if isinstance(parts, Sequence) and len(parts) == 2:  # noqa: PLR2004 -- left and right
        left, right = parts
        if isinstance(left, str) and isinstance(right, str):
            return left, right
    what = repr(key) if isinstance(key, Sequence) else type(key).__name__
    raise UsageError(f"a key of a join cannot be {what}", hint=_KEYS_HINT)


def pair_of_times(
    times: Times, left: str, right: str, what: str = "times"
) -> tuple[EventTime, EventTime]:
    """Return the event times of the left and of the right input.

    Args:
        times: One for both, a pair, or by the name of the input.
        left: Name of the left input.
        right: Name of the right input.
        what: The argument's name, for the message.

    Raises:
        UsageError: One is missing.
    """
    if isinstance(times, str | EventTime):
        return as_event_time(times), as_event_time(times)
    named = times if isinstance(times, Mapping) else {}
    found = (
        [named[name] for name in (left, right) if name in named]
        if isinstance(times, Mapping)
        else list(times)
    )
    if len(found) != 2:  # noqa: PLR2004 -- a join has two sides
        message = f"a join needs the event times of {left} and of {right}"
        raise UsageError(
            message, hint=f'write {what}={{"{left}": "…", "{right}": "…"}}'
        )
    return as_event_time(found[0]), as_event_time(found[1])


def _bound(value: str | timedelta, what: str) -> Bound:
    """Return a duration in µs, or a column's name as it is."""
    is_duration = not isinstance(value, str) or value[:1].isdigit() or value[:1] == "-"
    if is_duration or not value:
        return signed_us(value, what)
    return str(value)


def _moved(column: str, by_us: int) -> str:
    """Return a time and a distance from it in words."""
    if not by_us:
        return column
    return f"{column} {'-' if by_us < 0 else '+'} {duration_text(abs(by_us))}"


def _require(how: str, kinds: Sequence[str]) -> None:
    if how not in kinds:
        message = f"how is {how!r}"
        raise UsageError(message, hint=f"use one of {', '.join(kinds)}")
