"""Benchmark results have fixed keys, in the file and in the table."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.results import Result, show, write

KEYS = (
    "case messages_per_s limit_messages_per_s ratio peak_rss_mb cpu_s_per_million "
    "p50_ms p99_ms"
)
RESULT = Result("tap", messages_per_s=500_000.4, ratio=0.51234)


def test_file_is_a_list_with_the_promised_keys(tmp_path: Path) -> None:
    """Other programs read the file by these names; a missing number is null."""
    path = write("some", [RESULT], tmp_path)
    (stored,) = json.loads(path.read_text(encoding="utf-8"))
    assert path.name == "some.json"
    assert list(stored) == KEYS.split()
    assert stored["ratio"] == 0.512
    assert stored["p50_ms"] is None


def test_table_has_a_line_for_each_case() -> None:
    """The head and each case stand in columns of one width."""
    head, line = show([RESULT]).splitlines()
    assert head.split() == KEYS.split()
    assert line.split() == ["tap", "500,000", "-", "0.51", "-", "-", "-", "-"]
