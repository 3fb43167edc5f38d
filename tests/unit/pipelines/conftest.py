from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from streamlab.contracts import Schema, odcs

PIPELINE = """\
[pipeline]
name = "delayed"
transform = "{module}:delayed"

[source]
type = "memory"
format = "json"
schema = "schema.yaml"

[sink]
type = "console"

[dead_letters]
file = "dead.jsonl"
"""

MODULE = """\
import polars as pl
import streamlab as sl

@sl.transform
def delayed(flights: pl.LazyFrame) -> pl.LazyFrame:
    return flights.filter(pl.col("arr_delay") > 15)

def plain(flights):
    return flights
"""


@pytest.fixture
def module(tmp_path: Path) -> str:
    """Return the name of a module beside the pipeline file, not used by others."""
    name = f"flows_{tmp_path.name}".replace("-", "_").lower()
    (tmp_path / f"{name}.py").write_text(MODULE)
    return name


@pytest.fixture
def written(tmp_path: Path, module: str) -> Callable[..., Path]:
    """Return a function that writes a pipeline file, with parts of it replaced."""
    dtypes = {"carrier": pl.String(), "arr_delay": pl.Int64()}
    odcs.save(Schema.of(dtypes), tmp_path / "schema.yaml")

    def write(*replacements: tuple[str, str]) -> Path:
        text = PIPELINE.format(module=module)
        for old, new in replacements:
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / "pipeline.toml"
        path.write_text(text)
        return path

    return write
