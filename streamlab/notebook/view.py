"""Live views: a watch emits, a view listens, and paints on a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

from streamlab.notebook.panel import Panel

PAINT_EVERY_S = 0.25


class Watched(Protocol):
    """Something that changes, says so and can be stopped."""

    changed: list[Callable[[], None]]

    def stop(self) -> None:
        """Change no more."""


class Screen(Protocol):
    """What a view paints on: the widget, or a double of a test."""

    stopped: bool

    def show(self, panel: Panel) -> None:
        """Paint a panel."""


class LiveView:
    """Paints a panel whenever the watched thing has changed, at most 4 times a second.

    Painting has its own daemon thread: a watch is never held up by a front end,
    and updates go on while a cell runs.
    """

    kind = "view"

    def __init__(
        self,
        name: str,
        watched: Watched,
        panel: Callable[[], Panel],
        screen: Screen,
    ) -> None:
        """Paint once, then whenever something changes.

        Args:
            name: What ``%stop`` calls it.
            watched: Emits ``changed``; is stopped with the view.
            panel: Makes the panel to paint.
            screen: Where to paint it.
        """
        self.name = name
        self._watched, self._panel, self._screen = watched, panel, screen
        self._news = threading.Event()
        self._stopping = threading.Event()
        screen.show(panel())
        watched.changed.append(self._news.set)
        self._thread = threading.Thread(
            target=self._loop, name=f"streamlab-view-{name}", daemon=True
        )
        self._thread.start()

    @property
    def running(self) -> bool:
        """Return whether it still paints."""
        return not self._stopping.is_set()

    def describe(self) -> str:
        """Return one line for the list of what runs."""
        return "live view"

    def stop(self) -> None:
        """Stop watching and painting; the last panel stays. Repeating does nothing."""
        if not self._stopping.is_set():
            self._stopping.set()
            self._watched.stop()
            self._news.set()
            self._screen.stopped = True

    def _loop(self) -> None:
        while True:
            self._news.wait()
            self._news.clear()
            if self._stopping.wait(PAINT_EVERY_S):
                return
            self._screen.show(self._panel())
