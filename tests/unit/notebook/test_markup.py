"""Markup: whatever comes from outside is text, and what does not print is shown."""

import datetime as dt
import re
from html.parser import HTMLParser

import polars as pl
import pytest

from streamlab.notebook import markup
from tests.unit.notebook.corpus import HOSTILE


class Tags(HTMLParser):
    """Collects the tags and attributes that a browser would see."""

    def __init__(self):
        super().__init__()
        self.found = set()

    def handle_starttag(self, tag, attrs):
        self.found |= {tag, *(name for name, _ in attrs)}


def tags(html):
    parser = Tags()
    parser.feed(html)
    return parser.found


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_makes_no_element(text):
    """As a value, a column, a title or a fact, a text adds no tag and no attribute."""
    frame = pl.DataFrame({text: [text, None]})
    made = markup.card(text, markup.facts([(text, text)]), markup.frame(frame))
    plain = pl.DataFrame({"a": ["b", None]})
    wanted = markup.card("t", markup.facts([("a", "b")]), markup.frame(plain))
    assert tags(made) == tags(wanted)


def test_without_escaping_the_corpus_would_be_found():
    """The check above sees a tag where there is one."""
    assert "script" in tags(f"<td>{HOSTILE[0]}</td>")


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_unprintable_reaches_the_page(text):
    """Escape sequences and marks that reorder text are written out."""
    shown = markup.text(text)
    assert not re.search("[\x00-\x08\x0b-\x1f\u202a-\u202e\u2066-\u2069]", shown)


def test_what_does_not_print_is_written_out():
    """A reader sees that there was a control character, and which."""
    assert markup.visible("a\x1bb\u202ec") == "a\\x1bb\\u202ec"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, ""),
        (b"key", "key"),
        (b"\xff\x00", "0xff00"),
        ({"a": {"b": [1, None]}}, '{"a": {"b": [1, null]}}'),
        ([{"k": b"v"}], '[{"k": "v"}]'),
        (5.5, "5.5"),
        (1 / 3, "0.333333"),
        (True, "True"),
        (dt.datetime(2013, 1, 1, 5, tzinfo=dt.UTC), "2013-01-01 05:00:00.000Z"),
        ("two\nlines", "two⏎lines"),
    ],
)
def test_a_value_is_one_line(value, shown):
    """Nested values keep their field names; bytes are text where they can be."""
    assert markup.cell(value) == shown


def test_a_long_value_is_cut():
    """A message of megabytes does not make a page of megabytes."""
    assert len(markup.cell("x" * 10_000)) == markup.MAX_CELL


def test_a_frame_says_what_it_leaves_out():
    """Rows and columns that are not shown are counted."""
    wide = pl.DataFrame({f"c{i}": range(1_234) for i in range(40)})
    html = markup.frame(wide)
    assert "10 of 1,234 rows" in html
    assert "24 of 40 columns" in html


def test_an_empty_frame_says_so():
    """No rows is a result, not a blank."""
    assert "no rows" in markup.frame(pl.DataFrame({"a": []}))


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, "unknown"),
        (0, "0 s"),
        (0.25, "250 ms"),
        (59, "59 s"),
        (125, "2 min 5 s"),
        (3_720, "1 h 2 min"),
    ],
)
def test_a_duration_is_said_as_a_person_would(seconds, shown):
    """Times are readable without arithmetic."""
    assert markup.duration(seconds) == shown


@pytest.mark.parametrize(
    ("per_s", "shown"),
    [(0, "0/s"), (999, "999/s"), (1_970, "1.97 k/s"), (2e6, "2 M/s")],
)
def test_a_rate_has_three_figures(per_s, shown):
    """Rates are short enough for a line of facts."""
    assert markup.rate(per_s) == shown
