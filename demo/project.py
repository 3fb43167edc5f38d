"""A project folder with servers of its own, which nobody else's work depends on."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from streamlab import stack


@dataclass(frozen=True, slots=True)
class Servers:
    """Where the servers of a project listen.

    Attributes:
        kafka: ``host:port`` of the broker.
        postgres: Connection string of the database.
    """

    kafka: str
    postgres: str


@contextmanager
def fresh(folder: Path, progress: Callable[[str], None]) -> Iterator[Servers]:
    """Empty the folder, start new servers in it, and stop them at the end."""
    if folder.exists():
        stack.down(folder)
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    try:
        running = stack.up(folder, progress=progress)
        yield Servers(kafka=running.kafka, postgres=running.postgres)
    finally:
        stack.down(folder)
