"""Notebooks from their sources: ``python -m demo.notebook notebooks/*.py``."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import jupytext
import nbformat
import papermill
from nbconvert import HTMLExporter
from traitlets.config import Config

KERNEL = "python3"
CELL_S = 60


def execute(source: Path, output: Path, *, folder: Path) -> None:
    """Run a ``py:percent`` notebook by papermill in ``folder``, and keep the result.

    What papermill adds to the metadata is removed again: it names paths of this
    machine and makes every run a different file.

    Raises:
        papermill.PapermillExecutionError: A cell failed; it names the cell.
    """
    notebook = jupytext.read(source)
    notebook.metadata["kernelspec"] = {"name": KERNEL, "display_name": "Python 3"}
    nbformat.write(notebook, output)
    papermill.execute_notebook(
        str(output),
        str(output),
        cwd=str(folder),
        kernel_name=KERNEL,
        progress_bar=False,
        execution_timeout=CELL_S,
        config=Config({"KernelManager": {"transport": "ipc"}}),  # no port is opened
    )
    executed = nbformat.read(output, as_version=nbformat.NO_CONVERT)
    for place in (executed, *executed.cells):
        place.metadata.pop("papermill", None)
    nbformat.write(executed, output)


def to_html(notebook: Path) -> Path:
    """Write an executed notebook as an HTML page beside it, and return that."""
    page = notebook.with_suffix(".html")
    with warnings.catch_warnings():
        # nbconvert asks for alternative texts of pictures; ours stand beside tables.
        warnings.simplefilter("ignore", UserWarning)
        text, _ = HTMLExporter().from_filename(str(notebook))
    page.write_text(text, encoding="utf-8")
    return page


def main(sources: list[str]) -> None:
    """Run the notebooks in the working directory, each result beside its source."""
    for name in sources:
        source = Path(name)
        print(f"{source.stem} …", flush=True)
        execute(source, source.with_suffix(".ipynb"), folder=Path.cwd())


if __name__ == "__main__":
    main(sys.argv[1:])
