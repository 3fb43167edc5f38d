"""Intake: the rows of an epoch with their event time, without null keys or times."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from streamlab.errors import UsageError, near_names
from streamlab.operators.operator import FLOOR, Failed
from streamlab.operators.ordering import KEPT_PLACE, PLACE
from streamlab.operators.windows.slicing import TIME
from streamlab.sources import METADATA_DTYPES
from streamlab.transforms.declarations import NullKeys
from streamlab.transforms.event_time import EventTime
from streamlab.transforms.windows import WINDOW_END, WINDOW_START

Frames = Mapping[str, pl.DataFrame]

PLACED: Final = {
    TIME: pl.Int64(),
    **dict(zip(KEPT_PLACE, (METADATA_DTYPES[one] for one in PLACE), strict=True)),
}
"""Columns beside the input's own that rows are ordered by, with their dtypes."""


def in_order(rows: pl.DataFrame, events: Iterable[str]) -> pl.DataFrame:
    """Return rows in the order of their event time.

    Those of equal time come by partition and offset where these are known, else by
    the values of their columns: not by how they came.

    Args:
        rows: With the columns of ``PLACED``.
        events: Columns of the input.
    """
    order = list(PLACED)
    if rows[KEPT_PLACE[0]].has_nulls():
        order += events
    return rows.sort(order, maintain_order=True)


@dataclass(frozen=True)
class Taken:
    """Rows of an epoch that an operator works on.

    Attributes:
        frames: Parameter → its rows, with the columns of ``PLACED`` and ``FLOOR``;
            ``TIME`` is 0 where there is no event time.
        failed: Rows that have no time, or no key where they must have one.
        accepted: How many are not among the failed.
        dropped: How many of these were left out for their null key.
    """

    frames: Frames
    failed: tuple[Failed, ...] = ()
    accepted: int = 0
    dropped: int = 0


@dataclass(frozen=True)
class Intake:
    """What is asked of the rows of each input.

    Attributes:
        name: Of the transform.
        inputs: Parameter → its columns.
        keys: Columns that each input must have.
        null_keys: What becomes of rows with a null key.
        times: Parameter → its event time.
    """

    name: str
    inputs: Mapping[str, pl.Schema]
    keys: Sequence[str]
    null_keys: NullKeys
    times: Mapping[str, EventTime]

    def __post_init__(self) -> None:
        """Refuse keys and columns that an input cannot have.

        Raises:
            UsageError: A key is not there, or of the window; or a column has a name
                that operators use.
        """
        for stream, schema in self.inputs.items():
            for key in self.keys:
                if key in {WINDOW_START, WINDOW_END}:
                    message = f"{key!r} is of the window of {self.name}(), and no key"
                    raise UsageError(message, hint="leave it out of keys=…")
                if key not in schema:
                    message = f"{stream} has no column {key!r}, a key of {self.name}()"
                    raise UsageError(message, hint=near_names(key, schema.names()))
            for column in schema:
                if column.startswith("__") or column in {FLOOR, *KEPT_PLACE}:
                    message = f"{self.name}() cannot have events with a column "
                    raise UsageError(
                        f"{message}{column!r}",
                        hint="rename it in a transform before it: the state has its "
                        "own columns of such names",
                    )

    def take(self, frames: Frames) -> Taken:
        """Return the rows to work on."""
        failed: list[Failed] = []
        taken: dict[str, pl.DataFrame] = {}
        accepted = dropped = 0
        for name, schema in self.inputs.items():
            rows = self._timed(name, frames[name])
            rows = self._refuse(name, rows, pl.col(TIME), "the event time", failed)
            # The literal, because polars makes nothing of no expressions.
            nulls = (pl.col(key).is_null() for key in self.keys)
            keyless = pl.any_horizontal(pl.lit(value=False), *nulls)
            if self.keys and self.null_keys == "fail":
                which = f"a key ({', '.join(self.keys)})"
                is_null = pl.when(keyless).then(None).otherwise(0)
                rows = self._refuse(name, rows, is_null, which, failed)
            accepted += rows.height
            if self.keys and self.null_keys == "drop":
                kept = rows.filter(~keyless)
                dropped += rows.height - kept.height
                rows = kept
            taken[name] = rows.select(*schema, *PLACED, FLOOR)
        return Taken(taken, tuple(failed), accepted, dropped)

    def _timed(self, name: str, rows: pl.DataFrame) -> pl.DataFrame:
        on = self.times.get(name)
        time = (
            pl.lit(0, pl.Int64) if on is None else on.expression(rows.schema[on.column])
        )
        if FLOOR not in rows.columns:
            rows = rows.with_columns(pl.lit(None, pl.Int64).alias(FLOOR))
        place = (
            (pl.col(one) if one in rows.columns else pl.lit(None))
            .cast(METADATA_DTYPES[one])
            .alias(kept)
            for kept, one in zip(KEPT_PLACE, PLACE, strict=True)
        )
        return rows.with_columns(time.alias(TIME), *place)

    def _refuse(
        self,
        name: str,
        rows: pl.DataFrame,
        value: pl.Expr,
        what: str,
        failed: list[Failed],
    ) -> pl.DataFrame:
        """Return the rows whose value is not null; the others have failed."""
        there = rows.select(value.is_not_null()).to_series()
        if there.all():
            return rows
        reason = f"{self.name}() needs {what}, and it is null"
        gone = rows.filter(~there).select(self.inputs[name].names())
        failed.append(Failed(gone, reason, name))
        return rows.filter(there)
