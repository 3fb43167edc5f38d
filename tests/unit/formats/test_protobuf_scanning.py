"""Flat Protobuf messages scanned together: the same as each parsed by itself."""

from __future__ import annotations

import polars as pl
import pytest
from google.protobuf.message_factory import GetMessageClass
from hypothesis import example, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from streamlab.contracts import Schema
from streamlab.formats import protobuf
from streamlab.formats.protobuf import _Messages, scanning
from streamlab.formats.protobuf.compiling import compiled
from streamlab.formats.protobuf.fields import dtype_of

PROTO = """syntax = "proto3";
enum Colour { RED = 0; BLUE = 5; }
message Flat {
  bool flag = 1; optional bool maybe_flag = 2;
  int32 small = 3; sint32 signed = 4; sfixed32 fixed = 5; optional int32 maybe = 6;
  int64 large = 7; sint64 large_signed = 8; sfixed64 large_fixed = 9;
  uint32 u = 10; fixed32 uf = 11; uint64 ul = 12; fixed64 ufl = 13;
  float half = 14; double whole = 15; optional double maybe_whole = 16;
  string text = 17; bytes raw = 18; optional string maybe_text = 19;
  Colour colour = 20; optional Colour maybe_colour = 21;
  string far = 3000;
}
message WithList { bool flag = 1; repeated int32 numbers = 2; }
message WithMessage { bool flag = 1; Flat inner = 2; }
message WithChoice { bool flag = 1; oneof choice { int32 left = 2; int32 right = 3; } }
"""
KIND = compiled(PROTO, {}).message_types_by_name["Flat"]
MESSAGE = GetMessageClass(KIND)
NAMES = [field.name for field in KIND.fields]
SCHEMA = Schema.of({name: dtype_of(KIND.fields_by_name[name], name) for name in NAMES})
HEAD = b"\0\0\0\0\1\0"


def integers(bits: int, *, signed: bool):
    return st.integers(-(2 ** (bits - 1)) * signed, 2 ** (bits - signed) - 1)


WIDTHS = {
    **dict.fromkeys(("small", "signed", "fixed", "maybe"), integers(32, signed=True)),
    **dict.fromkeys(
        ("large", "large_signed", "large_fixed"), integers(64, signed=True)
    ),
    **dict.fromkeys(("u", "uf"), integers(32, signed=False)),
    **dict.fromkeys(("ul", "ufl"), integers(64, signed=False)),
    **dict.fromkeys(("flag", "maybe_flag"), st.booleans()),
    "half": st.floats(width=32, allow_nan=False),
    **dict.fromkeys(("whole", "maybe_whole"), st.floats(allow_nan=False)),
    **dict.fromkeys(("text", "maybe_text", "far"), st.text("aä\0", max_size=3)),
    "raw": st.binary(max_size=3),
    **dict.fromkeys(("colour", "maybe_colour"), st.sampled_from([0, 5])),
}
ROW = st.fixed_dictionaries({}, optional=WIDTHS)


def messages(schema=SCHEMA):
    return _Messages(1, KIND, 1, schema)


def assert_same(values, schema=SCHEMA):
    """Compare both ways, whatever the number of values."""
    reading = messages(schema)
    expected, faults = reading._each(values)
    frame, found = reading(values)
    assert found == faults
    assert_frame_equal(frame, expected)
    return faults


@pytest.fixture(autouse=True, scope="module")
def scanned():
    """Scan batches of any size."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(protobuf, "SCANNED_ROWS", 1)
        yield


@settings(max_examples=150, deadline=None)
@given(st.lists(ROW, min_size=1, max_size=12))
def test_every_field_is_read_equal(rows):
    """Present, absent and default values of every kind come out the same."""
    assert messages()._scanned is not None
    assert not assert_same([HEAD + MESSAGE(**row).SerializeToString() for row in rows])


@settings(max_examples=200, deadline=None)
@given(
    st.lists(ROW, min_size=1, max_size=4),
    st.lists(
        st.tuples(st.integers(0), st.binary(max_size=12), st.booleans()), max_size=4
    ),
)
@example([{}], [(0, b"\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x02", True)])
@example([{}], [(0, b"\x88\x80\x80\x80\x80\x00\x01", True)])
@example([{}], [(0, b"\x8a\x01\x01\xff", True)])
@example([{}], [(0, b"\x8a\x01\x80\x80\x80\x80\x80\x00", True)])
@example([{}], [(0, b"\x8b\x01\x8c\x01", True)])
@example([{}], [(0, b"\x0d\x01\x00\x00\x00\x08\x01\x08\x00", True)])
def test_broken_messages_are_told_the_same(rows, breaks):
    """Whatever is wrong with a message, both ways say the same, and others pass."""
    good = [MESSAGE(**row).SerializeToString() for row in rows]
    values = list(good)
    for place, junk, inserted in breaks:
        one = good[place % len(good)]
        at = place % (len(one) + 1)
        values.append(one[:at] + junk + one[at if inserted else at + len(junk) :])
    assert_same([HEAD + value for value in [*values, *good]])


def test_other_types_are_read_as_declared():
    """What does not fit a declared type is a fault of its message alone, and a text
    that is none is one also where nobody reads it."""
    rows = [{"large": 1, "colour": 5}, {"large": 300, "colour": 5}, {"colour": 7}, {}]
    values = [HEAD + MESSAGE(**row).SerializeToString() for row in rows]
    values.append(HEAD + b"\x8a\x01\x01\xff")
    declared = {"large": pl.Int8(), "colour": pl.String(), "nothing": pl.Int64()}
    faults = assert_same(values, Schema.of(declared))
    assert {row: fault[0] for row, fault in faults.items()} == {
        1: "type-mismatch",
        2: "type-mismatch",
        4: "not-protobuf",
    }


def test_a_message_of_many_fields_is_odd(monkeypatch):
    """A message that would take too many steps is left to Protobuf's library."""
    monkeypatch.setattr(scanning, "MOST_STEPS", 3)
    long = MESSAGE(flag=True, small=1, large=2, u=3, text="a").SerializeToString()
    _, odd = scanning.scan([long, long[:2]], KIND, ["flag"])
    assert odd.tolist() == [True, False]
    assert not assert_same([HEAD + long, HEAD])


def test_messages_with_parts_are_not_scanned():
    """Lists, messages inside and choices are read as before."""
    kinds = compiled(PROTO, {}).message_types_by_name
    flat = [name for name, kind in kinds.items() if scanning.is_flat(kind)]
    assert flat == ["Flat"]
