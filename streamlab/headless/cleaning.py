"""What must not stay in an executed notebook: machine, times, widgets, secrets."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from typing import Any

_NOTEBOOK_METADATA = ("kernelspec", "jupytext")
_CELL_METADATA = ("tags", "title", "description", "name", "jupyter")
_MARKER_TAG = "papermill-error-cell-tag"
_DEAD_MIME = re.compile(r"application/(?:vnd\.jupyter\.widget|javascript)")
_SHORTEST_SECRET = 4  # characters; shorter ones are found everywhere


def clean(notebook: Any, secrets: Mapping[str, str]) -> None:
    """Leave source, outputs and what displays need.

    Papermill's notes (paths, times, versions, parameters), the state of widgets and
    times of execution go. Texts that are the content of a reference become the
    reference again.

    Args:
        notebook: The executed notebook.
        secrets: Content → the reference it came from.
    """
    without_markers(notebook)
    _keep(notebook.metadata, _NOTEBOOK_METADATA)
    notebook.metadata["language_info"] = {"name": "python"}
    for cell in notebook.cells:
        _keep(cell.metadata, _CELL_METADATA)
        if not cell.metadata.get("tags", True):
            del cell.metadata["tags"]
        for output in cell.get("outputs", []):
            _clean_output(output)
        if "outputs" in cell:
            cell["outputs"] = without(cell["outputs"], secrets)


def without_markers(notebook: Any) -> None:
    """Take out the cells that papermill puts in front of one that failed."""
    notebook.cells = [
        cell
        for cell in notebook.cells
        if _MARKER_TAG not in cell.metadata.get("tags", [])
    ]


def _keep(metadata: Any, names: tuple[str, ...]) -> None:
    for name in set(metadata) - set(names):
        del metadata[name]


def _clean_output(output: Any) -> None:
    for mime in [m for m in output.get("data", {}) if _DEAD_MIME.match(m)]:
        del output["data"][mime]


def without(value: Any, secrets: Mapping[str, str]) -> Any:
    """Return a JSON value with each secret replaced by its reference."""
    hidden = {
        spelled: reference
        for secret, reference in secrets.items()
        if len(secret) >= _SHORTEST_SECRET
        for spelled in (secret, html.escape(secret), repr(secret)[1:-1])
    }
    return _replaced(value, hidden) if hidden else value


def _replaced(value: Any, hidden: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        for secret, reference in hidden.items():
            value = value.replace(secret, reference)
    elif isinstance(value, list):
        return [_replaced(each, hidden) for each in value]
    elif isinstance(value, dict):
        for key in value:
            value[key] = _replaced(value[key], hidden)
    return value
