"""Emitting: when the results of windows come out, and as what.

``final`` gives each window once, when it closes. ``updates`` gives a window from its
first row on, and anew whenever its result changes, as rows with ``_op``; the steps
depend on the epochs, what they lead to does not.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from streamlab.errors import TransformError
from streamlab.formats.changes import OP, OPERATIONS
from streamlab.operators.calling import Function
from streamlab.operators.operator import Failed, Moment
from streamlab.operators.windows.holding import Holding, Tables
from streamlab.state.table import TableLayout
from streamlab.transforms.declarations import Windowed
from streamlab.transforms.windows import WINDOW_START

ALL = "__all"
WALL = "__wall"
_OLD = "__old"


@dataclass(frozen=True)
class Emitted:
    """What came out of the windows of an epoch.

    Attributes:
        output: Rows for whoever comes next.
        sides: Named side outputs.
        failed: Groups that the function failed on.
        released: How many rows left the state.
        expired: How many left it without being shown.
    """

    output: pl.DataFrame
    sides: Mapping[str, pl.DataFrame] = field(default_factory=dict)
    failed: tuple[Failed, ...] = ()
    released: int = 0
    expired: int = 0


class Emitter(ABC):
    """Decides when windows come out.

    Attributes:
        layouts: Its tables.
        output_schema: Columns and dtypes of every output.
    """

    layouts: Sequence[TableLayout]
    output_schema: pl.Schema

    @abstractmethod
    def emit(self, units: pl.DataFrame, moment: Moment, tables: Tables) -> Emitted:
        """Give what is to come out.

        Args:
            units: Those that rows were added to.
            moment: The event time.
            tables: The operator's tables.
        """


def emitter_of(
    needs: Windowed, holding: Holding, function: Function, name: str
) -> Emitter:
    """Return the emitter that a declaration asks for.

    Raises:
        TransformError: ``updates`` cannot be told from the function's output.
    """
    if needs.emit == "updates":
        return Updates(name, holding, function, needs.keys, needs.early_us)
    return Final(holding, function)


class Final(Emitter):
    """Each window once, when it closes."""

    def __init__(self, holding: Holding, function: Function) -> None:
        """Take what windows hold, and the function on them."""
        self._holding = holding
        self.layouts = ()
        self.output_schema = function.empty.output.schema

    def emit(self, units: pl.DataFrame, moment: Moment, tables: Tables) -> Emitted:
        """Give the windows that close; see ``Emitter.emit``."""
        del units
        done = self._holding.close(moment, tables).evaluated
        return Emitted(
            done.results.output,
            done.results.sides,
            done.failed,
            done.released,
            done.expired,
        )


class Updates(Emitter):
    """Each window whenever its result changes."""

    def __init__(
        self,
        name: str,
        holding: Holding,
        function: Function,
        keys: Sequence[str],
        early_us: int,
    ) -> None:
        """Take what windows hold, and the function on them.

        Args:
            name: Of the operator.
            holding: The windows.
            function: The user's function.
            keys: Columns that name a result beside ``window_start``.
            early_us: Shortest time between two firings of a unit, in µs.

        Raises:
            TransformError: The output lacks the columns that name a result, or has
                what updates add; or the function has side outputs.
        """
        self._holding, self._function, self._early_us = holding, function, early_us
        self._key = (WINDOW_START, *keys)
        own = function.empty.output.schema
        self._refuse_unfit(own)
        self.output_schema = pl.Schema({**own, OP: OPERATIONS})
        units = pl.Schema({ALL: pl.Int64(), **holding.units})
        self._shown, self._fired, self._waiting = (
            f"{name}.{what}" for what in ("shown", "fired", "waiting")
        )
        self.layouts = [
            TableLayout(
                self._shown,
                pl.Schema({ALL: pl.Int64(), **own}),
                (ALL, *holding.shown),
            )
        ]
        if early_us:
            timed = pl.Schema({**units, WALL: pl.Int64()})
            self.layouts += [
                TableLayout(self._fired, timed, tuple(units), unique=True),
                TableLayout(self._waiting, timed, tuple(units), WALL, unique=True),
            ]

    def _refuse_unfit(self, own: pl.Schema) -> None:
        name = self._function.name
        missing = [column for column in self._key if column not in own]
        if missing:
            message = f"the output of {name}() lacks {missing[0]!r}: with updates "
            raise TransformError(
                message + f"a result is named by {', '.join(self._key)}",
                hint=f"keep {missing[0]!r} in the output, or do not declare it as a "
                "key",
            )
        if OP in own:
            raise TransformError(f"{name}() returns {OP!r}, which updates add")
        if self._function.empty.sides:
            raise TransformError(
                f"{name}() has side outputs, which cannot be updated",
                hint='use emit="final", or write a transform for each',
            )

    def emit(self, units: pl.DataFrame, moment: Moment, tables: Tables) -> Emitted:
        """Give what changed; see ``Emitter.emit``."""
        ready = self._ready(_distinct(units), moment, tables)
        closed = self._holding.close(moment, tables)
        touched = pl.concat([ready, _distinct(closed.units)]).unique()
        gone = _distinct(closed.gone)
        if self._early_us:
            tables[self._fired].take(gone)
            tables[self._waiting].take(gone)
        still = touched.join(gone, on=gone.columns, how="anti", nulls_equal=True)
        looked = self._holding.look(still.drop(ALL), tables)
        evaluated = closed.evaluated
        open_, last = looked.results.output, evaluated.results.output
        output = self._changes(
            self._take_shown(touched, tables), pl.concat([last, open_])
        )
        if open_.height:
            tables[self._shown].put(open_.select(pl.lit(0, pl.Int64).alias(ALL), "*"))
        # A group that fails before it closes may have come right until then.
        failed, released = evaluated.failed, evaluated.released
        return Emitted(output, {}, failed, released, evaluated.expired)

    def _ready(
        self, units: pl.DataFrame, moment: Moment, tables: Tables
    ) -> pl.DataFrame:
        """Return the units to fire now; the others wait for their time."""
        if not self._early_us:
            return units
        on = units.columns
        fired, waiting = tables[self._fired], tables[self._waiting]
        known = fired.get(units)
        again = pl.col(WALL) + self._early_us
        times = units.join(known, on=on, how="left", nulls_equal=True).with_columns(
            again.alias(WALL)
        )
        must_wait = (pl.col(WALL) > moment.wall_us).fill_null(value=False)
        waiting.put(times.filter(must_wait))
        due = waiting.take_due(moment.wall_us).select(on)
        ready = pl.concat([times.filter(~must_wait).select(on), due]).unique()
        fired.put(ready.with_columns(pl.lit(moment.wall_us, pl.Int64).alias(WALL)))
        return ready

    def _take_shown(self, units: pl.DataFrame, tables: Tables) -> pl.DataFrame:
        keys = self._holding.keys_shown(units).select(ALL, *self._holding.shown)
        return tables[self._shown].take(keys.unique()).drop(ALL)

    def _changes(self, before: pl.DataFrame, now: pl.DataFrame) -> pl.DataFrame:
        """Return what leads from the results before to those now.

        Raises:
            TransformError: Two results have the same name.
        """
        key = list(self._key)
        if now.select(key).is_duplicated().any():
            message = f"{self._function.name}() gives more than one row for the same "
            raise TransformError(
                message + ", ".join(key),
                hint="with updates a result is one row: declare as keys=… the columns "
                "that tell the rows of a window apart",
            )
        new = now.join(before, on=key, how="anti", nulls_equal=True)
        gone = before.join(now, on=key, how="anti", nulls_equal=True)
        both = now.join(before, on=key, how="inner", nulls_equal=True, suffix=_OLD)
        others = [column for column in now.columns if column not in key]
        differs = pl.any_horizontal(
            pl.lit(value=False),
            *(pl.col(column).ne_missing(pl.col(column + _OLD)) for column in others),
        )
        changed = both.filter(differs).select(now.columns)
        parts = {"delete": gone, "insert": new, "update": changed}
        return pl.concat(
            part.with_columns(pl.lit(name, OPERATIONS).alias(OP))
            for name, part in parts.items()
        )


def _distinct(units: pl.DataFrame) -> pl.DataFrame:
    """Return units with a column that all share: there may be no other one."""
    return units.select(pl.lit(0, pl.Int64).alias(ALL), "*")
