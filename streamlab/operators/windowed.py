"""Windows at regular times: rows are kept until their windows are due, then shown.

In an epoch rows are taken in first; then the watermark advances, and what is due comes
out. A window is closed for a row iff its own partition's watermark has reached the
window's end and the lateness.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import polars as pl

from streamlab.errors import UsageError
from streamlab.operators.calling import Function
from streamlab.operators.cascading import delayed, is_behind, too_late
from streamlab.operators.emitting import Emitter, emitter_of
from streamlab.operators.intake import Frames, Intake, Taken
from streamlab.operators.keeping import Kept, Rows
from streamlab.operators.operator import Counts, Moment, Operator, Outcome
from streamlab.operators.slicing import END, TIME, Slicing
from streamlab.state.table import StateTable
from streamlab.transforms.declarations import Windowed
from streamlab.transforms.steps import Step
from streamlab.transforms.windows import WINDOW_END, WINDOW_START, Sliced, Window


def build(step: Step, inputs: Mapping[str, pl.Schema], name: str) -> Operator:
    """Return the operator of a windowed transform.

    Args:
        step: The transform with its static tables.
        inputs: Name of a stream → the columns of its rows.
        name: Unique among the operators of the chain.

    Raises:
        UsageError: The declaration does not fit the columns.
        TransformError: The function fails on empty frames, or its output is not what
            the declaration needs.
    """
    needs = cast(Windowed, step.transform.needs)
    require_same_keys(step, inputs, needs.keys)
    window = needs.window
    if isinstance(window, Sliced):
        return _sliced(step, inputs, name)
    raise UsageError(f"{type(window).__name__} is not a kind of window")


def require_same_keys(
    step: Step, inputs: Mapping[str, pl.Schema], keys: Sequence[str]
) -> None:
    """Refuse keys that have other dtypes in other inputs.

    Raises:
        UsageError: With both dtypes.
    """
    for key in keys:
        dtypes = {schema[key] for schema in inputs.values() if key in schema}
        if len(dtypes) > 1:
            listed = " and ".join(sorted(map(str, dtypes)))
            message = f"the key {key!r} of {step.transform.name}() is {listed}"
            raise UsageError(message, hint="cast one in a transform before it")


def shown(schema: pl.Schema, window: Window) -> pl.Schema:
    """Return the columns that a function sees of an input, the window's at the end."""
    own = {n: t for n, t in schema.items() if n not in {WINDOW_START, WINDOW_END}}
    return pl.Schema({**own, WINDOW_START: window.dtype, WINDOW_END: window.dtype})


def _sliced(step: Step, inputs: Mapping[str, pl.Schema], name: str) -> Operator:
    needs = cast(Windowed, step.transform.needs)
    window = cast(Sliced, needs.window)
    slicing = Slicing.of(window)
    times = window.times(inputs)
    intake = Intake(step.transform.name, inputs, needs.keys, needs.null_keys, times)
    columns = {one: shown(schema, window) for one, schema in inputs.items()}
    function = Function.of(step, columns)
    by = needs.keys if needs.emit == "updates" else ()
    kept = Rows(name, slicing, inputs, needs.keys, by, function)
    emitter = emitter_of(needs, kept, function, name)
    return SlicedOperator(name, intake, slicing, kept, emitter)


@dataclass(eq=False)
class SlicedOperator(Operator):
    """Tumbling or hopping windows at work."""

    name: str
    intake: Intake
    slicing: Slicing
    kept: Kept
    emitter: Emitter

    def __post_init__(self) -> None:
        """Set what the interface has."""
        self.inputs = tuple(self.intake.inputs)
        self.layouts = [*self.kept.layouts, *self.emitter.layouts]
        self.output_schema = self.emitter.output_schema
        self.times = self.intake.times
        self.keeps = self.kept.words

    def floors(
        self, name: str, times: pl.Series, watermarks: pl.Series
    ) -> pl.Series | None:
        """Return what is closed for each event; see ``Operator.floors``."""
        del name
        return self.slicing.floors(times, watermarks)

    def step(
        self,
        frames: Mapping[str, pl.DataFrame],
        moment: Moment,
        tables: Mapping[str, StateTable],
    ) -> Outcome:
        """Take rows in, and give what is due."""
        if any(is_behind(frame) for frame in frames.values()):
            bound_us = max(on.bound_us for on in self.times.values())
            moment = delayed(moment, bound_us)
        taken = self.intake.take(frames)
        rows, strays = self._within(taken)
        windows, failed = self.kept.put(rows, tables)
        self._require_open(windows, moment)
        emitted = self.emitter.emit(windows, moment, tables)
        counts = Counts(taken.accepted, emitted.released, taken.dropped + strays)
        return Outcome(
            emitted.output,
            counts,
            (*taken.failed, *failed, *emitted.failed),
            emitted.sides,
        )

    def _within(self, taken: Taken) -> tuple[Frames, int]:
        """Return the rows that are in a window, and the number of the others."""
        if not self.slicing.gaps:
            return taken.frames, 0
        frames = {
            name: rows.filter(self.slicing.is_in_one(rows[TIME]))
            for name, rows in taken.frames.items()
        }
        before = sum(rows.height for rows in taken.frames.values())
        return frames, before - sum(rows.height for rows in frames.values())

    def _require_open(self, windows: pl.DataFrame, moment: Moment) -> None:
        """Refuse rows for windows that were given out.

        Raises:
            TransformError: Only rows of another operator can be that late, or rows
                whose event time a stateless transform changed.
        """
        if moment.before is None or windows.is_empty():
            return
        first = cast(int, windows[END].min()) + self.slicing.window.lateness_us
        if first <= moment.before:
            column = next(iter(self.times.values())).column
            raise too_late(self.intake.name, column, moment.before - first)
