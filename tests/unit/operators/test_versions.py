"""Joins with a table as it was at the time of each row."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import streamlab as sl
from streamlab.contracts import Schema
from streamlab.formats.changes import OPERATIONS, UNAVAILABLE
from streamlab.operators.chain import Chain
from streamlab.operators.driving import Drive
from streamlab.operators.joins import versions
from streamlab.transforms.event_time import event_time
from tests.unit.operators.partitioned import Stream, epochs, held, random_rows

LATENESS = 2
KEYS = 3


def chain_of(how: str, stream: pl.Schema, table: pl.Schema) -> Chain:
    """Return a join whose pairs pass through."""

    @sl.transform(
        join=sl.table_join(
            "a",
            "b",
            keys=[("k", "k")],
            how="left" if how == "left" else "inner",
            as_of=(
                event_time("t", unit="us", bound="3us"),
                event_time("u", unit="us", bound="4us"),
            ),
            lateness=f"{LATENESS}us",
        )
    )
    def joined(pairs: pl.LazyFrame) -> pl.LazyFrame:
        return pairs

    schemas = {"a": Schema.of(stream), "b": Schema.of(table)}
    return Chain.of([joined], schemas, Path())


def streams_of(seed: int) -> dict[str, Stream]:
    """Return a stream, and a table that is changed, cut short and emptied."""
    chance = random.Random(seed)
    left = random_rows(chance, 30, "t", keys=KEYS).drop("span").with_row_index("n")
    right = random_rows(chance, 30, "u", keys=KEYS, partitions=1).drop("span")
    kinds = ["insert", "update", "update", "delete", "delete", "truncate"]
    right = right.with_row_index("m").with_columns(
        pl.Series("_op", [chance.choice(kinds) for _ in range(right.height)]),
        pl.Series("v", [chance.randrange(100) for _ in range(right.height)]),
        pl.Series(
            UNAVAILABLE,
            [chance.choice([None, ["v"]]) for _ in range(right.height)],
            dtype=pl.List(pl.String),
        ),
    )
    right = right.with_columns(
        pl.col("_op").cast(OPERATIONS),
        v=pl.when(pl.col(UNAVAILABLE).is_null()).then("v"),
    )
    return {"a": Stream(left, "t", 3), "b": Stream(right, "u", 4)}


def expected(streams: dict[str, Stream], how: str) -> pl.DataFrame:
    """Return each row with the version of its time, row by row."""
    changes = streams["b"].accepted(LATENESS).sort("u", maintain_order=True)
    found = []
    for row in streams["a"].accepted(LATENESS).drop("_partition").to_dicts():
        table: dict[int, dict[str, Any]] = {}
        for change in changes.filter(pl.col("u") <= row["t"]).to_dicts():
            key = change["k"]
            if change["_op"] == "truncate":
                table.clear()
            elif change["_op"] == "delete":
                table.pop(key, None)
            elif key is not None:
                before = table.get(key, {"v": None})
                lacks = change[UNAVAILABLE] is not None
                value = before["v"] if lacks else change["v"]
                table[key] = {"m": change["m"], "u": change["u"], "v": value}
        version = table.get(row["k"])
        if version is not None or how == "left":
            found.append({**row, **(version or {"m": None, "u": None, "v": None})})
    dtypes = {"n": pl.UInt32, "k": pl.Int64, "t": pl.Int64}
    dtypes |= {"m": pl.UInt32, "u": pl.Int64, "v": pl.Int64}
    return pl.DataFrame(found, schema=dtypes)


def driven(chain: Chain, streams: dict[str, Stream], seed: int) -> Drive:
    """Run random epochs of the streams."""
    drive = Drive.of(chain, {"a": 2, "b": 1})
    for events in epochs(random.Random(seed), streams):
        drive.epoch(events)
        assert held(drive) == sum(table.height for table in drive.tables.values())
    drive.epoch({}, ended=True)
    return drive


@pytest.mark.parametrize("how", ["inner", "left"])
@pytest.mark.parametrize("seed", range(8))
def test_each_row_meets_the_version_of_its_time(seed: int, how: str) -> None:
    """Out of order, late, deleted, emptied, and with values that were not sent."""
    streams = streams_of(seed)
    schemas = [one.rows.drop("_partition").schema for one in streams.values()]
    drive = driven(chain_of(how, *schemas), streams, seed)
    wanted = expected(streams, how)
    assert_frame_equal(
        drive.output.select(wanted.columns), wanted, check_row_order=False
    )


def test_only_the_last_settled_version_of_a_key_is_kept() -> None:
    """Older ones cannot be asked for any more."""
    stream = pl.DataFrame({"k": [1], "t": [100]})
    table = pl.DataFrame({"k": [1, 1, 1], "u": [10, 20, 30], "v": [1, 2, 3]})
    drive = Drive.of(chain_of("inner", stream.schema, table.schema))
    drive.epoch({"b": table, "a": stream})
    assert drive.tables["joined.current"].height == 1
    drive.epoch({"b": table.with_columns(pl.col("u") + 100)})
    heights = {name: one.height for name, one in drive.tables.items()}
    assert heights == {"joined.current": 1, "joined.coming": 3, "joined.waiting": 1}
    drive.epoch({}, ended=True)
    assert held(drive) == drive.tables["joined.current"].height == 1
    assert drive.output["v"].to_list() == [3]
    assert drive.chain.deterministic
    assert not drive.chain.timeless


def test_of_two_versions_of_one_time_the_later_one_counts() -> None:
    """Whether they came together or not."""
    stream = pl.DataFrame({"k": [1, 1], "t": [10, 11]})
    table = pl.DataFrame({"k": [1, 1], "u": [10, 10], "v": [1, 2]})
    for cut in (1, 2):
        drive = Drive.of(chain_of("inner", stream.schema, table.schema))
        drive.epoch({"b": table[:cut], "a": stream})
        drive.epoch({"b": table[cut:]})
        drive.epoch({}, ended=True)
        assert drive.output["v"].to_list() == [2, 2]


def test_control_a_row_that_does_not_wait_misses_its_version(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So the comparison row by row can fail."""
    monkeypatch.setattr(versions, "_BEHIND_US", -5)
    with pytest.raises(AssertionError):
        test_each_row_meets_the_version_of_its_time(1, "left")
