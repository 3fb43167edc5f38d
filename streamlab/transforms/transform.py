"""A transform: the user's function from polars frames to a polars frame, as a value.

The function stays the user's own: ``delayed(frame)`` returns what the function
returns, in a notebook, in a test and in a worker. The value around it adds what the
function needs: static tables to join against, and the metadata columns it names.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Generic, ParamSpec, TypeVar, overload

import polars as pl

from streamlab.errors import UsageError
from streamlab.sources import METADATA
from streamlab.transforms.declarations import (
    Declaration,
    Emit,
    Folded,
    Joined,
    NullKeys,
    Windowed,
    declared,
)
from streamlab.transforms.event_time import EventTime
from streamlab.transforms.joins import Join
from streamlab.transforms.table import Table, table
from streamlab.transforms.windows import Window

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, eq=False)
class Transform(Generic[P, R]):
    """A function on streams.

    Attributes:
        function: The user's function.
        tables: Parameter name → static table to join against.
        metadata: Metadata columns (``_offset`` …) that the function gets beside the
            event's own; None finds out which it names, by a trial on no rows.
        pandas: Whether the function takes and returns pandas frames; each batch is
            then converted, which costs about as much as decoding it.
        needs: The window, the state or the join that the function needs; None of a
            stateless transform.
        shown: What views keep of it, such as the last evaluation; not part of the
            value.
    """

    function: Callable[P, R]
    tables: Mapping[str, Table] = field(default_factory=dict)
    metadata: Sequence[str] | None = None
    pandas: bool = False
    needs: Declaration | None = None
    shown: dict[str, Any] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        """Check the parameters, and look like the function."""
        # Frozen, so functools.update_wrapper cannot do it.
        for attribute in functools.WRAPPER_ASSIGNMENTS:
            if hasattr(self.function, attribute):
                value = getattr(self.function, attribute)
                object.__setattr__(self, attribute, value)
        object.__setattr__(self, "__wrapped__", self.function)
        parameters = inspect.signature(self.function).parameters
        unknown = sorted(set(self.tables) - set(parameters))
        if unknown:
            message = f"{self.name}() has no parameter {unknown[0]!r} for that table"
            raise UsageError(message, hint=f"its parameters: {', '.join(parameters)}")
        self._check_inputs()
        for name in self.metadata or ():
            if name not in METADATA:
                message = f"{name!r} is not a metadata column"
                raise UsageError(message, hint=f"they are {', '.join(METADATA)}")

    def _check_inputs(self) -> None:
        """Refuse parameters that no stream is for.

        Raises:
            UsageError: With what to declare.
        """
        if not self.inputs:
            message = f"{self.name}() has no parameter for the stream"
            raise UsageError(message, hint=f"write def {self.name}(events): …")
        if isinstance(self.needs, Windowed):
            return
        wanted = ("events", "state") if isinstance(self.needs, Folded) else ("events",)
        if len(self.inputs) == len(wanted):
            return
        if isinstance(self.needs, Folded):
            message = f"{self.name}() folds, and must take the events and the state"
            raise UsageError(message, hint=f"write def {self.name}(events, state): …")
        if isinstance(self.needs, Joined):
            message = f"{self.name}() joins, and must take the pairs as one frame"
            hint = f"write def {self.name}(pairs): …; each has the columns of both"
            raise UsageError(message, hint=hint)
        message = (
            f"{self.name}() takes {len(self.inputs)} streams, "
            f"{', '.join(self.inputs)}; without a window it takes one"
        )
        raise UsageError(
            message,
            hint='declare static ones: tables={"planes": sl.table(…)}; streams meet in '
            "a window or a join",
        )

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the user's function, as it is."""
        return self.function(*args, **kwargs)

    @property
    def name(self) -> str:
        """Return the function's name."""
        return self.function.__name__

    @property
    def inputs(self) -> tuple[str, ...]:
        """Return the parameters without a table and a default, in their order."""
        return tuple(
            name
            for name, parameter in inspect.signature(self.function).parameters.items()
            if name not in self.tables and parameter.default is parameter.empty
        )

    @property
    def streams(self) -> tuple[str, ...]:
        """Return the names of the streams that it reads."""
        if isinstance(self.needs, Joined):
            return self.needs.join.streams
        if isinstance(self.needs, Folded):
            return self.inputs[:1]
        return self.inputs


@overload
def transform(function: Callable[P, R], /) -> Transform[P, R]: ...
@overload
def transform(
    *,
    tables: Mapping[str, Table | pl.DataFrame] | None = None,
    metadata: Sequence[str] | None = None,
    pandas: bool = False,
    window: Window | None = None,
    keys: str | Sequence[str] = (),
    emit: Emit = "final",
    combine: Callable[..., Any] | None = None,
    early: str | timedelta = "0s",
    null_keys: NullKeys = "group",
    state: Mapping[str, Any] | None = None,
    on: str | EventTime | None = None,
    lateness: str | timedelta = "0s",
    ttl: str | timedelta | None = None,
    join: Join | None = None,
    changelog: bool = False,
) -> Callable[[Callable[P, R]], Transform[P, R]]: ...
def transform(  # noqa: PLR0913 -- what can be declared, each by its name
    function: Callable[P, R] | None = None,
    /,
    *,
    tables: Mapping[str, Table | pl.DataFrame] | None = None,
    metadata: Sequence[str] | None = None,
    pandas: bool = False,
    window: Window | None = None,
    keys: str | Sequence[str] = (),
    emit: Emit = "final",
    combine: Callable[..., Any] | None = None,
    early: str | timedelta = "0s",
    null_keys: NullKeys = "group",
    state: Mapping[str, Any] | None = None,
    on: str | EventTime | None = None,
    lateness: str | timedelta = "0s",
    ttl: str | timedelta | None = None,
    join: Join | None = None,
    changelog: bool = False,
) -> Any:
    """Make a transform of a function. Use as ``@sl.transform`` or with arguments.

    Args:
        function: Takes a ``pl.LazyFrame`` of events (and one for each table) and
            returns a lazy or eager frame.
        tables: Parameter name → :func:`table`, or a frame.
        metadata: Metadata columns to hand in; found by themselves if left out.
        pandas: Whether the function is written for pandas.
        window: The function sees complete windows, such as ``sl.tumbling("1h", on=…)``.
        keys: Columns it may group by (window), or that name a state (fold).
        emit: ``final`` results of a window, or ``updates`` as rows with ``_op``.
        combine: Merges partial results of a window's function.
        early: With ``updates``: shortest time between two firings of a window.
        null_keys: ``group``, ``drop`` or ``fail`` rows of a window with a null key.
        state: Columns of a fold's state with their dtypes.
        on: Event time of a fold, whose rows then come in its order.
        lateness: How far behind the watermark a fold still takes a row.
        ttl: After how long without events a fold's key is dropped.
        join: The function sees pairs of two inputs, such as ``sl.interval_join(…)``.
        changelog: The function of a window or a fold reads rows with ``_op`` as a log
            of changes; without it they are refused, because counting a change as an
            event counts twice.

    Returns:
        The :class:`Transform`; calling it calls the function.

    Raises:
        UsageError: The parameters and the arguments do not fit each other.
    """
    needs = declared(
        window=window,
        keys=keys,
        emit=emit,
        combine=combine,
        early=early,
        null_keys=null_keys,
        state=state,
        on=on,
        lateness=lateness,
        ttl=ttl,
        join=join,
        changelog=changelog,
    )

    def wrap(wrapped: Callable[P, R]) -> Transform[P, R]:
        taken: object = wrapped  # whoever does not check types may hand in anything
        if not callable(taken):
            kind = type(taken).__name__
            raise UsageError(f"a transform is made of a function, not of {kind}")
        prepared = {
            name: value if isinstance(value, Table) else table(value)
            for name, value in (tables or {}).items()
        }
        return Transform(wrapped, prepared, metadata, pandas, needs)

    return wrap(function) if function is not None else wrap
