"""A small tumbling window, and its oracle, for tests of the engine."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from streamlab.operators.operator import (
    LATE,
    Counts,
    Failed,
    Moment,
    Operator,
    Outcome,
)
from streamlab.state.table import StateTable, TableLayout
from streamlab.transforms.declarations import Windowed
from streamlab.transforms.steps import Step

WIDTH_US = 60_000_000
END = "end"


class Tumbling(Operator):
    """Windows of one minute, closed by the watermark."""

    def __init__(self, step: Step, columns: pl.Schema, name: str) -> None:
        needs = step.transform.needs
        assert isinstance(needs, Windowed)
        self._step, self._on = step, needs.window.on
        (self._input,) = step.transform.streams
        self.name, self.inputs = name, (self._input,)
        self.times = {self._input: self._on}
        kept = pl.Schema({**columns, END: pl.Int64()})
        self.layouts = (TableLayout(f"{name}.rows", kept, (END,), due=END),)
        self._empty = columns.to_frame()
        self.output_schema = self._called(self._empty.lazy()).schema

    def floors(self, _name: str, times: pl.Series, watermarks: pl.Series) -> pl.Series:
        ends = times // WIDTH_US * WIDTH_US + WIDTH_US
        return (
            pl.DataFrame({"end": ends, "mark": watermarks})
            .select(pl.when(pl.col("mark") >= pl.col("end")).then(LATE).cast(pl.Int64))
            .to_series()
        )

    def step(
        self,
        frames: Mapping[str, pl.DataFrame],
        moment: Moment,
        tables: Mapping[str, StateTable],
    ) -> Outcome:
        rows = frames[self._input].drop("_floor", strict=False)
        times = self._on.microseconds(rows)
        table = tables[self.layouts[0].name]
        if rows.height:
            ends = (times // WIDTH_US * WIDTH_US + WIDTH_US).alias(END)
            table.put(rows.with_columns(ends))
        if moment.after is None:
            return Outcome(self.output_schema.to_frame(), Counts(rows.height))
        due = table.take_due(moment.after)
        counts = Counts(rows.height, due.height)
        outputs, failed = [self.output_schema.to_frame()], []
        for part in due.partition_by(END, maintain_order=True):
            try:
                outputs.append(self._called(part.lazy().drop(END)))
            except pl.exceptions.PolarsError:
                failed.append(Failed(part.drop(END), "it cannot be counted"))
        return Outcome(pl.concat(outputs), counts, tuple(failed))

    def _called(self, rows: pl.LazyFrame) -> pl.DataFrame:
        begun = (pl.col("at") // WIDTH_US * WIDTH_US).alias("window_start")
        return self._step.run(rows.with_columns(begun)).collect()


def build(step: Step, inputs: Mapping[str, pl.Schema], name: str) -> Operator:
    return Tumbling(step, next(iter(inputs.values())), name)


def expected(
    partitions: Mapping[int, list[dict[str, int]]], bound_us: int = 0
) -> tuple[list[tuple[int, int, int]], int]:
    """Return ``(window_start, key, sum)`` of all windows, and how many are late."""
    sums: dict[tuple[int, int], int] = {}
    late = 0
    for events in partitions.values():
        highest = None
        for event in events:
            at = event["at"]
            highest = at if highest is None else max(highest, at)
            start = at // WIDTH_US * WIDTH_US
            if highest - bound_us >= start + WIDTH_US:
                late += 1
                continue
            key = (start, event["key"])
            sums[key] = sums.get(key, 0) + event["n"]
    return sorted((start, key, n) for (start, key), n in sums.items()), late
