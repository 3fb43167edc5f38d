"""Frames of a notebook as static tables of the package."""

from __future__ import annotations

import io
import sys
from typing import Any

import polars as pl

from streamlab.export.tables import MAX_TABLE_BYTES, parquet

_PANDAS_HINT = "make its columns simple ones, or a polars frame of it"


class Unfit(Exception):
    """A frame that is not carried; the text says why."""


def is_frame(value: object) -> bool:
    """Return whether a value is a frame or a series, of polars or of pandas."""
    return isinstance(value, pl.DataFrame | pl.LazyFrame | pl.Series) or is_pandas(
        value
    )


def is_pandas(value: object) -> bool:
    """Return whether a value is a frame of pandas; does not import it."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(value, pandas.DataFrame)


def content(value: Any) -> bytes:
    """Return a frame as Parquet, so that reading it gives the same frame.

    Raises:
        Unfit: It is too large, or Parquet does not hold it.
    """
    if is_pandas(value):
        written = _from_pandas(value)
    else:
        frame = (
            value.to_frame() if isinstance(value, pl.Series) else value.lazy().collect()
        )
        written = _from_polars(frame)
    if len(written) > MAX_TABLE_BYTES:
        raise Unfit(
            f"a frame of {len(written) / 2**20:.0f} MB as Parquet, more than "
            f"{MAX_TABLE_BYTES // 2**20} MB; keep fewer columns or rows, or write it "
            "into a store"
        )
    return written


def reader(value: object, module: str, path: str) -> str:
    """Return the expression that reads a frame.

    Args:
        value: The live frame.
        module: Name of polars, or pandas, in the package's module.
        path: The expression of the file's path.
    """
    tail = ""
    if isinstance(value, pl.LazyFrame):
        tail = ".lazy()"
    elif isinstance(value, pl.Series):
        tail = ".to_series()"
    return f"{module}.read_parquet({path}){tail}"


def _from_polars(frame: pl.DataFrame) -> bytes:
    try:
        written = parquet(frame)
        back = pl.read_parquet(io.BytesIO(written))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise Unfit(
            f"a frame that Parquet does not hold ({type(error).__name__})"
        ) from None
    if back.schema != frame.schema or not back.equals(frame):
        raise Unfit("a frame that Parquet does not hold; use simple types of columns")
    return written


def _from_pandas(value: Any) -> bytes:
    import pandas as pd

    try:
        buffer = io.BytesIO()
        value.to_parquet(buffer, compression="zstd")
        back = pd.read_parquet(io.BytesIO(buffer.getvalue()))
        pd.testing.assert_frame_equal(back, value)
    except (ValueError, TypeError, AssertionError, ImportError, ArithmeticError):
        raise Unfit(
            f"a pandas frame that Parquet does not hold; {_PANDAS_HINT}"
        ) from None
    return buffer.getvalue()
