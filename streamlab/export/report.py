"""The report of a verification: the package's notebook, run without a front end."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from streamlab import errors, headless
from streamlab.errors import (
    MissingExtra,
    StreamlabError,
    UsageError,
    VerificationFailed,
)
from streamlab.export.templates import REPORT
from streamlab.export.verification import Package
from streamlab.headless import Failure


def run_report(package: Path, report: Path, *, scripts: str = "") -> str:
    """Execute a package's ``verify.ipynb``.

    Args:
        package: The package's folder.
        report: Where the executed notebook is written, also when it fails; the same
            as a page lies beside it, with the suffix ``.html``.
        scripts: Folder of the console scripts; this environment's if empty.

    Returns:
        What the report printed.

    Raises:
        MissingExtra: papermill is not installed.
        UsageError: The folder holds no package, or its command is not installed.
        VerificationFailed: What the report found.
    """
    Package.at(package)
    report = report.resolve()
    with tempfile.TemporaryDirectory(prefix="streamlab-verify-") as folder:
        try:
            ran = headless.run(
                [package / REPORT],
                {"scripts": scripts} if scripts else {},
                output=folder,
                folder=package,
            )
        except MissingExtra as error:
            raise MissingExtra("streamlab verify", error.extra) from error
        (execution,) = ran.executions
        report.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ran.report, report.with_suffix(".html"))
        if execution.notebook.exists():
            shutil.copyfile(execution.notebook, report)
        if execution.failure:
            raise _translated(execution.failure, report)
        return _printed(headless.read(execution.notebook))


def _translated(failure: Failure, report: Path) -> StreamlabError:
    """Return the error of a cell as the one it was raised as in the kernel."""
    kind = getattr(errors, failure.kind, None)
    if kind is VerificationFailed or kind is UsageError:
        error: StreamlabError = kind(failure.message, hint=failure.hint)
    else:
        error = VerificationFailed(
            f"the report stopped: {failure.kind}: {failure.message}",
            hint=f"see {report}",
        )
    if failure.events:
        error.events = failure.events
    return error


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
