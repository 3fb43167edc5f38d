"""The events: persons, auctions and bids, the same ones for the same seed.

Of fifty events in a row one is a person, three are auctions and 46 are bids, in this
order; one event follows the other by one millisecond of event time. A bid is on one of
the latest auctions, every second one on the hottest of them; an auction is of one of
the latest persons. That is the model of the Nexmark generator of Apache Beam; the
random numbers are our own.

Events reach their topic out of order by less than :data:`JITTER_MS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from streamlab import Field, Schema

PROPORTION = 50
PERSONS = 1
AUCTIONS = 3
FIRST_ID = 1_000
LATEST = 100  # auctions or persons that are still of interest
HOT_EVERY = 2  # every such bid is on a hot auction
JITTER_MS = 2_000
START_MS = 1_436_918_370_000  # 2015-07-14 23:59:30 UTC, so that a day ends soon
STATES = ("AZ", "CA", "ID", "OR", "WA", "WY")
CITIES = (
    "Phoenix", "Los Angeles", "San Francisco", "Boise", "Portland", "Bend", "Redmond",
    "Seattle", "Kent", "Cheyenne",
)  # fmt: skip
CHANNELS = ("Google", "Facebook", "Baidu", "Apple")
CATEGORIES = (10, 11, 12, 13, 14)
MAX_PRICE = 10**8
LONGEST_AUCTION_MS = 20_000

SCHEMAS: Mapping[str, Mapping[str, pl.DataType]] = {
    "persons": {
        "id": pl.Int64(),
        "name": pl.String(),
        "email": pl.String(),
        "credit_card": pl.String(),
        "city": pl.String(),
        "state": pl.String(),
        "date_time": pl.Int64(),
        "extra": pl.String(),
    },
    "auctions": {
        "id": pl.Int64(),
        "item": pl.String(),
        "description": pl.String(),
        "initial_bid": pl.Int64(),
        "reserve": pl.Int64(),
        "date_time": pl.Int64(),
        "expires": pl.Int64(),
        "seller": pl.Int64(),
        "category": pl.Int64(),
        "extra": pl.String(),
    },
    "bids": {
        "auction": pl.Int64(),
        "bidder": pl.Int64(),
        "price": pl.Int64(),
        "channel": pl.String(),
        "url": pl.String(),
        "date_time": pl.Int64(),
        "extra": pl.String(),
    },
}
"""Stream → its columns; times are milliseconds since 1970 UTC."""

KEYS: Mapping[str, str] = {"persons": "id", "auctions": "id", "bids": "auction"}
"""Stream → the column that keys its topic."""


@dataclass(frozen=True, eq=False)
class Events:
    """The generated events, each stream in the order of its event time.

    Attributes:
        frames: Stream → frame with the columns of :data:`SCHEMAS`.
        arrival: Stream → order in which its rows are sent.
    """

    frames: Mapping[str, pl.DataFrame]
    arrival: Mapping[str, pl.Series]

    @property
    def count(self) -> int:
        """Return the number of events of all streams."""
        return sum(frame.height for frame in self.frames.values())

    def sent(self, stream: str) -> pl.DataFrame:
        """Return the rows of a stream in the order in which they are sent."""
        return self.frames[stream][self.arrival[stream]]


def schema(stream: str) -> Schema:
    """Return the schema of a stream's events."""
    return Schema(tuple(Field(name, dtype) for name, dtype in SCHEMAS[stream].items()))


def generate(count: int, seed: int = 1) -> Events:
    """Return ``count`` events of the three streams together."""
    chance = np.random.default_rng(seed)
    number = np.arange(count)
    place = number % PROPORTION
    person, auction = place < PERSONS, (place >= PERSONS) & (place < PERSONS + AUCTIONS)
    frames = {
        "persons": _persons(number[person], chance),
        "auctions": _auctions(number[auction], chance),
        "bids": _bids(number[~person & ~auction], chance),
    }
    arrival = {name: _shuffled(frame, chance) for name, frame in frames.items()}
    return Events(
        {
            name: frame.select(
                pl.col(column).cast(dtype) for column, dtype in SCHEMAS[name].items()
            )
            for name, frame in frames.items()
        },
        arrival,
    )


def _persons(number: np.ndarray, chance: np.random.Generator) -> pl.DataFrame:
    size = number.size
    ids = number // PROPORTION + FIRST_ID
    city = chance.integers(0, len(CITIES), size)
    return pl.DataFrame(
        {
            "id": ids,
            "city": np.array(CITIES)[city],
            "state": np.array(STATES)[chance.integers(0, len(STATES), size)],
            "card": chance.integers(0, 10**16, size),
            "date_time": START_MS + number,
            "extra": _text(chance, size),
        }
    ).with_columns(
        name=pl.format("Person {}", "id"),
        email=pl.format("p{}@example.org", "id"),
        credit_card=pl.col("card").cast(pl.String).str.zfill(16),
    )


def _auctions(number: np.ndarray, chance: np.random.Generator) -> pl.DataFrame:
    size = number.size
    ids = _last_auction(number)
    initial = chance.integers(1, 1_000, size)
    lasts = chance.integers(1_000, LONGEST_AUCTION_MS, size)
    return pl.DataFrame(
        {
            "id": ids,
            "initial_bid": initial,
            "reserve": initial + chance.integers(1, 1_000, size),
            "date_time": START_MS + number,
            "expires": START_MS + number + lasts,
            "seller": _recent(_last_person(number), chance),
            "category": np.array(CATEGORIES)[chance.integers(0, len(CATEGORIES), size)],
            "extra": _text(chance, size),
        }
    ).with_columns(
        item=pl.format("item {}", "id"), description=pl.format("sold as {}", "id")
    )


def _bids(number: np.ndarray, chance: np.random.Generator) -> pl.DataFrame:
    size = number.size
    last = _last_auction(number)
    hot = chance.integers(0, HOT_EVERY, size) == 0
    hottest = np.maximum(last // LATEST * LATEST, FIRST_ID)
    channel = chance.integers(0, len(CHANNELS) * 2, size)
    named = channel < len(CHANNELS)
    numbered = np.char.add("channel-", chance.integers(0, 1_000, size).astype(str))
    names = np.where(named, np.array(CHANNELS)[channel % len(CHANNELS)], numbered)
    return pl.DataFrame(
        {
            "auction": np.where(hot, hottest, _recent(last, chance)),
            "bidder": _recent(_last_person(number), chance),
            # Prices are spread evenly by their logarithm, as in the suite.
            "price": np.power(10.0, chance.random(size) * 6 + 2).astype(np.int64),
            "channel": names,
            "date_time": START_MS + number,
            "page": chance.integers(0, 100, size),
            "extra": _text(chance, size),
        }
    ).with_columns(
        url=pl.format(
            "https://www.nexmark.example/{}/{}/item.htm?q=1", "channel", "page"
        )
    )


def _last_auction(number: np.ndarray) -> np.ndarray:
    """Return the id of the latest auction at each event, an auction's own included."""
    within = np.clip(number % PROPORTION - PERSONS, -1, AUCTIONS - 1)
    ids: np.ndarray = np.maximum(number // PROPORTION * AUCTIONS + within, 0) + FIRST_ID
    return ids


def _last_person(number: np.ndarray) -> np.ndarray:
    return number // PROPORTION + FIRST_ID


def _recent(last: np.ndarray, chance: np.random.Generator) -> np.ndarray:
    """Return one of the latest ids, for each event."""
    known = np.minimum(last - FIRST_ID + 1, LATEST)
    ids: np.ndarray = last - (chance.random(last.size) * known).astype(np.int64)
    return ids


def _text(chance: np.random.Generator, size: int) -> list[str]:
    letters = np.frombuffer(b"abcdefghij", dtype=np.uint8)
    drawn = letters[chance.integers(0, letters.size, (size, 20))]
    return [row.decode() for row in drawn.view("S20").ravel()]


def _shuffled(frame: pl.DataFrame, chance: np.random.Generator) -> pl.Series:
    moved = frame["date_time"].to_numpy() + chance.integers(0, JITTER_MS, frame.height)
    return pl.Series(np.argsort(moved, kind="stable"))
