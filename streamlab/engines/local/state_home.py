"""Where a worker keeps the state of its tasks, and the state that is not kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from streamlab.pipelines import Pipeline
from streamlab.settings import Settings, made_state_folder
from streamlab.state.home import StateHome
from streamlab.state.memory import in_memory
from streamlab.state.table import StateTable, TableLayout

FOLDER = "state"


class State(Protocol):
    """The state of one task; see :class:`~streamlab.state.store.TaskState`."""

    meta: dict[str, Any]

    @property
    def tables(self) -> Mapping[str, StateTable]:
        """Return the tables by the names of their layouts."""

    @property
    def size_bytes(self) -> int:
        """Return about how many bytes all tables take."""

    def save(self) -> str:
        """Save what has changed, and return the name of this version."""

    def confirm(self, state_id: str) -> None:
        """Hear that a version is the current one."""

    def close(self) -> None:
        """Drop what is open."""


class PassingState:
    """A state that nobody goes on with: of a sample, in memory."""

    def __init__(self, layouts: Sequence[TableLayout]) -> None:
        """Begin empty."""
        self.tables: Mapping[str, StateTable] = in_memory(layouts)
        self.meta: dict[str, Any] = {}
        self._saved = 0

    @property
    def size_bytes(self) -> int:
        """Return about how many bytes all tables take."""
        return sum(table.size_bytes for table in self.tables.values())

    def save(self) -> str:
        """Count."""
        self._saved += 1
        return f"passing-{self._saved}"

    def confirm(self, state_id: str) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


def home_of(pipeline: Pipeline) -> StateHome:
    """Return where the state of a pipeline is kept."""
    url, name = pipeline.state.url, pipeline.name
    limit_bytes = pipeline.state.limit_mb << 20
    if url and "://" not in url:
        return StateHome(pipeline.folder / url / name, limit_bytes=limit_bytes)
    folder = Settings.load().state_folder
    made_state_folder(folder)
    shared = f"{url.rstrip('/')}/{name}" if url else None
    return StateHome(folder / FOLDER / name, shared, limit_bytes)
