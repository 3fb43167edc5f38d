"""What schema is inferred from a sample."""

from __future__ import annotations

import polars as pl
import pytest

from streamlab.contracts import Schema
from streamlab.errors import SchemaError
from streamlab.formats import named


def inferred(*values: bytes | None) -> dict[str, pl.DataType]:
    schema = named("json").infer(values)
    assert schema.required == ()
    return dict(schema.dtypes)


@pytest.mark.parametrize(
    ("written", "dtype"),
    [
        (["1", "-2"], pl.Int64()),
        (["1", "9223372036854775808"], pl.Int128()),
        (["1", "2.5"], pl.Float64()),
        (["18446744073709551615", "2.5"], pl.Float64()),
        (["true", "null"], pl.Boolean()),
        (['"x"'], pl.String()),
        (['"2013-01-01T10:00:00Z"'], pl.String()),
        (["null", "null"], pl.String()),
        (["[]"], pl.List(pl.String())),
        (["[]", "[1]", "[null,2.5]"], pl.List(pl.Float64())),
        (
            ['{"x":1}', '{"y":[null]}'],
            pl.Struct({"x": pl.Int64, "y": pl.List(pl.String)}),
        ),
        (["{}", "null"], pl.Struct({})),
    ],
)
def test_type_that_all_values_fit(written: list[str], dtype: pl.DataType) -> None:
    """Numbers widen, structs and lists merge, and nothing seen is String."""
    values = [f'{{"a":{one}}}'.encode() for one in written]

    assert inferred(*values) == {"a": dtype}


@pytest.mark.parametrize(
    ("one", "other", "path"),
    [
        ('{"a":1}', '{"a":"x"}', "a"),
        ('{"a":true}', '{"a":1}', "a"),
        ('{"a":{"b":[1]}}', '{"a":{"b":["x"]}}', "a.b[]"),
        ('{"a":[1]}', '{"a":{"x":1}}', "a"),
    ],
)
def test_disagreement_names_column_and_both_types(
    one: str, other: str, path: str
) -> None:
    """A text in a number column is a question for the user, not a cast."""
    with pytest.raises(SchemaError) as refused:
        inferred(one.encode(), other.encode())

    first, second = (Schema.of(inferred(each.encode())) for each in (one, other))
    assert f"column {path!r}: it is " in refused.value.message
    if path == "a":
        assert str(first.dtypes["a"]) in refused.value.message
        assert str(second.dtypes["a"]) in refused.value.message


@pytest.mark.parametrize("place", [0, 50, 199])
def test_a_few_odd_values_do_not_decide(place: int) -> None:
    """One in a hundred may be of another type, wherever it stands."""
    values = [b'{"a":1}'] * 200
    values[place] = b'{"b":2,"a":"x"}'

    assert inferred(*values) == {"a": pl.Int64()}


def test_more_odd_values_are_a_question() -> None:
    """Three of two hundred are no accident: the user has to say what is meant."""
    with pytest.raises(SchemaError, match="column 'a'"):
        inferred(*[b'{"a":1}'] * 197, *[b'{"a":"x"}'] * 3)


def test_fields_are_in_the_order_of_their_first_sight() -> None:
    """New fields come after those that are known."""
    assert list(inferred(b'{"b":1,"a":2}', b'{"c":3,"a":4}')) == ["b", "a", "c"]


def test_values_that_are_no_objects_are_left_out() -> None:
    """What would be a dead letter does not take part."""
    assert inferred(None, b"", b"x", b"[1]", b'{"a":1}') == {"a": pl.Int64()}


@pytest.mark.parametrize(
    "values", [[], [None, b"x"], [b"{}"], [b'{"a":' + b"[" * 1010 + b"]" * 1010 + b"}"]]
)
def test_sample_without_a_schema_is_an_error(values: list[bytes | None]) -> None:
    """Nothing to infer from, and too deep to infer from, are said plainly."""
    with pytest.raises(SchemaError, match="no schema can be inferred") as refused:
        named("json").infer(values)

    assert refused.value.hint


def test_every_inferred_value_decodes() -> None:
    """A sample decodes under its own schema."""
    values = [
        b'{"a":1}',
        b'{"a":2.5,"b":[{"c":null}]}',
        b'{"b":[],"d":{}}',
        b'{"d":null}',
    ]
    schema = named("json").infer(values)

    assert named("json").decode(values, schema).rejected == ()
