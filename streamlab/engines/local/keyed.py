"""Keys and partitions: whether a topic is spread as its pipeline says.

Where it is not, rows of one key would be in several tasks, and each would see a part
of them. So keys of every epoch are looked at, a few spread over it.

Sources: ``Utils.murmur2`` and ``BuiltInPartitioner.partitionForKey`` of Apache Kafka;
``rd_kafka_msg_partitioner_consistent`` of librdkafka for the CRC-32.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping

import polars as pl

from streamlab.engines.local.processing import Decoded
from streamlab.errors import PipelineError
from streamlab.pipelines import Keyed

MOST_LOOKED_AT = 32
"""Keys of an epoch that are looked at; a murmur2 in Python takes a few µs."""

_SEED, _MULTIPLIER, _SHIFT, _WORD = 0x9747B28C, 0x5BD1E995, 24, 0xFFFFFFFF
_POSITIVE = 0x7FFFFFFF


def murmur2(key: bytes) -> int:
    """Return Kafka's 32-bit murmur2 hash of a key, without a sign."""
    hashed = _SEED ^ len(key)
    whole = len(key) & ~3
    for start in range(0, whole, 4):
        word = int.from_bytes(key[start : start + 4], "little")
        word = word * _MULTIPLIER & _WORD
        word ^= word >> _SHIFT
        word = word * _MULTIPLIER & _WORD
        hashed = (hashed * _MULTIPLIER & _WORD) ^ word
    if rest := key[whole:]:
        hashed ^= int.from_bytes(rest, "little")
        hashed = hashed * _MULTIPLIER & _WORD
    hashed ^= hashed >> 13
    hashed = hashed * _MULTIPLIER & _WORD
    return hashed ^ hashed >> 15


_HASHES: Mapping[str, Callable[[bytes], int]] = {
    "murmur2": lambda key: murmur2(key) & _POSITIVE,
    "crc32": zlib.crc32,
}


def partition_of(key: bytes, keyed: Keyed, partitions: int) -> int:
    """Return the partition that a key chooses among some."""
    return _HASHES[keyed.partitioner](key) % partitions


def check(decoded: Decoded, keyed: Keyed, partitions: Mapping[str, int]) -> None:
    """Make sure of some events that they are where their key belongs.

    Args:
        decoded: The events.
        keyed: How their topic is said to be spread.
        partitions: Topic → number of its partitions.

    Raises:
        PipelineError: An event is elsewhere, or its key is not that of its columns;
            names the event by its origin.
    """
    height = decoded.events.height
    if not height:
        return
    step = max(1, height // MOST_LOOKED_AT)
    chosen = list(range(0, height, step))
    raw_rows = decoded.raw_rows(chosen)
    events = decoded.events.select(keyed.columns)[chosen]
    origins = decoded.raw.origins
    keys, places, positions = origins.keys(), origins.partitions(), origins.positions()
    for row, raw_row in enumerate(raw_rows):
        key, place = keys[raw_row], places[raw_row]
        event = f"event {place}@{positions[raw_row]}"
        if key is None or not _is_key(key, keyed, events, row):
            columns = ", ".join(keyed.columns)
            what = (
                "has no key" if key is None else f"has a key that is not its {columns}"
            )
            raise _not_keyed(f"{event} {what}", keyed)
        belongs = partition_of(key, keyed, partitions[place.topic])
        if belongs != place.partition:
            what = (
                f"belongs to partition {belongs} by the {keyed.partitioner} of its key"
            )
            raise _not_keyed(f"{event} {what}", keyed)


def _is_key(key: bytes, keyed: Keyed, events: pl.DataFrame, row: int) -> bool:
    try:
        if keyed.key_format == "json":
            named = events.row(row, named=True)
            told = json.loads(key)
            return isinstance(told, dict) and all(
                name in told and str(told[name]) == str(value)
                for name, value in named.items()
            )
        return key.decode() == str(events.row(row)[0])
    except ValueError:
        return False


def _not_keyed(found: str, keyed: Keyed) -> PipelineError:
    columns = ", ".join(keyed.columns)
    message = f"the topic is not keyed by {columns} as the pipeline says: {found}"
    return PipelineError(
        message,
        hint="name the partitioner and the format that its producer uses (murmur2 or "
        "crc32; string or json); or leave out keyed_by, and one worker runs all",
    )
