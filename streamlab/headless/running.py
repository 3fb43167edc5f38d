"""Running notebooks side by side, with one report for all of them."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from streamlab.errors import MissingExtra, UsageError, WrongParameters
from streamlab.headless import page
from streamlab.headless.execution import (
    CELL_TIMEOUT_S,
    START_TIMEOUT_S,
    CellStarted,
    Execution,
    Job,
    Progress,
    Worker,
)
from streamlab.headless.given import Given, Values, checked
from streamlab.headless.parameters import declared
from streamlab.headless.source import listed, read
from streamlab.settings import Settings, home_of, made_state_folder

REPORT = "report.html"


@dataclass(frozen=True, slots=True)
class Run:
    """What became of all notebooks of one run.

    Attributes:
        executions: In the order they were asked for.
        report: The HTML page with all of them.
        seconds: How long it took.
    """

    executions: tuple[Execution, ...]
    report: Path
    seconds: float

    @property
    def passed(self) -> bool:
        """Return whether every cell of every notebook ran."""
        return all(execution.passed for execution in self.executions)

    def __str__(self) -> str:
        """Return a line for each notebook, and where the report is."""
        lines = map(str, self.executions)
        return "\n".join([*lines, f"the report is {self.report}"])


def run(
    paths: Path | str | Sequence[Path | str],
    parameters: Values | Sequence[Values] = (),
    *,
    output: Path | str | None = None,
    folder: Path | str | None = None,
    jobs: int | None = None,
    start_timeout_s: float = START_TIMEOUT_S,
    cell_timeout_s: float = CELL_TIMEOUT_S,
    progress: Progress | None = None,
) -> Run:
    """Execute notebooks without a front end, each in processes of its own.

    The parameters of all notebooks are checked before the first one starts. The kernel
    is that of this environment; it opens no port and has no standard input. An
    interruption (SIGINT, SIGTERM) ends every kernel and is passed on; the report then
    has what was finished.

    Args:
        paths: One notebook or several: ``.ipynb``, or ``.py`` in the ``py:percent``
            form.
        parameters: Name → value, for each notebook; or several such sets, which makes
            one run of each notebook for each set. A text may be a reference, such as
            ``${env:NAME}``, whose content is written nowhere.
        output: Folder for the executed notebooks and the report;
            ``.streamlab/notebooks/<time>`` if left out.
        folder: Working directory of the notebooks; for each its own folder if left out.
        jobs: How many run at the same time; as many as there are cores if left out.
        start_timeout_s: How long a kernel may take to start.
        cell_timeout_s: How long one cell may take.
        progress: Called for each cell that begins and each notebook that ends, by
            several threads in turn.

    Returns:
        What became of them. A failed cell raises nothing: see ``Run.passed``.

    Raises:
        WrongParameters: A notebook does not take its parameters.
        UsageError: There is no such notebook.
        MissingExtra: What runs notebooks is not installed.
    """
    begun = time.monotonic()
    if importlib.util.find_spec("papermill") is None:
        raise MissingExtra("running a notebook", "verify")
    sets = [parameters] if isinstance(parameters, Mapping) else list(parameters)
    where = Path(output) if output is not None else _new_folder()
    planned = _planned(listed(paths), sets or [{}], where, folder)
    made = [
        Job(*each, start_timeout_s=start_timeout_s, cell_timeout_s=cell_timeout_s)
        for each in planned
    ]
    report = where.resolve() / REPORT
    done: dict[int, Execution] = {}
    try:
        with _terminated_as_interrupted():
            _side_by_side(made, jobs or os.cpu_count() or 1, progress, done)
    finally:
        executions = tuple(done[number] for number in sorted(done))
        page.write(executions, report, asked=len(made))
    return Run(executions, report, round(time.monotonic() - begun, 1))


def _planned(
    paths: Sequence[Path],
    sets: Sequence[Values],
    output: Path,
    folder: Path | str | None,
) -> list[tuple[Path, Path, Path, Given]]:
    """Return source, output, folder and values of each run, all of them checked."""
    if not paths:
        raise UsageError("no notebook is named")
    planned = []
    problems: list[str] = []
    for path in paths:
        found = declared(read(path), path.name)
        cwd = path.parent if folder is None else Path(folder)
        if not cwd.is_dir():
            raise UsageError(f"there is no folder {cwd} to run {path.name} in")
        prefix = f"{path.name}: " if len(paths) > 1 else ""
        for number, values in enumerate(sets, 1):
            stem = f"{path.stem}-{number}" if len(sets) > 1 else path.stem
            try:
                given = checked(found, values, notebook=path.name, folder=home_of(cwd))
            except WrongParameters as error:
                problems += [prefix + each for each in error.problems]
                continue
            planned.append((path.resolve(), stem, cwd.resolve(), given))
    if problems:
        named = paths[0].name if len(paths) == 1 else "the notebooks"
        raise WrongParameters(named, list(dict.fromkeys(problems)))
    return [
        (path, output.resolve() / f"{stem}.ipynb", cwd, given)
        for (path, _, cwd, given), stem in zip(
            planned, _different([each[1] for each in planned]), strict=True
        )
    ]


def _different(stems: Sequence[str]) -> Iterator[str]:
    """Return the names, those that are taken with a number."""
    taken: set[str] = set()
    for stem in stems:
        name, number = stem, 1
        while name in taken:
            number += 1
            name = f"{stem}-{number}"
        taken.add(name)
        yield name


def _new_folder() -> Path:
    parent = made_state_folder(Settings.load().state_folder) / "notebooks"
    name = time.strftime("%Y-%m-%dT%H-%M-%S")
    taken = [path.name for path in parent.glob(f"{name}*")]
    *_, different = _different([*taken, name])
    return parent / different


def _side_by_side(
    made: Sequence[Job],
    slots: int,
    progress: Progress | None,
    done: dict[int, Execution],
) -> None:
    lock = threading.Lock()
    live: set[Worker] = set()
    ending = threading.Event()

    def tell(news: CellStarted | Execution) -> None:
        if progress is not None:
            with lock:
                progress(news)

    def execute(number: int, job: Job) -> None:
        with lock:
            if ending.is_set():
                return
            worker = Worker(job)
            live.add(worker)
        done[number] = worker.finish(tell)
        with lock:
            live.discard(worker)

    with ThreadPoolExecutor(max_workers=min(slots, len(made))) as pool:
        futures: list[Future[None]] = []
        try:
            futures += [pool.submit(execute, *each) for each in enumerate(made)]
            wait(futures, return_when=FIRST_EXCEPTION)
        finally:
            ending.set()
            for future in futures:
                future.cancel()
            with lock:
                left = list(live)
            for worker in left:
                worker.stop()
    for future in futures:
        if not future.cancelled():
            future.result()


@contextlib.contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """Have SIGTERM end a run as an interrupt from the keyboard does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
