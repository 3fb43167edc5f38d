"""One execution of one notebook: what is to be run, and what became of it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, TypeAlias

from streamlab.headless.given import Given

START_TIMEOUT_S = 60.0
"""How long a kernel may take to start."""

CELL_TIMEOUT_S = 600.0
"""How long one cell may take."""

STOP_S = 15.0
"""How long a worker may take to end its kernel before it is killed itself."""

_LAST_LINES = 5


@dataclass(frozen=True, slots=True)
class Job:
    """One notebook with its values.

    Attributes:
        source: The notebook.
        output: Where the executed notebook is written.
        folder: Its working directory.
        given: The checked values.
        start_timeout_s: How long its kernel may take to start.
        cell_timeout_s: How long one cell may take.
    """

    source: Path
    output: Path
    folder: Path
    given: Given
    start_timeout_s: float = START_TIMEOUT_S
    cell_timeout_s: float = CELL_TIMEOUT_S

    @property
    def name(self) -> str:
        """Return what reports call it."""
        return self.output.stem

    def to_json(self) -> str:
        """Return what the worker is told; no secret is among it."""
        return json.dumps(
            {
                "source": str(self.source),
                "output": str(self.output),
                "cwd": str(self.folder),
                "code": self.given.code,
                "references": self.given.references,
                "start_s": self.start_timeout_s,
                "cell_s": self.cell_timeout_s,
            }
        )


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an execution ended early.

    Attributes:
        cell: Name of the cell; empty if the kernel did not come so far.
        number: Its number among the cells that run, from 1.
        kind: Name of the exception.
        message: What it says.
        hint: What to do about it.
        events: The events that caused it, ``topic/partition@offset``, where known.
    """

    cell: str
    number: int
    kind: str
    message: str
    hint: str = ""
    events: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return the failure as lines for a person."""
        where = f"cell {self.number} ({self.cell}) failed: " if self.cell else ""
        lines = [f"{where}{self.kind}: {self.message}"]
        if self.events:
            lines.append(f"Events: {', '.join(self.events)}")
        if self.hint:
            lines.append(f"Hint: {self.hint}")
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Execution:
    """What became of one notebook.

    Attributes:
        name: What reports call it: the file name of ``notebook`` without suffix.
        source: The notebook that was executed.
        parameters: Name → value as text.
        notebook: The executed notebook, as far as it came.
        seconds: How long it took, with its kernel.
        failure: Why it ended early; None if all cells ran.
    """

    name: str
    source: Path
    parameters: Mapping[str, str]
    notebook: Path
    seconds: float
    failure: Failure | None = field(default=None)

    @property
    def passed(self) -> bool:
        """Return whether all cells ran."""
        return self.failure is None

    def __str__(self) -> str:
        """Return one line, and below it why it failed."""
        state = "passed" if self.passed else "FAILED"
        told = str(self.failure).splitlines() if self.failure else []
        return "\n    ".join([f"{state}  {self.name}  {self.seconds:.1f} s", *told])


@dataclass(frozen=True, slots=True)
class CellStarted:
    """A cell of a notebook begins.

    Attributes:
        notebook: Name of the execution.
        cell: Name of the cell.
        number: Its number among the cells that run, from 1.
        of: How many there are.
    """

    notebook: str
    cell: str
    number: int
    of: int

    def __str__(self) -> str:
        """Return one line."""
        return f"{self.notebook} [{self.number}/{self.of}] {self.cell}"


Progress: TypeAlias = Callable[[CellStarted | Execution], None]
"""Told of each cell that begins and of each notebook that ends."""


class Worker:
    """The process that executes one job."""

    def __init__(self, job: Job) -> None:
        """Start it."""
        self._job = job
        self._started = time.monotonic()
        self._stopped = False
        job.output.parent.mkdir(parents=True, exist_ok=True)
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 -- closed when the process has ended
        # A session of its own: an interrupt from the keyboard is ours to pass on.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "streamlab.headless.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            start_new_session=True,
            env={**os.environ, "STREAMLAB_RENDER": "static"},
        )

    def finish(self, progress: Progress) -> Execution:
        """Wait for it, and tell of each cell that begins meanwhile."""
        last: dict[str, Any] = {}
        with self._process as process:
            assert process.stdin is not None  # noqa: S101 -- as it was started
            assert process.stdout is not None  # noqa: S101 -- as it was started
            with contextlib.suppress(BrokenPipeError):  # it ended already
                process.stdin.write(self._job.to_json() + "\n")
                process.stdin.flush()
            for line in process.stdout:
                last = json.loads(line)
                if "cell" in last:
                    progress(CellStarted(self._job.name, **last))
        execution = self._became(last)
        progress(execution)
        return execution

    def stop(self) -> None:
        """End it with its kernel."""
        self._stopped = True
        self._process.terminate()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _became(self, told: dict[str, Any]) -> Execution:
        failure: Failure | None = None
        if self._stopped:
            failure = Failure("", 0, "Interrupted", "it was ended before its end")
        elif "done" not in told:
            failure = Failure("", 0, "WorkerEnded", self._last_words())
        elif told["failure"]:
            found = told["failure"]
            failure = Failure(**{**found, "events": tuple(found["events"])})
        self._log.close()
        return Execution(
            name=self._job.name,
            source=self._job.source,
            parameters=self._job.given.shown,
            notebook=self._job.output,
            seconds=round(time.monotonic() - self._started, 1),
            failure=failure,
        )

    def _last_words(self) -> str:
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        said = "\n".join(lines[-_LAST_LINES:])
        code = self._process.returncode
        return f"the process that ran it ended with code {code}. {said}".strip()
