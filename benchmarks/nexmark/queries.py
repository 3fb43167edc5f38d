"""The queries as streamlab transforms: plain polars, and what each needs beyond a row.

A query is the functions in its row of :data:`QUERIES`. The event time of every stream
is its ``date_time``; events are out of order by less than :data:`BOUND`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

import streamlab as sl

BOUND = "2s"
TIME = sl.event_time("date_time", bound=BOUND)
SIDE = pl.DataFrame({"key": range(100), "value": [f"value {n}" for n in range(100)]})


@dataclass(frozen=True)
class Query:
    """One query.

    Attributes:
        streams: What it reads.
        functions: Names of its functions here, one after another.
        key: Columns that name a row of its result, where rows are replaced.
        mode: How they are replaced: see ``PostgresSink``.
    """

    streams: tuple[str, ...]
    functions: tuple[str, ...]
    key: tuple[str, ...] = ()
    mode: str = "upsert"


@sl.transform
def q0(bids: pl.LazyFrame) -> pl.LazyFrame:
    """Pass every bid through."""
    return bids.select("auction", "bidder", "price", "date_time", "extra")


@sl.transform
def q1(bids: pl.LazyFrame) -> pl.LazyFrame:
    """Prices in euros."""
    return bids.select(
        "auction", "bidder", pl.col("price") * 0.908, "date_time", "extra"
    )


@sl.transform
def q2(bids: pl.LazyFrame) -> pl.LazyFrame:
    """Bids on some auctions."""
    return bids.filter(pl.col("auction") % 123 == 0).select("auction", "price")


@sl.transform(
    join=sl.regular_join("auctions", "persons", keys=[("seller", "id")], ttl="7d")
)
def q3(pairs: pl.LazyFrame) -> pl.LazyFrame:
    """Who sells in some states, in one category."""
    return pairs.filter(
        pl.col("category") == 10, pl.col("state").is_in(["OR", "ID", "CA"])
    ).select("name", "city", "state", "id", "_op")


# fmt: off
@sl.transform(join=sl.interval_join(
    "auctions", "bids", keys=[("id", "auction")], times=(TIME, TIME), upper="expires",
))
def bids_in_time(pairs: pl.LazyFrame) -> pl.LazyFrame:
    """Each auction with each bid until it expires."""
    return pairs.rename({"date_time_right": "bid_time"}).drop(
        "channel", "url", "extra_right"
    )
# fmt: on


@sl.transform(window=sl.tumbling("10s", on=sl.event_time("expires")), keys=["id"])
def winning(pairs: pl.LazyFrame) -> pl.LazyFrame:
    """The best bid of each auction, once it has expired: q9."""
    best = pairs.sort("price", "bid_time", "bidder", descending=[True, False, False])
    return best.group_by("id").first().drop("window_start", "window_end")


@sl.transform(
    keys=["category"],
    state={"auctions": pl.Int64, "total": pl.Int64},
    on=sl.event_time("expires", bound="10s"),
)
def average_price(won: pl.LazyFrame, state: pl.LazyFrame) -> tuple[Any, Any]:
    """The average price of a category, with each auction that ends: q4."""
    new = won.group_by("category").agg(
        pl.len().cast(pl.Int64).alias("auctions"), total=pl.col("price").sum()
    )
    sums = pl.concat([state, new]).group_by("category").sum()
    return sums.select("category", price=pl.col("total") / pl.col("auctions")), sums


@sl.transform(window=sl.hopping("10s", "2s", on=TIME))
def q5(bids: pl.LazyFrame) -> pl.LazyFrame:
    """The auctions with the most bids in the last ten seconds."""
    counted = bids.group_by("window_start", "auction").agg(num=pl.len())
    return counted.filter(pl.col("num") == pl.col("num").max().over("window_start"))


@sl.transform(window=sl.tumbling("10s", on=TIME))
def q7(bids: pl.LazyFrame) -> pl.LazyFrame:
    """The highest bids of ten seconds."""
    highest = pl.col("price").max().over("window_start")
    return bids.filter(pl.col("price") == highest).select(
        "auction", "price", "bidder", "date_time", "extra"
    )


@sl.transform(window=sl.tumbling("10s", on=TIME))
def q8(persons: pl.LazyFrame, auctions: pl.LazyFrame) -> pl.LazyFrame:
    """Persons that opened an auction in the ten seconds in which they came."""
    sellers = auctions.select("window_start", id="seller").unique()
    return persons.join(sellers, on=["window_start", "id"]).select(
        "id", "name", "window_start"
    )


@sl.transform(window=sl.session("10s", on=TIME), keys=["bidder"])
def q11(bids: pl.LazyFrame) -> pl.LazyFrame:
    """How many bids a person makes in one visit."""
    return bids.group_by("bidder", "window_start", "window_end").agg(bids=pl.len())


@sl.transform(window=sl.tumbling("10s", on="_timestamp"), keys=["bidder"])
def q12(bids: pl.LazyFrame) -> pl.LazyFrame:
    """How many bids a person makes in ten seconds of the broker's clock."""
    return bids.group_by("bidder", "window_start").agg(bids=pl.len())


@sl.transform(tables={"side": sl.table(SIDE, key="key")})
def q13(bids: pl.LazyFrame, side: pl.LazyFrame) -> pl.LazyFrame:
    """Bids with a value of a static table."""
    keyed = bids.with_columns(key=pl.col("auction") % 100)
    return keyed.join(side, on="key", maintain_order="left").select(
        "auction", "bidder", "price", "date_time", "value"
    )


@sl.transform
def q14(bids: pl.LazyFrame) -> pl.LazyFrame:
    """Bids of a range in euros, with the time of day and a count of letters."""
    hour = pl.col("date_time") // 3_600_000 % 24
    time_type = (
        pl.when(hour.is_between(8, 18))
        .then(pl.lit("dayTime"))
        .when((hour <= 6) | (hour >= 20))
        .then(pl.lit("nightTime"))
        .otherwise(pl.lit("otherTime"))
    )
    return (
        bids.with_columns(pl.col("price") * 0.908)
        .filter(pl.col("price") > 1_000_000, pl.col("price") < 50_000_000)
        .select(
            "auction",
            "bidder",
            "price",
            time_type.alias("time_type"),
            "date_time",
            c_counts=pl.col("extra").str.count_matches("c", literal=True),
        )
    )


def ranked(name: str, *counted: pl.Expr) -> list[pl.Expr]:
    """Return some counts of all bids, and of those in each of three ranges of price."""
    price = pl.col("price")
    ranges = {
        "total": pl.lit(value=True),
        "rank1": price < 10_000,
        "rank2": (price >= 10_000) & (price < 1_000_000),
        "rank3": price >= 1_000_000,
    }
    (column,) = counted or (price,)
    return [
        (column.filter(chosen).n_unique() if counted else column.filter(chosen).len())
        .cast(pl.Int64)
        .alias(f"{rank}_{name}")
        for rank, chosen in ranges.items()
    ]


DAY = sl.tumbling("1d", on=TIME)
STATISTICS = [
    *ranked("bids"),
    *ranked("bidders", pl.col("bidder")),
    *ranked("auctions", pl.col("auction")),
]


@sl.transform(window=DAY)
def q15(bids: pl.LazyFrame) -> pl.LazyFrame:
    """Bids, bidders and auctions of a day, by the rank of the price."""
    return bids.group_by(day="window_start").agg(STATISTICS)


@sl.transform(window=DAY, keys=["channel"])
def q16(bids: pl.LazyFrame) -> pl.LazyFrame:
    """The same of each channel."""
    minute = pl.from_epoch("date_time", "ms").dt.strftime("%H:%M").max()
    return bids.group_by("channel", day="window_start").agg(
        minute.alias("minute"), *STATISTICS
    )


@sl.transform(window=DAY, keys=["auction"])
def q17(bids: pl.LazyFrame) -> pl.LazyFrame:
    """Bids and prices of an auction on a day."""
    price = pl.col("price")
    return bids.group_by("auction", day="window_start").agg(
        *ranked("bids"),
        min_price=price.min(),
        max_price=price.max(),
        avg_price=price.mean(),
        sum_price=price.sum(),
    )


@sl.transform(
    join=sl.regular_join("bids", "auctions", keys=[("auction", "id")], ttl="7d")
)
def q20(pairs: pl.LazyFrame) -> pl.LazyFrame:
    """Bids on auctions of one category, with the auction."""
    return pairs.filter(pl.col("category") == 10).select(
        "auction", "bidder", "price", "channel", pl.col("date_time").alias("bid_time"),
        "item", "initial_bid", "seller", "category", "_op",
    )  # fmt: skip


@sl.transform
def q22(bids: pl.LazyFrame) -> pl.LazyFrame:
    """The folders of a bid's page."""
    parts = pl.col("url").str.split("/")
    return bids.select(
        "auction", "bidder", "price", "channel",
        dir1=parts.list.get(3), dir2=parts.list.get(4), dir3=parts.list.get(5),
    )  # fmt: skip


q18 = sl.latest(["bidder", "auction"], on=TIME)
q19 = sl.top(10, by="price", keys="auction", on=TIME)

BIDS = ("bids",)
BOTH = ("auctions", "bids")
QUERIES: Mapping[str, Query] = {
    "q0": Query(BIDS, ("q0",)),
    "q1": Query(BIDS, ("q1",)),
    "q2": Query(BIDS, ("q2",)),
    "q3": Query(("auctions", "persons"), ("q3",), ("id",), "changes"),
    "q4": Query(BOTH, ("bids_in_time", "winning", "average_price"), ("category",)),
    "q5": Query(BIDS, ("q5",)),
    "q7": Query(BIDS, ("q7",)),
    "q8": Query(("persons", "auctions"), ("q8",)),
    "q9": Query(BOTH, ("bids_in_time", "winning")),
    "q11": Query(BIDS, ("q11",)),
    "q12": Query(BIDS, ("q12",)),
    "q13": Query(BIDS, ("q13",)),
    "q14": Query(BIDS, ("q14",)),
    "q15": Query(BIDS, ("q15",)),
    "q16": Query(BIDS, ("q16",)),
    "q17": Query(BIDS, ("q17",)),
    "q18": Query(BIDS, ("q18",), ("bidder", "auction"), "changes"),
    "q19": Query(BIDS, ("q19",), ("auction", "bidder", "date_time"), "changes"),
    "q20": Query(
        ("bids", "auctions"), ("q20",), ("auction", "bidder", "bid_time"), "changes"
    ),
    "q22": Query(BIDS, ("q22",)),
}
