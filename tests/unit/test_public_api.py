"""The public names are pinned: adding or dropping one is a decision."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import streamlab as sl

SOURCE = Path(sl.__file__)

PUBLIC = {
    "ConsoleSink",
    "DeadLetters",
    "Evaluation",
    "EventTime",
    "Field",
    "Input",
    "KafkaSink",
    "KafkaSource",
    "Keyed",
    "Latency",
    "MemorySink",
    "MemorySource",
    "Pace",
    "ParquetSink",
    "Pipeline",
    "PostgresSink",
    "PostgresSource",
    "Replayed",
    "RunSummary",
    "Sample",
    "Schema",
    "StateSettings",
    "StreamEvaluation",
    "StreamlabError",
    "Table",
    "Throughput",
    "Transform",
    "Verdict",
    "WorkerHandle",
    "connect",
    "count_window",
    "deduplicate",
    "doctor",
    "evaluate",
    "event_time",
    "export",
    "forget",
    "headless",
    "hopping",
    "interval_join",
    "lag",
    "latest",
    "live_tap",
    "regular_join",
    "replay",
    "run",
    "running",
    "running_total",
    "session",
    "start",
    "stop",
    "table",
    "table_join",
    "tap",
    "top",
    "topics",
    "transform",
    "tumbling",
    "workers",
}


def test_public_names_are_the_pinned_ones() -> None:
    """The package offers exactly the names that the documentation promises."""
    assert set(sl.__all__) == PUBLIC


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_public_name_can_be_imported(name: str) -> None:
    """Each public name leads to something."""
    assert getattr(sl, name) is not None


def test_names_for_type_checkers_are_the_public_ones() -> None:
    """What a type checker sees imported is what the table of names has."""
    tree = ast.parse(SOURCE.read_text(encoding="utf-8"))
    seen = {
        alias.asname or alias.name
        for block in ast.walk(tree)
        if isinstance(block, ast.If)
        for statement in block.body
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    }
    assert seen == set(sl.__all__)


def test_names_are_sorted() -> None:
    """The list is sorted, so that two people who add a name do not collide."""
    assert list(sl.__all__) == sorted(sl.__all__)


def test_unknown_name_is_an_attribute_error() -> None:
    """A name that is not public fails as it does in any module."""
    with pytest.raises(AttributeError, match="no attribute 'taps_of_old'"):
        _ = sl.taps_of_old
