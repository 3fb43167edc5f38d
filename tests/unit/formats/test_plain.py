"""Text and bytes as they are."""

from __future__ import annotations

import polars as pl
import pytest

from streamlab.contracts import Schema
from streamlab.errors import SchemaError, UnknownName
from streamlab.formats import named


@pytest.mark.parametrize(
    ("name", "values"),
    [("bytes", [b"\xff\n", b"", b"x"]), ("string", ["é\n".encode(), b"", b"x\0"])],
)
def test_values_go_round(name: str, values: list[bytes]) -> None:
    """What is decoded encodes to the same bytes; an empty value is a value here."""
    format_ = named(name)
    decoded = format_.decode(values, format_.infer(values))

    assert decoded.rejected == ()
    assert decoded.frame.columns == ["value"]
    assert format_.encode(decoded.frame) == values


@pytest.mark.parametrize("name", ["bytes", "string"])
def test_tombstone_is_rejected(name: str) -> None:
    """A missing value is no empty value."""
    decoded = named(name).decode([b"x", None, b"y"], named(name).infer([]))

    assert decoded.frame.height == 2
    assert [(r.row, r.code) for r in decoded.rejected] == [(1, "tombstone")]


def test_bytes_that_are_no_text_are_rejected() -> None:
    """A bad value and a tombstone are rejected in order, and the rest passes."""
    decoded = named("string").decode(
        [b"a", b"x\xff", None, b"b"], named("string").infer([])
    )

    assert decoded.frame["value"].to_list() == ["a", "b"]
    assert [(r.row, r.code) for r in decoded.rejected] == [
        (1, "not-utf8"),
        (2, "tombstone"),
    ]
    assert decoded.rejected[0].reason == "the value is not UTF-8 text (byte 1)"


@pytest.mark.parametrize("name", ["bytes", "string"])
def test_other_schema_is_refused(name: str) -> None:
    """These formats have one schema each."""
    with pytest.raises(SchemaError, match="reads one column 'value'"):
        named(name).decode([b"x"], Schema.of({"value": pl.Int64}))


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pl.DataFrame({"a": ["x"], "b": ["y"]}), "writes one column"),
        (pl.DataFrame({"a": [1]}), "writes one column"),
        (pl.DataFrame({"a": ["x", None]}), "cannot write a null: column 'a' has 1"),
    ],
)
def test_frame_that_is_not_one_text_column_is_refused(
    frame: pl.DataFrame, message: str
) -> None:
    """The message says what is written, and what is there."""
    with pytest.raises(SchemaError, match=message):
        named("string").encode(frame)


def test_unknown_format_has_near_names() -> None:
    """A typo in a pipeline file is answered with what there is."""
    with pytest.raises(UnknownName, match="did you mean 'json'"):
        named("jsn")
