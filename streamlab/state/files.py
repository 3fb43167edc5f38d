"""The files of a task's state: named by their content, written once, checked when read.

A file appears under its name only when it is whole and durable: it is written under
another name, synced, renamed, and the folder is synced.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import socket
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from streamlab.errors import StateError
from streamlab.failpoints import passing

VERSION: Final = ".version"
BLOCK: Final = ".arrow"
SUFFIXES: Final = frozenset({VERSION, BLOCK})
PARTIAL: Final = ".partial"
ORPHANS_S: Final = 24 * 3600.0
"""Age in seconds at which files that the opened version does not name are deleted."""

_DIGITS: Final = 32
"""Hexadecimal digits of a SHA-256 that name a file: 128 bits."""


@dataclass(frozen=True)
class Written:
    """Where files were written.

    Attributes:
        host: Name of the machine.
        place: The folder there, or a URL.
    """

    host: str
    place: str

    def __str__(self) -> str:
        """Return it for a message."""
        return f"{self.place or 'a folder'} on {self.host}"


class Files:
    """The files of one task in a local folder."""

    def __init__(self, folder: Path) -> None:
        """Begin with a folder that may not exist yet."""
        self.folder = folder

    @property
    def written(self) -> Written:
        """Return where what is written now is."""
        return Written(hostname(), str(self.folder.absolute()))

    def write(self, name: str, data: bytes) -> None:
        """Write a file durably.

        Args:
            name: As :func:`named` gave it.
            data: Its content.

        Raises:
            StateError: The disk is full or does not allow it.
        """
        self._place(name, lambda path: path.write_bytes(data))

    def adopt(self, write: Callable[[Path], object], suffix: str) -> str:
        """Let ``write`` write a file, and make it durable.

        Returns:
            Its name: the hash of its content, and a random token.

        Raises:
            StateError: The disk is full or does not allow it.
        """
        try:
            self._make()
            partial = self._partial()
            write(partial)
            # The token: nothing that was written before ever has the same name, so
            # deleting that cannot hit this.
            name = f"{_digest(partial)}-{secrets.token_hex(4)}{suffix}"
        except OSError as error:
            raise _unwritable(self.folder, error) from error
        self._place(name, partial.replace)
        return name

    def path(self, name: str) -> Path:
        """Return the path of a file."""
        return self.folder / name

    def checked(self, name: str, written: Written) -> Path:
        """Return the path of a file whose bytes are what they were.

        Args:
            name: Of the file.
            written: Where it was written, for the message.

        Raises:
            StateError: It is missing, truncated or damaged.
        """
        path = self.path(name)
        self.require(name, written)
        right = path.stem.partition("-")[0]
        if _digest(path) != right:
            self._obtain_anew(name, path)
        if _digest(path) != right:
            raise StateError(
                f"the state file {path} is damaged: it is not what was written "
                f"to {written}",
                hint="restore it from a copy or a savepoint; or begin without state: "
                "streamlab state reset PIPELINE",
            )
        return path

    def require(self, name: str, written: Written) -> None:
        """Have a file here, brought from elsewhere if need be, without a check.

        Raises:
            StateError: It is missing.
        """
        path = self.path(name)
        if not path.is_file():
            self._obtain(name, path)
        if not path.is_file():
            raise self._missing(name, written)

    def names(self) -> list[str]:
        """Return the names of all whole files."""
        if not self.folder.is_dir():
            return []
        return sorted(p.name for p in self.folder.iterdir() if p.suffix in SUFFIXES)

    def age_s(self, name: str, now_s: float) -> float:
        """Return for how many seconds a file has been there, or 0 if it is not."""
        try:
            return now_s - self.path(name).stat().st_mtime
        except FileNotFoundError:
            return 0.0

    def saved_s(self, name: str) -> float:
        """Return when a file was written, in seconds since 1970 UTC."""
        return self.path(name).stat().st_mtime

    def delete(self, names: Collection[str]) -> None:
        """Delete files; those that are not there are no matter."""
        for name in names:
            self.path(name).unlink(missing_ok=True)

    def partials(self) -> Iterator[Path]:
        """Yield files that were never finished."""
        if self.folder.is_dir():
            yield from self.folder.glob(f"*{PARTIAL}")

    def sweep(self, needed: Collection[str]) -> None:
        """Delete what was written long ago and is not needed: what a kill left.

        Only a worker whose version a sink has just committed may do this: all files
        that are not its own are then nobody's.
        """
        now_s = time.time()
        names = [name for name in self.names() if name not in needed]
        self.delete([name for name in names if self.age_s(name, now_s) > ORPHANS_S])
        for partial in self.partials():
            if self.age_s(partial.name, now_s) > ORPHANS_S:
                partial.unlink(missing_ok=True)

    def copy(self, name: str, source: Files, written: Written) -> None:
        """Copy a file durably from other files, and check it.

        Raises:
            StateError: It is missing or damaged there, or cannot be written here.
        """
        original = source.checked(name, written)
        self._place(name, lambda path: shutil.copyfile(original, path))
        self.checked(name, written)

    def clear(self) -> None:
        """Delete all files."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _publish(self, name: str) -> None:
        """Make a file available to other machines, if it is to be."""

    def _obtain(self, name: str, path: Path) -> None:
        """Bring a file from where other machines put it."""

    def _obtain_anew(self, name: str, path: Path) -> None:
        """Bring a file once more that is damaged here."""

    def _place(self, name: str, write: Callable[[Path], object]) -> None:
        path = self.path(name)
        try:
            self._make()
            partial = self._partial()
            write(partial)
            with partial.open("rb") as file:
                passing("in-state-save" if path.suffix == VERSION else "in-compaction")
                os.fsync(file.fileno())
            partial.replace(path)
            _sync(self.folder)
        except OSError as error:
            raise _unwritable(self.folder, error) from error
        self._publish(name)

    def _make(self) -> None:
        """Make the folder, durably: with the names of all folders above it."""
        missing = [self.folder, *self.folder.parents]
        for folder in reversed([one for one in missing if not one.is_dir()]):
            folder.mkdir(exist_ok=True)
            _sync(folder.parent)

    def _partial(self) -> Path:
        return self.folder / f"{secrets.token_hex(8)}{PARTIAL}"

    def _missing(self, name: str, written: Written) -> StateError:
        return StateError(
            f"the state file {name} is not in {self.folder.absolute()} "
            f"on {hostname()}: it was written to {written}",
            hint="start the worker where the file is, or copy the folder here, or "
            "give all machines one URL for the state; or begin without state: "
            "streamlab state reset PIPELINE",
        )


def named(data: bytes, suffix: str) -> str:
    """Return the name of a file with some content."""
    return hashlib.sha256(data).hexdigest()[:_DIGITS] + suffix


def hostname() -> str:
    """Return the name of this machine."""
    return socket.gethostname()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:_DIGITS]


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unwritable(folder: Path, error: OSError) -> StateError:
    return StateError(
        f"the state cannot be written to {folder}: {error.strerror or error}",
        hint="free some space there, or choose another folder",
    )
