"""Where the state of a pipeline is: one folder for each of its tasks."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote, unquote

from streamlab.state.files import VERSION, Files
from streamlab.state.version import Version, id_of, peek


@dataclass(frozen=True)
class Listed:
    """A version that is there.

    Attributes:
        state_id: Its id.
        saved: When it was written.
        version: Its header.
    """

    state_id: str
    saved: datetime
    version: Version


@dataclass(frozen=True)
class StateHome:
    """Where the state of a pipeline is.

    Attributes:
        folder: A local folder.
        limit_bytes: How large the state of a task may become; None for any size.
    """

    folder: Path
    limit_bytes: int | None = None

    def files(self, task: str) -> Files:
        """Return the files of a task."""
        return Files(self.folder / quote(task, safe="").replace(".", "%2E"))

    def tasks(self) -> list[str]:
        """Return the names of the tasks that have files."""
        if not self.folder.is_dir():
            return []
        folders = [path for path in self.folder.iterdir() if path.is_dir()]
        return sorted(unquote(path.name) for path in folders)

    def versions(self, task: str) -> list[Listed]:
        """Return the versions of a task, oldest first, by their headers.

        Which of them is the current one only the sink knows.

        Raises:
            StateError: A file is no version.
        """
        files = self.files(task)
        listed = []
        for name in files.names():
            if name.endswith(VERSION):
                version = peek(files, name)
                seconds = files.path(name).stat().st_mtime
                saved = datetime.fromtimestamp(seconds, UTC)
                state_id = id_of(name, version.written.host)
                listed.append(Listed(state_id, saved, version))
        return sorted(listed, key=lambda one: one.saved)

    def reset(self, task: str | None = None) -> None:
        """Delete the state of a task, or of all.

        The progress in the sink names a version still: begin anew there, too.
        """
        for name in self.tasks() if task is None else [task]:
            shutil.rmtree(self.files(name).folder, ignore_errors=True)
