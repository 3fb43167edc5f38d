"""Static tables: from a frame or a file, with a key that is checked."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

import streamlab as sl
from streamlab.errors import UsageError

PLANES = pl.DataFrame({"tailnum": ["N1", "N2"], "seats": [10, 20]})


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".ndjson"])
def test_a_file_is_read(tmp_path: Path, suffix: str) -> None:
    """Parquet, CSV and NDJSON give the same frame; the path counts from the base."""
    write = {
        ".parquet": PLANES.write_parquet,
        ".csv": PLANES.write_csv,
        ".ndjson": PLANES.write_ndjson,
    }
    write[suffix](tmp_path / f"planes{suffix}")
    assert sl.table(f"planes{suffix}", key="tailnum").read(tmp_path).equals(PLANES)


def test_a_pandas_frame_is_taken() -> None:
    """A pandas frame becomes a polars frame."""
    assert sl.table(PLANES.to_pandas()).read().equals(PLANES)


def test_a_repeated_key_is_refused() -> None:
    """Two rows with one key would multiply events."""
    twice = pl.concat([PLANES, PLANES])
    with pytest.raises(UsageError, match=r"two rows .* share a key"):
        sl.table(twice, key="tailnum").read()


def test_a_missing_key_column_is_refused() -> None:
    """The columns that are there are listed."""
    with pytest.raises(UsageError, match="no key column 'tail'") as caught:
        sl.table(PLANES, key="tail").read()
    assert "tailnum" in caught.value.hint


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """The file is named, without a traceback of polars."""
    with pytest.raises(UsageError, match=r"no table file planes\.parquet"):
        sl.table("planes.parquet").read(tmp_path)


def test_a_broken_file_is_named_without_its_content(tmp_path: Path) -> None:
    """A file that is not what its name says shows none of its values."""
    (tmp_path / "planes.parquet").write_text("Ada Lovelace")
    with pytest.raises(UsageError, match=r"is not a \.parquet file") as caught:
        sl.table("planes.parquet").read(tmp_path)
    assert "Ada" not in str(caught.value)


def test_an_unknown_kind_of_file_is_refused(tmp_path: Path) -> None:
    """The kinds that can be read are listed."""
    with pytest.raises(UsageError, match=r"not read from \.xlsx files"):
        sl.table("planes.xlsx").read(tmp_path)


def test_something_else_is_refused() -> None:
    """A table is a frame or a path."""
    with pytest.raises(UsageError, match="not list"):
        sl.table([1, 2])


def test_no_row_is_in_the_repr() -> None:
    """A table prints its size or path, never its rows."""
    assert "N1" not in f"{sl.table(PLANES)!r} {sl.table(PLANES)}"
