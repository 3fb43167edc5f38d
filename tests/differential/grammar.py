"""Random transforms, each with the SQL that says what it must give."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

import streamlab as sl

AGGREGATES: Mapping[str, tuple[pl.Expr, str]] = {
    "n": (pl.len().cast(pl.Int64), "count(*)"),
    "total": (pl.col("v").sum(), "sum(v)::BIGINT"),
    "low": (pl.col("v").min(), "min(v)"),
    "high": (pl.col("w").max(), "max(w)"),
    "average": (pl.col("w").mean(), "avg(w)"),
    "kinds": (pl.col("v").n_unique().cast(pl.Int64), "count(DISTINCT v)"),
    "spread": (pl.col("w").std(), "stddev_samp(w)"),
    "filled": (pl.col("w").count().cast(pl.Int64), "count(w)"),
    # Not a plain aggregation: the rows themselves must be kept.
    "middle": (pl.col("v").median(), "median(v)"),
}
FILTERS: Mapping[str, tuple[pl.Expr | None, str]] = {
    "all": (None, "true"),
    "positive": (pl.col("v") > 0, "v > 0"),
    "keyed": (pl.col("key").is_in(["a", "b"]), "key IN ('a', 'b')"),
    "known": (pl.col("w").is_not_null(), "w IS NOT NULL"),
}


@dataclass(frozen=True)
class Case:
    """A random transform.

    Attributes:
        text: What it is, to be printed.
        transforms: The functions.
        streams: Names of its inputs.
        sql: What it must give, over tables of the same names that have ``wm``.
        key: Columns that name a row, where later rows replace earlier ones.
    """

    text: str
    transforms: Sequence[sl.Transform[Any, Any]]
    streams: tuple[str, ...]
    sql: str
    key: tuple[str, ...] = ()


def case(chance: random.Random, bounds_ms: Mapping[str, int]) -> Case:
    """Return a random case.

    Args:
        chance: Where the randomness comes from.
        bounds_ms: Stream → its bound; ``left`` and ``right``.
    """
    makers: list[Callable[[random.Random, Mapping[str, int]], Case]] = [
        tumbling,
        tumbling,
        hopping,
        hopping,
        session,
        session,
        windowed_join,
        interval_join,
        interval_join,
        deduplicated,
        running,
        latest,
        top,
        chained,
    ]
    return chance.choice(makers)(chance, bounds_ms)


def time_of(bounds_ms: Mapping[str, int], stream: str = "left") -> Any:
    """Return the event time of a stream."""
    return sl.event_time("ts", bound=f"{bounds_ms[stream]}ms", unit="ms")


@dataclass(frozen=True)
class _Grouping:
    """A filter, keys and aggregates, as polars and as SQL."""

    chosen: str
    keys: tuple[str, ...]
    aggregates: tuple[str, ...]

    @classmethod
    def random(cls, chance: random.Random) -> _Grouping:
        names = chance.sample(list(AGGREGATES), chance.randint(1, 4))
        keys = chance.choice([(), ("key",)])
        return cls(chance.choice(list(FILTERS)), keys, tuple(names))

    def function(self, *times: str) -> Callable[[pl.LazyFrame], pl.LazyFrame]:
        condition, _ = FILTERS[self.chosen]
        expressions = {name: AGGREGATES[name][0] for name in self.aggregates}

        def grouped(left: pl.LazyFrame) -> pl.LazyFrame:
            rows = left if condition is None else left.filter(condition)
            return rows.group_by(*times, *self.keys).agg(**expressions)

        return grouped

    @property
    def where(self) -> str:
        return FILTERS[self.chosen][1]

    @property
    def columns(self) -> str:
        listed = [f"{AGGREGATES[name][1]} AS {name}" for name in self.aggregates]
        return ", ".join([*self.keys, *listed])

    def __str__(self) -> str:
        return f"{self.chosen} by {self.keys or '-'}: {', '.join(self.aggregates)}"


def tumbling(chance: random.Random, bounds_ms: Mapping[str, int]) -> Case:
    """Aggregates of tumbling windows."""
    size, lateness = chance.choice([1_000, 5_000, 60_000]), _lateness(chance)
    grouping = _Grouping.random(chance)
    window = sl.tumbling(f"{size}ms", on=time_of(bounds_ms), lateness=f"{lateness}ms")
    made = sl.transform(window=window, keys=grouping.keys)(
        grouping.function("window_start")
    )
    sql = f"""
        WITH placed AS (SELECT *, ts // {size} * {size} AS window_start FROM "left")
        SELECT window_start, {grouping.columns} FROM placed
        WHERE wm < window_start + {size} + {lateness} AND {grouping.where}
        GROUP BY {", ".join(["window_start", *grouping.keys])}"""
    return Case(f"tumbling {size} late {lateness}, {grouping}", [made], ("left",), sql)


def hopping(chance: random.Random, bounds_ms: Mapping[str, int]) -> Case:
    """Aggregates of hopping windows."""
    every, times = chance.choice([1_000, 2_000]), chance.choice([2, 3, 5])
    size, lateness = every * times, _lateness(chance)
    grouping = _Grouping.random(chance)
    window = sl.hopping(
        f"{size}ms", f"{every}ms", on=time_of(bounds_ms), lateness=f"{lateness}ms"
    )
    made = sl.transform(window=window, keys=grouping.keys)(
        grouping.function("window_start", "window_end")
    )
    sql = f"""
        WITH placed AS (
            SELECT *, ts // {every} * {every} - hop * {every} AS window_start,
                window_start + {size} AS window_end
            FROM "left", range({times}) AS hops(hop)
        )
        SELECT window_start, window_end, {grouping.columns} FROM placed
        WHERE wm < window_end + {lateness} AND {grouping.where}
        GROUP BY {", ".join(["window_start", "window_end", *grouping.keys])}"""
    return Case(
        f"hopping {size}/{every} late {lateness}, {grouping}", [made], ("left",), sql
    )


def session(chance: random.Random, bounds_ms: Mapping[str, int]) -> Case:
    """Aggregates of session windows."""
    gap, lateness = chance.choice([300, 1_000, 5_000]), _lateness(chance)
    grouping = _Grouping.random(chance)
    window = sl.session(f"{gap}ms", on=time_of(bounds_ms), lateness=f"{lateness}ms")
    made = sl.transform(window=window, keys=grouping.keys)(
        grouping.function("window_start", "window_end")
    )
    keys = ", ".join(grouping.keys) or "1"
    sql = f"""
        WITH marked AS (
            SELECT *, coalesce(ts - lag(ts) OVER times >= {gap}, true) AS begins
            FROM "left" WHERE ts >= wm - {lateness}
            WINDOW times AS (PARTITION BY {keys} ORDER BY ts)
        ), numbered AS (
            SELECT *, sum(begins::INT) OVER (
                PARTITION BY {keys} ORDER BY ts RANGE UNBOUNDED PRECEDING
            ) AS number
            FROM marked
        ), placed AS (
            SELECT *, min(ts) OVER own AS window_start,
                max(ts) OVER own + {gap} AS window_end
            FROM numbered WINDOW own AS (PARTITION BY {keys}, number)
        )
        SELECT window_start, window_end, {grouping.columns} FROM placed
        WHERE {grouping.where}
        GROUP BY {", ".join(["window_start", "window_end", *grouping.keys])}"""
    return Case(f"session {gap} late {lateness}, {grouping}", [made], ("left",), sql)


def windowed_join(chance: random.Random, bounds_ms: Mapping[str, int]) -> Case:
    """Rows of the same key in the same tumbling window of two streams."""
    size, lateness = chance.choice([1_000, 4_000]), _lateness(chance)
    # The event time is one for both; the larger bound makes it true of both.
    bound = max(bounds_ms.values())
    on = sl.event_time("ts", bound=f"{bound}ms", unit="ms")
    window = sl.tumbling(f"{size}ms", on=on, lateness=f"{lateness}ms")

    @sl.transform(window=window, keys=["key"])
    def joined(left: pl.LazyFrame, right: pl.LazyFrame) -> pl.LazyFrame:
        return left.join(right, on=["window_start", "key"]).select(
            "window_start", "key", "v", other="v_right"
        )

    def placed(name: str) -> str:
        return (
            f"SELECT *, ts // {size} * {size} AS window_start FROM "
            f'(SELECT *, wm + {bounds_ms[name]} - {bound} AS mark FROM "{name}") '
            f"WHERE mark < ts // {size} * {size} + {size} + {lateness}"
        )

    sql = f"""
        SELECT l.window_start, l.key, l.v, r.v AS other
        FROM ({placed("left")}) l JOIN ({placed("right")}) r
        ON l.window_start = r.window_start AND l.key = r.key"""
    text = f"windowed join {size} late {lateness}"
    return Case(text, [joined], ("left", "right"), sql)


def interval_join(chance: random.Random, bounds_ms: Mapping[str, int]) -> Case:
    """Pairs of two streams that are near in time."""
    lower, upper = chance.choice([(0, 2_000), (-1_500, 1_500), (-3_000, -500), (0, 0)])
    how, lateness = chance.choice(["inner", "left", "full"]), _lateness(chance)

    @sl.transform(
        join=sl.interval_join(
            "left",
            "right",
            keys="key",
            times=(time_of(bounds_ms), time_of(bounds_ms, "right")),
            lower=f"{'-' if lower < 0 else ''}{abs(lower)}ms",
            upper=f"{'-' if upper < 0 else ''}{abs(upper)}ms",
            how=how,
            lateness=f"{lateness}ms",
        )
    )
    def near(pairs: pl.LazyFrame) -> pl.LazyFrame:
        return pairs.select(a="v", b="v_right", x="ts", y="ts_right")

    sql = f"""
        SELECT l.v AS a, r.v AS b, l.ts AS x, r.ts AS y
        FROM (SELECT * FROM "left" WHERE ts >= wm - {lateness}) l
        {how} JOIN (SELECT * FROM "right" WHERE ts >= wm - {lateness}) r
        ON l.key = r.key AND r.ts BETWEEN l.ts + {lower} AND l.ts + {upper}"""
    text = f"interval join {how} {lower}..{upper} late {lateness}"
    return Case(text, [near], ("left", "right"), sql)


def deduplicated(chance: random.Random, bounds_ms: Mapping[str, int]) -> Case:
    """The first event of each key within a horizon: ids, so that copies are one."""
    made = sl.deduplicate(["id"], within="1h", on=time_of(bounds_ms))
    sql = 'SELECT DISTINCT ts, key, v, w, id FROM "left" WHERE ts >= wm'
    return Case("deduplicated", [made], ("left",), sql)


def running(chance: random.Random, bounds_ms: Mapping[str, int]) -> Case:
    """How much each key has come to, event by event in the order of time."""
    lateness = _lateness(chance)

    @sl.transform(
        keys=["key"],
        state={"total": pl.Int64},
        on=time_of(bounds_ms),
        lateness=f"{lateness}ms",
    )
    def totals(
        left: pl.LazyFrame, state: pl.LazyFrame
    ) -> tuple[pl.LazyFrame, pl.LazyFrame]:
        known = left.join(state, on="key", how="left", nulls_equal=True)
        rows = known.select(
            "key",
            "ts",
            sum=pl.col("v").cum_sum().over("key") + pl.col("total").fill_null(0),
        )
        # Of one time the order is nobody's promise, the last sum is.
        last = pl.col("sum").last()
        return rows, rows.group_by("key", maintain_order=True).agg(total=last)

    sql = f"""
        SELECT key, ts, sum(v) OVER (
            PARTITION BY key ORDER BY ts, _partition, place ROWS UNBOUNDED PRECEDING
        )::BIGINT AS sum
        FROM (SELECT *, row_number() OVER () AS place FROM "left")
        WHERE ts >= wm - {lateness}"""
    return Case(f"running total late {lateness}", [totals], ("left",), sql)


def latest(chance: random.Random, bounds_ms: Mapping[str, int]) -> Case:
    """The row of each key that is the last one in time."""
    made = sl.latest(["key"], on=time_of(bounds_ms))
    sql = f"""
        SELECT ts, key, v, w, id FROM ({_placed()})
        QUALIFY row_number() OVER (
            PARTITION BY key ORDER BY ts DESC, _partition DESC, place DESC) = 1"""
    return Case("latest", [made], ("left",), sql, key=("key",))


def top(chance: random.Random, bounds_ms: Mapping[str, int]) -> Case:
    """The rows with the highest values of each key; of equal ones the first."""
    n = chance.choice([1, 3])
    made = sl.top(n, by="v", keys=["key"], on=time_of(bounds_ms))
    sql = f"""
        SELECT ts, key, v, w, id FROM ({_placed()})
        QUALIFY row_number() OVER (
            PARTITION BY key ORDER BY v DESC, ts, _partition, place) <= {n}"""
    return Case(f"top {n}", [made], ("left",), sql)


def _placed() -> str:
    """Return the events that are not late, with their place in the partition."""
    return 'SELECT *, row_number() OVER () AS place FROM "left" WHERE ts >= wm'


def chained(chance: random.Random, bounds_ms: Mapping[str, int]) -> Case:
    """Windows of windows: the busiest minute of each quarter of an hour."""
    minutes = sl.tumbling("1m", on=time_of(bounds_ms))
    quarters = sl.tumbling("15m", on=sl.event_time("minute", bound="1m"))

    @sl.transform(window=minutes, keys=["key"])
    def counted(left: pl.LazyFrame) -> pl.LazyFrame:
        return left.group_by(minute="window_start", key="key").agg(
            n=pl.len().cast(pl.Int64)
        )

    @sl.transform(window=quarters, keys=["key"])
    def busiest(minutes: pl.LazyFrame) -> pl.LazyFrame:
        return minutes.group_by("window_start", "key").agg(pl.col("n").max())

    sql = """
        WITH minutes AS (
            SELECT ts // 60000 * 60000 AS minute, key, count(*) AS n FROM "left"
            WHERE wm < ts // 60000 * 60000 + 60000 GROUP BY ALL
        )
        SELECT minute // 900000 * 900000 AS window_start, key, max(n) AS n
        FROM minutes GROUP BY ALL"""
    return Case("windows of windows", [counted, busiest], ("left",), sql)


def _lateness(chance: random.Random) -> int:
    return chance.choice([0, 0, 700, 5_000])
