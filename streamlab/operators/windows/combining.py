"""Combining: what is kept of windows whose function comes with one that merges.

The function is called on the rows of an epoch, each window by itself, and what it gives
is a partial result. Those of a window and its keys are merged by ``combine``, which
sees all of them; what it gives takes their place, and is the result in the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import polars as pl

from streamlab.errors import TransformError, UsageError
from streamlab.operators.calling import Function, Results
from streamlab.operators.windows.holding import Entered, Evaluated, Tables, zoned
from streamlab.operators.windows.intake import Frames
from streamlab.operators.windows.keeping import Kept, Showing, touched
from streamlab.operators.windows.slicing import PANE, START, TIME
from streamlab.state.table import TableLayout
from streamlab.transforms.declarations import Windowed
from streamlab.transforms.steps import Step, difference
from streamlab.transforms.transform import Transform
from streamlab.transforms.windows import WINDOW_START


@dataclass(frozen=True, eq=False)
class Combine:
    """A function that merges partial results of another one.

    Attributes:
        function: The one that makes them.
        merging: The one that merges them.
        key: Columns that name the groups of partial results that belong together.
    """

    function: Function
    merging: Function
    key: tuple[str, ...]

    @classmethod
    def of(cls, function: Function, keys: Sequence[str]) -> Combine:
        """Read the ``combine=`` of a windowed transform.

        Args:
            function: The transform's own function.
            keys: Its keys.

        Raises:
            UsageError: The function's output does not say what belongs together.
            TransformError: Merging nothing fails, or gives other columns.
        """
        transform = function.step.transform
        needs = transform.needs
        if not isinstance(needs, Windowed) or needs.combine is None:
            raise UsageError(f"{function.name}() has no combine=…")
        schema = function.empty.output.schema
        key = (WINDOW_START, *keys)
        missing = [column for column in key if column not in schema]
        if missing:
            message = f"the output of {function.name}() lacks {missing[0]!r}, which "
            raise UsageError(
                message + "tells the partial results that combine=… merges apart",
                hint=f"keep {missing[0]!r} in the output, or do not declare it as a "
                "key",
            )
        if function.empty.sides:
            message = f"{function.name}() has side outputs, and combine=… merges one"
            raise UsageError(message)
        step = Step(Transform(needs.combine, pandas=transform.pandas))
        merging = Function.of(step, {step.transform.inputs[0]: schema})
        made = merging.empty.output.schema
        if made != schema:
            message = f"{merging.name}() gives other columns than {function.name}(): "
            raise TransformError(message + difference(schema, made))
        return cls(function, merging, key)

    def merge(self, partials: pl.DataFrame) -> pl.DataFrame:
        """Return the partial results of each group, merged.

        Raises:
            TransformError: The user's function failed.
        """
        (name,) = self.merging.step.transform.inputs
        return self.merging({name: partials}).output


@dataclass(frozen=True)
class Combined(Kept):
    """Partial results of the function, by window and keys.

    Attributes:
        name: Of the operator.
        showing: How windows are shown to the function.
        combine: Merges what it gives.
    """

    name: str
    showing: Showing
    combine: Combine
    layouts: Sequence[TableLayout] = field(init=False)
    nothing: Results = field(init=False)
    words: str = field(default="partial results that combine= merges", init=False)

    def __post_init__(self) -> None:
        """Lay out the tables."""
        nothing = self.showing.function.empty
        schema = nothing.output.schema
        key = self.combine.key
        groups = pl.Schema({one: schema[one] for one in key})
        layouts = (
            TableLayout(f"{self.name}.partials", schema, key),
            TableLayout(
                f"{self.name}.groups", groups, (WINDOW_START, *self.showing.by)
            ),
        )
        object.__setattr__(self, "layouts", layouts)
        object.__setattr__(self, "nothing", nothing)

    def put(self, frames: Frames, tables: Tables) -> Entered:
        """Make partial results of rows, and merge them; see ``Kept.put``."""
        slicing, by = self.showing.slicing, self.showing.by
        ((name, rows),) = frames.items()
        placed = rows.with_columns(slicing.panes.floor(rows[TIME]).alias(PANE))
        windows = touched(slicing, {name: placed}, by)
        if windows.is_empty():
            return Entered(windows, released=rows.height)
        members = slicing.members(windows)
        results, failed = self.showing.show(members, {name: placed})
        self._put(results.output, tables)
        return Entered(windows, failed, rows.height)

    def _put(self, new: pl.DataFrame, tables: Tables) -> None:
        table, key = tables[f"{self.name}.partials"], list(self.combine.key)
        groups = new.select(key).unique()
        known = table.take(groups)
        both = pl.concat([known, new])
        again = both.join(known, on=key, how="semi", nulls_equal=True)
        if again.height:
            once = both.join(known, on=key, how="anti", nulls_equal=True)
            both = pl.concat([once, self.combine.merge(again)])
        table.put(both)
        fresh = groups.join(known, on=key, how="anti", nulls_equal=True)
        tables[f"{self.name}.groups"].put(fresh)

    def evaluate(
        self, windows: pl.DataFrame, tables: Tables, *, last: bool
    ) -> Evaluated:
        """Give the partial results of windows; see ``Kept.evaluate``."""
        start = zoned(START, self.showing.slicing.window.dtype).alias(WINDOW_START)
        names = windows.select(start, *self.showing.by)
        groups, partials = (
            tables[f"{self.name}.{one}"] for one in ("groups", "partials")
        )
        if last:
            output = partials.take(groups.take(names).select(self.combine.key))
        else:
            output = partials.get(groups.get(names).select(self.combine.key))
        return Evaluated(replace(self.nothing, output=output))
