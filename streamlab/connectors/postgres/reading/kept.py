"""The position that the source keeps itself, in a file beside the settings.

For a sink that keeps none it is the record; for others it shows where the pipeline is
while no worker runs. It also tells a first run that was cut short, whose slot may be
made again, from a pipeline whose sink was emptied, whose slot may not.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streamlab.connectors.postgres.reading.recent import Recent
from streamlab.errors import Unavailable
from streamlab.positions import Progress
from streamlab.settings import Settings


@dataclass(frozen=True, slots=True)
class KeptFile:
    """A file of JSON that is replaced as a whole."""

    path: Path

    @classmethod
    def of(cls, slot: str, ending: str) -> KeptFile:
        """Return a file of a slot, beside the settings."""
        return cls(Settings.load().state_folder / "slots" / f"{slot}{ending}")

    def read(self) -> Any:
        """Return what is kept; None if there is no file."""
        if not self.path.exists():
            return None
        return json.loads(self.path.read_text(encoding="utf-8"))

    def forget(self) -> None:
        """Remove it: the next run is a first one."""
        self.path.unlink(missing_ok=True)

    def write(self, content: Any) -> None:
        """Replace what is kept, as a whole; on return it outlives a failing machine.

        Raises:
            Unavailable: It cannot be written now.
        """
        staged = self.path.with_suffix(".new")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with staged.open("w", encoding="utf-8") as file:
                json.dump(content, file)
                file.flush()
                os.fsync(file.fileno())
            staged.replace(self.path)
            _sync(self.path.parent)
        except OSError as error:
            message = f"{self.path} cannot be written: {error.strerror}"
            raise Unavailable(message) from error


class KeptProgress:
    """The position of one slot: a durable file, and beside it the newest position.

    Attributes:
        file: The durable one. Without it, nothing is kept.
        recent: The newest one, as long as a worker runs or after it was killed.
    """

    def __init__(self, file: KeptFile) -> None:
        """Keep it in a file, and in another one beside that."""
        self.file = file
        self.recent = Recent(file.path.with_suffix(".recent"))
        self._durable = -1  # the epoch, as far as this object has written it
        self._writing = threading.Lock()

    @classmethod
    def of(cls, slot: str) -> KeptProgress:
        """Return the place of a slot's position."""
        return cls(KeptFile.of(slot, ".json"))

    def read(self) -> Progress | None:
        """Return what is kept; None before the first run."""
        found = self.file.read()
        if found is None:
            return None
        durable, recent = Progress.from_json(found), self.recent.read()
        is_newer = recent is not None and recent.epoch > durable.epoch
        return recent if is_newer else durable

    def write(self, progress: Progress) -> None:
        """Replace what is kept, whatever that is; on return it is durable.

        Raises:
            Unavailable: It cannot be written now.
        """
        with self._writing:
            # First: it must not count beside a file that it does not belong to.
            self.recent.remove()
            self.file.write(progress.to_json())
            self._durable = progress.epoch

    def note(self, progress: Progress) -> None:
        """Keep a later position: on return it outlives a process that is killed.

        Waiting for the disk takes milliseconds; see :meth:`confirm`.

        Raises:
            Unavailable: It cannot be written now.
        """
        if not self.recent.write(progress):
            self.confirm(progress)

    def confirm(self, progress: Progress) -> None:
        """Make a position durable, unless a later one is; noted ones stay noted.

        Raises:
            Unavailable: It cannot be written now.
        """
        with self._writing:
            if progress.epoch > self._durable:
                self.file.write(progress.to_json())
                self._durable = progress.epoch

    def forget(self) -> None:
        """Remove all of it: the next run is a first one."""
        self.recent.remove()
        self.file.forget()

    def close(self, *, is_durable: bool) -> None:
        """Close what is open, and remove it where the durable file says the same."""
        self.recent.close()
        if is_durable:
            # Left behind it would do no harm: it is not newer than the durable one.
            with contextlib.suppress(Unavailable):
                self.recent.remove()


def _sync(path: Path) -> None:
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
