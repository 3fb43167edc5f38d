"""Conversions, and those of logical types: times and decimals.

Source: https://avro.apache.org/docs/1.12.0/specification/#logical-types
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from streamlab.formats.avro.types import AvroType

Of = Callable[[pl.Expr], pl.Expr]

PER_SECOND = {"millis": 10**3, "micros": 10**6, "nanos": 10**9}
UNITS = {"ms": 10**3, "us": 10**6, "ns": 10**9}
DAY_S = 86_400
MOST = 2**63 - 1
DECIMAL_HEX = 32  # digits of the 128 bits that a decimal has


@dataclass(frozen=True, slots=True)
class Conversion:
    """From what was read to what was declared.

    Attributes:
        value: The declared value; null where it does not fit.
        misfit: Whether that happened; None where it cannot.
    """

    value: Of
    misfit: Of | None = None


def checked(value: Of) -> Conversion:
    """Return a conversion that makes null of what does not fit."""
    return Conversion(value, lambda raw: raw.is_not_null() & value(raw).is_null())


def timestamp(name: str, dtype: pl.DataType) -> Conversion | None:
    """Return how a timestamp is read; None where the type has no place for it."""
    local = name.startswith("local")
    if not isinstance(dtype, pl.Datetime) or (dtype.time_zone is None) != local:
        return None
    written = PER_SECOND[name.rpartition("-")[2]]
    wanted = UNITS[dtype.time_unit]
    utc = pl.Datetime(dtype.time_unit, None if local else "UTC")

    def value(raw: pl.Expr) -> pl.Expr:
        ticks = rescaled(raw, written, wanted).cast(utc)
        if dtype.time_zone in {None, "UTC"}:
            return ticks
        return ticks.dt.convert_time_zone(str(dtype.time_zone))

    return Conversion(value) if written == wanted else checked(value)


def rescaled(raw: pl.Expr, written: int, wanted: int) -> pl.Expr:
    """Return ticks in another unit; null where they would not be the same time."""
    if wanted > written:
        factor = wanted // written
        room = raw.is_between(-(MOST // factor), MOST // factor)
        return pl.when(room).then(raw * factor)
    if wanted < written:
        factor = written // wanted
        return pl.when(raw % factor == 0).then(raw // factor)
    return raw


def time(name: str) -> Conversion:
    """Return how a time of day is read."""
    written = PER_SECOND[name.removeprefix("time-")]
    factor = UNITS["ns"] // written
    return checked(
        lambda raw: pl.when(raw.is_between(0, DAY_S * written - 1)).then(
            (raw * factor).cast(pl.Time)
        )
    )


def decimal(kind: AvroType, dtype: pl.Decimal) -> Conversion | None:
    """Read the two's complement of the digits, in as few bytes as its writer took."""
    scale = kind.scale
    if dtype.scale < scale:
        return None

    def value(raw: pl.Expr) -> pl.Expr:
        digits = raw.bin.encode("hex")
        negative = digits.str.contains("^[89a-f]")
        whole = (
            pl.when(negative)
            .then(digits.str.pad_start(DECIMAL_HEX, "f"))
            .otherwise(digits.str.pad_start(DECIMAL_HEX, "0"))
        )
        fits = digits.str.len_bytes().is_between(2, DECIMAL_HEX)
        held = pl.when(fits).then(whole).str.decode("hex", strict=False)
        number = held.bin.reinterpret(dtype=pl.Int128, endianness="big")
        return _pointed(number, scale).cast(dtype, strict=False)

    return checked(value)


def _pointed(number: pl.Expr, scale: int) -> pl.Expr:
    """Return the digits of a number as text, with the point where it belongs."""
    text = number.cast(pl.String)
    if not scale:
        return text
    sign = pl.when(text.str.starts_with("-")).then(pl.lit("-")).otherwise(pl.lit(""))
    digits = text.str.strip_prefix("-").str.pad_start(scale + 1, "0")
    return sign + digits.str.head(-scale) + "." + digits.str.tail(scale)
