"""Hashes of keys: what the rows of a segment are sorted by.

The hash is polars' own, which is fast for every dtype and depends on nothing but the
values; but it is not promised to be the same in the next version of polars. So each
segment records the :func:`fingerprint` of the function it was sorted by: what that
function makes of fixed values. Where it has changed, the segment is sorted anew.
Equal hashes are never taken for equal keys.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Final

import polars as pl

HASH: Final = "streamlab:hash"
"""Hidden UInt64 column: the hash of the key."""

SEQUENCE: Final = "streamlab:sequence"
"""Hidden UInt64 column: in which order the rows were put."""

_SEED = 5


def hashes(rows: pl.DataFrame, keys: Sequence[str]) -> pl.Series:
    """Return the hash of each row's key.

    Args:
        rows: Have the key columns.
        keys: One column at least.

    Returns:
        UInt64. Null is a value like any other, ``-0.0`` equals ``0.0``, and NaN NaN.
    """
    return comparable(rows, keys).hash_rows(seed=_SEED).alias(HASH)


def comparable(rows: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
    """Return the keys with what categories are called instead of their numbers."""
    named = [
        name
        for name in keys
        if isinstance(rows.schema[name], (pl.Categorical, pl.Enum))
    ]
    chosen = rows.select(keys)
    return chosen.with_columns(pl.col(named).cast(pl.String)) if named else chosen


def by_hash(rows: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
    """Return the rows with their hash and sorted by it, else in their order."""
    if HASH not in rows.columns:
        rows = rows.with_columns(hashes(rows, keys))
    # One thread is as fast, and leaves polars' other threads to the next epoch.
    return rows.sort(HASH, maintain_order=True, multithreaded=False).rechunk()


@functools.cache
def fingerprint() -> str:
    """Return what tells this version's hash function from another's."""
    texts = [None, *("x" * n for n in (0, 1, 4, 8, 12, 13, 16, 17, 32, 100, 1000))]
    moment = datetime(2020, 2, 29, 12, 30, 1, 5, tzinfo=UTC)
    frame = pl.DataFrame(
        {
            "text": texts,
            "binary": [None if text is None else text.encode() for text in texts],
            "whole": [None, *(7**n for n in range(len(texts) - 1))],
            "float": [None, *(1.5**n for n in range(len(texts) - 1))],
            "bool": [None, *(n % 2 == 0 for n in range(len(texts) - 1))],
            "date": [None, *([date(2020, 2, 29)] * (len(texts) - 1))],
            "time": [None, *([moment] * (len(texts) - 1))],
            "decimal": [None, *([Decimal("12.50")] * (len(texts) - 1))],
        },
        schema_overrides={"time": pl.Datetime("us", "UTC")},
    )
    whole = [pl.Int8, pl.Int16, pl.Int32, pl.UInt32, pl.UInt64]
    narrow = pl.DataFrame([pl.Series(str(of), [1, 2, 100], dtype=of) for of in whole])
    digest = hashlib.sha256()
    for part in (
        *(frame.select(name) for name in frame.columns),
        frame,
        *(narrow.select(name) for name in narrow.columns),
    ):
        digest.update(repr(part.hash_rows(seed=_SEED).to_list()).encode())
    return digest.hexdigest()[:16]
