"""Showing something that changes: live where a front end listens, else as it is now."""

from __future__ import annotations

import time
from collections.abc import Callable

from streamlab.notebook.panel import Panel
from streamlab.notebook.session import Session
from streamlab.notebook.view import LiveView, Watched


def shown(
    session: Session,
    name: str,
    watched: Watched,
    panel: Callable[[], Panel],
    *,
    settle_s: float,
    picked: Callable[[str], str] | None = None,
) -> object:
    """Return a view of something that changes.

    Args:
        session: Keeps the live view, for ``%stop``.
        name: What ``%stop`` calls it.
        watched: What changes; it is stopped with the view.
        panel: Makes the panel of this moment.
        settle_s: How long a headless run lets it go on before it shows it.
        picked: Told which row was picked; returns what to say about it.
    """
    if not session.live():
        time.sleep(settle_s)
        watched.stop()
        return panel()
    from streamlab.notebook.widgets.live import LiveWidget

    widget = LiveWidget()
    view = LiveView(name, watched, panel, widget)
    widget.when_stop_is_asked(view.stop)
    if picked is not None:
        widget.when_a_row_is_picked(picked)
    session.add(view)
    return widget
