"""What went wrong in a user's function: its own line, and no value of any event.

A lazy query fails when it is collected, far from the line that wrote it. So a failed
function is called once more on a frame that runs every step as soon as it is added;
now the traceback has the user's line in it.
"""

from __future__ import annotations

import json
import linecache
import re
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import polars as pl

from streamlab.errors import StreamlabError, TransformError, first_line, near_names
from streamlab.transforms.source import LIBRARIES
from streamlab.transforms.transform import Transform

_CONVERSION = re.compile(r"conversion from .* failed in column .* out of \d+ values")
_QUOTED = re.compile(r'"([^"]*)"')
_VALID_COLUMNS = re.compile(r"valid columns: (\[.*\])")


RAISED = (Exception, pl.exceptions.PanicException)
"""What a user's function may raise; a panic of polars is not an ``Exception``."""


class Runnable(Protocol):
    """A transform with its tables in hand."""

    @property
    def transform(self) -> Transform[Any, Any]:
        """Return the user's function."""

    def run(self, frame: pl.LazyFrame) -> pl.LazyFrame:
        """Call it."""


@dataclass(frozen=True)
class _Place:
    """A line of the user's code."""

    file: str
    line: int

    def __str__(self) -> str:
        # The code of a notebook's cell is in no file.
        name = Path(self.file).name if Path(self.file).exists() else "the cell"
        return f"line {self.line} of {name}"

    @property
    def source(self) -> str:
        return linecache.getline(self.file, self.line).strip()


class _Stepwise(pl.LazyFrame):
    """A lazy frame that runs each step when it is added."""

    @classmethod
    def _from_pyldf(cls, ldf: Any) -> pl.LazyFrame:
        frame = super()._from_pyldf(ldf)
        pl.LazyFrame.collect(frame, engine="in-memory")
        return frame

    @classmethod
    def of(cls, frame: pl.DataFrame) -> pl.LazyFrame:
        return super()._from_pyldf(frame.lazy()._ldf)  # noqa: SLF001 -- what polars documents for a subclass


def explained(
    error: BaseException, steps: Sequence[Runnable], frame: pl.DataFrame
) -> StreamlabError:
    """Return an error that points at the user's line.

    Args:
        error: What a run of the steps on ``frame`` raised.
        steps: The transforms that were run, in order.
        frame: What they were run on.

    Returns:
        The error itself if it is streamlab's own, else a ``TransformError`` with the
        transform, the line and its source, and near names for a missing column. A
        text that could hold a value of an event (it is another one on no rows) is
        left out.
    """
    if isinstance(error, StreamlabError):
        return error
    on_rows = _first_failure(steps, frame)
    if on_rows is None:
        return _not_repeatable(error, _names(steps))
    step, again = on_rows
    on_none = _first_failure(steps, frame.clear())
    known = on_none is not None and first_line(on_none[1]) == first_line(again)
    return _described(step.transform, again, says_all=known)


def explained_call(
    error: BaseException,
    transform: Transform[Any, Any],
    call: Callable[[Mapping[str, pl.LazyFrame]], object],
    frames: Mapping[str, pl.DataFrame],
) -> StreamlabError:
    """Return an error that points at the user's line, for a function of many frames.

    Args:
        error: What ``call`` raised on ``frames``.
        transform: The user's function.
        call: Calls it, and collects what it returns.
        frames: Parameter → rows.

    Returns:
        As :func:`explained` does.
    """
    if isinstance(error, StreamlabError):
        return error
    again = _failure(call, frames)
    if again is None:
        return _not_repeatable(error, f"{transform.name}()")
    on_none = _failure(call, {name: rows.clear() for name, rows in frames.items()})
    known = on_none is not None and first_line(on_none) == first_line(again)
    return _described(transform, again, says_all=known)


def _failure(
    call: Callable[[Mapping[str, pl.LazyFrame]], object],
    frames: Mapping[str, pl.DataFrame],
) -> BaseException | None:
    try:
        call({name: _Stepwise.of(rows) for name, rows in frames.items()})
    except RAISED as error:
        return error
    return None


def _not_repeatable(error: BaseException, names: str) -> TransformError:
    return TransformError(
        f"{names} failed once with {type(error).__name__}, "
        "and not when it was run on the same rows again",
        hint="a transform must give the same output for the same input",
    )


def _first_failure(
    steps: Sequence[Runnable], frame: pl.DataFrame
) -> tuple[Runnable, BaseException] | None:
    for step in steps:
        try:
            frame = step.run(_Stepwise.of(frame)).collect(engine="in-memory")
        except RAISED as error:
            return step, error
    return None


def _described(
    transform: Transform[Any, Any], error: BaseException, *, says_all: bool
) -> TransformError:
    place = _place(error, transform.function)
    where = f", {place}: " if place else ": "
    quoted = f"\n    {place.source}" if place and place.source else ""
    if isinstance(error, pl.exceptions.ColumnNotFoundError):
        what, hint = _missing_column(error)
    else:
        what, hint = _what(error, says_all=says_all), ""
    return TransformError(f"{transform.name}() failed{where}{what}{quoted}", hint=hint)


def _missing_column(error: BaseException) -> tuple[str, str]:
    text = first_line(error)
    quoted = _QUOTED.search(text)
    valid = _VALID_COLUMNS.search(text)
    name = quoted[1] if quoted else text
    there: list[str] = json.loads(valid[1]) if valid else []
    hint = near_names(name, there)
    if hint.startswith("did you mean"):
        hint += f" The columns there: {', '.join(there)}"
    return f"there is no column {name!r}", hint


def _what(error: BaseException, *, says_all: bool) -> str:
    kind = type(error).__name__
    text = first_line(error)
    conversion = _CONVERSION.match(text)
    if conversion:  # what follows it are values
        return conversion[0]
    if not says_all:
        return f"{kind} on some value (not shown: it may be personal data)"
    return text if isinstance(error, pl.exceptions.PolarsError) else f"{kind}: {text}"


def _place(error: BaseException, function: Callable[..., Any]) -> _Place | None:
    """Return the innermost line of the traceback that the user wrote."""
    own = getattr(getattr(function, "__code__", None), "co_filename", None)
    found: _Place | None = None
    traceback: types.TracebackType | None = error.__traceback__
    while traceback is not None:
        file = traceback.tb_frame.f_code.co_filename
        if file == own or not file.startswith(LIBRARIES):
            found = _Place(file, traceback.tb_lineno)
        traceback = traceback.tb_next
    return found


def _names(steps: Sequence[Runnable]) -> str:
    return " and ".join(f"{step.transform.name}()" for step in steps)
