"""Calling a user's function with frames, for operators of all kinds.

What it returns is a frame, or a mapping of frames whose first one is the main output
and whose others are named side outputs; a fold's function returns a pair of that and
the new state. Schemas are fixed once, on empty frames. A function that fails on some
groups of rows is called on the others: the groups at fault are found by halving.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from streamlab.errors import TransformError, first_line
from streamlab.operators.operator import Failed
from streamlab.transforms import failure
from streamlab.transforms.steps import Step, difference

Frames = Mapping[str, pl.DataFrame]


@dataclass(frozen=True)
class Results:
    """What a function returned, collected.

    Attributes:
        output: The main output.
        sides: Name → side output, in the order of the mapping.
        others: What a pair holds behind the output, such as a fold's new state.
    """

    output: pl.DataFrame
    sides: Frames = field(default_factory=dict)
    others: tuple[pl.DataFrame, ...] = ()

    def __add__(self, more: Results) -> Results:
        """Return the rows of both, these first."""
        return Results(
            pl.concat([self.output, more.output]),
            {
                name: pl.concat([one, more.sides[name]])
                for name, one in self.sides.items()
            },
            tuple(map(_both, self.others, more.others)),
        )

    @property
    def schemas(self) -> dict[str, pl.Schema]:
        """Return what each frame is called → its columns."""
        named = {"the output": self.output}
        named |= {f"the side output {name!r}": one for name, one in self.sides.items()}
        named |= {f"frame {n} of the pair": one for n, one in enumerate(self.others, 2)}
        return {name: one.schema for name, one in named.items()}


@dataclass(frozen=True, eq=False)
class Function:
    """A user's function whose results have known schemas.

    Attributes:
        step: The function with its static tables.
        empty: What it returned on empty frames.
    """

    step: Step
    empty: Results

    @classmethod
    def of(
        cls, step: Step, inputs: Mapping[str, pl.Schema], *, others: int = 0
    ) -> Function:
        """Call it on empty frames.

        Args:
            step: The function with its static tables.
            inputs: Parameter → the columns that it gets.
            others: How many frames it must return behind the output; a fold one.

        Raises:
            TransformError: It fails, or does not return frames.
        """
        frames = {name: schema.to_frame() for name, schema in inputs.items()}
        try:
            return cls(step, _run(step, frames, others))
        except failure.RAISED as error:
            raise _explained(error, step, frames, others) from None

    @property
    def name(self) -> str:
        """Return the function's name."""
        return self.step.transform.name

    def __call__(self, frames: Frames) -> Results:
        """Call it.

        Args:
            frames: Parameter → rows, with the columns that it was made for.

        Raises:
            TransformError: It failed, or gave another schema than on empty frames.
        """
        others = len(self.empty.others)
        try:
            results = _run(self.step, frames, others)
        except failure.RAISED as error:
            raise _explained(error, self.step, frames, others) from None
        self._check(results)
        return results

    def by_groups(
        self, frames: Frames, by: Sequence[str]
    ) -> tuple[Results, tuple[Failed, ...]]:
        """Call it, and where it fails, without the groups at fault.

        Args:
            frames: Parameter → rows; each has the columns ``by``.
            by: What names a group. A group comes whole or not at all; without
                columns, all rows are one group.

        Returns:
            What it returned for the other groups; and of each group at fault, the
            rows of each input that has some.

        Raises:
            TransformError: It gave another schema than on empty frames, or no frame.
        """
        try:
            results = _run(self.step, frames, len(self.empty.others))
        except TransformError:
            raise
        except failure.RAISED as error:
            return self._without_culprits(error, frames, by)
        self._check(results)
        return results, ()

    def _without_culprits(
        self, error: BaseException, frames: Frames, by: Sequence[str]
    ) -> tuple[Results, tuple[Failed, ...]]:
        groups = _groups(frames, by)
        if groups.height <= 1:
            explained = _explained(error, self.step, frames, len(self.empty.others))
            failed = tuple(
                Failed(rows, first_line(explained), name)
                for name, rows in frames.items()
                if rows.height
            )
            return self.empty, failed
        middle = groups.height // 2
        halves = [
            self.by_groups(_only(frames, by, half), by)
            for half in (groups[:middle], groups[middle:])
        ]
        (first, first_failed), (second, second_failed) = halves
        return first + second, first_failed + second_failed

    def _check(self, results: Results) -> None:
        """Compare the schemas with those on empty frames.

        Raises:
            TransformError: With the first difference.
        """
        expected, found = self.empty.schemas, results.schemas
        if found == expected:
            return
        if list(found) != list(expected):
            message = f"{self.name}() returned {', '.join(found)}; on empty frames "
            raise TransformError(
                message + ", ".join(expected),
                hint="return the same names in the same order, with empty frames "
                "where there is nothing",
            )
        name = next(name for name in expected if expected[name] != found[name])
        what = difference(expected[name], found[name])
        raise TransformError(
            f"{name} of {self.name}() has a schema that depends on the data: {what}",
            hint="give the dtype in the function, such as .cast(…), "
            "return_dtype=… or a format",
        )


def _run(step: Step, frames: Frames, others: int) -> Results:
    """Call a function and collect what it returns; raises what it raises."""
    lazy = {name: frame.lazy() for name, frame in frames.items()}
    return _collected(step, step.call(lazy), others)


def _collected(step: Step, returned: Any, others: int) -> Results:
    rest: tuple[Any, ...] = ()
    if others:
        if not isinstance(returned, tuple) or len(returned) != 1 + others:
            raise step.not_a_frame(
                returned, f"a tuple of {1 + others} frames", "<the output>, <the state>"
            )
        returned, *more = returned
        rest = tuple(more)
    main_and_sides = _named(step, returned)
    frames = [*main_and_sides.values(), *rest]
    collected = pl.collect_all([step.lazy(one) for one in frames], engine="in-memory")
    count = len(main_and_sides)
    sides = dict(zip(list(main_and_sides)[1:], collected[1:count], strict=True))
    return Results(collected[0], sides, tuple(collected[count:]))


def _named(step: Step, returned: Any) -> Mapping[str, Any]:
    if not isinstance(returned, Mapping):
        return {"": returned}
    if not returned or not all(isinstance(name, str) for name in returned):
        raise step.not_a_frame(returned, "a frame or named frames, the main one first")
    return returned


def _explained(
    error: BaseException, step: Step, frames: Frames, others: int
) -> TransformError:
    def again(lazy: Mapping[str, pl.LazyFrame]) -> None:
        _collected(step, step.call(lazy), others)

    explained = failure.explained_call(error, step.transform, again, frames)
    if isinstance(explained, TransformError):
        return explained
    return TransformError(explained.message, hint=explained.hint)


def _groups(frames: Frames, by: Sequence[str]) -> pl.DataFrame:
    if not by:
        return pl.DataFrame()
    keys = [frame.select(by) for frame in frames.values()]
    return pl.concat(keys).unique(maintain_order=True)


def _only(frames: Frames, by: Sequence[str], groups: pl.DataFrame) -> Frames:
    return {
        name: frame.join(
            groups, on=list(by), how="semi", nulls_equal=True, maintain_order="left"
        )
        for name, frame in frames.items()
    }


def _both(first: pl.DataFrame, second: pl.DataFrame) -> pl.DataFrame:
    return pl.concat([first, second])
