"""A worker as a process of its own: run in this one, or started as a child."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from streamlab.engines.local import position
from streamlab.engines.local.summary import RunSummary
from streamlab.engines.local.worker import Worker
from streamlab.errors import PipelineError, Unavailable, UnknownName
from streamlab.observe import workers
from streamlab.observe.server import StatusServer
from streamlab.observe.status import WorkerStatus
from streamlab.pipelines import Pipeline, plan
from streamlab.settings import Settings, made_state_folder

STOP_S = 25.0  # a little more than a worker takes to drain
LAST_LOG_BYTES = 4_000
ORPHAN_CHECK_S = 0.5
ENDED_CHECK_S = 0.05

SWITCH_S = 0.0005
"""How long a thread may keep the interpreter from the two others. The default of 5 ms
would be half of what a small epoch takes in all."""

COLLECT_AFTER = 500_000
"""Objects made and not freed before Python looks for cycles. The default of 700 has it
look at all messages of an epoch again and again: a sixth of the throughput. Messages
hold no cycles, and go when their epoch goes."""

PARENT_VARIABLE = "STREAMLAB_PARENT"
"""Process id whose end ends the worker; set for children that must not outlive it."""


def run(
    pipeline: Pipeline,
    *,
    until_caught_up: bool = False,
    finish: bool = False,
    until: str = "",
    port: int = 0,
    name: str = "",
) -> RunSummary:
    """Run a pipeline in this process, with its status on loopback, until stopped.

    SIGTERM and SIGINT finish what is under way and return; a second one does not wait.

    Args:
        pipeline: What to run.
        until_caught_up: Return once everything in the source was written; on a
            source that ends, such as ``sample.replay()``, it does so anyway.
        finish: The same, and then close every window: nothing is to come any more, and
            a later run is refused.
        until: Where to stop reading, exactly: ``latest`` (where the source ends now),
            an ISO time, or offsets as ``0=100,1=250``. The next run goes on there.
        port: Port of ``/status``, ``/metrics`` and ``/health``; a free one if 0.
        name: Name of the worker among those of the pipeline.

    Raises:
        StreamlabError: What ended the run.
    """
    plan.plan(pipeline)
    limits = position.located(pipeline, until) if until else None
    worker = Worker(pipeline, name=name)
    with (
        _tuned_interpreter(),
        StatusServer(worker.status, port) as server,
        workers.announced(pipeline.name, worker.name, server.port),
        _stopped_by_signals(worker),
    ):
        return worker.run(until_caught_up=until_caught_up, finish=finish, until=limits)


@dataclass
class WorkerHandle:
    """A worker that runs as a child process.

    Attributes:
        pipeline: Name of its pipeline.
        process: The process.
        log: File with what it says.
    """

    pipeline: str
    process: subprocess.Popen[bytes]
    log: Path
    _told: WorkerStatus | None = field(default=None, repr=False)

    @property
    def pid(self) -> int:
        """Return its process id."""
        return self.process.pid

    @property
    def running(self) -> bool:
        """Return whether the process is alive."""
        return self.process.poll() is None

    def status(self) -> WorkerStatus:
        """Return what it says about itself, or how it ended.

        Raises:
            Unavailable: It has not begun to answer yet.
        """
        if not self.running:
            code = self.process.returncode
            return WorkerStatus(
                pipeline=self.pipeline,
                worker=f"{self.pipeline}-{self.pid}",
                pid=self.pid,
                state="stopped" if code == 0 else "failed",
                reason="" if code == 0 else self.last_words(),
                at_ms=time.time_ns() // 1_000_000,
                counts=self._told.counts if self._told else {},
            )
        for announced in workers.workers(self.pipeline):
            if announced.pid == self.pid:
                self._told = workers.status(announced)
                return self._told
        raise Unavailable(f"worker {self.pipeline!r} is still starting")

    def stop(self) -> int:
        """Have it finish what is under way, and return its exit code."""
        if self.running:
            self.process.terminate()
        try:
            return self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def last_words(self) -> str:
        """Return the end of its log."""
        with contextlib.suppress(OSError), self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - LAST_LOG_BYTES))
            return file.read().decode(errors="replace").strip()
        return ""


def start(
    pipeline: Pipeline | Path | str, *, detach: bool = False, profile: str = ""
) -> WorkerHandle:
    """Start a worker as a child process and return at once.

    Args:
        pipeline: A ``pipeline.toml`` or the folder that holds one; or a pipeline
            without transforms, whose file is then written below ``.streamlab/run``.
            What it writes to a relative path lies beside that file.
        detach: Let it outlive this process; it ends with it otherwise.
        profile: Profile to connect with; the default one without.

    Raises:
        PipelineError: The file is missing or does not describe a pipeline; or the
            pipeline has transforms, whose code no file has yet.
    """
    from streamlab.pipelines.file import load

    pipeline_file = _written(pipeline) if isinstance(pipeline, Pipeline) else pipeline
    pipeline = load(pipeline_file)
    logs = Settings.load().state_folder / "logs"
    made_state_folder(logs.parent)
    logs.mkdir(exist_ok=True)
    log = logs / f"{pipeline.name}.log"
    environment = dict(os.environ)
    if profile:
        environment["STREAMLAB_PROFILE"] = profile
    if not detach:
        environment[PARENT_VARIABLE] = str(os.getpid())
    command = [sys.executable, "-m", "streamlab.cli", "run", str(pipeline_file)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,  # a Ctrl-C in the notebook is not meant for it
        )
    return WorkerHandle(pipeline.name, process, log)


def _written(pipeline: Pipeline) -> Path:
    """Write the file of a pipeline without transforms, and return it."""
    from streamlab.pipelines.file import FILE_NAME, save

    if pipeline.transforms:
        names = ", ".join(f"{one.name}()" for one in pipeline.transforms)
        message = f"pipeline {pipeline.name!r} has {names}, whose code is in no file"
        raise PipelineError(
            message,
            hint="export it and start the package: sl.start(sl.export.write(…).folder)",
        )
    folder = Settings.load().state_folder / "run" / pipeline.name
    folder.mkdir(parents=True, exist_ok=True)
    save(pipeline, folder / FILE_NAME, transforms=[])
    return folder / FILE_NAME


def stop(pipeline: str, *, wait_s: float = 0.0) -> list[int]:
    """Ask every worker of a pipeline on this machine to finish; return their pids.

    Args:
        pipeline: Its name.
        wait_s: How long to wait for their end.

    Raises:
        UnknownName: None runs.
        Unavailable: One has not ended in this time.
    """
    running = workers.workers()
    named = [worker for worker in running if worker.pipeline == pipeline]
    if not named:
        names = {worker.pipeline for worker in running}
        raise UnknownName("running worker of pipeline", pipeline, names)
    for worker in named:
        os.kill(worker.pid, signal.SIGTERM)
    pids = [worker.pid for worker in named]
    deadline = time.monotonic() + wait_s
    while wait_s and {one.pid for one in workers.workers(pipeline)} & set(pids):
        if time.monotonic() > deadline:
            raise Unavailable(f"a worker of {pipeline!r} has not ended yet")
        time.sleep(ENDED_CHECK_S)
    return pids


@contextlib.contextmanager
def _tuned_interpreter() -> Iterator[None]:
    """Set the interpreter up for three threads that handle large batches."""
    switch_s, thresholds = sys.getswitchinterval(), gc.get_threshold()
    sys.setswitchinterval(SWITCH_S)
    gc.set_threshold(COLLECT_AFTER, *thresholds[1:])
    try:
        yield
    finally:
        sys.setswitchinterval(switch_s)
        gc.set_threshold(*thresholds)


@contextlib.contextmanager
def _stopped_by_signals(worker: Worker) -> Iterator[None]:
    """Stop the worker on SIGTERM and SIGINT, and when its parent is gone."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may handle signals; stop() is the way here
        return

    def handle(number: int, frame: FrameType | None) -> None:
        del frame
        worker.stop()
        signal.signal(number, signal.SIG_DFL)

    before = {
        number: signal.signal(number, handle)
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    parent = os.environ.get(PARENT_VARIABLE, "")
    ended = threading.Event()
    if parent.isdigit():
        threading.Thread(
            target=_watch_parent, args=(worker, int(parent), ended), daemon=True
        ).start()
    try:
        yield
    finally:
        ended.set()
        for number, handler in before.items():
            signal.signal(number, handler)


def _watch_parent(worker: Worker, parent: int, ended: threading.Event) -> None:
    """Stop the worker when its parent has died, however it died."""
    while not ended.wait(ORPHAN_CHECK_S):
        if os.getppid() != parent:
            worker.stop()
            return
