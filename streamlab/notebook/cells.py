"""After a cell that defines a transform: its evaluation, shown below the cell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import polars as pl
from IPython.display import display

from streamlab.errors import StreamlabError
from streamlab.notebook import failures, markup
from streamlab.notebook.markup import Html
from streamlab.notebook.session import Session
from streamlab.operators.evaluation import evaluate
from streamlab.taps.sample import Sample
from streamlab.transforms.evaluation import Evaluation
from streamlab.transforms.transform import Transform


class CellWatch:
    """Compares the transforms before a cell with those after it."""

    def __init__(
        self, session: Session, refuse: Callable[[StreamlabError], object]
    ) -> None:
        """Watch the variables of a session.

        Args:
            session: Has them.
            refuse: Makes an error the output of the cell that ran.
        """
        self._session, self._refuse = session, refuse
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
                self._show(transform)

    def _show(self, transform: Transform[Any, Any]) -> None:
        try:
            show(self._session, transform)
        except StreamlabError as error:
            self._refuse(error)


def show(session: Session, transform: Transform[Any, Any]) -> None:
    """Evaluate a transform and display the result, or why there is none.

    Raises:
        StreamlabError: The function fails, and no person is there to see it: a run
            without a front end must not pass then.
    """
    try:
        evaluation = evaluated(session, transform)
    except StreamlabError as error:
        if not session.live():
            raise
        failed = failures.lines(error)
        html = markup.card(
            f"{transform.name}() cannot be evaluated",
            markup.element("pre", "\n".join(failed)),
            kind="sl-bad",
        )
        _display(html, "\n".join(failed))
        return
    if evaluation is None:
        taps = " and ".join(
            f"%tap TOPIC --as {name}"
            for name in _names(session, transform)
            if _events(session.namespace.get(name)) is None
        )
        told = f"{transform.name}() is defined. To see it at work: {taps}"
        _display(markup.card(transform.name, markup.note(told)), told)
        return
    display(evaluation)  # type: ignore[no-untyped-call]  # IPython's


def evaluated(session: Session, transform: Transform[Any, Any]) -> Evaluation | None:
    """Return a new evaluation on the samples or frames named like its streams.

    Returns:
        The evaluation, which the session keeps too; None where one of them is
        missing.

    Raises:
        StreamlabError: The function fails.
    """
    events: dict[str, Sample | pl.DataFrame] = {}
    for stream, name in zip(transform.streams, _names(session, transform), strict=True):
        found = _events(session.namespace.get(name))
        if found is None:
            return None
        events[stream] = found
    evaluation = evaluate(transform, events)
    session.evaluations[transform] = evaluation
    return evaluation


def _names(session: Session, transform: Transform[Any, Any]) -> list[str]:
    """Return the variable that has the events of each stream of a transform."""
    first, *others = transform.streams
    return [session.chosen.get(transform) or first, *others]


def _events(value: object) -> Sample | pl.DataFrame | None:
    """Return a variable's value as events; None where it holds none."""
    if type(value).__module__.startswith("pandas"):
        converted = pl.from_pandas(cast("Any", value))
        return converted if isinstance(converted, pl.DataFrame) else None
    if isinstance(value, pl.LazyFrame):
        return value.collect()
    return value if isinstance(value, Sample | pl.DataFrame) else None


def _display(html: Html, plain: str) -> None:
    display({"text/html": html, "text/plain": plain}, raw=True)  # type: ignore[no-untyped-call]  # IPython's
