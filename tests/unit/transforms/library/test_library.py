"""The library's folds give what a loop over the events gives, however they are cut."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import polars as pl
import pytest

import streamlab as sl
from streamlab.contracts import Schema
from streamlab.errors import SchemaError, TransformError, UsageError
from streamlab.formats.changes import OPERATIONS
from streamlab.operators.chain import Chain
from streamlab.operators.driving import Drive
from streamlab.transforms.library.running import Kind

SCHEMA = pl.Schema({"k": pl.String, "j": pl.Int64, "t": pl.Int64, "v": pl.Float64})
Row: TypeAlias = tuple[Any, ...]
SEEDS = range(5)


def events(seed: int, rows: int = 150) -> list[Row]:
    """Return events in order, of few keys, some null, with equal times and values."""
    chance = random.Random(seed)
    found, now = [], 0
    for _ in range(rows):
        now += chance.choice([0, 0, 1, 2, 7])
        key = chance.choice(["a", "a", "b", "c", None])
        value = chance.choice([None, 0.1, 0.2, 0.7, 3.0, chance.random()])
        found.append((key, chance.choice([1, None]), now, value))
    return found


def driven(
    transform: sl.Transform[Any, Any],
    rows: Sequence[Row],
    chance: random.Random,
    schema: pl.Schema = SCHEMA,
) -> list[Row]:
    """Return what comes out of a transform, epoch by epoch, cut by chance."""
    chain = Chain.of([transform], {"events": Schema.of(schema)}, Path())
    drive = Drive.of(chain)
    waiting = list(rows)
    size = chance.choice([3, 12, 50, len(waiting)])
    while waiting:
        cut = chance.randint(1, size)
        epoch = pl.DataFrame(waiting[:cut], schema=schema, orient="row")
        drive.epoch({"events": epoch})
        waiting = waiting[cut:]
    drive.epoch({}, ended=True)
    assert not drive.failed
    return drive.output.rows()


def same(found: Sequence[Row], wanted: Sequence[Row]) -> None:
    """Compare two multisets of rows, to the last bit."""
    assert Counter(found) == Counter(wanted)


def first_within(rows: Sequence[Row], within: int) -> Iterator[Row]:
    """Yield rows that come at least some time after the last one that was yielded."""
    until: dict[Any, int] = {}
    for row in rows:
        key = row[:2]
        if row[2] >= until.get(key, row[2]):
            until[key] = row[2] + within
            yield row


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("within", [1, 3, 40])
def test_deduplicate_keeps_the_first_within_a_horizon(seed: int, within: int) -> None:
    """The horizon begins with an event that is kept, not with one that is dropped."""
    rows, chance = events(seed), random.Random(seed)
    on = sl.event_time("t", unit="s")
    once = sl.deduplicate(["k", "j"], within=f"{within}s", on=on)
    same(driven(once, rows, chance), list(first_within(rows, within)))


@pytest.mark.parametrize("seed", SEEDS)
def test_deduplicate_for_ever_keeps_one_of_each(seed: int) -> None:
    """With and without an event time."""
    rows, chance = events(seed), random.Random(seed)
    wanted = list(first_within(rows, 10**9))
    for on in (None, sl.event_time("t", unit="s")):
        once = sl.deduplicate(["k", "j"], within=None, on=on)
        same(driven(once, rows, chance), wanted)


def totals(kind: str, values: list[float]) -> float | None:
    """Return what some values amount to, added from the first on."""
    if kind == "count":
        return len(values)
    added = 0.0
    for value in values:
        added += value
    if kind == "sum":
        return added
    if not values:
        return None
    return (
        added / len(values)
        if kind == "mean"
        else {"min": min, "max": max}[kind](values)
    )


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", ["sum", "count", "min", "max", "mean"])
def test_a_running_total_is_the_same_to_the_last_bit(seed: int, kind: Kind) -> None:
    """Floats are added in the order of the events, wherever an epoch ends."""
    rows, chance = events(seed), random.Random(seed)
    so_far: dict[Any, list[float]] = {}
    wanted = []
    for row in rows:
        values = so_far.setdefault(row[:2], [])
        if row[3] is not None:
            values.append(row[3])
        wanted.append((*row, totals(kind, values)))
    total = sl.running(kind, "v", keys=["k", "j"], into="total")
    same(driven(total, rows, chance), wanted)


def test_a_running_total_begins_anew_after_its_ttl() -> None:
    """A sum of integers is wide, and may replace the column that it is of."""
    on = sl.event_time("t", unit="s")
    total = sl.running_total("j", keys="k", on=on, ttl="5s", into="j")
    rows = [("a", 1, 0, 0.0), ("a", 2, 4, 0.0), ("a", 3, 9, 0.0), ("a", 4, 10, 0.0)]
    found = driven(total, rows, random.Random(1))
    assert sorted(row[1] for row in found) == [1, 3, 3, 7]


def newest(rows: Sequence[Row]) -> Iterator[Row]:
    """Yield what changes: key, values, and what happened."""
    there: dict[Any, Row] = {}
    for *values, operation in rows:
        key, row = values[0], tuple(values)
        before = there.get(key)
        if operation == "delete":
            if before is not None:
                yield (*there.pop(key), "delete")
        elif before is None:
            there[key] = row
            yield (*row, "insert")
        elif before != row:
            there[key] = row
            yield (*row, "update")


@pytest.mark.parametrize("seed", SEEDS)
def test_latest_says_what_changes(seed: int) -> None:
    """A repeated row is silent, and a delete comes with the row that is gone."""
    chance = random.Random(seed)
    schema = pl.Schema({**SCHEMA, "_op": OPERATIONS, "_lsn": pl.Int64()})
    kinds = ["snapshot", "insert", "update", "update", "delete"]
    rows = []
    for key, j, _, value in events(seed):
        operation = chance.choice(kinds)
        gone = operation == "delete"
        values = (None, None, None) if gone else (j, 1, value and round(value))
        rows.append((key, *values, operation))
    wanted = list(newest(rows))
    given = [(*row, 5) for row in rows]
    same(driven(sl.latest("k"), given, chance, schema), wanted)
    plain = driven(sl.latest("k", changes=False), given, chance, schema)
    same(plain, [row[:-1] for row in wanted if row[-1] != "delete"])


@pytest.mark.parametrize("seed", range(3))
def test_latest_knows_a_value_that_an_update_left_out(seed: int) -> None:
    """Also across epochs, and when it is null."""
    schema = pl.Schema(
        {
            "k": pl.String,
            "text": pl.String,
            "n": pl.Int64,
            "_op": OPERATIONS,
            "_unavailable": pl.List(pl.String),
        }
    )
    rows = [
        ("a", "long", 1, "insert", []),
        ("a", None, 2, "update", ["text"]),
        ("a", None, 3, "update", ["text"]),
        ("a", None, 3, "update", []),
        ("a", None, 4, "update", ["text"]),
    ]
    found = driven(sl.latest("k"), rows, random.Random(seed), schema)
    assert [row[1:3] for row in found] == [
        ("long", 1),
        ("long", 2),
        ("long", 3),
        (None, 3),
        (None, 4),
    ]


def test_latest_takes_plain_events() -> None:
    """Each is the newest of its key."""
    rows = [("a", 1, 0, 1.0), ("a", 1, 0, 1.0), ("a", 2, 0, 1.0), ("b", 1, 0, 1.0)]
    found = driven(sl.latest("k"), rows, random.Random(2))
    assert [row[-1] for row in found] == ["insert", "update", "insert"]


def test_latest_takes_messages_without_a_value() -> None:
    """So a compacted topic says what is gone; an unknown key gives nothing."""
    chain = Chain.of([sl.latest("k")], {"events": Schema.of(SCHEMA)}, Path())
    assert chain.tables == {"events": ("k",)}
    drive = Drive.of(chain)
    schema = pl.Schema({**SCHEMA, "_removed": pl.Boolean})
    rows = [("a", 1, 0, 1.0, False), ("b", None, None, None, True)]
    drive.epoch({"events": pl.DataFrame(rows, schema=schema, orient="row")})
    rows = [("a", None, None, None, True), ("a", 2, 0, 1.0, False)]
    drive.epoch({"events": pl.DataFrame(rows, schema=schema, orient="row")})
    drive.epoch({"events": pl.DataFrame([("a", 2, 0, 1.0)], SCHEMA, orient="row")})
    assert drive.output.rows() == [
        ("a", 1, 0, 1.0, "insert"),
        ("a", 1, 0, 1.0, "delete"),
        ("a", 2, 0, 1.0, "insert"),
    ]


def test_latest_stops_at_what_it_cannot_know() -> None:
    """A TRUNCATE is of no key; an operation must be of the known ones."""
    schema = pl.Schema({"k": pl.String, "v": pl.Int64, "_op": OPERATIONS})
    with pytest.raises(TransformError, match="TRUNCATE, which is said of no key"):
        driven(sl.latest("k"), [(None, None, "truncate")], random.Random(1), schema)
    other = pl.Schema({"k": pl.String, "_op": pl.String})
    with pytest.raises(SchemaError, match="column '_op' is String"):
        driven(sl.latest("k"), [("a", "insert")], random.Random(1), other)


def ranking(rows: Sequence[Row], n: int, *, descending: bool) -> Iterator[Row]:
    """Yield what enters and leaves the best rows of a key."""
    best: dict[Any, list[Row]] = {}
    for row in rows:
        if row[3] is None:
            continue
        places = best.setdefault(row[0], [])
        places.append(row)
        places.sort(key=lambda one: -one[3] if descending else one[3])
        gone = places[n:]
        del places[n:]
        if gone == [row]:
            continue
        yield from ((*one, "delete") for one in gone)
        yield (*row, "insert")


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("n", "descending"), [(1, True), (3, True), (2, False)])
def test_top_says_what_enters_and_what_leaves(
    seed: int, n: int, *, descending: bool
) -> None:
    """Of equal rows the first one stays; nulls never enter."""
    rows, chance = events(seed), random.Random(seed)
    best = sl.top(n, by="v", keys="k", descending=descending)
    wanted = list(ranking(rows, n, descending=descending))
    same(driven(best, rows, chance), wanted)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: sl.deduplicate("id", within=None), "no column 'id', a key"),
        (lambda: sl.running_total("k", keys="j"), "cannot make a sum of 'k', a String"),
        (lambda: sl.running("max", "k", keys="j"), "cannot make a max of 'k'"),
        (lambda: sl.running_total("w", keys="j"), "uses 'w', which is no column"),
        (lambda: sl.top(0, by="v", keys="k"), "at least one place"),
        (lambda: sl.top(1, by="k", keys="k"), "compares 'k', which is a key"),
        (lambda: sl.running("median", "v", keys="k"), "'median' is not what can run"),
        (lambda: sl.deduplicate("k", within="soon"), "within is 'soon'"),
    ],
)
def test_settings_that_do_not_fit_are_refused(
    made: Callable[[], sl.Transform[Any, Any]], message: str
) -> None:
    """When it is made, or when it meets the columns."""
    with pytest.raises(UsageError, match=message):
        Chain.of([made()], {"events": Schema.of(SCHEMA)}, Path())


def test_changes_are_not_counted_as_events() -> None:
    """Unless the fold says that it reads them as changes."""
    schema = pl.Schema({"k": pl.String(), "v": pl.Int64(), "_op": OPERATIONS})
    streams = {"events": Schema.of(schema)}
    with pytest.raises(UsageError, match="would take changes for events"):
        Chain.of([sl.running_total("v", keys="k")], streams, Path())

    @sl.transform(keys="k", state={"n": pl.Int64}, changelog=True)
    def net(events: pl.LazyFrame, state: pl.LazyFrame) -> Any:
        return events, state

    assert Chain.of([net], streams, Path()).output_schema == schema


def test_a_cut_that_loses_state_is_found_out() -> None:
    """The negative control: the comparison sees a total that begins anew."""
    rows = [("a", 1, 0, 1.0), ("a", 1, 0, 1.0)]
    total = sl.running_total("v", keys="k")
    wrong = [row for one in rows for row in driven(total, [one], random.Random(1))]
    with pytest.raises(AssertionError):
        same(driven(total, rows, random.Random(1)), wrong)
