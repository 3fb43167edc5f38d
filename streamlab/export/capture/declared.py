"""What a transform declares, as the arguments of ``sl.transform`` that say it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from streamlab.export.capture.literals import WIDTH, literal
from streamlab.export.capture.values import Unwritable, Writer
from streamlab.transforms import regular_join, windows
from streamlab.transforms.declarations import Declaration, Folded, Windowed
from streamlab.transforms.event_time import EventTime, duration_text
from streamlab.transforms.joins import IntervalJoin, Join, TableJoin
from streamlab.transforms.library.function import Call

Given = Mapping[str, str | None]
"""Argument → its text; None where it is left out."""


def arguments(needs: Declaration | None, writer: Writer) -> tuple[str, ...]:
    """Return the arguments of ``sl.transform`` that declare what a transform needs.

    Args:
        needs: The declaration.
        writer: Writes values, and notes what they refer to.

    Raises:
        Unwritable: A value of it cannot be written.
    """
    if needs is None:
        return ()
    if isinstance(needs, Windowed):
        return _named(_windowed(needs, writer))
    if isinstance(needs, Folded):
        return _named(_folded(needs, writer))
    return (f"join={_join(needs.join)}",)


def library_call(name: str, call: Call, writer: Writer) -> str:
    """Return the statement that makes a transform of the library.

    Args:
        name: What the transform is called.
        call: The call that made it.
        writer: Writes values.

    Raises:
        Unwritable: An argument cannot be written.
    """
    given = {key: _value(value, writer) for key, value in call.named.items()}
    words = [*(_value(one, writer) for one in call.positional), *_named(given)]
    flat = f"{name} = sl.{call.maker}({', '.join(words)})"
    if len(flat) <= WIDTH:
        return flat
    lines = "".join(f"    {word},\n" for word in words)
    return f"{name} = sl.{call.maker}(\n{lines})"


def _windowed(needs: Windowed, writer: Writer) -> Given:
    combine = None if needs.combine is None else writer.text(needs.combine)
    return {
        "window": _window(needs.window),
        "keys": _keys(needs.keys),
        "emit": _unless(needs.emit, "final"),
        "combine": combine,
        "early": _unless(needs.early_us, 0, _duration),
        "null_keys": _unless(needs.null_keys, "group"),
        "changelog": _unless(needs.changelog, False),
    }


def _folded(needs: Folded, writer: Writer) -> Given:
    if callable(needs.state):
        raise Unwritable("its state depends on the events, which only a library's does")
    columns = (
        f"{literal(name)}: {_dtype(dtype, writer)}"
        for name, dtype in needs.state.items()
    )
    return {
        "keys": _keys(needs.keys),
        "state": f"{{{', '.join(columns)}}}",
        "on": _unless(needs.on, None, _time),
        "lateness": _unless(needs.lateness_us, 0, _duration),
        "ttl": _unless(needs.ttl_us, None, _duration),
        "changelog": _unless(needs.changelog, False),
    }


def _window(window: windows.Window) -> str:
    shared = {
        "on": _unless(window.on, None, _times),
        "lateness": _unless(window.lateness_us, 0, _duration),
    }
    if isinstance(window, windows.Sliced):
        sizes = [literal(window.size.text), literal(window.every.text)]
        more = {
            "offset": _unless(window.offset_us, 0, _duration),
            "zone": _unless(window.zone, "UTC"),
        }
        if window.size == window.every:
            return _call("tumbling", sizes[:1], {**shared, **more})
        return _call("hopping", sizes, {**shared, **more})
    if isinstance(window, windows.Session):
        more = {"longest": _unless(window.longest_us, None, _duration)}
        return _call("session", [_duration(window.gap_us)], {**shared, **more})
    if isinstance(window, windows.Counted):
        return _call("count_window", [repr(window.rows)], shared)
    raise Unwritable(f"a window of the kind {type(window).__name__}")


def _join(join: Join) -> str:
    streams = [literal(join.left), literal(join.right)]
    if isinstance(join, IntervalJoin):
        times = {s: _time(t) for s, t in zip(join.streams, join.times, strict=False)}
        each = ", ".join(f"{literal(s)}: {t}" for s, t in times.items())
        given: Given = {
            "keys": _pairs(join.keys),
            "times": f"{{{each}}}" if len(times) > 1 else _time(join.times[0]),
            "lower": _unless(join.lower, 0, _bound),
            "upper": _bound(join.upper),
            "how": _unless(join.how, "inner"),
            "lateness": _unless(join.lateness_us, 0, _duration),
        }
        return _call("interval_join", streams, given)
    if isinstance(join, TableJoin):
        on = join.on
        both = None if on is None or join.as_of is None else (on, join.as_of)
        given = {
            "keys": _pairs(join.keys),
            "how": _unless(join.how, "inner"),
            "on": None if both or on is None else _time(on),
            "as_of": both and f"({_time(both[0])}, {_time(both[1])})",
            "lateness": _unless(join.lateness_us, 0, _duration),
        }
        return _call("table_join", streams, given)
    if isinstance(join, regular_join.RegularJoin):
        named = {name: list(columns) for name, columns in join.identity.items()}
        given = {
            "keys": _pairs(join.keys),
            "how": _unless(join.how, "inner"),
            "ttl": _unless(join.ttl_us, None, _duration),
            "identity": literal(named) if named else None,
        }
        return _call("regular_join", streams, given)
    raise Unwritable(f"a join of the kind {type(join).__name__}")


def _duration(us: int) -> str:
    return literal(duration_text(us))


def _bound(bound: int | str) -> str:
    return _duration(bound) if isinstance(bound, int) else literal(bound)


def _times(on: EventTime | Mapping[str, EventTime]) -> str:
    if isinstance(on, EventTime):
        return _time(on)
    return f"{{{', '.join(f'{literal(k)}: {_time(v)}' for k, v in on.items())}}}"


def _time(on: EventTime) -> str:
    given = {
        "bound": _unless(on.bound_us, 0, _duration),
        "idle_after": _unless(on.idle_after_us, None, _duration),
        "unit": _unless(on.unit, "ms"),
    }
    column = literal(on.column)
    return _call("event_time", [column], given) if any(given.values()) else column


def _keys(keys: tuple[str, ...]) -> str | None:
    return literal(list(keys)) if keys else None


def _pairs(keys: tuple[tuple[str, str], ...]) -> str:
    return literal([one[0] if one[0] == one[1] else one for one in keys])


def _value(value: Any, writer: Writer) -> str:
    return _time(value) if isinstance(value, EventTime) else writer.text(value)


def _dtype(dtype: pl.DataType, writer: Writer) -> str:  # noqa: PLR0911 -- a kind each
    name = f"{writer.text(pl)}.{type(dtype).__name__}"
    if isinstance(dtype, pl.Struct):
        parts = (f"{literal(f.name)}: {_of(f.dtype, writer)}" for f in dtype.fields)
        return f"{name}({{{', '.join(parts)}}})"
    if isinstance(dtype, pl.List):
        return f"{name}({_of(dtype.inner, writer)})"
    if isinstance(dtype, pl.Array):
        return f"{name}({_of(dtype.inner, writer)}, {dtype.shape!r})"
    if isinstance(dtype, pl.Datetime):
        zone = "" if dtype.time_zone is None else f", {literal(dtype.time_zone)}"
        return f"{name}({literal(dtype.time_unit)}{zone})"
    if isinstance(dtype, pl.Duration):
        return f"{name}({literal(dtype.time_unit)})"
    if isinstance(dtype, pl.Decimal):
        return f"{name}({dtype.precision}, {dtype.scale})"
    if isinstance(dtype, pl.Enum):
        return f"{name}({literal(dtype.categories.to_list())})"
    return name


def _of(dtype: Any, writer: Writer) -> str:
    return _dtype(dtype if isinstance(dtype, pl.DataType) else dtype(), writer)


def _unless(value: Any, default: Any, text: Any = literal) -> str | None:
    """Return the text of a value, or None where it is the default."""
    return None if value == default else str(text(value))


def _call(maker: str, positional: list[str], given: Given) -> str:
    return f"sl.{maker}({', '.join([*positional, *_named(given)])})"


def _named(given: Given) -> tuple[str, ...]:
    return tuple(f"{name}={text}" for name, text in given.items() if text is not None)
