"""The widget of a live view: it paints panels, and asks to be stopped."""

from __future__ import annotations

import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from streamlab.notebook import markup
from streamlab.notebook.panel import Panel, content

_HERE = Path(__file__).parent


class LiveWidget(anywidget.AnyWidget):
    """Paints one panel after another; the points go as binary, not as text.

    Attributes:
        content: The panel but for its points.
        points: The lines' points as float64, one line after another.
        stopped: Whether no more panels will come.
        stop_asked: Set by the button.
        picked: Set by the button of a row: ``row`` is its name, ``times`` counts up,
            so that the same row can be picked again.
        told: What became of the row that was picked.
    """

    _esm = (_HERE / "live.js").read_text(encoding="utf-8")
    _css = markup.STYLE + (_HERE / "live.css").read_text(encoding="utf-8")
    content = traitlets.Dict({"title": ""}).tag(sync=True)
    points = traitlets.Bytes(b"").tag(sync=True)
    stopped = traitlets.Bool(default_value=False).tag(sync=True)
    stop_asked = traitlets.Bool(default_value=False).tag(sync=True)

    picked = traitlets.Dict({"row": "", "times": 0}).tag(sync=True)
    told = traitlets.Dict({"text": "", "times": 0}).tag(sync=True)

    def show(self, panel: Panel) -> None:
        """Paint a panel; callable from any thread."""
        flat = array.array("d")
        for points in panel.lines.values():
            flat.extend(points)
        with self.hold_sync():
            self.points = flat.tobytes()
            self.content = content(panel)

    def when_stop_is_asked(self, act: Callable[[], None]) -> None:
        """Call ``act`` when the button is pressed."""

        def pressed(_change: Any) -> None:
            act()

        self.observe(pressed, names="stop_asked")

    def when_a_row_is_picked(self, act: Callable[[str], str]) -> None:
        """Call ``act`` with the name of a row that is picked, and show what it says.

        That happens between cells: while one runs, no message of a widget comes in.
        """

        def pressed(change: Any) -> None:
            said = markup.visible(act(str(change["new"].get("row", ""))))
            self.told = {"text": said, "times": change["new"].get("times", 0)}

        self.observe(pressed, names="picked")

    def __repr__(self) -> str:
        """Say what is shown, without the values: a repr ends up in logs."""
        return f"<live view: {self.content['title']}>"
