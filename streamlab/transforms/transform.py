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
from typing import Any, Generic, ParamSpec, TypeVar, overload

import polars as pl

from streamlab.errors import UsageError
from streamlab.sources import METADATA
from streamlab.transforms.table import Table, table

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
        keys: Columns whose groups the function may look across. Place for windows
            and state; a stateless transform has none.
        shown: What views keep of it, such as the last evaluation; not part of the
            value.
    """

    function: Callable[P, R]
    tables: Mapping[str, Table] = field(default_factory=dict)
    metadata: Sequence[str] | None = None
    pandas: bool = False
    keys: tuple[str, ...] = ()
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
        if len(self.inputs) != 1:
            if not self.inputs:
                message = f"{self.name}() has no parameter for the stream"
                raise UsageError(message, hint=f"write def {self.name}(events): …")
            message = (
                f"{self.name}() takes {len(self.inputs)} streams, "
                f"{', '.join(self.inputs)}; a transform takes one"
            )
            raise UsageError(
                message, hint='declare the others: tables={"planes": sl.table(…)}'
            )
        for name in self.metadata or ():
            if name not in METADATA:
                message = f"{name!r} is not a metadata column"
                raise UsageError(message, hint=f"they are {', '.join(METADATA)}")

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the user's function, as it is."""
        return self.function(*args, **kwargs)

    @property
    def name(self) -> str:
        """Return the function's name."""
        return self.function.__name__

    @property
    def inputs(self) -> tuple[str, ...]:
        """Return the parameters that are streams: no table, and no default."""
        return tuple(
            name
            for name, parameter in inspect.signature(self.function).parameters.items()
            if name not in self.tables and parameter.default is parameter.empty
        )


@overload
def transform(function: Callable[P, R], /) -> Transform[P, R]: ...
@overload
def transform(
    *,
    tables: Mapping[str, Table | pl.DataFrame] | None = None,
    metadata: Sequence[str] | None = None,
    pandas: bool = False,
) -> Callable[[Callable[P, R]], Transform[P, R]]: ...
def transform(
    function: Callable[P, R] | None = None,
    /,
    *,
    tables: Mapping[str, Table | pl.DataFrame] | None = None,
    metadata: Sequence[str] | None = None,
    pandas: bool = False,
) -> Any:
    """Make a transform of a function. Use as ``@sl.transform`` or with arguments.

    Args:
        function: Takes a ``pl.LazyFrame`` of events (and one for each table) and
            returns a lazy or eager frame.
        tables: Parameter name → :func:`table`, or a frame.
        metadata: Metadata columns to hand in; found by themselves if left out.
        pandas: Whether the function is written for pandas.

    Returns:
        The :class:`Transform`; calling it calls the function.

    Raises:
        UsageError: The parameters and the arguments do not fit each other.
    """

    def wrap(wrapped: Callable[P, R]) -> Transform[P, R]:
        taken: object = wrapped  # whoever does not check types may hand in anything
        if not callable(taken):
            kind = type(taken).__name__
            raise UsageError(f"a transform is made of a function, not of {kind}")
        prepared = {
            name: value if isinstance(value, Table) else table(value)
            for name, value in (tables or {}).items()
        }
        return Transform(wrapped, prepared, metadata, pandas)

    return wrap(function) if function is not None else wrap
