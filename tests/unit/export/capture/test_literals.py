from __future__ import annotations

import ast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamlab.export.capture.literals import WIDTH, is_literal, literal

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(),
    st.binary(),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner),
        st.lists(inner).map(tuple),
        st.dictionaries(st.text(), inner),
    ),
)


@settings(max_examples=50, deadline=None)
@given(VALUES)
def test_a_literal_gives_its_value_back(value: object) -> None:
    """Whatever is written as a literal reads as the same value and types."""
    assert is_literal(value)
    assert repr(ast.literal_eval(literal(value))) == repr(value)


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), object(), [object()], {1: {2}, 3: {len}}]
)
def test_what_has_no_literal_is_told(value: object) -> None:
    """A value without a literal is found, however deep it lies."""
    assert not is_literal(value)


def test_long_values_are_broken_over_lines() -> None:
    """A long literal has one item a line, as a formatter would write it."""
    text = literal({"carriers": ["A" * 30, "B" * 30, "C" * 30], "n": 1})

    assert text == (
        "{\n"
        '    "carriers": [\n'
        f'        "{"A" * 30}",\n'
        f'        "{"B" * 30}",\n'
        f'        "{"C" * 30}",\n'
        "    ],\n"
        '    "n": 1,\n'
        "}"
    )
    assert all(len(line) <= WIDTH for line in text.splitlines())


def test_an_empty_set_has_a_call() -> None:
    """Python has no literal of an empty set; ``set()`` is written."""
    assert literal(set()) == "set()"
