"""The sinks that need no server pass the conformance checks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from streamlab import formats
from streamlab.connectors.console import ConsoleSink
from streamlab.connectors.parquet import ParquetSink, scan
from streamlab.contracts import Schema
from streamlab.errors import UsageError
from streamlab.sinks import Guarantee, Sink
from streamlab.testing import SINK_CHECKS, SINK_SCHEMA, MemorySink, SinkCase

REFUSED = "a value nobody may see"
EMPTY = SINK_SCHEMA.to_frame()


@pytest.fixture(params=["memory", "memory without progress", "parquet", "console"])
def case(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> SinkCase:
    """Return a sink to check, one after another."""
    numbers = iter(range(100))
    memory = {"refuse": pl.col("text") == REFUSED}
    cases = {
        "memory": SinkCase(lambda: MemorySink(**memory), read_memory, REFUSED),
        "memory without progress": SinkCase(
            lambda: MemorySink(promise=Guarantee.AT_LEAST_ONCE, **memory),
            read_memory,
            REFUSED,
        ),
        "parquet": SinkCase(
            lambda: ParquetSink(tmp_path / f"{next(numbers)}"), read_parquet
        ),
        "console": SinkCase(ConsoleSink, lambda _: read_console(capsys)),
    }
    return cases[request.param]


@pytest.mark.parametrize("check", SINK_CHECKS, ids=lambda check: check.__name__)
def test_sink_conforms(check: Callable[[SinkCase], None], case: SinkCase) -> None:
    """Each sink passes each check."""
    check(case)


def read_memory(sink: Sink) -> pl.DataFrame:
    """Return the rows in memory."""
    return sink.target.frame() if sink.target.batches else EMPTY


def read_parquet(sink: Sink) -> pl.DataFrame:
    """Return the committed rows of a folder."""
    try:
        return scan(sink.folder).collect()
    except UsageError:
        return EMPTY


def read_console(capsys: pytest.CaptureFixture[str]) -> pl.DataFrame:
    """Return the rows that were printed."""
    lines = capsys.readouterr().out.encode().splitlines()
    decoded = formats.named("json").decode(lines, Schema.of(SINK_SCHEMA))
    assert not decoded.rejected
    return decoded.frame
