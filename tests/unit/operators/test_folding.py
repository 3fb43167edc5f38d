"""Folds give what a loop over the events in their order gives, however they are cut."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import streamlab as sl
from streamlab.contracts import Schema
from streamlab.errors import TransformError, UsageError
from streamlab.operators.chain import Chain
from streamlab.operators.driving import Drive

SECOND = 1_000_000
EVENTS = pl.Schema(
    {
        "_partition": pl.Int32,
        "_offset": pl.Int64,
        "k": pl.String,
        "t": pl.Int64,
        "id": pl.Int64,
    }
)
STATE = {"n": pl.Int64, "last": pl.Int64}


def counted(events: pl.LazyFrame, state: pl.LazyFrame) -> Any:
    """Number the events of a key, with the time of the one before it."""
    known = events.join(
        state, on="k", how="left", nulls_equal=True, maintain_order="left"
    )
    number = pl.int_range(1, pl.len() + 1).over("k")
    output = known.select(
        "k",
        "t",
        "id",
        n=number + pl.col("n").fill_null(0),
        before=pl.col("t").shift(1).over("k").fill_null(pl.col("last")),
    )
    kept = output.group_by("k").agg(pl.col("n").last(), last=pl.col("t").last())
    return output, kept


def chain(transform: sl.Transform[Any, Any], schema: pl.Schema = EVENTS) -> Chain:
    """Return a chain of one transform on events of a schema."""
    own = {k: v for k, v in schema.items() if not k.startswith("_")}
    return Chain.of([transform], {"events": Schema.of(pl.Schema(own))}, Path())


def plain(keys: list[str], times: list[int]) -> pl.DataFrame:
    """Return events without a place."""
    return pl.DataFrame({"k": keys, "t": times}).with_columns(id=pl.lit(0, pl.Int64))


def stream(seed: int, *, partitions: int = 3, rows: int = 120) -> pl.DataFrame:
    """Return events out of order by up to 5 s, and some by more; some with null keys.

    In the order of their offsets within each partition.
    """
    chance = random.Random(seed)
    events = []
    for partition in range(partitions):
        now = 0
        for offset in range(rows // partitions):
            now += chance.choice([0, 0, 1, 2, 9])
            behind = chance.choice([0, 0, 1, 5, 5, 20])
            key = chance.choice(["a", "b", "c", "d", None])
            number = chance.randrange(10**6)
            events.append((partition, offset, key, max(0, now - behind), number))
    return pl.DataFrame(events, schema=EVENTS, orient="row")


def interleaved(events: pl.DataFrame, chance: random.Random) -> list[pl.DataFrame]:
    """Return epochs: the partitions mixed anew, each in its own order, cut anew."""
    waiting = {
        partition: list(rows.iter_rows())
        for (partition,), rows in events.partition_by(
            "_partition", as_dict=True, maintain_order=True
        ).items()
    }
    mixed = []
    while waiting:
        partition = chance.choice(list(waiting))
        mixed.append(waiting[partition].pop(0))
        if not waiting[partition]:
            del waiting[partition]
    size = chance.choice([2, 8, 30, len(mixed)])
    epochs = []
    while mixed:
        cut = chance.randint(0, size)
        epochs.append(pl.DataFrame(mixed[:cut], schema=EVENTS, orient="row"))
        mixed = mixed[cut:]
    return epochs


def driven(transform: sl.Transform[Any, Any], epochs: list[pl.DataFrame]) -> Drive:
    """Drive a transform through epochs to the end of time."""
    drive = Drive.of(chain(transform), {"events": 3})
    for number, epoch in enumerate(epochs):
        drive.epoch({"events": epoch}, wall_us=number)
    drive.epoch({}, ended=True, wall_us=len(epochs))
    return drive


def in_time(
    events: pl.DataFrame, bound: int, lateness: int
) -> Iterator[tuple[Any, ...]]:
    """Yield the events that are not late, in the order in which they are folded."""
    highest: dict[int, int] = {}
    kept = []
    for partition, offset, key, time, number in events.iter_rows():
        highest[partition] = max(highest.get(partition, time), time)
        if time >= highest[partition] - bound - lateness:
            kept.append((time, partition, offset, key, number))
    yield from sorted(kept, key=lambda row: row[:3])


def oracle(
    events: pl.DataFrame, bound: int = 5, lateness: int = 0, ttl: int | None = None
) -> Counter[tuple[Any, ...]]:
    """Count event by event, in a dictionary."""
    state: dict[Any, tuple[int, int]] = {}
    rows: Counter[tuple[Any, ...]] = Counter()
    for time, _, _, key, number in in_time(events, bound, lateness):
        n, before = state.get(key, (0, None))
        if ttl is not None and before is not None and time >= before + ttl:
            n, before = 0, None
        state[key] = (n + 1, time)
        rows[(key, time, number, n + 1, before)] += 1
    return rows


def on_time(**more: Any) -> sl.Transform[Any, Any]:
    """Return the count as a fold in event time with a bound of 5 s."""
    on = sl.event_time("t", bound="5s", unit="s")
    return sl.transform(keys="k", state=STATE, on=on, **more)(counted)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, {}),
        ({"lateness": "8s"}, {"lateness": 8}),
        ({"ttl": "6s"}, {"ttl": 6}),
        ({"ttl": "2s", "lateness": "3s"}, {"ttl": 2, "lateness": 3}),
    ],
)
def test_any_cut_gives_what_a_loop_gives(
    seed: int, more: Mapping[str, str], expected: Mapping[str, int]
) -> None:
    """Keys span partitions, times tie, events are late, keys expire in between."""
    events = stream(seed)
    chance = random.Random(seed)
    wanted = oracle(events, **expected)
    for _ in range(3):
        drive = driven(on_time(**more), interleaved(events, chance))
        assert Counter(drive.output.iter_rows()) == wanted
        counts = drive.counts["counted"]
        assert counts.accepted == counts.released == wanted.total()
        late = sum(frame.height for frame in drive.late.get("events", []))
        assert counts.accepted + late == events.height


def test_a_fold_that_ignores_its_state_is_found_out() -> None:
    """The negative control of the test above."""

    def forgetful(events: pl.LazyFrame, state: pl.LazyFrame) -> Any:
        return counted(events, state.limit(0))

    events = stream(1)
    on = sl.event_time("t", bound="5s", unit="s")
    broken = sl.transform(keys="k", state=STATE, on=on)(forgetful)
    epochs = interleaved(events, random.Random(7))
    assert len(epochs) > 1
    assert Counter(driven(broken, epochs).output.iter_rows()) != oracle(events)


def test_without_an_event_time_rows_come_as_they_are() -> None:
    """In the order of their partition; state of the clock expires by the clock."""
    transform = sl.transform(keys="k", state=STATE, ttl="10us")(counted)
    assert chain(transform).operators[0].needs_keyed_partitions
    assert not chain(on_time()).operators[0].needs_keyed_partitions
    drive = Drive.of(chain(transform))
    events = plain(["a", "a"], [5, 3])
    drive.epoch({"events": events}, wall_us=100)
    drive.epoch({"events": events}, wall_us=109)
    drive.epoch({"events": events}, wall_us=119)
    assert drive.output["n"].to_list() == [1, 2, 3, 4, 1, 2]
    assert drive.counts["counted"].forgotten == 1


def test_a_key_that_is_not_returned_is_gone() -> None:
    """It begins anew, and takes no room in the table."""

    @sl.transform(keys="k", state={"n": pl.Int64})
    def twice(events: pl.LazyFrame, state: pl.LazyFrame) -> Any:
        both = pl.concat(
            [state.select("k", "n"), events.select("k", n=pl.lit(1, pl.Int64))]
        )
        total = both.group_by("k").agg(pl.col("n").sum().cast(pl.Int64))
        return total.filter(pl.col("n") > 1), total.filter(pl.col("n") <= 1)

    drive = Drive.of(chain(twice))
    for keys in (["a", "b"], ["a"], ["a"]):
        drive.epoch({"events": plain(keys, [0] * len(keys))})
    assert drive.output.rows() == [("a", 2)]
    assert drive.tables["twice.state"].height == 2


def failing(events: pl.LazyFrame, state: pl.LazyFrame) -> Any:
    """Count, and fail on a time of 13."""
    output, kept = counted(events, state)

    def refuse(value: int) -> int:
        if value == 13:
            raise ValueError(value)
        return value

    return output.with_columns(pl.col("t").map_elements(refuse, pl.Int64)), kept


@pytest.mark.parametrize("size", [1, 2, 5, 8])
def test_the_event_that_it_fails_on_is_set_aside(size: int) -> None:
    """The state of its key stays as it was, wherever the epoch is cut."""
    transform = sl.transform(keys="k", state=STATE)(failing)
    drive = Drive.of(chain(transform))
    events = plain(["a", "b", "a", "b", "a", "c", "b"], [1, 2, 13, 3, 4, 13, 5])
    for begin in range(0, events.height, size):
        drive.epoch({"events": events[begin : begin + size]})
    assert Counter(drive.output.select("k", "t", "n").iter_rows()) == Counter(
        [("a", 1, 1), ("a", 4, 2), ("b", 2, 1), ("b", 3, 2), ("b", 5, 3)]
    )
    rows = [row[:2] for one in drive.failed for row in one.rows.iter_rows()]
    assert Counter(rows) == Counter([("a", 13), ("c", 13)])
    assert all("13" not in one.reason.splitlines()[0] for one in drive.failed)
    assert drive.failed[0].reason.startswith("failing() failed, line ")


def test_an_event_without_a_time_is_set_aside() -> None:
    """It has no place in the order."""
    operator = chain(on_time()).operators[0]
    drive = Drive.of(chain(on_time()))
    rows = pl.DataFrame(
        {"k": ["a"], "t": [None], "id": [0], "_floor": [None]},
        schema={"k": pl.String, "t": pl.Int64, "id": pl.Int64, "_floor": pl.Int64},
    )
    outcome = operator.step({"events": rows}, drive.moment, drive.tables)
    assert outcome.failed[0].reason == "the event time, 't', is null"
    assert outcome.counts.held == 0


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (lambda e, _: e, "returned LazyFrame, not a tuple of 2"),
        (lambda e, _: (e, None), "returned NoneType, not a polars frame"),
        (lambda e, s: (e, s.drop("n")), "column 'n' is missing, and it is declared"),
        (
            lambda e, s: (e, s.with_columns(pl.col("n").cast(pl.Int32))),
            "column 'n' is Int32, and it is declared as Int64",
        ),
        (
            lambda e, s: (e, s.with_columns(more=pl.lit(1))),
            "with the column 'more', which is not declared",
        ),
    ],
)
def test_a_function_that_returns_something_else_is_refused(
    returned: Any, message: str
) -> None:
    """Before any event: it is called on no rows first."""

    def wrong(events: pl.LazyFrame, state: pl.LazyFrame) -> Any:
        return returned(events, state)

    with pytest.raises(TransformError, match=message):
        chain(sl.transform(keys="k", state={"n": pl.Int64})(wrong))


@pytest.mark.parametrize(
    ("kept", "message"),
    [
        (lambda e: e.select("k", n=pl.lit(1, pl.Int64)), "several rows for one key"),
        (
            lambda e: (
                e.select("k", n=pl.lit(1, pl.Int64))
                .unique()
                .with_columns(k=pl.col("k") + "other")
            ),
            "state of 1 keys that were not among its events",
        ),
    ],
)
def test_a_state_of_wrong_keys_stops_it(kept: Any, message: str) -> None:
    """Of a key twice, or of one that no event has."""

    def wrong(events: pl.LazyFrame, state: pl.LazyFrame) -> Any:
        del state
        return events, kept(events)

    drive = Drive.of(chain(sl.transform(keys="k", state={"n": pl.Int64})(wrong)))
    events = plain(["a", "a"], [1, 2])
    with pytest.raises(TransformError, match=message):
        drive.epoch({"events": events})


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"keys": ()}, "names no keys"),
        ({"keys": "key"}, "no column 'key', a key of"),
        ({"keys": ("k", "n")}, "no column 'n'"),
        ({"keys": "k", "state": {"k": pl.String}}, "is a key of counted"),
        ({"keys": "k", "on": "when"}, "no column 'when' for the event time"),
    ],
)
def test_a_declaration_that_does_not_fit_is_refused(
    declared: Mapping[str, Any], message: str
) -> None:
    """With what to write instead."""
    with pytest.raises(UsageError, match=message):
        chain(sl.transform(**{"state": STATE, **declared})(counted))


def test_a_fold_behind_another_needs_a_bound_for_what_it_gets() -> None:
    """A row that would have to be dropped is an error, not a silent drop."""

    def again(events: pl.LazyFrame, state: pl.LazyFrame) -> Any:
        return events.select("k", "id", t=pl.col("t") - 30), state

    first = sl.transform(keys="k", state=STATE, on=sl.event_time("t", unit="s"))(again)
    for bound, fits in (("29s", False), ("30s", True)):
        on = sl.event_time("t", unit="s", bound=bound)
        second = sl.transform(keys="k", state=STATE, on=on)(counted)
        own = Schema.of(plain(["a"], [0]).schema)
        drive = Drive.of(Chain.of([first, second], {"events": own}, Path()))
        drive.epoch({"events": plain(["a", "a"], [100, 200])})
        rest = {"events": plain(["a", "a"], [200, 300])}
        if fits:
            drive.epoch(rest)
            drive.epoch({}, ended=True)
            assert drive.output["t"].to_list() == [70, 170, 170, 270]
        else:
            with pytest.raises(TransformError, match="too late by 1 s"):
                drive.epoch(rest)


def test_a_late_event_of_a_fold_is_not_told_of_windows() -> None:
    """There are none: its dead letter says what it was behind."""
    fold = sl.deduplicate("k", within="1h", on="t")
    schema = Schema.of({"k": pl.String(), "t": pl.Datetime("us", "UTC")})
    reason = Chain.of([fold], {"events": schema}, Path()).late_reason
    assert "watermark was ahead of it" in reason
    assert "window" not in reason
