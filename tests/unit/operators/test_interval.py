"""Interval joins: each pair once, whatever the cuts, against a join of whole frames."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import streamlab as sl
from streamlab.contracts import Schema
from streamlab.errors import TransformError, UsageError
from streamlab.operators.chain import Chain
from streamlab.operators.driving import Drive
from streamlab.operators.joins import bounds
from streamlab.positions import TopicPartition
from streamlab.transforms.event_time import event_time
from streamlab.transforms.joins import How
from tests.unit.operators.partitioned import Stream, epochs, held, random_rows

HOWS: tuple[How, ...] = ("inner", "left", "right", "full", "semi", "anti")
LATENESS = 2
BOUNDS: dict[str, tuple[Any, Any]] = {
    "around": (-3, 4),
    "behind": (0, 6),
    "later": (2, 5),
    "before": (-6, -1),
    "column": (0, "until"),
    "columns": ("since", "until"),
    "span": (-2, "span"),
}


def us(value: int | str) -> str:
    """Return a bound of the tables above as it is written."""
    return value if isinstance(value, str) else f"{value}us"


def chain_of(
    how: How, lower: int | str, upper: int | str, *schemas: pl.Schema
) -> Chain:
    """Return a join of the streams ``a`` and ``b`` whose pairs pass through."""

    @sl.transform(
        join=sl.interval_join(
            "a",
            "b",
            keys="k",
            times=(
                event_time("t", unit="us", bound="3us"),
                event_time("u", unit="us", bound="1us"),
            ),
            lower=us(lower),
            upper=us(upper),
            how=how,
            lateness=f"{LATENESS}us",
        )
    )
    def joined(pairs: pl.LazyFrame) -> pl.LazyFrame:
        return pairs

    named = dict(zip(("a", "b"), map(Schema.of, schemas), strict=True))
    return Chain.of([joined], named, Path())


def streams_of(seed: int) -> dict[str, Stream]:
    """Return two random streams; the left one has columns to bound it by."""
    chance = random.Random(seed)
    left = random_rows(chance, 30, "t", keys=3).with_row_index("n")
    right = random_rows(chance, 30, "u", keys=3, partitions=3).with_row_index("m")
    left = left.with_columns(
        since=pl.col("t") + pl.col("span") % 3,
        until=pl.col("t") + pl.col("span"),
        span=pl.duration(microseconds="span"),
    )
    return {"a": Stream(left, "t", 3), "b": Stream(right.drop("span"), "u", 1)}


def expected(
    streams: dict[str, Stream], how: How, lower: int | str, upper: int | str
) -> pl.DataFrame:
    """Return what a join of the whole frames gives."""
    left = streams["a"].accepted(LATENESS).drop("_partition")
    right = streams["b"].accepted(LATENESS).drop("_partition")
    ends = {"since": pl.col("since"), "until": pl.col("until")}
    ends["span"] = pl.col("t") + pl.col("span").dt.total_microseconds()
    start, end = (
        ends[one] if isinstance(one, str) else pl.col("t") + one
        for one in (lower, upper)
    )
    pairs = left.join(right, on="k").filter(pl.col("u").is_between(start, end))
    alone_left = left.join(pairs, on="n", how="anti")
    alone_right = right.join(pairs, on="m", how="anti")
    parts = {
        "inner": [pairs],
        "left": [pairs, alone_left],
        "right": [pairs, alone_right],
        "full": [pairs, alone_left, alone_right],
        "semi": [left.join(pairs, on="n", how="semi")],
        "anti": [alone_left],
    }
    return pl.concat(parts[how], how="diagonal")


def driven(
    chain: Chain, streams: dict[str, Stream], seed: int, *, end: bool = True
) -> Drive:
    """Run random epochs of the streams."""
    drive = Drive.of(chain, {"a": 2, "b": 3})
    for events in epochs(random.Random(seed), streams):
        drive.epoch(events)
        rows = [drive.tables[name].height for name in ("joined.left", "joined.right")]
        assert held(drive) == sum(rows)
    if end:
        drive.epoch({}, ended=True)
    return drive


def without(rows: pl.DataFrame, late: list[pl.DataFrame]) -> pl.DataFrame:
    """Return the rows that were not late."""
    (number,) = {"n", "m"} & set(rows.columns)
    gone = [one for part in late for one in part[number]]
    return rows.filter(~pl.col(number).is_in(gone))


def same(found: pl.DataFrame, wanted: pl.DataFrame) -> None:
    """Compare as multisets."""
    assert_frame_equal(found.select(wanted.columns), wanted, check_row_order=False)


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("kind", BOUNDS)
def test_pairs_are_those_of_the_whole_frames(kind: str, how: How) -> None:
    """Out of order, late, twice, and without a key; and nothing stays behind."""
    lower, upper = BOUNDS[kind]
    for seed in range(3):
        streams = streams_of(seed)
        schemas = [one.rows.drop("_partition").schema for one in streams.values()]
        chain = chain_of(how, lower, upper, *schemas)
        drive = driven(chain, streams, seed)
        same(drive.output, expected(streams, how, lower, upper))
        assert held(drive) == 0
        assert all(table.height == 0 for table in drive.tables.values())


def test_the_cuts_make_no_difference_to_when_a_row_leaves() -> None:
    """What is held is what can still meet something."""
    streams = streams_of(1)
    schemas = [one.rows.drop("_partition").schema for one in streams.values()]
    chain = chain_of("full", -3, 4, *schemas)
    for seed in range(5):
        drive = driven(chain, streams, seed, end=False)
        reached = drive.moment.after
        assert reached is not None
        left = streams["a"].accepted(LATENESS)
        right = streams["b"].accepted(LATENESS)
        can_left = pl.col("t") + 4 >= reached - LATENESS
        can_right = pl.col("u") + 3 >= reached - LATENESS
        assert drive.tables["joined.left"].height == (
            left.filter(can_left, pl.col("k").is_not_null()).height
        )
        assert drive.tables["joined.right"].height == (
            right.filter(can_right, pl.col("k").is_not_null()).height
        )


def test_control_rows_that_leave_too_early_are_missed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So the comparison with the whole frames can fail."""
    monkeypatch.setattr(bounds, "_NEXT_US", -5)
    with pytest.raises(AssertionError):
        test_pairs_are_those_of_the_whole_frames("around", "inner")


def test_a_partition_that_was_idle_loses_only_what_is_called_late() -> None:
    """And that is kept as late."""
    streams = streams_of(3)
    schemas = [one.rows.drop("_partition").schema for one in streams.values()]
    drive = Drive.of(chain_of("full", -3, 4, *schemas), {"a": 2, "b": 3})
    waiting = streams["b"].rows.filter(pl.col("_partition") == 2)
    others = Stream(streams["b"].rows.filter(pl.col("_partition") != 2), "u", 1)
    drive.watermarks.set_aside(TopicPartition("b", 2))
    for events in epochs(random.Random(3), {"a": streams["a"], "b": others}):
        drive.epoch(events)
    drive.epoch({"b": waiting})
    drive.epoch({}, ended=True)
    assert "b" in drive.late
    kept = {
        name: Stream(without(stream.rows, drive.late.get(name, [])), stream.time, 1000)
        for name, stream in streams.items()
    }
    same(drive.output, expected(kept, "full", -3, 4))


def test_a_left_row_whose_lower_column_is_before_its_time_is_set_aside() -> None:
    """With a reason, and without stopping others."""
    left = pl.DataFrame({"k": [1, 1], "t": [10, 20], "since": [9, 20]})
    right = pl.DataFrame({"k": [1], "u": [21]})
    drive = Drive.of(chain_of("left", "since", 5, left.schema, right.schema))
    drive.epoch({"a": left, "b": right}, ended=True)
    assert drive.output["t"].to_list() == [20]
    (failed,) = drive.failed
    assert failed.input == "a"
    assert failed.rows["t"].to_list() == [10]
    assert failed.reason == "'since', the lower bound of joined, is before t"
    assert drive.counts["joined"].expired == 1


def test_keys_of_two_widths_and_names_meet() -> None:
    """Each column comes out as it went in."""

    @sl.transform(
        join=sl.interval_join(
            "a", "b", keys=[("id", "item")], times="t", upper="1s", how="full"
        )
    )
    def joined(pairs: pl.LazyFrame) -> pl.LazyFrame:
        return pairs

    left = pl.DataFrame({"id": [1, 2], "t": [1, 1], "x": ["a", "b"]})
    left = left.cast({"id": pl.Int16})
    right = pl.DataFrame({"item": [1, 3], "t": [1, 2], "x": ["c", "d"]})
    schemas = {"a": Schema.of(left.schema), "b": Schema.of(right.schema)}
    drive = Drive.of(Chain.of([joined], schemas, Path()))
    drive.epoch({"a": left, "b": right}, ended=True)
    wanted = pl.DataFrame(
        {
            "id": [1, 2, None],
            "t": [1, 1, None],
            "x": ["a", "b", None],
            "item": [1, None, 3],
            "t_right": [1, None, 2],
            "x_right": ["c", None, "d"],
        },
        schema_overrides={"id": pl.Int16},
    )
    same(drive.output, wanted)
    assert drive.output.columns == wanted.columns


def test_a_key_named_alike_is_there_once_and_never_null_by_the_other_side() -> None:
    """Of a full join, too."""
    left = pl.DataFrame({"k": [1], "t": [1]})
    right = pl.DataFrame({"k": [2], "u": [1]})
    drive = Drive.of(chain_of("full", 0, 1, left.schema, right.schema))
    drive.epoch({"a": left, "b": right}, ended=True)
    wanted = pl.DataFrame({"k": [1, 2], "t": [1, None], "u": [None, 1]})
    same(drive.output, wanted)


def test_a_stream_meets_itself() -> None:
    """Each event is a left row and a right row."""

    @sl.transform(
        join=sl.interval_join(
            "a", "a", keys="k", times="t", lower="1ms", upper="10ms", how="left"
        )
    )
    def next_ones(pairs: pl.LazyFrame) -> pl.LazyFrame:
        return pairs.select("k", "t", "t_right")

    rows = pl.DataFrame({"k": [1, 1, 2, 1], "t": [0, 4, 5, 8]})
    drive = Drive.of(Chain.of([next_ones], {"a": Schema.of(rows.schema)}, Path()))
    for row in range(rows.height):
        drive.epoch({"a": rows[row]})
    drive.epoch({}, ended=True)
    pairs = [(1, 0, 4), (1, 0, 8), (1, 4, 8), (1, 8, None), (2, 5, None)]
    assert sorted(drive.output.rows(), key=str) == sorted(pairs, key=str)


def test_a_pair_that_fails_is_named_and_the_others_come_out() -> None:
    """The reason has no value in it."""

    @sl.transform(join=sl.interval_join("a", "b", keys="k", times="t", upper="1s"))
    def parsed(pairs: pl.LazyFrame) -> pl.LazyFrame:
        return pairs.select("k", pl.col("v").cast(pl.Int64))

    left = pl.DataFrame({"k": [1, 2, 3], "t": [0, 0, 0], "v": ["1", "secret", "3"]})
    right = pl.DataFrame({"k": [1, 2, 3], "t": [1, 1, 1]})
    schemas = {"a": Schema.of(left.schema), "b": Schema.of(right.schema)}
    drive = Drive.of(Chain.of([parsed], schemas, Path()))
    drive.epoch({"a": left, "b": right}, ended=True)
    assert sorted(drive.output.rows()) == [(1, 1), (3, 3)]
    (failed,) = drive.failed
    assert failed.rows["k"].to_list() == [2]
    assert "secret" not in failed.reason


def test_a_hot_key_costs_its_rows_and_its_pairs() -> None:
    """Not all pairs of the key: those would be four hundred million."""
    count = 20_000
    left = pl.DataFrame({"k": 7, "t": range(count)}, schema_overrides={"k": pl.Int64})
    right = left.rename({"t": "u"})
    chain = chain_of("inner", 0, 2, left.schema, right.schema)
    drive = Drive.of(chain)
    begun = time.perf_counter()
    drive.epoch({"a": left, "b": right}, ended=True)
    assert drive.output.height == 3 * count - 3
    assert time.perf_counter() - begun < 5


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"keys": "x"}, "a has no column 'x' to join by"),
        ({"keys": [("k", "v")]}, "a and b cannot be joined by k and v: Int64 meets no"),
        ({"keys": "f"}, "a cannot be joined by 'f', a Float64 column"),
        ({"times": ("t", "v")}, "the event time of b cannot be 'v', a String column"),
        ({"upper": "nothing"}, "upper is 'nothing': no duration, and no column of a"),
        ({"upper": "v"}, "upper cannot be 'v', a String column of a"),
    ],
)
def test_what_does_not_fit_the_columns_is_refused(
    changed: dict[str, Any], message: str
) -> None:
    """Before anything runs, with the name."""
    arguments: dict[str, Any] = {"keys": "k", "times": "t", "upper": "1s", **changed}

    @sl.transform(join=sl.interval_join("a", "b", **arguments))
    def joined(pairs: pl.LazyFrame) -> pl.LazyFrame:
        return pairs

    columns = pl.Schema({"k": pl.Int64, "t": pl.Int64, "v": pl.String, "f": pl.Float64})
    schemas = {"a": Schema.of(columns), "b": Schema.of(columns)}
    with pytest.raises(UsageError, match=message):
        Chain.of([joined], schemas, Path())


def test_a_join_behind_a_transform_with_state_is_refused() -> None:
    """It says that a join comes first."""

    @sl.transform(join=sl.interval_join("a", "a", keys="k", times="t", upper="1s"))
    def first(pairs: pl.LazyFrame) -> pl.LazyFrame:
        return pairs.select("k", "t")

    schemas = {"a": Schema.of(pl.Schema({"k": pl.Int64, "t": pl.Int64}))}
    drive = Drive.of(Chain.of([first, first], schemas, Path()))
    rows = pl.DataFrame({"k": [1, 1], "t": [1, 2]})
    with pytest.raises(TransformError, match="joins what another transform"):
        drive.epoch({"a": rows}, ended=True)


@pytest.mark.parametrize(
    ("column", "kind", "needed"),
    [
        ("t", "around", 4 + LATENESS),
        ("t", "before", LATENESS),
        ("u", "around", 3 + LATENESS),
        ("u", "later", LATENESS),
        ("until", "column", LATENESS),
    ],
)
def test_pairs_are_behind_the_watermark_by_no_more_than_the_page_says(
    column: str, kind: str, needed: int
) -> None:
    """Of the left time, the right one and a column that is the upper bound."""
    lower, upper = BOUNDS[kind]
    how: How = "inner" if column == "u" else "left"
    furthest = -100
    for seed in range(6):
        streams = streams_of(seed)
        schemas = [one.rows.drop("_partition").schema for one in streams.values()]
        drive = Drive.of(chain_of(how, lower, upper, *schemas), {"a": 2, "b": 3})
        for events in epochs(random.Random(seed), streams):
            latest = drive.epoch(events).output[column].min()
            if drive.moment.before is not None and latest is not None:
                assert isinstance(latest, int)
                furthest = max(furthest, drive.moment.before - latest)
    assert needed - 6 <= furthest <= needed


def test_categories_meet_texts() -> None:
    """And stay categories."""

    @sl.transform(join=sl.interval_join("a", "b", keys="k", times="t", upper="1s"))
    def joined(pairs: pl.LazyFrame) -> pl.LazyFrame:
        return pairs

    left = pl.DataFrame({"k": ["x", "y"], "t": [1, 1]}).cast({"k": pl.Categorical})
    right = pl.DataFrame({"k": ["y", "x"], "t": [1, 2]})
    schemas = {"a": Schema.of(left.schema), "b": Schema.of(right.schema)}
    drive = Drive.of(Chain.of([joined], schemas, Path()))
    drive.epoch({"a": left, "b": right}, ended=True)
    assert drive.output.schema["k"] == pl.Categorical
    assert sorted(drive.output.cast({"k": pl.String}).rows()) == [
        ("x", 1, 2),
        ("y", 1, 1),
    ]
