"""The workers that run on this machine, and what each says about itself."""

from __future__ import annotations

import contextlib
import json
import os
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.error import HTTPError

from streamlab.errors import Unavailable, UnknownName
from streamlab.observe.status import WorkerStatus
from streamlab.settings import Settings, made_state_folder

STATUS_TIMEOUT_S = 1.0
FOLDER = "workers"


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker process that announced itself.

    Attributes:
        pipeline: Name of its pipeline.
        worker: Name of the worker.
        pid: Its process.
        port: Its port on the loopback interface.
        started_ms: When it started, ms since 1970 UTC.
    """

    pipeline: str
    worker: str
    pid: int
    port: int
    started_ms: int


def workers(pipeline: str = "", *, state_folder: Path | None = None) -> list[Worker]:
    """Return the workers that run on this machine, oldest first.

    The file of a worker that is gone is removed.

    Args:
        pipeline: Only the workers of this pipeline; empty for all.
        state_folder: The ``.streamlab`` folder; that of the settings if left out.
    """
    folder = (state_folder or Settings.load().state_folder) / FOLDER
    found = []
    for path in sorted(folder.glob("*.json")):
        worker = _announced(path)
        if worker is None:
            continue
        if not _alive(worker.pid):
            path.unlink(missing_ok=True)
        elif pipeline in {"", worker.pipeline}:
            found.append(worker)
    return sorted(found, key=lambda worker: worker.started_ms)


def status(worker: Worker | str, *, state_folder: Path | None = None) -> WorkerStatus:
    """Return what a worker says about itself now.

    Args:
        worker: A worker, or the name of a pipeline with one on this machine.
        state_folder: Where to look for it by name.

    Raises:
        UnknownName: No worker of that pipeline runs here.
        Unavailable: It does not answer, or another process has its port.
    """
    if isinstance(worker, str):
        running = workers(state_folder=state_folder)
        named = [each for each in running if each.pipeline == worker]
        if not named:
            names = {each.pipeline for each in running}
            raise UnknownName(
                "running worker of pipeline", worker, names, hint="streamlab run"
            )
        worker = named[0]
    url = f"http://127.0.0.1:{worker.port}/status"
    try:
        with urllib.request.urlopen(url, timeout=STATUS_TIMEOUT_S) as answer:
            told = WorkerStatus.from_json(answer.read())
    except (OSError, ValueError, TypeError) as error:
        if isinstance(error, HTTPError):
            error.close()  # it is the answer, too, and keeps its connection open
        message = f"worker {worker.worker} (process {worker.pid}) does not answer"
        raise Unavailable(message, hint=f"it should serve {url}") from error
    if told.pid != worker.pid:
        message = f"port {worker.port} belongs to process {told.pid} by now"
        raise Unavailable(message, hint="the worker has gone; start it again")
    return told


def _announced(path: Path) -> Worker | None:
    """Return the worker that a file announces; None while it is being written."""
    with contextlib.suppress(OSError, ValueError, TypeError):
        stored = json.loads(path.read_text(encoding="utf-8"))
        return Worker(**stored)
    return None


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@contextlib.contextmanager
def announced(
    pipeline: str, worker: str, port: int, *, state_folder: Path | None = None
) -> Iterator[None]:
    """Announce this process as a worker, for as long as the context lasts.

    Args:
        pipeline: Name of its pipeline.
        worker: Name of the worker.
        port: Its port on the loopback interface.
        state_folder: The ``.streamlab`` folder; that of the settings if left out.
    """
    folder = (state_folder or Settings.load().state_folder) / FOLDER
    made_state_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    announcement = Worker(
        pipeline, worker, os.getpid(), port, time.time_ns() // 1_000_000
    )
    path = folder / f"{pipeline}-{os.getpid()}.json"
    unfinished = path.with_suffix(".tmp")
    unfinished.write_text(json.dumps(asdict(announcement)), encoding="utf-8")
    unfinished.replace(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
