"""Dates and times of PostgreSQL's ISO text, whatever the century.

Polars reads the usual years at tens of millions a second. What it does not read, years
before 1 or after 9999, is computed from the digits; both agree, in the proleptic
Gregorian calendar, in which the year before 1 is 0 (and 1 BC is written 0000).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import polars as pl

MAX_YEAR = 262_142
"""The last year that polars can show. PostgreSQL's first is 4713 BC, which it can."""

FEW_ROWS = 100
"""Up to so many rows it is quicker not to give work to the threads of polars."""

_MICROSECONDS_A_DAY = 86_400_000_000
_DAYS_TO_1970 = 719_468  # from 0000-03-01, where the count of whole eras begins
_YEARS_AN_ERA = 400
_DAYS_AN_ERA = 146_097
_PARTS = (
    r"^(?P<year>[0-9]{4,7})-(?P<month>[0-9]{2})-(?P<day>[0-9]{2})"
    r"(?: (?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"
    r"(?:\.(?P<fraction>[0-9]{1,6}))?)?(?:\+00)?(?P<era> BC)?$"
)


def dates(text: pl.Series) -> pl.Series:
    """Return Date; null for infinity and years after :data:`MAX_YEAR`."""
    usual = text.str.to_date("%Y-%m-%d", strict=False)
    if usual.null_count() == text.null_count():
        return usual
    return _mended(usual, text, pl.col("days").cast(pl.Int32))


def timestamps(text: pl.Series) -> pl.Series:
    """Return Datetime (us) without a zone; null for infinity and too late years."""
    usual = text.str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_unit="us", strict=False)
    if usual.null_count() == text.null_count():
        return usual
    return _mended(usual, text, _microseconds())


def zoned_timestamps(text: pl.Series) -> pl.Series:
    """Return Datetime (us, UTC) of text with the offset ``+00``; null as above."""
    if len(text) <= FEW_ROWS and (few := _few_zoned(text)) is not None:
        return few
    usual = text.str.to_datetime(
        "%Y-%m-%d %H:%M:%S%.f%#z", time_unit="us", time_zone="UTC", strict=False
    )
    if usual.null_count() == text.null_count():
        return usual
    return _mended(usual, text, _microseconds())


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_ZONED = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?\+00"
)


def _few_zoned(text: pl.Series) -> pl.Series | None:
    """Read the usual years in the thread of the caller; None if there is another."""
    read: list[int | None] = []
    for one in text:
        if one is None:
            read.append(None)
            continue
        if _ZONED.fullmatch(one) is None:
            return None
        try:
            instant = datetime.fromisoformat(one)
        except ValueError:  # the year 0
            return None
        read.append((instant - _EPOCH) // _MICROSECOND)
    return pl.Series(text.name, read, pl.Int64).cast(pl.Datetime("us", "UTC"))


def times(text: pl.Series) -> pl.Series:
    """Return Time; null for 24:00:00, which is no time of a day."""
    return text.str.to_time("%H:%M:%S%.f", strict=False)


def _microseconds() -> pl.Expr:
    clock = (pl.col("hour") * 60 + pl.col("minute")) * 60 + pl.col("second")
    return (
        pl.col("days") * _MICROSECONDS_A_DAY
        + clock * 1_000_000
        + pl.col("fraction").str.pad_end(6, "0").cast(pl.Int64).fill_null(0)
    )


def _mended(usual: pl.Series, text: pl.Series, physical: pl.Expr) -> pl.Series:
    """Fill what polars did not read with what the digits say."""
    gone = (usual.is_null() & text.is_not_null()).arg_true()
    numbers = pl.col("year", "month", "day", "hour", "minute", "second")
    found = (
        pl.DataFrame({"text": text.gather(gone)})
        .select(pl.col("text").str.extract_groups(_PARTS))
        .unnest("text")
        .with_columns(numbers.cast(pl.Int64))
        .with_columns(
            pl.when(pl.col("era").is_null())
            .then(pl.col("year"))
            .otherwise(1 - pl.col("year")),
        )
        .with_columns(pl.when(pl.col("year") <= MAX_YEAR).then(pl.col("year")))
        .with_columns(_days(), pl.col("hour", "minute", "second").fill_null(0))
        .select(physical.alias("value"))
        .to_series()
    )
    return usual.to_physical().scatter(gone, found).cast(usual.dtype)


def _days() -> pl.Expr:
    """Count the days from 1970, in eras of 400 years that begin on a first of March.

    Source: https://howardhinnant.github.io/date_algorithms.html#days_from_civil
    """
    # January and February belong to the year before, so that leap days come last.
    month = pl.col("month")
    year = pl.col("year") - (month <= 2).cast(pl.Int64)  # noqa: PLR2004 -- February
    era = year // _YEARS_AN_ERA  # rounds down, for negative years too
    year_of_era = year - era * _YEARS_AN_ERA
    day_of_year = (153 * ((month + 9) % 12) + 2) // 5 + pl.col("day") - 1
    day_of_era = year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year
    return (era * _DAYS_AN_ERA + day_of_era - _DAYS_TO_1970).alias("days")
