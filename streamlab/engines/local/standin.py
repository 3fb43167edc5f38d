"""A stand-in for the state store, until there is one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from streamlab.errors import PositionLost
from streamlab.state.memory import in_memory
from streamlab.state.table import StateTable, TableLayout


class TaskState:
    """The state of one task, written whole each time."""

    def __init__(
        self, home: Path | None, task: str, layouts: Sequence[TableLayout]
    ) -> None:
        """Begin empty."""
        self._home = None if home is None else home / task.replace("/", ".")
        self.tables: dict[str, StateTable] = in_memory(layouts)
        self.meta: dict[str, Any] = {}
        self._number = 0

    @classmethod
    def open(
        cls,
        home: Path | None,
        task: str,
        layouts: Sequence[TableLayout],
        state_id: str | None,
    ) -> TaskState:
        """Return a state as it was saved."""
        state = cls(home, task, layouts)
        if state_id is not None:
            state._load(state_id)
        return state

    def _load(self, state_id: str) -> None:
        folder = (self._home or Path("nowhere")) / state_id
        if not (folder / "meta.json").exists():
            raise PositionLost(f"the state {state_id} is not in {self._home}")
        self.meta = json.loads((folder / "meta.json").read_text())
        for name, table in self.tables.items():
            table.put(pl.read_parquet(folder / f"{name}.parquet"))

    def save(self) -> str:
        """Save it and return its name."""
        digest = hashlib.sha256(json.dumps(self.meta, sort_keys=True).encode())
        for table in self.tables.values():
            for frame in table.scan():
                digest.update(frame.write_json().encode())
        name = digest.hexdigest()[:16]
        if self._home is not None:
            folder = self._home / name
            folder.mkdir(parents=True, exist_ok=True)
            for table_name, table in self.tables.items():
                pl.concat(list(table.scan())).write_parquet(
                    folder / f"{table_name}.parquet"
                )
            (folder / "meta.json").write_text(json.dumps(self.meta))
        return name

    def confirm(self, state_id: str) -> None:
        """Hear that it is current."""

    @property
    def size_bytes(self) -> int:
        """Return its size."""
        return sum(one.size_bytes for one in self.tables.values())

    def close(self) -> None:
        """Do nothing."""


def home_of(pipeline: Any) -> Path:
    """Return where the state of a pipeline is."""
    from streamlab.settings import Settings

    return Settings.load().state_folder / "state" / str(pipeline.name)
