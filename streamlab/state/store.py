"""The durable state of one task: tables, and what else belongs to them, in versions.

The order of calls, all but ``confirm`` from one thread::

    TaskState.open(home, task, layouts, state_id)
    tables, meta          read and changed in an epoch
    save()                before the sink commits; names the version for its progress;
                          or seal(), and write() of what it returns from any thread
    confirm(state_id)     after the sink has committed, from any thread
    close()

A version becomes current only by the sink that commits its id, so a process may die
anywhere: what it saved and did not commit is never looked at again.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, Self

import orjson

from streamlab.errors import StateError, Unavailable
from streamlab.state.compaction import Compaction, mapped
from streamlab.state.durable import DurableTable
from streamlab.state.evolution import described, require_compatible
from streamlab.state.files import VERSION, Files, named
from streamlab.state.fresh import Changes
from streamlab.state.home import StateHome
from streamlab.state.table import StateTable, TableLayout
from streamlab.state.version import (
    Sealed,
    StoredSegment,
    StoredTable,
    Version,
    encoded,
    file_of,
    id_of,
    read,
)

MEMORY_BYTES: Final = 32 << 20
"""Changes in memory beyond which they are written to segments."""

_MUCH_MEMORY: Final = 2
"""The compaction rests no more at this many times ``MEMORY_BYTES``."""

_MOST_MEMORY: Final = 4
"""An epoch waits for the compaction at this many times ``MEMORY_BYTES``."""

MOST_LOGS: Final = 128
"""Versions to replay on opening beyond which their changes go to segments."""

MOST_LOG_BYTES: Final = 256 << 20
"""Bytes of them beyond which they do, too."""

KEPT_VERSIONS: Final = 3
"""Confirmed versions that are kept, the current one included."""


@dataclass(frozen=True)
class _Known:
    """A version of this process's line, and all files that it needs."""

    state_id: str
    files: frozenset[str]


class TaskState:
    """The state of one task. See the module's docstring for the order of calls.

    Attributes:
        tables: Name → table.
        meta: What else is saved with them, as JSON: watermarks, counts.
        state_id: The version that was last opened or saved; None before.
    """

    def __init__(
        self,
        files: Files,
        task: str,
        tables: Mapping[str, DurableTable],
        version: tuple[str, Version] | None,
        limit_bytes: int | None,
    ) -> None:
        """Use :meth:`open`."""
        self.task = task
        self.state_id: str | None = version[0] if version else None
        self.meta: dict[str, Any] = dict(version[1].meta) if version else {}
        self._files = files
        self._tables = dict(tables)
        self._limit_bytes = limit_bytes
        self._logs: list[str] = []
        self._log_bytes: list[int] = []
        self._saved_meta = b""
        self._unwritten: Sealed | None = None
        self._compaction: Compaction | None = None
        self._covered = 0
        self._line: list[_Known] = []
        self._lock = threading.Lock()
        self._is_swept = False
        # Deleting takes milliseconds, and nobody waits for it.
        self._sweeping = ThreadPoolExecutor(1, "streamlab-sweeping")
        if version:
            self._continue(*version)

    @classmethod
    def open(
        cls,
        home: StateHome,
        task: str,
        layouts: Sequence[TableLayout],
        state_id: str | None,
    ) -> Self:
        """Open one version of a task's state.

        Every byte of it is checked: about a second for 1 GB.

        Args:
            home: Where the state is.
            task: Name of the task.
            layouts: The tables that are wanted.
            state_id: What :meth:`save` returned; None for empty tables.

        Raises:
            StateError: A file is missing or damaged, or the stored tables do not fit
                the layouts.
        """
        files = home.files(task)
        if state_id is None:
            empty = {layout.name: DurableTable(layout) for layout in layouts}
            return cls(files, task, empty, None, home.limit_bytes)
        version, changes = read(files, state_id)
        stored = {name: table.layout for name, table in version.tables.items()}
        require_compatible(stored, layouts)
        tables = {layout.name: _opened(files, layout, version) for layout in layouts}
        for log in version.logs:
            _replay(tables, read(files, log)[1])
        _replay(tables, changes)
        return cls(files, task, tables, (state_id, version), home.limit_bytes)

    @property
    def tables(self) -> Mapping[str, StateTable]:
        """Return the tables by the names of their layouts."""
        return self._tables

    @property
    def size_bytes(self) -> int:
        """Return about how many bytes all tables take."""
        return sum(table.size_bytes for table in self._tables.values())

    def save(self) -> str:
        """Write what changed since the last save, durably.

        Where writing fails, the same call can be made again, before anything else.

        Returns:
            The id of the version, to be committed with the epoch.

        Raises:
            StateError: The state is larger than its limit, or cannot be written.
            Unavailable: The place that the state is shared in cannot be reached.
        """
        sealed = self._unwritten or self.seal()
        self._unwritten = sealed
        sealed.write()
        self._unwritten = None
        return sealed.state_id

    def seal(self) -> Sealed:
        """End an epoch without writing it yet: another thread may do that.

        Versions must be written in the order in which they were sealed, each before
        the sink commits its epoch.

        Raises:
            StateError: The state is larger than its limit.
        """
        memory = self._memory_bytes
        if self._compaction is not None and memory > _MUCH_MEMORY * MEMORY_BYTES:
            self._compaction.urgent.set()
        adopted = self._adopt(wait=memory > _MOST_MEMORY * MEMORY_BYTES)
        self._require_below_limit()
        changes = {name: table.seal() for name, table in self._tables.items()}
        if not adopted and self.state_id and not self._is_changed(changes):
            return Sealed(self.state_id, self._files, b"")
        version = self._version(changes)
        data = encoded(version, changes)
        name = named(data, VERSION)
        self.state_id = id_of(name, version.written.host)
        self._continue(self.state_id, version, len(data))
        self._compact()
        return Sealed(self.state_id, self._files, data)

    def confirm(self, state_id: str) -> None:
        """Learn that a version is the current one, so that old ones may go.

        Args:
            state_id: One that was opened or saved here.
        """
        with self._lock:
            ids = [known.state_id for known in self._line]
            if state_id not in ids:
                return
            first = max(0, ids.index(state_id) + 1 - KEPT_VERSIONS)
            dropped, self._line = self._line[:first], self._line[first:]
            kept = {name for known in self._line for name in known.files}
            gone = {name for known in dropped for name in known.files} - kept
            is_first, self._is_swept = not self._is_swept, True
        if gone:
            self._sweeping.submit(self._files.delete, gone)
        if is_first:
            self._sweeping.submit(self._files.sweep, kept)

    def compact(self) -> None:
        """Write all that is in memory to segments now; the next save names them."""
        self._adopt(wait=True)
        self._compact(now=True)
        self._adopt(wait=True)

    def close(self) -> None:
        """Stop what is under way. What was not saved is forgotten."""
        if self._compaction is not None:
            self._compaction.cancel()
            self._compaction = None
        self._sweeping.shutdown()

    @property
    def _memory_bytes(self) -> int:
        return sum(table.memory_bytes for table in self._tables.values())

    def _is_changed(self, changes: Mapping[str, Changes]) -> bool:
        meta = orjson.dumps(self.meta, option=orjson.OPT_SORT_KEYS)
        return meta != self._saved_meta or any(one for one in changes.values())

    def _version(self, changes: Mapping[str, Changes]) -> Version:
        return Version(
            task=self.task,
            parent=self.state_id,
            written=self._files.written,
            meta=self.meta,
            logs=tuple(self._logs),
            tables={
                name: _stored(table, changes[name].floor)
                for name, table in self._tables.items()
            },
        )

    def _continue(self, state_id: str, version: Version, size: int = 0) -> None:
        """Go on from a version that is durable."""
        self._logs = [*version.logs, state_id]
        missing = len(self._logs) - len(self._log_bytes) - 1
        self._log_bytes += [0] * missing + [size]
        self._saved_meta = orjson.dumps(version.meta, option=orjson.OPT_SORT_KEYS)
        with self._lock:
            files = version.files | {file_of(state_id)}
            self._line.append(_Known(state_id, files))

    def _compact(self, *, now: bool = False) -> None:
        """Begin a compaction if there is enough to do."""
        is_enough = (
            now
            or self._memory_bytes > MEMORY_BYTES
            or len(self._logs) > MOST_LOGS
            or sum(self._log_bytes) > MOST_LOG_BYTES
        )
        if self._compaction is not None or not is_enough:
            return
        plans = {name: table.plan() for name, table in self._tables.items()}
        chosen = {name: plan for name, plan in plans.items() if plan is not None}
        self._covered = len(self._logs)
        self._compaction = Compaction(self._files, chosen)
        self._compaction.start()

    def _adopt(self, *, wait: bool) -> bool:
        """Take over what a compaction has written; return whether there was any."""
        compaction = self._compaction
        if compaction is None:
            return False
        if wait:
            compaction.urgent.set()
            compaction.join()
        if compaction.is_alive():
            return False
        self._compaction = None
        if isinstance(compaction.error, Unavailable):
            # Nothing is lost by that: the runs stay as they are until the next try.
            for plan in compaction.plans.values():
                plan.thaw()
            if wait:
                raise compaction.error
            return False
        if compaction.error is not None:
            message = f"the state of {self.task} could not be compacted"
            raise StateError(message) from compaction.error
        for name, plan in compaction.plans.items():
            self._tables[name].adopt(plan, compaction.segments[name])
        self._logs = self._logs[self._covered :]
        self._log_bytes = self._log_bytes[self._covered :]
        return True

    def _require_below_limit(self) -> None:
        limit = self._limit_bytes
        if limit is None or self.size_bytes <= limit:
            return
        sizes = sorted(
            ((table.size_bytes, name) for name, table in self._tables.items()),
            reverse=True,
        )
        listed = ", ".join(f"{name} {_megabytes(size)}" for size, name in sizes)
        raise StateError(
            f"the state of {self.task} is larger than its limit of "
            f"{_megabytes(limit)}: {listed}",
            hint="give it a higher limit, or let rows expire: a shorter window or "
            "horizon, a TTL",
        )


def _opened(files: Files, layout: TableLayout, version: Version) -> DurableTable:
    stored = version.tables.get(layout.name)
    if stored is None:
        return DurableTable(layout)
    runs = [
        mapped(files, layout, one.files, one.floor, one.fingerprint, version.written)
        for one in stored.segments
    ]
    return DurableTable(layout, runs, height=stored.height, sequence=stored.sequence)


def _replay(tables: Mapping[str, DurableTable], changes: Mapping[str, Changes]) -> None:
    for name, change in changes.items():
        tables[name].replay(change)


def _stored(table: DurableTable, floor: int | None) -> StoredTable:
    segments = tuple(
        StoredSegment(run.files, run.floor, run.fingerprint)
        for run in table.runs
        if run.files
    )
    return StoredTable(
        layout=described(table.layout),
        height=table.height,
        sequence=table.sequence,
        bytes=table.size_bytes,
        oldest_due=table.oldest_due,
        floor=floor,
        segments=segments,
    )


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
