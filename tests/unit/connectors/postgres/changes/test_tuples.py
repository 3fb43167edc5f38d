"""The walk over many messages together is the walk over each of them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamlab.connectors.postgres.changes import tuples
from streamlab.connectors.postgres.changes.tuples import (
    Misshapen,
    walk,
    walk_plainly,
)
from tests.unit.connectors.postgres.changes.stream_bytes import UNCHANGED, image

VALUES = st.one_of(st.none(), st.just(UNCHANGED), st.text(max_size=20))


@pytest.fixture(autouse=True)
def always_together(monkeypatch):
    """Walk even two rows together, and in several parts."""
    monkeypatch.setattr(tuples, "FEW_ROWS", 0)
    monkeypatch.setattr(tuples, "ROWS_AT_ONCE", 5)


def content(found) -> tuple[object, ...]:
    image_, ends = found
    return (
        image_.present.to_list(),
        [column.to_list() for column in image_.columns],
        {number: marks.to_list() for number, marks in image_.unchanged.items()},
        list(ends),
    )


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, 4).flatmap(
        lambda width: st.lists(
            st.tuples(st.booleans(), st.lists(VALUES, min_size=width, max_size=width)),
            max_size=14,
        )
    )
)
def test_together_is_one_by_one(rows):
    """Texts, nulls, unchanged values, rows without the image and ends are the same."""
    messages = [b"??" + image(*values) for _, values in rows]
    starts = [2 if has else None for has, _ in rows]
    width = len(rows[0][1]) if rows else 1
    assert content(walk(messages, starts, width)) == content(
        walk_plainly(messages, starts, width)
    )


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_together_refuses_what_one_by_one_refuses(data):
    """A corrupted message is refused with the same row and reason, or read the same."""
    messages = [image("abc", None, str(n)) for n in range(8)]
    row = data.draw(st.integers(0, 7))
    place = data.draw(st.integers(0, len(messages[row]) - 1))
    byte = data.draw(st.integers(0, 255))
    raw = messages[row]
    messages[row] = data.draw(
        st.sampled_from([raw[:place], raw[:place] + bytes([byte]) + raw[place + 1 :]])
    )

    def outcome(function):
        try:
            return content(function(messages, [0] * 8, 3))
        except Misshapen as error:
            return error.row, error.what

    assert outcome(walk) == outcome(walk_plainly)
