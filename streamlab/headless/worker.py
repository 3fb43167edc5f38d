"""One notebook in a process of its own: ``python -m streamlab.headless.worker``.

The job comes as one line of JSON on standard input, which stays open: when it ends,
whoever gave the job is gone, and so are this process and its kernel. What happens is
told on standard output, a line of JSON for each cell and one at the end.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, TextIO

from streamlab.errors import SettingsError
from streamlab.headless import cleaning, source
from streamlab.headless.given import Given
from streamlab.settings import home_of, resolved

ENDING_S = 5.0
"""How long a kernel and its children may take to end before they are killed."""

_HINT = "\nHint: "
_EVENTS = re.compile(r"^Events: (.*?)(?: and more)?$", re.MULTILINE)
_NO_FRONT_END = {
    "StdinNotImplementedError": (
        "it asked for input, and nobody is there to answer",
        "make it a parameter: a cell tagged 'parameters', and -p name=value",
    ),
    "CellTimeoutError": (
        "it took longer than {cell_s:g} s and was ended",
        "--cell-timeout gives it more; a loop that waits for a widget waits forever",
    ),
    "DeadKernelError": (
        "its kernel died",
        "out of memory, or the process was killed",
    ),
}
"""Name of an exception → what it means for a run without a front end, and a hint."""


def main() -> int:
    """Carry out the job that standard input names."""
    told = _own_channel()
    job = json.loads(sys.stdin.readline())
    with tempfile.TemporaryDirectory(prefix="sl-") as runtime:
        # A short path: the sockets of the kernel lie there, whose names have a limit.
        os.environ["JUPYTER_RUNTIME_DIR"] = runtime
        os.environ["STREAMLAB_RENDER"] = "static"
        _end_with_the_parent()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _ended)
        try:
            failure = _execute(job, told)
        finally:
            _end_children()
    _tell(told, {"done": True, "failure": failure})
    return 0


def _own_channel() -> TextIO:
    """Return standard output as ours alone; a kernel inherits standard error."""
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return channel


def _tell(channel: TextIO, message: dict[str, Any]) -> None:
    with contextlib.suppress(BrokenPipeError):
        channel.write(json.dumps(message) + "\n")
        channel.flush()


def _end_with_the_parent() -> None:
    def wait() -> None:
        sys.stdin.read()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, daemon=True).start()


def _ended(number: int, _frame: FrameType | None) -> None:
    """End the kernel and what it started, then this process."""
    signal.signal(number, signal.SIG_IGN)
    _end_children()
    raise SystemExit(128 + number)


def _end_children() -> None:
    import psutil

    children = psutil.Process().children(recursive=True)
    for child in children:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.terminate()
    _, alive = psutil.wait_procs(children, timeout=ENDING_S)
    for child in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()


def _execute(job: dict[str, Any], told: TextIO) -> dict[str, Any] | None:
    """Run the notebook, write it, and return how it failed; None if it did not."""
    notebook = source.read(Path(job["source"]))
    source.inject(notebook, Given({}, job["code"]))
    run = _Run(notebook, told)
    secrets = _secrets(job)
    try:
        failure = run.failure(job)
    finally:
        cleaning.clean(run.notebook, secrets)
        _write(run.notebook, Path(job["output"]))
    return cleaning.without(failure, secrets) if failure else None


class _Run:
    """An execution by papermill; ``notebook`` is as far as it came."""

    def __init__(self, notebook: Any, told: TextIO) -> None:
        self.notebook = notebook
        self._told = told
        self._places = source.code_cells(notebook)
        self._at: int | None = None
        self._name, self._number = "", 0
        self._names: dict[int, tuple[str, int]] = {}

    def failure(self, job: dict[str, Any]) -> dict[str, Any] | None:
        """Execute it and return how it failed; None if it did not."""
        import papermill
        from papermill.exceptions import PapermillExecutionError

        try:
            with self._without_notes():
                papermill.execute_notebook(
                    self.notebook,
                    None,  # written by us, when it is clean
                    kernel_name=source.KERNELSPEC["name"],
                    cwd=job["cwd"],
                    progress_bar=False,
                    start_timeout=job["start_s"],
                    execution_timeout=job["cell_s"],
                    kernel_manager_class="streamlab.headless.kernel.OwnKernel",
                    store_widget_state=False,
                    on_notebook_start=self._started,
                    on_cell_start=self._cell_started,
                )
        except PapermillExecutionError:
            return self._first_error(job)
        except Exception as error:  # noqa: BLE001 -- whatever ends a run is reported as its failure
            name = type(error).__name__
            failure = self._described(name, str(error).strip(), job)
            self._show(name, failure["message"])
            return failure
        return None

    def _first_error(self, job: dict[str, Any]) -> dict[str, Any]:
        """Return the first error among the outputs.

        What a display could not show is an error, too; cells behind it have run then.
        """
        cleaning.without_markers(self.notebook)
        for place, cell in enumerate(self.notebook.cells):
            for output in cell.get("outputs", []):
                if output.output_type == "error" and not _is_exit(output):
                    self._name, self._number = self._names.get(place, ("", 0))
                    return self._described(output.ename, output.evalue, job)
        return self._described("CellExecutionError", "it failed without a word", job)

    @staticmethod
    @contextlib.contextmanager
    def _without_notes() -> Iterator[None]:
        """Keep the libraries' remarks on their own insides out of the run."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield

    def _started(self, notebook: Any) -> None:
        # Papermill works on a copy, and keeps it where it raises.
        self.notebook = notebook

    def _cell_started(self, cell: Any, cell_index: int) -> None:
        del cell
        self._at = cell_index
        if cell_index in self._places:
            # Now: papermill puts cells of its own in front of one that failed.
            self._name = source.name_of(self.notebook, cell_index)
            self._number = self._places.index(cell_index) + 1
            self._names[cell_index] = (self._name, self._number)
            told = {"cell": self._name, "number": self._number, "of": len(self._places)}
            _tell(self._told, told)

    def _described(self, name: str, text: str, job: dict[str, Any]) -> dict[str, Any]:
        message, _, hint = text.partition(_HINT)
        events = _EVENTS.search(message)
        if events:
            message = _EVENTS.sub("", message).rstrip()
        if name in _NO_FRONT_END:
            message, hint = _NO_FRONT_END[name]
            message = message.format(**job)
        elif self._at is None:
            message = f"its kernel did not start: {message}"
        return {
            "cell": self._name,
            "number": self._number,
            "kind": name,
            "message": message,
            "hint": hint,
            "events": events[1].split(", ") if events else [],
        }

    def _show(self, name: str, message: str) -> None:
        """Put an error that ended the run from outside into the cell it ended."""
        import nbformat

        if self._at is None:
            return
        cell = self.notebook.cells[self._at]
        if cell.cell_type == "code":
            shown = nbformat.v4.new_output(
                "error", ename=name, evalue=message, traceback=[f"{name}: {message}"]
            )
            cell.outputs.append(shown)


def _is_exit(output: Any) -> bool:
    """Return whether an error is only ``sys.exit(0)``, which papermill lets pass."""
    return output.ename == "SystemExit" and output.evalue in {"", "0"}


def _secrets(job: dict[str, Any]) -> dict[str, str]:
    """Return content → reference, of the references among the parameters."""
    found = {}
    for reference in job["references"]:
        with contextlib.suppress(SettingsError):
            found[resolved(reference, base=home_of(Path(job["cwd"])))] = reference
    return found


def _write(notebook: Any, path: Path) -> None:
    import nbformat

    text: str = nbformat.writes(notebook)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_text(text if text.endswith("\n") else text + "\n", encoding="utf-8")
    part.replace(path)


if __name__ == "__main__":
    sys.exit(main())
