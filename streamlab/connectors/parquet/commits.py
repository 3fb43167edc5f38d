"""The log of commits: which files count, and how far each task has come.

Each line is a checksum and a JSON object; a line counts when it is whole. The last one
may be torn by a crash, and is cut off before the next is written.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from streamlab.errors import Refused, Unavailable, UsageError
from streamlab.positions import Progress

LOCK_TIMEOUT_S = 10.0
_LOCK_PAUSE_S = 0.01


@dataclass(frozen=True, slots=True)
class Commit:
    """One line of the log.

    Attributes:
        pipeline: Whose progress it is.
        progress: Progress of the tasks that moved, or were claimed.
        file: Name of the file with the epoch's rows; None if it had none.
        rows: How many rows it has.
    """

    pipeline: str
    progress: Sequence[Progress]
    file: str | None = None
    rows: int = 0

    def to_line(self) -> bytes:
        """Return the line, with its checksum in front and its end behind."""
        text = json.dumps(
            {
                "pipeline": self.pipeline,
                "file": self.file,
                "rows": self.rows,
                "progress": [progress.to_json() for progress in self.progress],
            },
            ensure_ascii=True,
        ).encode()
        return b"%08x %b\n" % (zlib.crc32(text), text)

    @classmethod
    def from_line(cls, line: bytes) -> Commit | None:
        """Return the commit of a line; None if the line is not whole."""
        checksum, _, text = line.rstrip(b"\n").partition(b" ")
        if not line.endswith(b"\n") or checksum != b"%08x" % zlib.crc32(text):
            return None
        stored = json.loads(text)
        progress = [Progress.from_json(each) for each in stored["progress"]]
        return cls(stored["pipeline"], progress, stored["file"], stored["rows"])


@dataclass(slots=True)
class CommitLog:
    """The log of one folder, read as far as it was when last looked at.

    Attributes:
        path: The file.
        files: Names of all committed files, in order.
        progress: (pipeline, task) → progress.
        size: Bytes of the lines that count.
    """

    path: Path
    files: list[str] = field(default_factory=list)
    progress: dict[tuple[str, str], Progress] = field(default_factory=dict)
    size: int = 0

    def refresh(self) -> None:
        """Read what was added since.

        Raises:
            Refused: A line before the last one is damaged.
        """
        try:
            with self.path.open("rb") as file:
                file.seek(self.size)
                lines = file.readlines()
        except FileNotFoundError:
            return
        for number, line in enumerate(lines, start=1):
            commit = Commit.from_line(line)
            if commit is None and number < len(lines):
                message = f"{self.path.name} is damaged at byte {self.size}"
                raise Refused(message, hint="restore it from a backup")
            if commit is not None:
                self._take(commit, len(line))

    def append(self, commit: Commit) -> None:
        """Add a line, durably on return, after cutting off a torn one.

        Only under :func:`exclusive`, and after ``refresh``.
        """
        line = commit.to_line()
        with self.path.open("ab") as file:
            file.truncate(self.size)
            file.write(line)
            synced(file)
        if self.size == 0:  # the file is new, and so is its name
            sync_folder(self.path.parent)
        self._take(commit, len(line))

    def of(self, pipeline: str) -> dict[str, Progress]:
        """Return task → progress of one pipeline."""
        return {
            task: progress
            for (owner, task), progress in self.progress.items()
            if owner == pipeline
        }

    def _take(self, commit: Commit, length: int) -> None:
        for progress in commit.progress:
            self.progress[commit.pipeline, progress.task] = progress
        if commit.file is not None:
            self.files.append(commit.file)
        self.size += length


def synced(file: BinaryIO) -> None:
    """Wait until the disk has what was written to a file."""
    file.flush()
    os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Wait until the disk has the names of a folder's files."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold a lock file; the system lets go of it when the process dies.

    Raises:
        Unavailable: Another process holds it for longer than ``LOCK_TIMEOUT_S``.
        UsageError: This system has no such locks.
    """
    try:
        import fcntl
    except ModuleNotFoundError:
        message = "the parquet sink needs the file locks of Linux or macOS"
        raise UsageError(message, hint="on Windows, run it in WSL") from None
    deadline = time.monotonic() + LOCK_TIMEOUT_S
    with path.open("ab") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    message = f"another process has held {path} for {LOCK_TIMEOUT_S} s"
                    raise Unavailable(message) from None
                time.sleep(_LOCK_PAUSE_S)
        yield
