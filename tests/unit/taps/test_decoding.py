"""Decoding for a tap: mistakes of the caller, and events that have no schema."""

from __future__ import annotations

import pytest

from streamlab.errors import SchemaError, UsageError
from streamlab.taps.decoding import Decoder
from streamlab.taps.growing import GivenEvents
from streamlab.taps.masking import Masking


@pytest.mark.parametrize(
    ("wrong", "says"),
    [({"schema": "s.yaml"}, "odcs.load"), ({"where": "n > 1"}, "polars expression")],
)
def test_a_text_for_a_schema_or_an_expression_is_one_message(wrong, says):
    """People try a path and a query; both get what to write instead."""
    with pytest.raises(UsageError, match=says):
        Decoder("t", "json", **wrong)


def test_one_personal_field_may_be_a_text():
    """It is one field, not one for each of its letters."""
    assert Masking.of("email", unmask=False) == Masking(("email",))


def test_values_that_do_not_agree_name_the_event():
    """The first event that differs is told by its place, never by its value."""
    values = [b'{"n": 1}', b"not json", b'{"n": 2}', b'{"n": "PII"}']
    given = GivenEvents(values, [None] * 4, [0, 0, 1, 1], [4, 5, 8, 9], [0] * 4)
    with pytest.raises(SchemaError, match=r"String in another: t/1@9\n") as refused:
        Decoder("t", "json").part(given)
    assert "PII" not in str(refused.value)
