"""After a cell that defines a transform: its evaluation, shown below the cell."""

from __future__ import annotations

import inspect
from typing import Any

import polars as pl
from IPython.display import display

from streamlab.contracts import Schema
from streamlab.errors import StreamlabError
from streamlab.notebook import failures, markup
from streamlab.notebook.markup import Html
from streamlab.notebook.session import Session
from streamlab.sources import METADATA
from streamlab.taps.sample import Sample
from streamlab.transforms.evaluation import Evaluation, evaluate
from streamlab.transforms.transform import Transform


class CellWatch:
    """Compares the transforms before a cell with those after it."""

    def __init__(self, session: Session) -> None:
        """Watch the variables of a session."""
        self._session = session
        # The objects themselves and not their ids: a freed id is given out again.
        self._before: list[Transform[Any, Any]] = []

    def before(self, info: Any) -> None:
        """Note what is there; called by the shell before each cell."""
        self._session.cell_begins(getattr(info, "cell_id", None))
        self._before = list(self._session.transforms().values())

    def after(self, result: Any) -> None:
        """Show the transforms that are new; called by the shell after each cell."""
        if not result.success:
            return
        old = {id(each) for each in self._before}
        new = {
            id(t): t for t in self._session.transforms().values() if id(t) not in old
        }
        for transform in new.values():
            if transform.function.__module__ == "__main__":
                show(self._session, transform)


def show(session: Session, transform: Transform[Any, Any]) -> None:
    """Evaluate a transform and display the result, or why there is none."""
    try:
        evaluation = evaluated(session, transform)
    except StreamlabError as error:
        failed = failures.lines(error)
        html = markup.card(
            f"{transform.name}() cannot be evaluated",
            markup.element("pre", "\n".join(failed)),
            kind="sl-bad",
        )
        _display(html, "\n".join(failed))
        return
    if evaluation is None:
        name = session.chosen.get(transform) or transform.inputs[0]
        told = (
            f"{transform.name}() is defined. To see it at work: %tap TOPIC --as {name}"
        )
        _display(markup.card(transform.name, markup.note(told)), told)
        return
    display(evaluation)


def evaluated(session: Session, transform: Transform[Any, Any]) -> Evaluation | None:
    """Return a new evaluation on the sample or frame named like the parameter.

    Returns:
        The evaluation, which the session keeps too; None where there is no such
        variable.

    Raises:
        StreamlabError: The function fails.
    """
    name = session.chosen.get(transform) or transform.inputs[0]
    found = _as_sample(session.namespace.get(name))
    if found is None:
        return None
    frame, schema = found
    evaluation = evaluate(transform, frame, schema)
    session.evaluations[transform] = evaluation
    return evaluation


def _as_sample(value: object) -> tuple[pl.DataFrame, Schema] | None:
    """Return the events of a sample or of a frame, and their schema."""
    if isinstance(value, Sample):
        return value.frame, value.schema
    if type(value).__module__.startswith("pandas"):
        value = pl.from_pandas(value)  # type: ignore[call-overload]  # a frame, or refused next
    if isinstance(value, pl.LazyFrame):
        value = value.collect()
    if not isinstance(value, pl.DataFrame):
        return None
    own = [name for name in value.columns if name not in METADATA]
    return value, Schema.of(value.select(own).schema)


def _display(html: Html, plain: str) -> None:
    display({"text/html": html, "text/plain": inspect.cleandoc(plain)}, raw=True)
