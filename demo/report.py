"""What the demo found: a file with fixed keys, and a short table."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Report:
    """The figures of one demo. The names are the keys of ``report.json``.

    Attributes:
        events_in: Messages on the topic, poison among them.
        events_out: Events that made a row in the table.
        filtered: Events that were read and made no row, as the transform says.
        dead_lettered: Distinct origins among the dead letters.
        rows_expected: Rows that polars makes of the original frame.
        rows_in_sink: Rows in the table.
        lost: Expected rows that the table lacks.
        doubled: Rows that the table has more often than expected.
        kills: How often the worker was killed by SIGKILL.
        groups_touched_by_tap: Consumer groups that a tap made or moved.
        seconds: Stage → how long it took.
        p50_ms: Median of the latency at 5,000 events/s, from sending to commit.
        p99_ms: Its 99th percentile.
    """

    events_in: int
    events_out: int
    filtered: int
    dead_lettered: int
    rows_expected: int
    rows_in_sink: int
    lost: int
    doubled: int
    kills: int
    groups_touched_by_tap: int
    seconds: Mapping[str, float]
    p50_ms: float
    p99_ms: float

    def complaints(self) -> list[str]:
        """Return what is wrong, one sentence each; nothing if all is as promised."""
        unaccounted = (
            self.events_in - self.events_out - self.filtered - self.dead_lettered
        )
        checks = {
            f"{unaccounted} events are unaccounted for": unaccounted,
            f"{self.lost} rows were lost": self.lost,
            f"{self.doubled} rows are there too often": self.doubled,
            "no worker was killed": self.kills == 0,
            f"the tap touched {self.groups_touched_by_tap} consumer groups": (
                self.groups_touched_by_tap
            ),
            "nothing was expected": self.rows_expected == 0,
        }
        return [text for text, wrong in checks.items() if wrong]

    def write(self, path: Path) -> None:
        """Write the report as JSON."""
        path.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")

    def table(self) -> str:
        """Return the figures as lines for a person."""
        took = ", ".join(f"{name} {value:.1f}" for name, value in self.seconds.items())
        return "\n".join(
            f"  {name:<22} {text}"
            for name, text in {
                "events in": f"{self.events_in:,}",
                "  made a row": f"{self.events_out:,}",
                "  filtered": f"{self.filtered:,}",
                "  dead-lettered": f"{self.dead_lettered:,}",
                "rows expected": f"{self.rows_expected:,}",
                "rows in the table": f"{self.rows_in_sink:,}",
                "lost, doubled": f"{self.lost}, {self.doubled}",
                "kills": f"{self.kills}",
                "groups touched by taps": f"{self.groups_touched_by_tap}",
                "latency at 5,000 ev/s": (
                    f"p50 {self.p50_ms:.0f} ms, p99 {self.p99_ms:.0f} ms"
                ),
                "seconds": took,
            }.items()
        )
