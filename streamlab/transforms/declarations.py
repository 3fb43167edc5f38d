"""What a transform can declare that it needs beyond the row: window, state or join.

A declaration is a frozen value; ``streamlab.operators`` has an operator for each kind.
A transform has one at most: ``None`` is the stateless transform.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, TypeAlias, get_args

import polars as pl

from streamlab.errors import UsageError
from streamlab.transforms.event_time import EventTime, as_event_time, duration_us
from streamlab.transforms.joins import Join
from streamlab.transforms.windows import Window

Emit: TypeAlias = Literal["final", "updates"]
StateOf: TypeAlias = Callable[[pl.Schema], Mapping[str, pl.DataType]]
NullKeys: TypeAlias = Literal["group", "drop", "fail"]


@dataclass(frozen=True)
class Windowed:
    """The function sees all rows of its closing windows at once.

    Attributes:
        window: How events fall into windows; has the event time and the lateness.
        keys: Columns that the function may group by, beside the window.
        emit: ``final`` once a window closes, or ``updates``: each changed window anew,
            as rows with ``_op``.
        combine: Merges partial results of the function, so that these are kept
            instead of rows.
        early_us: With ``updates``: shortest time between two firings of a window, in
            µs of the clock; 0 fires in every epoch.
        null_keys: What becomes of rows with a null key: a group of their own, left
            out (and counted), or dead letters.
        changelog: Whether the function reads rows with ``_op`` as a log of changes.
    """

    window: Window
    keys: tuple[str, ...] = ()
    emit: Emit = "final"
    combine: Callable[..., Any] | None = None
    early_us: int = 0
    null_keys: NullKeys = "group"
    changelog: bool = False


@dataclass(frozen=True)
class Folded:
    """The function is ``(events, state) -> (output, state)``.

    Attributes:
        keys: Columns that name a state.
        state: Columns of the state beside its keys, with their dtypes; or what tells
            them from the columns of the events.
        on: Event time: rows then come in its order, behind the watermark. None takes
            them in the order of their partition as they come.
        lateness_us: How far behind the watermark a row is still taken, in µs.
        ttl_us: After how long without events a key's state is dropped, in µs of event
            time where there is one, else of the clock; None keeps it.
        changelog: Whether the function reads rows with ``_op`` as a log of changes.
    """

    keys: tuple[str, ...]
    state: Mapping[str, pl.DataType] | StateOf
    on: EventTime | None = None
    lateness_us: int = 0
    ttl_us: int | None = None
    changelog: bool = False

    def columns(self, events: pl.Schema) -> Mapping[str, pl.DataType]:
        """Return the columns of the state beside its keys, with their dtypes."""
        return self.state(events) if callable(self.state) else self.state


@dataclass(frozen=True)
class Joined:
    """The function sees pairs of rows of two inputs.

    Attributes:
        join: Which rows meet.
    """

    join: Join


Declaration: TypeAlias = Windowed | Folded | Joined


def declared(  # noqa: PLR0913 -- the arguments of sl.transform, by name
    *,
    window: Window | None,
    keys: str | Sequence[str],
    emit: Emit,
    combine: Callable[..., Any] | None,
    early: str | timedelta,
    null_keys: NullKeys,
    state: Mapping[str, Any] | None,
    on: str | EventTime | None,
    lateness: str | timedelta,
    ttl: str | timedelta | None,
    join: Join | None,
    changelog: bool,
) -> Declaration | None:
    """Return what the arguments of ``sl.transform`` declare; see there.

    Raises:
        UsageError: They contradict each other, or one is none of its kind.
    """
    names = _names(keys)
    kind = _kind({"window": window, "state": state, "join": join})
    options = {
        "keys": names,
        "emit": emit,
        "combine": combine,
        "early": early,
        "null_keys": null_keys,
        "on": on,
        "lateness": lateness,
        "ttl": ttl,
        "changelog": changelog,
    }
    _refuse_strays(kind, options)
    if window is not None:
        if emit not in get_args(Emit):
            message = f"emit is {emit!r}"
            raise UsageError(message, hint='use "final" or "updates"')
        if null_keys not in get_args(NullKeys):
            message = f"null_keys is {null_keys!r}"
            raise UsageError(message, hint='use "group", "drop" or "fail"')
        early_us = duration_us(early, "early")
        if early_us and emit == "final":
            message = "early=… is for updates, and this window gives final results"
            raise UsageError(message, hint='add emit="updates", or leave out early=…')
        return Windowed(window, names, emit, combine, early_us, null_keys, changelog)
    if state is not None:
        return Folded(
            names,
            _state(state),
            None if on is None else as_event_time(on),
            duration_us(lateness, "lateness"),
            None if ttl is None else duration_us(ttl, "ttl"),
            changelog,
        )
    return None if join is None else Joined(join)


def _names(keys: str | Sequence[str]) -> tuple[str, ...]:
    """Return keys as names of columns.

    Raises:
        UsageError: One is something else, such as an expression.
    """
    listed: Sequence[object] = (keys,) if isinstance(keys, str) else tuple(keys or ())
    for key in listed:
        if not isinstance(key, str):
            message = f"a key is a column's name, not {type(key).__name__}"
            raise UsageError(message, hint='such as keys=["carrier", "origin"]')
    return tuple(str(key) for key in listed)


def _state(columns: Mapping[str, Any]) -> pl.Schema:
    """Return the columns of a state with their dtypes.

    Raises:
        UsageError: One has none.
    """
    try:
        return pl.Schema(columns)
    except TypeError as error:
        message = f"a column of the state has no polars type: {error}"
        raise UsageError(message, hint='such as state={"count": pl.Int64}') from None


_DEFAULTS: Mapping[str, Any] = {
    "keys": (),
    "emit": "final",
    "early": "0s",
    "null_keys": "group",
    "lateness": "0s",
    "changelog": False,
}
_GO_WITH: Mapping[str, Sequence[str]] = {
    "keys": ("window", "state"),
    "emit": ("window",),
    "combine": ("window",),
    "early": ("window",),
    "null_keys": ("window",),
    "on": ("state",),
    "lateness": ("state",),
    "ttl": ("state",),
    "changelog": ("window", "state"),
}
_INSIDE: Mapping[tuple[str, str], str] = {
    ("window", "on"): 'sl.tumbling("1h", on=…)',
    ("window", "lateness"): 'sl.tumbling("1h", on="…", lateness=…)',
    ("join", "keys"): 'sl.interval_join("…", "…", keys=…, …)',
    ("join", "on"): 'sl.interval_join("…", "…", times=…, …)',
    ("join", "lateness"): 'sl.interval_join("…", "…", lateness=…, …)',
    ("join", "ttl"): 'sl.regular_join("…", "…", ttl=…, …)',
}
"""What belongs into the window or the join itself → how it is written there."""


def _kind(given: Mapping[str, object]) -> str:
    """Return which of window, state and join a transform declares; empty if none.

    Raises:
        UsageError: There are two, or one is something else.
    """
    kinds = [name for name, value in given.items() if value is not None]
    if len(kinds) > 1:
        message = f"a transform has one of window, state and join, not {kinds[0]} and "
        raise UsageError(message + kinds[1], hint="write two transforms in a row")
    for name, wanted, hint in (
        ("window", Window, 'such as window=sl.tumbling("1h", on="scheduled")'),
        ("state", Mapping, 'columns and their dtypes: state={"count": pl.Int64}'),
        ("join", Join, 'such as join=sl.table_join("orders", "customers", keys="id")'),
    ):
        if name in kinds and not isinstance(given[name], wanted):
            message = f"{name}=… is a {type(given[name]).__name__}, not a "
            what = "mapping" if wanted is Mapping else name
            raise UsageError(message + what, hint=hint)
    return kinds[0] if kinds else ""


def _refuse_strays(kind: str, options: Mapping[str, object]) -> None:
    """Refuse an argument that would change nothing where it is.

    Raises:
        UsageError: With where it belongs.
    """
    for name, value in options.items():
        if value == _DEFAULTS.get(name) or kind in _GO_WITH[name]:
            continue
        if not kind:
            others = (of for of, inside in _INSIDE if inside == name)
            kinds = tuple(dict.fromkeys((*_GO_WITH[name], *others)))
            message = f"{name}=… changes nothing without a {' or a '.join(kinds)}"
            hints = (f"{one}={_INSIDE.get((one, name), '…')}" for one in kinds)
            raise UsageError(message, hint=f"write {', or '.join(hints)}")
        inside = _INSIDE.get((kind, name))
        if inside:
            message = f"{name}=… belongs to the {kind} itself"
            raise UsageError(message, hint=f"write {kind}={inside}")
        message = f"{name}=… is of a {' or a '.join(_GO_WITH[name])}, not of a {kind}"
        raise UsageError(message, hint="leave it out")
