"""What windows of all kinds have: inputs, keys, failures, sides, order, cascades."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

import streamlab as sl
from streamlab.errors import TransformError, UsageError
from streamlab.operators.driving import Drive
from streamlab.positions import TopicPartition
from tests.unit.operators.streams import (
    EVENTS,
    accounted,
    chain_of,
    driven,
    same,
    stream,
)

TEN = sl.tumbling("10m", on="t")


def at(*minutes: float) -> pl.Series:
    """Return times."""
    begin = datetime(2024, 1, 1, tzinfo=UTC)
    return pl.Series("t", [begin + timedelta(minutes=m) for m in minutes])


def count(events: pl.LazyFrame) -> pl.LazyFrame:
    """Count rows."""
    return events.group_by("window_start").len()


def in_tens(events: pl.DataFrame, size: str = "10m") -> pl.DataFrame:
    """Return the rows of a stream in order in their windows."""
    start = pl.col("t").dt.truncate(size)
    return events.with_columns(
        start.alias("window_start"), start.dt.offset_by(size).alias("window_end")
    )


@pytest.mark.parametrize("seed", range(5))
def test_a_windowed_join_is_a_function_of_two_streams(seed: int) -> None:
    """It gets the rows of the same windows of both, each by its own event time."""
    rng = random.Random(seed)
    left = stream(rng, disorder=timedelta(0)).sort("t")
    right = stream(rng, 60, disorder=timedelta(0)).sort("t").rename({"t": "at"})
    schemas = {
        "left": EVENTS,
        "right": EVENTS.__class__(right.select("at", "k", "v", "f", "s", "n").schema),
    }

    def met(left: pl.LazyFrame, right: pl.LazyFrame) -> pl.LazyFrame:
        return left.join(right, on=["window_start", "k"]).select(
            "window_start", "k", "n", "n_right"
        )

    window = sl.tumbling("10m", on={"left": "t", "right": "at"})
    chain = chain_of(sl.transform(window=window, keys="k")(met), schemas)
    drive = driven(chain, {"left": left, "right": right}, rng)
    expected = met(
        in_tens(left).lazy(), in_tens(right.rename({"at": "t"})).lazy()
    ).collect()
    same(drive.output, expected)
    assert expected.height
    accounted(drive, left.height + right.height)


@pytest.mark.parametrize(
    ("rule", "groups", "failed", "expired"),
    [
        ("group", {"a": 2, None: 1}, 0, 0),
        ("drop", {"a": 2}, 0, 1),
        ("fail", {"a": 2}, 1, 0),
    ],
)
def test_null_keys_are_a_group_or_dropped_or_refused(
    rule: Any, groups: dict[Any, int], failed: int, expired: int
) -> None:
    """As the transform declares."""
    events = pl.DataFrame({"t": at(0, 1, 2), "k": ["a", None, "a"]})

    @sl.transform(window=TEN, keys="k", null_keys=rule)
    def counted(events: pl.LazyFrame) -> pl.LazyFrame:
        return events.group_by("window_start", "k").agg(pl.col("t").sort().len())

    drive = Drive.of(chain_of(counted, {"events": events.schema}))
    drive.epoch({"events": events}, ended=True)
    assert dict(drive.output.select("k", "t").iter_rows()) == groups
    assert sum(one.rows.height for one in drive.failed) == failed
    assert drive.counts["counted"].expired == expired
    accounted(drive, 3)


def test_a_group_that_the_function_fails_on_is_given_with_its_rows() -> None:
    """The other groups of the same windows come out."""
    events = pl.DataFrame(
        {"t": at(0, 1, 2, 11), "k": ["a", "b", "a", "b"], "v": [1, -7, 2, 3]}
    )

    @sl.transform(window=TEN, keys="k")
    def positive(events: pl.LazyFrame) -> pl.LazyFrame:
        small = pl.col("v").sort().cast(pl.UInt8).implode()
        return events.group_by("window_start", "k").agg(small)

    drive = Drive.of(chain_of(positive, {"events": events.schema}))
    drive.epoch({"events": events}, ended=True)
    assert drive.output.height == 2
    (wrong,) = drive.failed
    assert wrong.rows.to_dict(as_series=False) == events[1:2].to_dict(as_series=False)
    assert "positive() failed" in wrong.reason
    assert "-7" not in wrong.reason


def test_side_outputs_come_beside_the_main_one() -> None:
    """Each by its name."""
    events = pl.DataFrame({"t": at(0, 1, 11)})

    @sl.transform(window=TEN)
    def split(events: pl.LazyFrame) -> dict[str, pl.LazyFrame]:
        counts = events.group_by("window_start").agg(pl.col("t").sort().len())
        return {"many": counts.filter(pl.col("t") > 1), "one": counts.filter(t=1)}

    drive = Drive.of(chain_of(split, {"events": events.schema}))
    passed = drive.epoch({"events": events}, ended=True)
    assert (passed.output.height, passed.sides["one"].height) == (1, 1)


def test_a_function_for_pandas_sees_windows() -> None:
    """With the columns of the window."""
    events = pl.DataFrame({"t": at(0, 1, 11), "v": [1, 2, 3]})

    @sl.transform(window=TEN, pandas=True)
    def total(events: Any) -> Any:
        return events.groupby("window_start", as_index=False)["v"].sum()

    drive = Drive.of(chain_of(total, {"events": events.schema}))
    drive.epoch({"events": events}, ended=True)
    assert sorted(drive.output["v"]) == [3, 3]


@pytest.mark.parametrize(
    "column",
    [
        at(0, 11).dt.cast_time_unit("ms"),
        at(0, 11).dt.cast_time_unit("ns"),
        at(0, 11).dt.convert_time_zone("Asia/Kolkata"),
        at(0, 11).dt.replace_time_zone(None),
        at(0, 11).dt.epoch("ms"),
        at(0, 11).dt.epoch("s").cast(pl.UInt32),
        at(0, 1440).dt.date(),
    ],
    ids=lambda column: str(column.dtype),
)
def test_an_event_time_may_be_of_any_type_of_time(column: pl.Series) -> None:
    """An integer has its unit with it."""
    unit = "s" if column.dtype == pl.UInt32 else "ms"
    on = sl.event_time("t", unit=unit) if column.dtype.is_integer() else "t"
    window = sl.tumbling("10m", on=on)
    chain = chain_of(
        sl.transform(window=window)(count), {"events": column.to_frame().schema}
    )
    drive = Drive.of(chain)
    drive.epoch({"events": column.to_frame()}, ended=True)
    second = 24 * 60 if column.dtype == pl.Date else 10
    assert drive.output["window_start"].sort().to_list() == at(0, second).to_list()
    assert drive.output.schema["window_start"] == pl.Datetime("us", "UTC")


def test_a_partition_without_events_holds_the_windows_until_it_is_set_aside() -> None:
    """Its events then find closed what closed without it."""
    chain = chain_of(
        sl.transform(window=TEN)(count), {"events": at(0).to_frame().schema}
    )
    drive = Drive.of(chain, {"events": 2})

    def epoch(partition: int, *minutes: float) -> int:
        events = pl.DataFrame(
            {"t": at(*minutes), "_partition": [partition] * len(minutes)}
        )
        return drive.epoch({"events": events}).output.height

    assert epoch(0, 1, 12, 30) == 0
    drive.watermarks.set_aside(TopicPartition("events", 1))
    assert epoch(0, 31) == 2
    assert epoch(1, 5, 32) == 0
    assert [one["t"].to_list() for one in drive.late["events"]] == [at(5).to_list()]


@pytest.mark.parametrize("seed", range(6))
def test_windows_behind_windows_wait_for_their_bound(seed: int) -> None:
    """With a bound of the size before, nothing is ever too late."""
    rng = random.Random(seed)
    events = stream(rng)
    small = sl.tumbling("10m", on="t", lateness="5m")
    big = sl.tumbling("30m", on=sl.event_time("window_start", bound="15m"))

    @sl.transform(window=small, keys="k")
    def first(events: pl.LazyFrame) -> pl.LazyFrame:
        return events.group_by("window_start", "k").agg(pl.col("n").sort().len())

    @sl.transform(window=big)
    def second(events: pl.LazyFrame) -> pl.LazyFrame:
        return events.group_by("window_start").agg(
            pl.col("n").sum(), pl.col("k").sort()
        )

    drive = driven(chain_of([first, second]), events, rng)
    once = driven(chain_of(first), events, rng).output
    half = pl.col("window_start").dt.truncate("30m")
    same(drive.output, second(once.with_columns(half).lazy()).collect())


def test_rows_of_a_transform_before_it_that_are_too_late_are_an_error() -> None:
    """It says what bound to give."""
    big = sl.tumbling("10m", on="window_start")

    @sl.transform(window=sl.tumbling("10m", on="t", lateness="5m"))
    def first(events: pl.LazyFrame) -> pl.LazyFrame:
        return events.group_by("window_start").len()

    @sl.transform(window=big)
    def second(events: pl.LazyFrame) -> pl.LazyFrame:
        return events.group_by("window_start").len()

    chain = chain_of([first, second], {"events": at(0).to_frame().schema})
    drive = Drive.of(chain)
    drive.epoch({"events": at(0, 14).to_frame()})
    with pytest.raises(
        TransformError, match=r"^second\(\) gets rows.*too late"
    ) as error:
        drive.epoch({"events": at(16).to_frame()})
    assert "bound=" in error.value.hint


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"window": TEN, "keys": "kk"}, "has no column .kk., a key of count"),
        ({"window": sl.tumbling("1h", on="x")}, "no column 'x' for the event time"),
        ({"window": sl.tumbling("1h", on="k")}, "cannot be 'k', a String column"),
        ({"window": sl.tumbling("1h", on={"other": "t"})}, "no stream 'other'"),
        ({"window": TEN, "emit": "updates", "keys": "k"}, "lacks 'k'"),
    ],
)
def test_a_declaration_that_does_not_fit_is_refused(
    declared: dict[str, Any], message: str
) -> None:
    """It names what is wrong."""
    events = pl.Schema({"t": pl.Datetime("us", "UTC"), "k": pl.String})
    with pytest.raises(UsageError, match=message):
        chain_of(sl.transform(**declared)(count), {"events": events})


def test_updates_of_more_than_one_row_for_a_key_are_refused() -> None:
    """It says to declare the key."""
    events = pl.DataFrame({"t": at(0, 1), "k": ["a", "b"]})

    @sl.transform(window=TEN, emit="updates")
    def listed(events: pl.LazyFrame) -> pl.LazyFrame:
        return events.group_by("window_start", "k").len()

    drive = Drive.of(chain_of(listed, {"events": events.schema}))
    with pytest.raises(TransformError, match="more than one row for the same"):
        drive.epoch({"events": events})


def test_early_firing_waits_for_the_interval_and_needs_no_event() -> None:
    """A window that closes comes at once."""

    @sl.transform(window=TEN, emit="updates", early="10s")
    def counted(events: pl.LazyFrame) -> pl.LazyFrame:
        return events.group_by("window_start").len()

    drive = Drive.of(chain_of(counted, {"events": at(0).to_frame().schema}))

    def shown(second: int, *minutes: float) -> list[tuple[str, int]]:
        events = {"events": at(*minutes).to_frame()} if minutes else {}
        passed = drive.epoch(events, wall_us=second * 1_000_000)
        return list(passed.output.select("_op", "len").iter_rows())

    assert shown(100, 1) == [("insert", 1)]
    assert shown(105, 2) == []
    assert shown(107, 3) == []
    assert shown(110) == [("update", 3)]
    assert shown(121) == []
    assert shown(122, 4) == [("update", 4)]
    assert shown(123, 5) == []
    assert sorted(shown(124, 11)) == [("insert", 1), ("update", 5)]


def test_rows_come_in_the_order_of_their_event_time() -> None:
    """Those of equal time by partition and offset, whatever the order of arrival."""
    rng = random.Random(1)
    events = stream(rng, partitions=3)

    @sl.transform(window=sl.hopping("30m", "10m", on="t", lateness="1h"))
    def ordered(events: pl.LazyFrame) -> pl.LazyFrame:
        return events.group_by("window_start", maintain_order=True).agg("n")

    outputs = [
        driven(chain_of(ordered), events, rng, partitions=3).output for _ in "ab"
    ]
    same(*outputs)


@pytest.mark.parametrize("column", ["__start", "_floor", "_due_offset"])
def test_columns_with_names_of_the_state_are_refused(column: str) -> None:
    """It says to rename them."""
    events = pl.Schema({"t": pl.Datetime("us", "UTC"), column: pl.String})
    with pytest.raises(UsageError, match=f"cannot have events with .*'{column}'"):
        chain_of(sl.transform(window=TEN)(count), {"events": events})


def test_a_key_that_is_of_the_window_is_refused() -> None:
    """The window has it by itself."""
    with pytest.raises(UsageError, match="'window_start' is of the window of count"):
        chain_of(sl.transform(window=TEN, keys="window_start")(count))


def test_many_windows_are_evaluated_a_few_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They give the same."""
    rng = random.Random(1)
    events = stream(rng)

    def listed(events: pl.LazyFrame) -> pl.LazyFrame:
        return events.group_by("window_start", "k").agg("n")

    window = sl.hopping("1h", "1m", on="t")
    chain = chain_of(sl.transform(window=window, keys="k")(listed))
    at_once = driven(chain, events, rng)
    monkeypatch.setattr("streamlab.operators.windows.slices._MOST_PANES", 200)
    monkeypatch.setattr("streamlab.operators.windows.keeping.MOST_ROWS", 10)
    same(driven(chain, events, rng).output, at_once.output)


def test_a_late_event_is_told_of_its_windows() -> None:
    """Its dead letter says that they were closed."""
    events = pl.Schema({"t": pl.Datetime("us", "UTC"), "k": pl.String})
    reason = chain_of(sl.transform(window=TEN)(count), {"events": events}).late_reason
    assert "all windows that it could change were closed" in reason
