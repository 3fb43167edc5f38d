"""Picking an event of a live tap as a test case: it joins a sample in a variable."""

from __future__ import annotations

from collections.abc import Callable

from streamlab.errors import StreamlabError
from streamlab.notebook.session import Session
from streamlab.taps.live import LiveTap
from streamlab.taps.sample import Sample


def picker(session: Session, tap: LiveTap, variable: str) -> Callable[[str], str]:
    """Return a function that adds an event to the sample of a variable.

    Args:
        session: Has the variables.
        tap: Keeps the event.
        variable: The sample; it begins with the first event that is picked.

    Returns:
        A function from an origin to a sentence that says what was done with it.
    """

    def pick(origin: str) -> str:
        try:
            return _picked(session, tap, variable, origin)
        except StreamlabError as error:
            return f"{origin} was not added: {error}"

    return pick


def _picked(session: Session, tap: LiveTap, variable: str, origin: str) -> str:
    if origin not in map(str, tap.sample().origins):
        return f"{origin} has gone past; the newest events are kept only"
    event = tap.pick(origin)
    known = session.namespace.get(variable)
    if known is None:
        known = event.only(())
    if not isinstance(known, Sample):
        kind = type(known).__name__
        return f"{origin} was not added: the variable {variable} holds a {kind}"
    grown = known.with_events(event)
    session.namespace[variable] = grown
    count = len(grown.origins)
    if count == len(known.origins):
        return f"{origin} was in {variable} already"
    return f"{origin} added to {variable}, which has {count} event(s) now"
