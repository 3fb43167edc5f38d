"""Masks: each type, equal values, nulls, the key."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from streamlab.contracts.mask import KEY_FILE, Masker
from streamlab.errors import SchemaError, UsageError

MASKER = Masker(b"k" * 32)

SAME_ALWAYS = {"boolean", "enum"}
COLUMNS = {
    "text": pl.Series(["PII-canary", None, "b", "PII-canary"]),
    "categorical": pl.Series(["a", None, "b", "a"], dtype=pl.Categorical),
    "enum": pl.Series(["b", None, "a", "b"], dtype=pl.Enum(["a", "b"])),
    "binary": pl.Series([b"\xff\x00", None, b"text", b"\xff\x00"]),
    "boolean": pl.Series([True, None, False, True]),
    "int8": pl.Series([127, None, -128, 127], dtype=pl.Int8),
    "int16": pl.Series([3000, None, -3, 3000], dtype=pl.Int16),
    "int32": pl.Series([2**31 - 1, None, 7, 2**31 - 1], dtype=pl.Int32),
    "int64": pl.Series([2**63 - 1, None, -(2**63), 2**63 - 1], dtype=pl.Int64),
    "int128": pl.Series([2**120, None, 12345, 2**120], dtype=pl.Int128),
    "uint8": pl.Series([255, None, 101, 255], dtype=pl.UInt8),
    "uint16": pl.Series([65535, None, 1, 65535], dtype=pl.UInt16),
    "uint32": pl.Series([2**32 - 1, None, 12, 2**32 - 1], dtype=pl.UInt32),
    "uint64": pl.Series([2**64 - 1, None, 12, 2**64 - 1], dtype=pl.UInt64),
    "float32": pl.Series([1.25, None, -1e-7, 1.25], dtype=pl.Float32),
    "float64": pl.Series([52.52000123, None, 1e300, 52.52000123]),
    "decimal": pl.Series(
        [Decimal("12.34"), None, Decimal("-0.05"), Decimal("12.34")],
        dtype=pl.Decimal(4, 2),
    ),
    "date": pl.Series(
        [dt.date(1984, 2, 3), None, dt.date(1, 1, 1), dt.date(1984, 2, 3)]
    ),
    "time": pl.Series([dt.time(1, 2, 3), None, dt.time(0), dt.time(1, 2, 3)]),
    "naive": pl.Series([12345678, None, 2, 12345678], dtype=pl.Datetime("ns")),
    "zoned": pl.Series(
        [12345678, None, 2, 12345678], dtype=pl.Datetime("ms", "Europe/Berlin")
    ),
    "duration": pl.Series([5000001, None, 2, 5000001], dtype=pl.Duration("us")),
}


@pytest.mark.parametrize("kind", COLUMNS)
def test_each_type_keeps_its_type_its_nulls_and_what_is_equal(kind):
    """Only the value goes; equal values stay equal, different ones differ."""
    column = COLUMNS[kind].alias("c")
    masked = MASKER.frame(column.to_frame(), [("c",)])["c"]
    assert masked.dtype == column.dtype
    assert masked.is_null().to_list() == [False, True, False, False]
    assert masked[0] == masked[3]
    if kind in SAME_ALWAYS:
        assert masked[0] == masked[2]
    else:
        assert masked[0] != masked[2]
        assert masked[0] != column[0]
        assert masked[2] != column[2]


@pytest.mark.parametrize("kind", COLUMNS)
def test_an_empty_frame_stays_one(kind):
    """A batch without rows has no value to mask."""
    empty = COLUMNS[kind].alias("c").to_frame().clear()
    assert MASKER.frame(empty, [("c",)]).equals(empty)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), None])
def test_what_is_no_number_stays(value):
    """NaN, the infinities and null say nothing of a person."""
    frame = pl.DataFrame({"c": [value, 1.5]}, schema={"c": pl.Float64})
    assert MASKER.frame(frame, [("c",)])["c"].head(1).equals(frame["c"].head(1))


def test_the_form_that_a_transform_needs_is_kept():
    """An address stays one, digits stay digits, an empty text stays empty."""
    assert MASKER.text("ann@corp.org").endswith(".example")
    assert MASKER.text("ann@corp.org").count("@") == 1
    one, two = MASKER.text("ann@corp.org"), MASKER.text("bob@corp.org")
    assert one.partition("@")[2] == two.partition("@")[2]
    phone = MASKER.text("+49 (0)171 123-45")
    assert [c if not c.isdigit() else "9" for c in phone] == list("+99 (9)999 999-99")
    assert MASKER.text("") == ""
    assert MASKER.text("1" * 100).startswith("masked-")


def test_a_join_works_across_types():
    """A text of digits, a number, and bytes of one value have masks of one value."""
    frame = pl.DataFrame({"number": [4711], "text": ["4711"], "key": [b"4711"]})
    masked = MASKER.frame(frame, [("number",), ("text",), ("key",)])
    (number, text, key) = masked.row(0)
    assert str(number) == text == key.decode() != "4711"


def test_parts_of_objects_and_lists_are_masked_where_they_are():
    """The rest of an object, its nulls and the lengths of lists stay."""
    people = [
        [{"phone": "a", "kind": "home"}, {"phone": None, "kind": "work"}],
        [None],
        [],
        None,
        [{"phone": "a", "kind": "b"}],
    ]
    frame = pl.DataFrame({"contacts": people, "other": ["a"] * 5})
    masked = MASKER.frame(frame, [("contacts", "phone")])
    a = MASKER.text("a")
    assert masked["contacts"].to_list() == [
        [{"phone": a, "kind": "home"}, {"phone": None, "kind": "work"}],
        [None],
        [],
        None,
        [{"phone": a, "kind": "b"}],
    ]
    assert masked["other"].to_list() == ["a"] * 5


def test_all_of_an_object_is_masked_with_everything_inside():
    """A mark on the outside covers lists and objects inside, and arrays."""
    frame = pl.DataFrame(
        {
            "o": [{"a": [{"b": "x", "n": [1, None]}], "c": "y"}, None],
            "r": pl.Series([["x", None], None], dtype=pl.Array(pl.String, 2)),
        }
    )
    masked = MASKER.frame(frame, [("o",), ("r",)])
    n = int(MASKER.text("1"))
    x, y = MASKER.text("x"), MASKER.text("y")
    assert masked.rows() == [
        ({"a": [{"b": x, "n": [n, None]}], "c": y}, [x, None]),
        (None, None),
    ]
    assert masked.schema == frame.schema


def test_masks_depend_on_the_key():
    """Without the key nobody can try values out."""
    assert Masker(b"1" * 32).text("ann") != Masker(b"2" * 32).text("ann")
    assert "1" not in repr(Masker(b"1" * 32))


def test_a_type_without_a_mask_is_named():
    """What cannot be masked is not let through."""
    frame = pl.DataFrame({"c": [object()]})
    with pytest.raises(SchemaError, match="no mask"):
        MASKER.frame(frame, [("c",)])


def test_the_key_of_a_project_is_made_once_for_its_owner(tmp_path, monkeypatch):
    """It is private, stays the same, and another project has another."""
    monkeypatch.chdir(tmp_path)
    first = Masker.of_project().text("ann")
    key = tmp_path / ".streamlab" / KEY_FILE
    assert key.stat().st_mode & 0o777 == 0o600
    assert {path.name for path in key.parent.iterdir()} == {KEY_FILE, ".gitignore"}
    assert (key.parent / ".gitignore").read_text() == "*\n"
    assert Masker.of_project().text("ann") == first
    other = tmp_path / "other"
    other.mkdir()
    monkeypatch.chdir(other)
    assert Masker.of_project().text("ann") != first


def test_a_broken_key_is_said(tmp_path: Path, monkeypatch):
    """A key that is too short would make masks that can be guessed."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".streamlab").mkdir()
    (tmp_path / ".streamlab" / KEY_FILE).write_bytes(b"")
    with pytest.raises(UsageError, match="not a key"):
        Masker.of_project()
