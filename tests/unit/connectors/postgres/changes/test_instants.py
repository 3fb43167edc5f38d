"""Instants of a few rows are read as those of many are."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamlab.connectors.postgres.changes import instants

USUAL = st.datetimes().map(lambda at: at.isoformat(" ") + "+00")
ODD = st.sampled_from(
    [
        "infinity",
        "-infinity",
        "0044-03-15 12:00:00+00 BC",
        "0000-01-01 00:00:00+00",
        "12024-02-29 23:59:59.5+00",
        "294276-12-31 23:59:59.999999+00",
        "2024-02-29 23:59:59.5+00",
        "2024-02-29 23:59:59.05+00",
    ]
)


@settings(deadline=None)
@given(st.lists(st.none() | USUAL | ODD, max_size=6))
def test_few_are_read_as_many(texts: list[str | None]) -> None:
    """Whether Python reads them or polars does, and nulls are nulls."""
    few = pl.Series("at", texts, dtype=pl.String)
    others = pl.Series(["2024-01-01 00:00:00+00"] * instants.FEW_ROWS)
    many = few.clone().append(others)
    read = instants.zoned_timestamps(few)
    assert read.dtype == pl.Datetime("us", "UTC")
    assert read.name == "at"
    assert read.equals(instants.zoned_timestamps(many)[: len(texts)])


@pytest.mark.parametrize("fraction", ["", ".1", ".000001", ".123456"])
def test_fractions_are_exact(fraction: str) -> None:
    """To the microsecond."""
    (read,) = instants.zoned_timestamps(
        pl.Series([f"1969-12-31 23:59:59{fraction}+00"])
    )
    micros = int(fraction[1:].ljust(6, "0"))
    assert read == datetime(1969, 12, 31, 23, 59, 59, micros, tzinfo=UTC)
