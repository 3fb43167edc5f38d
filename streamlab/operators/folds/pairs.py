"""A fold's function: called on events and state, and held to what it promised.

It is called for many keys at once, and must treat each as if it were alone. So where
it fails, it is called for half of the keys, and again, then for half of the events of
the key at fault; all others come out as if those were not there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from streamlab.errors import TransformError
from streamlab.operators.calling import Frames, Function, Results
from streamlab.operators.operator import Failed
from streamlab.transforms.steps import Step


@dataclass(frozen=True)
class Folding:
    """What a function made of some keys.

    Attributes:
        output: Rows that come out.
        state: The state of the keys that keep one; an event that the function failed
            on leaves it as it was.
        sides: Name → side output.
        failed: The events that it failed on.
    """

    output: pl.DataFrame
    state: pl.DataFrame
    sides: Frames = field(default_factory=dict)
    failed: tuple[Failed, ...] = ()

    def __add__(self, more: Folding) -> Folding:
        """Return the rows of both, these first, and the state of the other."""
        sides = {n: pl.concat([one, more.sides[n]]) for n, one in self.sides.items()}
        output = pl.concat([self.output, more.output])
        return Folding(output, more.state, sides, self.failed + more.failed)


@dataclass(frozen=True, eq=False)
class Pairs:
    """A function ``(events, state) -> (output, state)`` on typed frames.

    Attributes:
        function: The function, with the schemas of what it returns.
        keys: Columns that name a state.
        events: Columns of the events that it sees.
        state: Columns of a state, the keys first.
    """

    function: Function
    keys: tuple[str, ...]
    events: pl.Schema
    state: pl.Schema

    @classmethod
    def of(
        cls, step: Step, events: pl.Schema, keys: tuple[str, ...], state: pl.Schema
    ) -> Pairs:
        """Find the output's columns by a call on no rows.

        Raises:
            TransformError: The function fails on no rows, does not return a pair of
                frames, or its state is not the declared one.
        """
        names = step.transform.inputs
        inputs = dict(zip(names, (events, state), strict=True))
        pairs = cls(Function.of(step, inputs, others=1), keys, events, state)
        pairs._require_state(pairs.function.empty.others[0].schema)
        return pairs

    @property
    def name(self) -> str:
        """Return the function's name."""
        return self.function.name

    @property
    def output(self) -> pl.Schema:
        """Return the columns and dtypes of every output."""
        return self.function.empty.output.schema

    @property
    def nothing(self) -> Folding:
        """Return what comes of no events."""
        empty = self.function.empty
        return Folding(empty.output, self.state.to_frame(), empty.sides)

    def fold(self, events: pl.DataFrame, state: pl.DataFrame) -> Folding:
        """Call the function for all keys of some events at once.

        Args:
            events: In the order in which they are folded.
            state: Of the keys that are among them.

        Raises:
            TransformError: The function broke its promise.
        """
        names = self.function.step.transform.inputs
        frames = dict(zip(names, (events, state), strict=True))
        results, failed = self.function.by_groups(frames, self.keys)
        done = self._checked(results, events)
        for one in failed:
            if one.input != names[0]:
                continue  # the state of a key whose events come, too
            again = self._one_key(one, self._of(state, one.rows))
            kept = pl.concat([done.state, again.state])
            done += again
            done = Folding(done.output, kept, done.sides, done.failed)
        return done

    def _one_key(self, failed: Failed, state: pl.DataFrame) -> Folding:
        """Fold the events of one key without those that the function fails on.

        So it depends on the event and on its key's state alone what is set aside, and
        not on what else is in the epoch.
        """
        middle = failed.rows.height // 2
        if not middle:
            nothing = self.nothing
            own = Failed(failed.rows, failed.reason)
            return Folding(nothing.output, state, nothing.sides, (own,))
        first = self.fold(failed.rows[:middle], state)
        return first + self.fold(failed.rows[middle:], first.state)

    def _of(self, state: pl.DataFrame, events: pl.DataFrame) -> pl.DataFrame:
        return state.join(events, on=self.keys, how="semi", nulls_equal=True)

    def _checked(self, results: Results, events: pl.DataFrame) -> Folding:
        """Refuse a state with a key twice, or with one that no event has."""
        state = results.others[0].select(self.state.names())
        keys = state.select(self.keys)
        if keys.height and keys.n_unique() != keys.height:
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
        return Folding(results.output, state, results.sides)

    def _require_state(self, found: Mapping[str, pl.DataType]) -> None:
        """Refuse a state with other columns than declared; their order is free."""
        for name, dtype in self.state.items():
            if found.get(name) != dtype:
                is_key = " (a key)" if name in self.keys else ""
                raise TransformError(
                    f"{self.name}() returned a state whose column {name!r}{is_key} is "
                    f"{found.get(name, 'missing')}, and it is declared as {dtype}",
                    hint=f"return the columns {', '.join(self.state)}; .cast(…) them",
                )
        more = next((name for name in found if name not in self.state), None)
        if more is not None:
            raise TransformError(
                f"{self.name}() returned a state with the column {more!r}, which is "
                "not declared",
                hint=f"select {', '.join(self.state)}, or declare it in state={{…}}",
            )
