"""What a benchmark found: one file for each run, and a table for a person."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

FOLDER = Path(".streamlab/bench")
NO_DECIMALS_FROM = 1_000


@dataclass(frozen=True, slots=True)
class Result:
    """One measured case; None where a number has no meaning for it.

    Attributes:
        case: Its name.
        messages_per_s: Messages taken from the input topic each second.
        limit_messages_per_s: What the bare client did in the same run.
        ratio: The first by the second.
        peak_rss_mb: Largest resident set of one process, in 10^6 bytes.
        cpu_s_per_million: Processor seconds of all processes per million messages.
        p50_ms: Median of the latency, from sending an event to seeing its result.
        p99_ms: Its 99th percentile.
    """

    case: str
    messages_per_s: float | None = None
    limit_messages_per_s: float | None = None
    ratio: float | None = None
    peak_rss_mb: float | None = None
    cpu_s_per_million: float | None = None
    p50_ms: float | None = None
    p99_ms: float | None = None


def write(name: str, results: Sequence[Result], folder: Path = FOLDER) -> Path:
    """Write ``<folder>/<name>.json``, a list with one object a case."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    rows = [
        {key: _rounded(value) for key, value in asdict(result).items()}
        for result in results
    ]
    path.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    return path


def show(results: Sequence[Result]) -> str:
    """Return the results as a table of text; a number that is missing is ``-``."""
    head = [field.name for field in fields(Result)]
    rows = [[_text(getattr(result, name)) for name in head] for result in results]
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in [head, *rows]
    ]
    return "\n".join(lines)


def _rounded(value: float | str | None) -> float | str | None:
    return round(value, 3) if isinstance(value, float) else value


def _text(value: float | str | None) -> str:
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    return f"{value:,.0f}" if value >= NO_DECIMALS_FROM else f"{value:.2f}"
