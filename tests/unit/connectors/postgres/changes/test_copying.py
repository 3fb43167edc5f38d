"""Output of COPY to columns of text: NULL and the empty text are two things."""

from __future__ import annotations

import pytest

from streamlab.connectors.postgres.changes import copying


def test_null_and_empty_text_are_told_apart():
    """A bare empty field is null; a quoted one is a text."""
    read = copying.read([b'1,"",\n', b",a,b\n"], ["x", "y", "z"])
    assert read.rows() == [("1", "", None), (None, "a", "b")]


def test_one_column_of_nulls_keeps_its_rows():
    """A row of one NULL is a blank line, and still a row."""
    read = copying.read([b"\n", b'""\n', b"a\n", b"\n"], ["x"])
    assert read["x"].to_list() == [None, "", "a", None]


def test_special_characters_come_back():
    """Line ends, quotes, commas, backslashes and a lone \\. are part of the text."""
    read = copying.read([b'"a\nb","c""d,e"\n', b'"\\.",\\N\n'], ["x", "y"])
    assert read.rows() == [("a\nb", 'c"d,e'), ("\\.", "\\N")]


def test_no_rows_are_a_frame_of_no_rows():
    """An empty table gives its columns."""
    assert copying.read([], ["x", "y"]).shape == (0, 2)


def test_no_columns_are_refused():
    """Without a column there is nothing that a row could be told by."""
    with pytest.raises(ValueError, match="without columns"):
        copying.read([b"\n"], [])
