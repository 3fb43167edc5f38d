"""Exact numbers as Kafka Connect writes them: bytes of an integer, and a scale.

Source: https://kafka.apache.org/40/javadoc/org/apache/kafka/connect/data/Decimal.html
("the unscaled value in two's complement, big-endian")
"""

from __future__ import annotations

from decimal import Context, Decimal

import polars as pl

_BYTES = 8  # of an Int64
_EXACT = Context(prec=200_000)  # digits; PostgreSQL's numeric has at most 147,455
_MOST_BYTES = 65_536  # that many digits take
_MOST_SCALE = 20_000  # PostgreSQL's numeric has at most 16,383


def to_bytes(numbers: pl.Series) -> pl.Series:
    """Return the bytes of the unscaled values of a Decimal series."""
    # One by one: polars has no way from a number to its bytes.
    unscaled = numbers.to_physical().to_list()
    return pl.Series(numbers.name, list(map(_written, unscaled)), dtype=pl.Binary)


def _written(number: int | None) -> bytes | None:
    if number is None:
        return None
    # The fewest bytes that keep the sign, as BigInteger.toByteArray gives them.
    size = (number.bit_length() if number >= 0 else (~number).bit_length()) // 8 + 1
    return number.to_bytes(size, "big", signed=True)


def to_decimals(raw: pl.Series, scale: int, dtype: pl.Decimal) -> pl.Series:
    """Return the numbers whose unscaled values are in a Binary series.

    Args:
        raw: The unscaled values.
        scale: Digits behind the point that they were written with.
        dtype: The type to return.

    Returns:
        Null where there are no bytes, or the number does not fit the type.
    """
    if scale == dtype.scale:
        unscaled = _small(raw)
        if unscaled is not None:
            return _shifted(unscaled, scale).cast(dtype, strict=False)
    numbers = [_number(value, scale) for value in raw.to_list()]
    limit = Decimal(10) ** (dtype.precision - dtype.scale)
    unit = Decimal(1).scaleb(-dtype.scale)
    fitting = [
        number if number is not None and _fits(number, limit, unit) else None
        for number in numbers
    ]
    return pl.Series(raw.name, fitting, dtype=dtype)


def _small(raw: pl.Series) -> pl.Series | None:
    """Return unscaled values of at most 8 bytes as Int64; None if there are others."""
    if not raw.bin.size().is_between(1, _BYTES).all():
        return None
    # Widened as hexadecimal digits: polars joins texts, but no bytes.
    digits = raw.bin.encode("hex").alias("digits")
    negative = pl.col("digits") >= "8"  # the highest bit of the first byte
    wide = pl.when(negative).then(pl.col("digits").str.pad_start(2 * _BYTES, "f"))
    widened = wide.otherwise(pl.col("digits").str.pad_start(2 * _BYTES, "0"))
    number = widened.str.decode("hex").bin.reinterpret(dtype=pl.Int64, endianness="big")
    return digits.to_frame().select(number.alias(raw.name)).to_series()


def _shifted(unscaled: pl.Series, scale: int) -> pl.Series:
    """Return the text of numbers whose point stands ``scale`` digits from the right."""
    if not scale:
        return unscaled.cast(pl.String)
    name = unscaled.name
    digits = pl.col(name).cast(pl.String).str.strip_prefix("-").str.zfill(scale + 1)
    sign = pl.when(pl.col(name) < 0).then(pl.lit("-")).otherwise(pl.lit(""))
    text = pl.concat_str(
        sign, digits.str.head(-scale), pl.lit("."), digits.str.tail(scale)
    )
    return unscaled.to_frame().select(text.alias(name)).to_series()


def to_texts(raw: pl.Series, scales: pl.Series) -> pl.Series:
    """Return numbers of any size as text, each with a scale of its own."""
    numbers = (
        None if scale is None else _number(value, scale)
        for value, scale in zip(raw.to_list(), scales.to_list(), strict=True)
    )
    written = [None if number is None else format(number, "f") for number in numbers]
    return pl.Series(raw.name, written, dtype=pl.String)


def _number(raw: bytes | None, scale: int) -> Decimal | None:
    if not raw or len(raw) > _MOST_BYTES or abs(scale) > _MOST_SCALE:
        return None
    unscaled = int.from_bytes(raw, "big", signed=True)
    return Decimal(unscaled).scaleb(-scale, context=_EXACT)


def _fits(number: Decimal, limit: Decimal, unit: Decimal) -> bool:
    return abs(number) < limit and number.remainder_near(unit, context=_EXACT) == 0
