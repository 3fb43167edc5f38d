"""The report of a verification: the package's notebook, executed by papermill."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from streamlab import errors
from streamlab.errors import MissingExtra, UsageError, VerificationFailed
from streamlab.export.templates import REPORT
from streamlab.export.verification import Package

KERNEL = "python3"
"""The kernel of the environment that papermill runs in."""


def run_report(package: Path, report: Path, *, scripts: str = "") -> str:
    """Execute a package's ``verify.ipynb``.

    Args:
        package: The package's folder.
        report: Where the executed notebook is written, also when it fails.
        scripts: Folder of the console scripts; this environment's if empty.

    Returns:
        What the report printed.

    Raises:
        MissingExtra: papermill is not installed.
        UsageError: The folder holds no package, or its command is not installed.
        VerificationFailed: What the report found.
    """
    try:
        import papermill
        from papermill.exceptions import PapermillExecutionError
        from traitlets.config import Config
    except ModuleNotFoundError as error:
        message = "streamlab verify"
        raise MissingExtra(message, "verify") from error
    Package.at(package)
    report = report.resolve()
    report.parent.mkdir(parents=True, exist_ok=True)
    try:
        notebook = papermill.execute_notebook(
            str(package / REPORT),
            str(report),
            parameters={"scripts": scripts} if scripts else {},
            kernel_name=KERNEL,
            cwd=str(package),
            progress_bar=False,
            config=Config({"KernelManager": {"transport": "ipc"}}),  # opens no port
            stdout_file=io.StringIO(),
        )
    except PapermillExecutionError as error:
        raise _translated(error.ename, error.evalue, report) from None
    return _printed(notebook)


def _translated(name: str, text: str, report: Path) -> errors.StreamlabError:
    """Return the error of a cell as the one it was raised as in the kernel."""
    kind = getattr(errors, name, None)
    message, _, hint = text.partition("\nHint: ")
    if kind is VerificationFailed or kind is UsageError:
        return kind(message, hint=hint)
    return VerificationFailed(
        f"the report stopped: {name}: {message}", hint=f"see {report}"
    )


def _printed(notebook: Any) -> str:
    """Return what the cells of an executed notebook printed."""
    streams = (
        output["text"]
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if output["output_type"] == "stream"
    )
    return "".join(streams).strip()
