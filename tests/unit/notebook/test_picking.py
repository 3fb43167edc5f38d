"""An event that is picked in a live view joins the sample of a variable."""

from __future__ import annotations

import pytest

from streamlab.notebook import panels
from streamlab.notebook.panel import content
from streamlab.notebook.picking import picker
from streamlab.notebook.session import Session
from streamlab.notebook.widgets.live import LiveWidget
from tests.unit.taps.made import PEOPLE, live, person, read


@pytest.fixture
def tap():
    """Follow a topic with two events and a broken value."""
    following = live(read(PEOPLE, [person(1), b"{", person(2)]))
    yield following
    following.stop()


@pytest.fixture
def session() -> Session:
    """Return a session with variables of its own."""
    return Session({})


def test_the_first_pick_makes_the_sample(tap, session):
    """Later ones join it, and what is there already is said."""
    pick = picker(session, tap, "cases")
    assert pick("t/0@0") == "t/0@0 added to cases, which has 1 event(s) now"
    assert pick("t/0@2") == "t/0@2 added to cases, which has 2 event(s) now"
    assert pick("t/0@2") == "t/0@2 was in cases already"
    assert session.namespace["cases"].frame["id"].to_list() == [1, 2]


def test_what_cannot_be_added_is_said(tap, session):
    """Nothing raises in a callback of a widget, and no variable is lost."""
    session.namespace["taken"] = [1]
    assert picker(session, tap, "taken")("t/0@0").endswith("holds a list")
    assert "gone past" in picker(session, tap, "cases")("t/0@9")
    session.namespace["other"] = read(PEOPLE, [person(1)], topic="u")
    assert "topic 'u' and 't'" in picker(session, tap, "other")("t/0@0")
    assert session.namespace["taken"] == [1]
    assert "cases" not in session.namespace


def test_each_row_has_its_origin(tap):
    """The newest event comes first, and so does its origin."""
    sent = content(panels.of_tap(tap))
    assert sent["picks"] == ["t/0@2", "t/0@0"]
    assert [row[2] for row in sent["rows"]] == ["2", "0"]


def test_the_widget_tells_what_was_done():
    """What is said is text, and what does not print is seen."""
    widget = LiveWidget()
    widget.when_a_row_is_picked(lambda row: f"{row} \u202e")
    widget.picked = {"row": "t/0@2", "times": 1}
    assert widget.told == {"text": "t/0@2 \\u202e", "times": 1}
