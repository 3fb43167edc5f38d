"""Where the state of a pipeline is: one folder for each of its tasks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote, unquote

from streamlab.state.files import VERSION, Files
from streamlab.state.shared import SharedFiles, file_system
from streamlab.state.version import Version, id_of, peek


@dataclass(frozen=True)
class Listed:
    """A version that is there.

    Attributes:
        state_id: Its id.
        saved: When it was written, or brought here.
        version: Its header: tables with rows, bytes, oldest due time and layout.
    """

    state_id: str
    saved: datetime
    version: Version


@dataclass(frozen=True)
class StateHome:
    """Where the state of a pipeline is.

    Attributes:
        folder: A local folder; with a URL, of the copy that the worker works on.
        url: Of a place that all machines reach, as fsspec reads it, or None.
        limit_bytes: How large the state of a task may become; None for any size.
    """

    folder: Path
    url: str | None = None
    limit_bytes: int | None = None

    def files(self, task: str) -> Files:
        """Return the files of a task.

        Raises:
            MissingExtra: The URL needs something that is not installed.
            Unavailable: The place cannot be reached.
        """
        folder = _folder_of(task)
        if self.url is None:
            return Files(self.folder / folder)
        return SharedFiles(self.folder / folder, f"{self.url.rstrip('/')}/{folder}")

    def tasks(self) -> list[str]:
        """Return the names of the tasks that have files."""
        names: set[str] = set()
        if self.folder.is_dir():
            names |= {path.name for path in self.folder.iterdir() if path.is_dir()}
        if self.url is not None:
            system, root = file_system(self.url)
            if system.exists(root):
                listed = system.ls(root, detail=True)
                names |= {
                    Path(one["name"]).name for one in listed if one["type"] != "file"
                }
        return sorted(unquote(name) for name in names)

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
                saved = datetime.fromtimestamp(files.saved_s(name), UTC)
                state_id = id_of(name, version.written.host)
                listed.append(Listed(state_id, saved, version))
        return sorted(listed, key=lambda one: one.saved)

    def reset(self, task: str | None = None) -> None:
        """Delete the state of a task, or of all.

        The progress in the sink names a version still: begin anew there, too.
        """
        for name in self.tasks() if task is None else [task]:
            self.files(name).clear()


def _folder_of(task: str) -> str:
    return quote(task, safe="").replace(".", "%2E")
