"""A few hundred events that a pipeline cannot process, hidden among the flights."""

from __future__ import annotations

import random
from collections.abc import Sequence

import orjson

from demo.flights import Messages

COUNT = 300
SEED = 2013


def undecodable(flight: bytes) -> list[bytes | None]:
    """Return values that are not a JSON object at all."""
    return [
        b"not json",
        b"",
        None,  # a tombstone
        b"null",
        b"[1, 2]",
        flight[:-7],  # cut off
        flight + flight,  # two in one
        flight.replace(b'"origin":"', b'"origin":"\xff\xfe'),  # not UTF-8
        flight.replace(b'"minute":', b'"minute":NaN,"was":'),
        b'{"year":' * 3_000 + b"1" + b"}" * 3_000,
    ]


def unfitting(flight: bytes) -> list[bytes | None]:
    """Return objects that do not fit the schema, and one that no text column takes.

    The last decodes and transforms, and PostgreSQL refuses it: text has no U+0000.
    """
    event = orjson.loads(flight)
    changes = (
        {"arr_delay": "late"},
        {"carrier": 7},
        {"dest": {"code": "IAH"}},
        {"year": 2013.5},
        {"flight": True},
        {"tailnum": "N\u00001", "arr_delay": 60},
    )
    values = [orjson.dumps(event | change) for change in changes]
    return [*values, flight.replace(b'"day":', b'"day":99999999999999999999,"was":')]


def hidden_in(
    batch: Messages, *, count: int = COUNT, unfitting_until: float
) -> Messages:
    """Return the messages with poison among them, each beside an event it resembles.

    Args:
        batch: The good messages.
        count: How many to add.
        unfitting_until: Objects that do not fit are added to this part of the
            messages only, from 0 to 1: who infers a schema behind it is not misled.
    """
    chance = random.Random(SEED)
    values, keys, times = (
        list(batch.values),
        list(batch.keys),
        list(batch.timestamps_ms),
    )
    places = sorted((chance.randrange(len(batch)) for _ in range(count)), reverse=True)
    for number, place in enumerate(places):
        flight = batch.values[place] or b""
        kinds: Sequence[bytes | None] = undecodable(flight)
        if place < unfitting_until * len(batch):
            kinds = [*kinds, *unfitting(flight)]
        values.insert(place, kinds[number % len(kinds)])
        keys.insert(place, batch.keys[place])
        times.insert(place, batch.timestamps_ms[place])
    return Messages(values, keys, times)
