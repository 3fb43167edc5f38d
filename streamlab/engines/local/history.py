"""History: that a pipeline has run before, for sinks that keep no position.

A consumer group's offsets expire (after 7 days without a member, by default). Such a
group looks like one that never was, and a pipeline would begin anew and either repeat
or skip a week of events. So the first run leaves a mark beside the settings.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streamlab.errors import PositionLost
from streamlab.pipelines import Pipeline
from streamlab.settings import Settings, made_state_folder
from streamlab.sources import Assignment


@dataclass(frozen=True, slots=True)
class History:
    """The mark of one pipeline on this machine.

    Attributes:
        pipeline: Its name.
        path: The file that is the mark.
        kept_in: Where the source keeps the position.
        forgets_when: How it can be gone from there.
    """

    pipeline: str
    path: Path
    kept_in: str
    forgets_when: str

    @classmethod
    def of(cls, pipeline: Pipeline) -> History:
        """Return the mark's place for a pipeline."""
        folder = Settings.load().state_folder / "history"
        source = pipeline.source
        return cls(
            pipeline.name,
            folder / f"{pipeline.name}.json",
            source.keeps_position_in(pipeline.name),
            source.forgets_when,
        )

    def begin(self, topics: Iterable[str]) -> None:
        """Leave the mark, once for each topic.

        Args:
            topics: What is read.
        """
        mark = self._read()
        begun = set(mark.get("topics", ()))
        if mark and begun >= set(topics):
            return
        made_state_folder(self.path.parent.parent)
        self.path.parent.mkdir(exist_ok=True)
        kept = {
            "pipeline": self.pipeline,
            "since_ms": mark.get("since_ms", time.time_ns() // 1_000_000),
            "topics": sorted({*begun, *topics}),
        }
        self.path.write_text(json.dumps(kept), encoding="utf-8")

    def forget(self) -> None:
        """Remove the mark: the next run is a first one."""
        self.path.unlink(missing_ok=True)

    def require(self, given: Assignment) -> None:
        """Stop a pipeline that has run before and whose position is gone.

        Raises:
            PositionLost: No partition of a topic has a position, and there is a mark.
        """
        mark = self._read()
        if not mark:
            return
        kept = {partition.topic for partition in given.committed}
        lost = {one.topic for one in given.partitions if one not in given.new} - kept
        # A mark of an earlier streamlab does not name topics: there was one only.
        if not lost & set(mark.get("topics", lost)):
            return
        message = (
            f"pipeline {self.pipeline!r} has run before, but its position is gone from "
            f"{self.kept_in} ({self.forgets_when})"
        )
        raise PositionLost(
            message,
            hint="choose where to go on: "
            f"streamlab position reset {self.pipeline} --to earliest|latest|TIME",
        )

    def _read(self) -> dict[str, Any]:
        if not self.path.exists():
            return {}
        mark: dict[str, Any] = json.loads(self.path.read_text(encoding="utf-8"))
        return mark
