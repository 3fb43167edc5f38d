"""The position that the source keeps itself, in a file beside the settings.

For a sink that keeps none it is the record; for others it shows where the pipeline is
while no worker runs. It also tells a first run that was cut short, whose slot may be
made again, from a pipeline whose sink was emptied, whose slot may not.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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

    def sync(self) -> None:
        """Make what was written last outlive a machine that fails.

        Raises:
            Unavailable: It cannot be done now.
        """
        try:
            for path in (self.path, self.path.parent):
                _sync(path)
        except OSError as error:
            message = f"{self.path} cannot be kept: {error.strerror}"
            raise Unavailable(message) from error

    def write(self, content: Any, *, durable: bool = True) -> None:
        """Replace what is kept, as a whole.

        Args:
            content: What to keep.
            durable: Whether it outlives a machine that fails, on return. Otherwise
                only a process that does; waiting for a disk takes milliseconds.

        Raises:
            Unavailable: It cannot be written now.
        """
        staged = self.path.with_suffix(".new")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with staged.open("w", encoding="utf-8") as file:
                json.dump(content, file)
                file.flush()
                if durable:
                    os.fsync(file.fileno())
            staged.replace(self.path)
            if durable:
                _sync(self.path.parent)
        except OSError as error:
            message = f"{self.path} cannot be written: {error.strerror}"
            raise Unavailable(message) from error


@dataclass(frozen=True, slots=True)
class KeptProgress:
    """The position of one slot, in a file."""

    file: KeptFile

    @classmethod
    def of(cls, slot: str) -> KeptProgress:
        """Return the place of a slot's position."""
        return cls(KeptFile.of(slot, ".json"))

    def read(self) -> Progress | None:
        """Return what is kept; None before the first run."""
        found = self.file.read()
        return None if found is None else Progress.from_json(found)

    def write(self, progress: Progress, *, durable: bool = True) -> None:
        """Replace what is kept; see :meth:`KeptFile.write`."""
        self.file.write(progress.to_json(), durable=durable)


def _sync(path: Path) -> None:
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
