"""Notebooks as files: an ``.ipynb``, or a ``.py`` in the ``py:percent`` form."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from streamlab.errors import MissingExtra, UsageError
from streamlab.headless.given import INJECTED_TAG, Given
from streamlab.headless.parameters import TAG, Parameter, declared

KERNELSPEC = {
    "display_name": "Python 3 (ipykernel)",
    "language": "python",
    "name": "python3",
}
"""Written into every notebook: papermill needs one to translate parameters."""

SUFFIXES = (".ipynb", ".py")

_LONGEST_NAME = 60  # characters
_DESCRIPTION = re.compile(r"papermill_description=([\w.:/-]+)")
_HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*$", re.MULTILINE)
_COMMENT = re.compile(r"^#(?!\s*(?:%|noqa|type:))\s*(\S.*)$", re.MULTILINE)


def listed(paths: Path | str | Sequence[Path | str]) -> list[Path]:
    """Return one path, or several, as a list."""
    return [Path(p) for p in ([paths] if isinstance(paths, Path | str) else paths)]


def read(path: Path) -> Any:
    """Return a notebook as ``nbformat`` has it, ready to be executed.

    Raises:
        UsageError: There is no such notebook, or it is not for Python.
        MissingExtra: What reads notebooks is not installed.
    """
    try:
        import jupytext
        import nbformat
    except ModuleNotFoundError as error:
        raise MissingExtra("reading a notebook", "verify") from error
    if path.suffix not in SUFFIXES:
        message = f"{path} is not a notebook"
        raise UsageError(message, hint="give an .ipynb, or a .py with # %% cells")
    try:
        if path.suffix == ".py":
            notebook = jupytext.read(path, fmt="py:percent")
        else:
            notebook = nbformat.read(path, as_version=4)
    except FileNotFoundError:
        message = f"there is no notebook {path}"
        raise UsageError(message) from None
    except (ValueError, AttributeError, UnicodeDecodeError) as error:
        message = f"{path} cannot be read as a notebook"
        raise UsageError(message) from error
    language = notebook.metadata.get("kernelspec", {}).get("language", "python")
    if language != "python":
        message = f"{path} is a notebook in {language}"
        raise UsageError(message, hint="only notebooks in Python can be run")
    notebook.metadata["kernelspec"] = dict(KERNELSPEC)
    notebook.metadata.pop("widgets", None)
    # Before 4.5 cells have no ids, and nbformat makes random ones with a warning.
    notebook.nbformat_minor = max(notebook.nbformat_minor, 5)
    number_cells(notebook)
    return notebook


def parameters_of(path: Path | str) -> dict[str, Parameter]:
    """Return the parameters of a notebook file, by name.

    Args:
        path: An ``.ipynb``, or a ``.py`` in the ``py:percent`` form.

    Raises:
        UsageError: There is no such notebook.
        WrongParameters: Its parameters cell cannot be read.
    """
    return declared(read(Path(path)), Path(path).name)


def number_cells(notebook: Any) -> None:
    """Give cells that have no id one that follows from their place."""
    taken = {cell.get("id") for cell in notebook.cells}
    for number, cell in enumerate(notebook.cells):
        if not cell.get("id"):
            name = f"cell-{number}"
            cell["id"] = name if name not in taken else f"{name}-more"


def inject(notebook: Any, given: Given) -> None:
    """Set values in a cell behind the one tagged ``parameters``."""
    import nbformat

    notebook.cells = [
        cell
        for cell in notebook.cells
        if INJECTED_TAG not in cell.metadata.get("tags", [])
    ]
    if not given.code:
        return
    cell = nbformat.v4.new_code_cell(given.code, id="given-parameters")
    cell.metadata["tags"] = [INJECTED_TAG]
    places = [
        number
        for number, each in enumerate(notebook.cells)
        if TAG in each.metadata.get("tags", [])
    ]
    notebook.cells.insert(places[0] + 1, cell)


def name_of(notebook: Any, index: int) -> str:
    """Return what to call a code cell.

    Its description, title or tag, its first comment, the heading above it, or its
    first line: the first of these that there is.
    """
    cell = notebook.cells[index]
    named = [
        cell.metadata.get("description"),
        cell.metadata.get("title"),
        cell.metadata.get("name"),
        *_DESCRIPTION.findall(cell.source)[:1],
        *cell.metadata.get("tags", [])[:1],
        *_COMMENT.findall(cell.source.partition("\n\n")[0])[:1],
        *_heading_above(notebook, index),
        cell.source.strip().partition("\n")[0],
    ]
    name = next((str(each) for each in named if each), "an empty cell")
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"


def _heading_above(notebook: Any, index: int) -> list[str]:
    for cell in reversed(notebook.cells[:index]):
        if cell.cell_type == "markdown" and (found := _HEADING.findall(cell.source)):
            return found[-1:]
    return []


def code_cells(notebook: Any) -> list[int]:
    """Return the places of the cells that run."""
    return [
        number
        for number, cell in enumerate(notebook.cells)
        if cell.cell_type == "code" and cell.source.strip()
    ]
