"""What all functions of the library have: a state, and the call that made them.

A transform of the library is a fold like one that a person writes. It is exported as
the call that made it, so its arguments are kept as they were given.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from streamlab.errors import UsageError, near_names
from streamlab.transforms.declarations import Folded
from streamlab.transforms.event_time import EventTime
from streamlab.transforms.transform import Transform


@dataclass(frozen=True)
class Call:
    """The call that made a transform, such as ``sl.deduplicate("id", within="1h")``.

    Attributes:
        maker: Public name of what was called.
        positional: Its arguments without a name.
        named: Its arguments with a name, but for those that were left out.
    """

    maker: str
    positional: tuple[Any, ...] = ()
    named: Mapping[str, Any] = field(default_factory=dict)


def given(**named: Any) -> Mapping[str, Any]:
    """Return the arguments that are not None: those that were not left out."""
    return {name: value for name, value in named.items() if value is not None}


@dataclass(frozen=True)
class LibraryFunction(ABC):
    """A function ``(events, state) -> (output, state)`` with settings.

    Attributes:
        called: What the transform is called.
        keys: Columns that name a state.
        made_by: The call that made it.
    """

    called: str
    keys: tuple[str, ...]
    made_by: Call

    def __post_init__(self) -> None:
        """Refuse what cannot name a function: an export writes it as one."""
        if not self.called.isidentifier():
            message = f"{self.called!r} cannot name a transform"
            raise UsageError(message, hint="use letters, digits and '_'")

    @property
    def forgets_by_itself(self) -> bool:
        """Return whether expired states change nothing: the TTL only saves room."""
        return False

    @property
    def __name__(self) -> str:
        """Return what the transform is called."""
        return self.called

    @property
    def takes_removals(self) -> bool:
        """Return whether messages without a value come as rows marked ``REMOVED``."""
        return False

    @property
    def result_key(self) -> tuple[str, ...]:
        """Return what names a row of the output; see ``Operator.result_key``."""
        return ()

    @abstractmethod
    def __call__(
        self, events: pl.LazyFrame, state: pl.LazyFrame
    ) -> tuple[pl.DataFrame | pl.LazyFrame, pl.DataFrame | pl.LazyFrame]:
        """Fold events into a state, for all keys at once."""

    @abstractmethod
    def state(self, events: pl.Schema) -> Mapping[str, pl.DataType]:
        """Return the columns of the state beside its keys.

        Args:
            events: Columns of the events.

        Raises:
            UsageError: A column is not there, or not of a fitting type.
        """

    def known(self, events: pl.LazyFrame, state: pl.LazyFrame) -> pl.LazyFrame:
        """Return events in their order, each with the state of its key or nulls."""
        return events.join(
            state,
            on=list(self.keys),
            how="left",
            nulls_equal=True,
            maintain_order="left",
        )

    def require(self, column: str, events: pl.Schema) -> pl.DataType:
        """Return the dtype of a column that the events must have."""
        if column not in events:
            message = f"{self.called}() uses {column!r}, which is no column"
            raise UsageError(message, hint=near_names(column, events.names()))
        return events[column]

    def transform(
        self,
        *,
        on: EventTime | None = None,
        ttl_us: int | None = None,
        changelog: bool = False,
    ) -> Transform[Any, Any]:
        """Return the function as a transform."""
        needs = Folded(self.keys, self.state, on, 0, ttl_us, changelog)
        return Transform(self, needs=needs)


def as_keys(keys: str | Sequence[str]) -> tuple[str, ...]:
    """Return the names of columns, given as one or as several."""
    return (keys,) if isinstance(keys, str) else tuple(keys)
