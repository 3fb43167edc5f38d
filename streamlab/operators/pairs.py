"""A fold's function: called on events and state, held to what it promised.

It is called for many keys at once, and must treat each as if it were alone. So where
it fails, it is called for half of the keys, and again, until the events at fault are
known; all others come out as if those were not there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import polars as pl

from streamlab.errors import StreamlabError, TransformError
from streamlab.operators.operator import Failed
from streamlab.transforms import failure
from streamlab.transforms.steps import Step, difference
from streamlab.transforms.transform import Transform


@dataclass(frozen=True)
class Folding:
    """What a function made of some keys.

    Attributes:
        output: Rows that come out.
        state: The state of the keys that keep one; an event that the function failed
            on leaves it as it was.
        failed: These events.
    """

    output: pl.DataFrame
    state: pl.DataFrame
    failed: tuple[Failed, ...] = ()


@dataclass(frozen=True, eq=False)
class Pairs:
    """A function ``(events, state) -> (output, state)`` on typed frames.

    Attributes:
        step: The function with its static tables.
        events: Columns that it sees.
        keys: Those that name a state.
        state: Columns of a state, the keys first.
        output: Columns and dtypes of every output.
    """

    step: Step
    events: pl.Schema
    keys: tuple[str, ...]
    state: pl.Schema
    output: pl.Schema = field(default_factory=pl.Schema)

    @classmethod
    def of(
        cls, step: Step, events: pl.Schema, keys: tuple[str, ...], state: pl.Schema
    ) -> Pairs:
        """Find the output's columns by a call on no rows.

        Raises:
            TransformError: The function fails on no rows, does not return a pair of
                frames, or its state is not the declared one.
        """
        pairs = cls(step, events, keys, state)
        nothing = events.to_frame(), state.to_frame()
        try:
            output, found = pairs._called(*nothing)
        except _Fails as failed:
            raise pairs._explained(failed.error, *nothing) from None
        pairs._require_state(found.schema)
        return cls(step, events, keys, state, output.schema)

    @property
    def name(self) -> str:
        """Return the function's name."""
        return self.step.transform.name

    def fold(self, events: pl.DataFrame, state: pl.DataFrame) -> Folding:
        """Call the function for all keys of some events at once.

        Args:
            events: In the order in which they are folded.
            state: Of the keys that are among them.

        Raises:
            TransformError: The function broke its promise.
        """
        try:
            output, kept = self._called(events, state)
        except _Fails as failed:
            return self._halved(events, state, failed.error)
        if output.schema != self.output:
            raise TransformError(
                f"the output of {self.name}() has a schema that depends on the data: "
                f"{difference(self.output, output.schema)}",
                hint="give the dtype in the function, such as .cast(…)",
            )
        self._require_state(kept.schema)
        return Folding(output, self._require_keys(kept, events))

    def _halved(
        self, events: pl.DataFrame, state: pl.DataFrame, error: BaseException
    ) -> Folding:
        """Fold half of the keys, then half of a key's events, until one is at fault.

        So it depends on the event and on its key's state alone what is set aside, and
        not on what else is in the epoch.
        """
        if events.height <= 1:
            failed = Failed(events, self._explained(error, events, state).message)
            return Folding(self.output.to_frame(), state, (failed,))
        keys = events.select(self.keys).unique(maintain_order=True)
        middle = keys.height // 2
        if not middle:
            half = events.height // 2
            first = self.fold(events[:half], state)
            second = self.fold(events[half:], first.state)
            kept = second.state
        else:
            first, second = (
                self.fold(self._of(events, part), self._of(state, part))
                for part in (keys[:middle], keys[middle:])
            )
            kept = pl.concat([first.state, second.state])
        output = pl.concat([first.output, second.output])
        return Folding(output, kept, first.failed + second.failed)

    def _of(self, rows: pl.DataFrame, keys: pl.DataFrame) -> pl.DataFrame:
        return rows.join(
            keys, on=self.keys, how="semi", nulls_equal=True, maintain_order="left"
        )

    def _require_state(self, found: pl.Schema) -> None:
        """Refuse a state with other columns than declared; their order is free."""
        if dict(found) == dict(self.state):
            return
        for name, dtype in self.state.items():
            if found.get(name) != dtype:
                is_key = " (a key)" if name in self.keys else ""
                raise TransformError(
                    f"{self.name}() returned a state whose column {name!r}{is_key} is "
                    f"{found.get(name, 'missing')}, and it is declared as {dtype}",
                    hint=f"return the columns {', '.join(self.state)}; .cast(…) them",
                )
        more = next(name for name in found if name not in self.state)
        raise TransformError(
            f"{self.name}() returned a state with the column {more!r}, which is not "
            "declared",
            hint=f"select {', '.join(self.state)}, or declare it in state={{…}}",
        )

    def _require_keys(self, state: pl.DataFrame, events: pl.DataFrame) -> pl.DataFrame:
        """Refuse a state with a key twice, or with one that no event has."""
        keys = state.select(self.keys)
        if keys.n_unique() != keys.height and keys.height:
            raise TransformError(
                f"{self.name}() returned a state with several rows for one key",
                hint=f"keep one row for each {', '.join(self.keys)}: .unique(…, "
                'keep="last", maintain_order=True)',
            )
        other = keys.join(events, on=self.keys, how="anti", nulls_equal=True)
        if other.height:
            raise TransformError(
                f"{self.name}() returned the state of {other.height:,} keys that were "
                "not among its events",
                hint="a fold changes the keys that it is given, and no other",
            )
        return state.select(self.state.names())

    def _called(
        self, events: pl.DataFrame, state: pl.DataFrame
    ) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Return what the function returns, collected.

        Raises:
            TransformError: It is no pair of frames.
            _Fails: The function raised, or what it returned cannot be computed.
        """
        try:
            returned = _returned(self.step, events.lazy(), state.lazy())
        except failure.RAISED as error:
            raise _Fails(error) from error
        output, kept = _pair(returned, self.name)
        try:
            # Together, so that what both are made of is computed once.
            done = pl.collect_all([output, kept], engine="in-memory")
        except failure.RAISED as error:
            raise _Fails(error) from error
        return done[0], done[1]

    def _explained(
        self, error: BaseException, events: pl.DataFrame, state: pl.DataFrame
    ) -> StreamlabError:
        """Return an error that points at the user's line, without any value."""
        runnable = _OnState(self.step.transform, self.step, state)
        return failure.explained(error, [runnable], events)


class _Fails(Exception):
    """The function failed on these keys; may do without it on others."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error


@dataclass(frozen=True, eq=False)
class _OnState:
    """The function with a state in hand, for the search of the line at fault."""

    transform: Transform[Any, Any]
    step: Step
    state: pl.DataFrame

    def run(self, frame: pl.LazyFrame) -> pl.LazyFrame:
        """Call the function; the state that it returns is computed, too."""
        # What it says without events must not come from a value of the state.
        is_empty = not frame.select(pl.len()).collect().item()
        state = failure.stepwise(self.state.clear() if is_empty else self.state)
        output, kept = _pair(_returned(self.step, frame, state), self.transform.name)
        kept.collect(engine="in-memory")
        return output


def _returned(step: Step, events: pl.LazyFrame, state: pl.LazyFrame) -> object:
    tables = {name: rows.lazy() for name, rows in step.tables.items()}
    return step.transform.function(events, state, **tables)


def _pair(returned: object, name: str) -> tuple[pl.LazyFrame, pl.LazyFrame]:
    """Return a pair of frames as lazy ones.

    Raises:
        TransformError: It is none.
    """
    hint = "end the function with: return <the output>, <the state>"
    if not isinstance(returned, tuple) or len(returned) != 2:  # noqa: PLR2004 -- a pair
        found = type(returned).__name__
        message = f"{name}() returned {found}, not a pair of frames"
        raise TransformError(message, hint=hint)
    for what, frame in zip(("output", "state"), returned, strict=True):
        if not isinstance(frame, pl.DataFrame | pl.LazyFrame):
            found = type(frame).__name__
            message = f"{name}() returned {found} as its {what}, not a polars frame"
            raise TransformError(message, hint=hint)
    return returned[0].lazy(), returned[1].lazy()
