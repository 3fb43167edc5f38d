"""Panels: the one shape behind every live view, and its static form."""

import base64
import re

from streamlab.notebook.panel import Panel, chart, content, plain, static
from streamlab.notebook.pictures import svg
from tests.unit.notebook.corpus import HOSTILE

LINES = {"a": [0.0, 1.0, 2.0], "b": [3.0, 2.0, 1.0]}


def panel(**changes):
    return Panel(**{"title": "lag", "facts": {"behind": "3"}, **changes})


def test_the_static_form_has_figures_table_and_picture():
    """A headless run shows all that the live view would."""
    html = static(panel(lines=LINES, columns=("p",), rows=[("x",)], note="n"))
    assert all(part in html for part in ("behind", "<td", "data:image/svg+xml", "n"))


def test_a_picture_is_an_image_that_can_run_nothing():
    """Names of lines are text in an SVG that is loaded as an image."""
    html = static(panel(lines={HOSTILE[0]: [1.0, 2.0]}))
    encoded = re.search(r"base64,([^\"]+)", html).group(1)
    assert b"<script" not in base64.b64decode(encoded)
    assert "<script" not in html


def test_one_point_is_no_line():
    """Without a course there is no picture."""
    assert "<img" not in static(panel(lines={"a": [1.0]}))


def test_the_picture_is_drawn_without_a_network():
    """The lines become paths of an SVG, in this process."""
    assert svg(chart(panel(lines=LINES, span_s=2, unit="events/s"))).count("<path") >= 2


def test_the_widget_gets_plain_json_values():
    """Values are texts by the time they leave for the browser; null stays null."""
    sent = content(panel(columns=("v",), rows=[(b"\xff",), (None,), ({"a": 1},)]))
    assert sent["rows"] == [["0xff"], [None], ['{"a": 1}']]


def test_the_terminal_has_the_same_words():
    """A terminal shows title, figures, table and note."""
    shown = plain(panel(columns=("p",), rows=[("x",)], note="n"))
    assert shown == "lag: 3 behind\np\nx\nn"


def test_a_histogram_is_drawn_with_its_classes_in_order():
    """Bars are as they were given, and their names are texts in the picture."""
    bars = {"3–5 ms": 4, "10–15 ms": 0, HOSTILE[0]: 2}
    drawn = svg(chart(panel(bars=bars, unit="events")))
    assert drawn.index("3–5 ms") < drawn.index("10–15 ms")
    assert "<script" not in drawn
    assert "<img" in static(panel(bars={"3–5 ms": 4}))


def test_the_widget_gets_bars_as_pairs():
    """Their order survives the way to the browser."""
    assert content(panel(bars={"b": 1, "a": 2}))["bars"] == [["b", 1], ["a", 2]]
