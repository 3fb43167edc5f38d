"""The notebook that is kept in git beside its source: executed, and nothing of a day.

What differs from one machine or one hour to the next is left out: ids, counters of
widgets, metadata, styles, ports, times of the run. What was measured (rates, durations)
is real and so differs; a cell whose outputs differ from the kept ones in nothing else
keeps those, so that a second run changes no byte.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from streamlab.errors import UsageError
from streamlab.headless import running
from streamlab.headless.execution import Execution, Progress
from streamlab.headless.given import INJECTED_TAG, Values
from streamlab.headless.source import listed, read

MAX_BYTES = 500_000
"""A larger notebook is not reviewed by anybody, and slow on a code host."""

_KEPT_MIME = (
    "text/html",
    "text/plain",
    "text/markdown",
    "text/latex",
    "image/png",
    "image/jpeg",
    "image/svg+xml",
)
_STYLE = re.compile(r"<(style|script)\b.*?</\1>", re.DOTALL | re.IGNORECASE)
_LOOPBACK = re.compile(r"\b(127\.0\.0\.1|localhost|\[::1\]):\d{2,5}\b")

_EAST, _WEST = timedelta(hours=14), timedelta(hours=12)
"""How far local time is from UTC."""

_RATE = re.compile(r"\d\s?[kM]?/s\b")
"""What shows a rate shows a moment: every figure in it is measured."""

_FIGURE = re.compile(r"[\d.,]+\s?(?:[kM](?=/s))?")

_MEASURED = re.compile(
    r"""data:image/[^"]*                             # pictures of what was measured
      | \b[A-Za-z0-9_-]{22}\b                        # ids of clusters and topics
      | (?:<b>)?[\d.,]+(?:</b>)?\s*                  # rates, durations
        (?:(?:[kM]\s?)?/s|µs|ms|s|min|h|d)\b(?:</b>)?
      | [ \t]+                                       # tables are as wide as figures
    """,
    re.VERBOSE,
)


def render(
    sources: Path | str | Sequence[Path | str],
    parameters: Values | None = None,
    *,
    folder: Path | str | None = None,
    progress: Progress | None = None,
) -> tuple[Path, ...]:
    """Execute ``py:percent`` sources and write the notebook beside each.

    Args:
        sources: The ``.py`` file, or several.
        parameters: Name → value; the defaults if left out. No cell shows them, so that
            source and notebook have the same cells.
        folder: Working directory; that of each source if left out.
        progress: As in ``run``.

    Returns:
        The notebooks.

    Raises:
        UsageError: A cell failed, or the notebook is larger than 500 kB; what was kept
            before is left alone.
        WrongParameters: A source does not take the parameters.
    """
    import tempfile

    paths = listed(sources)
    with tempfile.TemporaryDirectory(prefix="sl-render-") as temporary:
        # One after another: tutorials may use the same topics.
        ran = running.run(
            paths,
            parameters or {},
            output=temporary,
            folder=folder,
            jobs=1,
            progress=progress,
        )
        return tuple(
            _kept(path, execution)
            for path, execution in zip(paths, ran.executions, strict=True)
        )


def differing(source: Path) -> str:
    """Return how a source and the notebook beside it differ; "" if they do not."""
    beside = source.with_suffix(".ipynb")
    if not beside.exists():
        return f"there is no {beside}"
    wanted, found = (_cells(read(path)) for path in (source, beside))
    for number, (one, other) in enumerate(zip(wanted, found, strict=False), 1):
        if one != other:
            return f"cell {number} of {beside} is not the one of {source.name}"
    if len(wanted) != len(found):
        return f"{beside} has {len(found)} cells, {source.name} has {len(wanted)}"
    return ""


def _cells(notebook: Any) -> list[tuple[str, str]]:
    return [(cell.cell_type, cell.source.strip()) for cell in notebook.cells]


def _kept(source: Path, execution: Execution) -> Path:
    import nbformat

    if execution.failure:
        message = f"{source} was not rendered: {execution.failure}"
        raise UsageError(message)
    notebook = read(execution.notebook)
    _make_stable(notebook, _times_of(execution.seconds))
    beside = source.with_suffix(".ipynb")
    if beside.exists():
        _keep_what_was_measured(notebook, read(beside))
    text: str = nbformat.writes(notebook) + "\n"
    if len(text.encode()) > MAX_BYTES:
        message = f"{beside} would have {len(text.encode()):,} bytes"
        raise UsageError(message, hint=f"show less: at most {MAX_BYTES:,}")
    beside.write_text(text, encoding="utf-8")
    return beside


def _times_of(seconds: float) -> re.Pattern[str]:
    """Return what finds the times of a run that has just ended, in any time zone."""
    now = datetime.now(UTC)
    moments = (now - timedelta(seconds=seconds) - _WEST, now, now + _EAST)
    days = "|".join(dict.fromkeys(moment.date().isoformat() for moment in moments))
    return re.compile(rf"\b(?:{days})(?:[ T]\d\d:\d\d(?::\d\d(?:\.\d+)?)?)?")


def _make_stable(notebook: Any, times: re.Pattern[str]) -> None:
    notebook.cells = [
        cell
        for cell in notebook.cells
        if INJECTED_TAG not in cell.metadata.get("tags", [])
    ]
    ids = _ids(notebook.cells)
    ran = 0
    for cell, cell_id in zip(notebook.cells, ids, strict=True):
        cell["id"] = cell_id
        if cell.cell_type != "code":
            continue
        if cell.execution_count is not None:
            ran += 1
            cell["execution_count"] = ran
        cell["outputs"] = [_stable(each, ran, times) for each in cell.outputs]


def _ids(cells: Sequence[Any]) -> Iterator[str]:
    """Return an id for each cell that follows from what it holds."""
    seen: dict[str, int] = {}
    for cell in cells:
        digest = hashlib.sha256(f"{cell.cell_type}\0{cell.source}".encode()).hexdigest()
        name = digest[:8]
        seen[name] = seen.get(name, 0) + 1
        yield name if seen[name] == 1 else f"{name}-{seen[name]}"


def _stable(output: Any, number: int, times: re.Pattern[str]) -> Any:
    if "data" in output:
        for mime in set(output["data"]) - set(_KEPT_MIME):
            del output["data"][mime]
        for mime, value in output["data"].items():
            if mime.startswith("text/") or mime.endswith("xml"):
                text = _STYLE.sub("", value) if mime == "text/html" else value
                output["data"][mime] = _of_no_run(text, times)
        output["metadata"] = {}
    if "text" in output:
        output["text"] = _of_no_run(output["text"], times)
    if "execution_count" in output:
        output["execution_count"] = number
    return output


def _of_no_run(text: str, times: re.Pattern[str]) -> str:
    """Return a text without ports, and with times of the run blanked in their width."""
    blanked = times.sub(lambda found: re.sub(r"\d", "·", found[0]), text)
    return _LOOPBACK.sub(r"\1:…", blanked)


def _keep_what_was_measured(notebook: Any, before: Any) -> None:
    kept = {cell.get("id"): cell for cell in before.cells}
    for cell in notebook.cells:
        earlier = kept.get(cell["id"])
        if earlier is None or cell.cell_type != "code":
            continue
        if _unmeasured(earlier.outputs) == _unmeasured(cell.outputs):
            cell["outputs"] = earlier.outputs


def _unmeasured(value: Any) -> Any:
    """Return outputs without what differs from one run to the next."""
    if isinstance(value, str):
        moment = _FIGURE.sub("", value) if _RATE.search(value) else value
        return _MEASURED.sub("", moment)
    if isinstance(value, list):
        return [_unmeasured(each) for each in value]
    if isinstance(value, dict):
        return {
            key: _unmeasured(each)
            for key, each in value.items()
            if key != "execution_count"
        }
    return value
