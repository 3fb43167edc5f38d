"""Windows at regular times: rows are kept until their windows are due, then shown.

In an epoch rows are taken in first; then the watermark advances, and what is due comes
out. A window is closed for a row iff its own partition's watermark has reached the
window's end and the lateness.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast

import polars as pl

from streamlab.errors import UsageError
from streamlab.operators.calling import Function
from streamlab.operators.cascading import delayed, is_behind, too_late
from streamlab.operators.operator import Counts, Moment, Operator, Outcome
from streamlab.operators.ordering import PLACE
from streamlab.operators.windows.combining import Combine, Combined
from streamlab.operators.windows.counting import CountWindows
from streamlab.operators.windows.emitting import Emitter, emitter_of
from streamlab.operators.windows.holding import Holding, seen_by_function
from streamlab.operators.windows.intake import Intake
from streamlab.operators.windows.keeping import Kept, Rows, Showing
from streamlab.operators.windows.partials import Partials
from streamlab.operators.windows.parts import Parts
from streamlab.operators.windows.sessions import Sessions
from streamlab.operators.windows.slices import Slices
from streamlab.operators.windows.slicing import Slicing
from streamlab.operators.windows.tumbled import Tumbled
from streamlab.state.table import StateTable
from streamlab.transforms.declarations import Windowed
from streamlab.transforms.expressions import NotShown
from streamlab.transforms.steps import Step
from streamlab.transforms.windows import Counted, Session, Sliced


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
    times = window.times(inputs)
    intake = Intake(step.transform.name, inputs, needs.keys, needs.null_keys, times)
    columns = {
        one: seen_by_function(schema, window.dtype) for one, schema in inputs.items()
    }
    function = Function.of(step, columns)
    holding = _holding(name, needs, inputs, function)
    emitter = emitter_of(needs, holding, function, name)
    return WindowOperator(name, intake, holding, emitter)


def _holding(
    name: str, needs: Windowed, inputs: Mapping[str, pl.Schema], function: Function
) -> Holding:
    window = needs.window
    first = next(iter(inputs.values()))
    keys = pl.Schema({key: first[key] for key in needs.keys})
    if not isinstance(window, Sliced) and needs.combine is not None:
        message = f"{function.name}() has windows that depend on their rows: their "
        raise UsageError(
            message + "partial results cannot be merged with combine=…",
            hint="leave combine=… out: rows are kept",
        )
    if isinstance(window, Session):
        return Sessions(name, window, inputs, keys, function)
    if isinstance(window, Counted):
        _require_countable(needs, inputs, function.name)
        return CountWindows(name, window, inputs, keys, function)
    if not isinstance(window, Sliced):
        raise UsageError(f"{type(window).__name__} is not a kind of window")
    return _regular(name, needs, inputs, function, keys)


def _regular(
    name: str,
    needs: Windowed,
    inputs: Mapping[str, pl.Schema],
    function: Function,
    keys: pl.Schema,
) -> Holding:
    """Return windows at regular times with the least that gives their results."""
    window = cast(Sliced, needs.window)
    slicing = Slicing.of(window)
    by = keys if needs.emit == "updates" else pl.Schema()
    showing = Showing(slicing, inputs, needs.keys, tuple(by), function)
    column = next(iter(window.times(inputs).values())).column
    late = partial(too_late, function.name, column)
    kept: Kept
    if needs.combine is not None:
        if len(inputs) > 1:
            message = f"{function.name}() reads {len(inputs)} streams, and combine=… "
            raise UsageError(message + "merges results of one")
        kept = Combined(name, showing, Combine.of(function, needs.keys))
        return Slices(name, slicing, kept, by, late)
    try:
        parts = Parts.of(slicing, inputs, tuple(by), function)
    except NotShown:
        return Slices(name, slicing, Rows(name, showing), by, late)
    if not slicing.overlap and needs.emit == "final":
        return Tumbled(name, parts, late)
    return Slices(name, slicing, Partials(name, parts, tuple(by)), by, late)


def _require_countable(
    needs: Windowed, inputs: Mapping[str, pl.Schema], name: str
) -> None:
    """Refuse what a count window cannot be.

    Raises:
        UsageError: With the reason.
    """
    if len(inputs) > 1:
        message = f"{name}() reads {len(inputs)} streams, and a count window has one"
        raise UsageError(message, hint="use windows of time, or a join")
    if needs.emit == "updates":
        message = f"{name}() has a count window, which gives no updates: it has no "
        raise UsageError(message + "result before it is full", hint='use emit="final"')


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


@dataclass(eq=False)
class WindowOperator(Operator):
    """Windows of any kind at work."""

    name: str
    intake: Intake
    holding: Holding
    emitter: Emitter

    def __post_init__(self) -> None:
        """Set what the interface has."""
        self.inputs = tuple(self.intake.inputs)
        self.layouts = [*self.holding.layouts, *self.emitter.layouts]
        self.output_schema = self.emitter.output_schema
        self.times = self.intake.times
        self.keeps = self.holding.words
        self.late_reason = self.holding.late_reason
        self.wants = PLACE if self.times and self.holding.ordered else ()
        self.needs_keyed_partitions = not self.times

    def floors(
        self, name: str, times: pl.Series, watermarks: pl.Series
    ) -> pl.Series | None:
        """Return what is closed for each event; see ``Operator.floors``."""
        del name
        return self.holding.floors(times, watermarks)

    def step(
        self,
        frames: Mapping[str, pl.DataFrame],
        moment: Moment,
        tables: Mapping[str, StateTable],
    ) -> Outcome:
        """Take rows in, and give what is due."""
        if self.times and any(is_behind(frame) for frame in frames.values()):
            bound_us = max(on.bound_us for on in self.times.values())
            moment = delayed(moment, bound_us)
        taken = self.intake.take(frames)
        entered = self.holding.enter(taken.frames, moment, tables)
        emitted = self.emitter.emit(entered.units, moment, tables)
        counts = Counts(
            taken.accepted,
            entered.released + emitted.released,
            taken.dropped + entered.expired + emitted.expired,
        )
        failed = (*taken.failed, *entered.failed, *emitted.failed)
        return Outcome(emitted.output, counts, failed, emitted.sides)
