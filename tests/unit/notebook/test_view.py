"""Live views: a watch emits, a view paints, and stops when asked."""

import threading
from dataclasses import dataclass, field

from streamlab.notebook.panel import Panel
from streamlab.notebook.view import LiveView

PATIENCE_S = 5


@dataclass
class Screen:
    """Remembers what was painted."""

    stopped: bool = False
    painted: list = field(default_factory=list)
    again: threading.Event = field(default_factory=threading.Event)

    def show(self, panel):
        self.painted.append(panel.title)
        if len(self.painted) > 1:
            self.again.set()


@dataclass
class Watched:
    """Changes when the test says so."""

    changed: list = field(default_factory=list)
    stops: int = 0

    def stop(self):
        self.stops += 1

    def emit(self):
        for listener in self.changed:
            listener()


def opened():
    watched, screen = Watched(), Screen()
    numbers = iter(range(100))
    view = LiveView("v", watched, lambda: Panel(str(next(numbers)), {}), screen)
    return watched, screen, view


def test_a_view_paints_at_once_and_on_each_change():
    """The first panel is there immediately, the next follows a change."""
    watched, screen, view = opened()
    assert screen.painted == ["0"]
    watched.emit()
    assert screen.again.wait(PATIENCE_S)
    view.stop()


def test_many_changes_are_painted_together():
    """A watch that changes a thousand times a second does not flood the browser."""
    watched, screen, view = opened()
    for _ in range(1_000):
        watched.emit()
    assert screen.again.wait(PATIENCE_S)
    view.stop()
    assert len(screen.painted) <= 3


def test_stopping_stops_the_watch_and_marks_the_screen():
    """A stopped view reads nothing more, and says that it is stopped."""
    watched, screen, view = opened()
    view.stop()
    view.stop()
    assert (watched.stops, screen.stopped, view.running) == (1, True, False)
