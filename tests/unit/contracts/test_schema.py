"""The schema value."""

from __future__ import annotations

import polars as pl
import pytest

from streamlab.contracts import Field, Schema
from streamlab.errors import SchemaError, UnknownName


def test_types_may_be_classes_as_in_polars() -> None:
    """``pl.Int64`` is ``pl.Int64()``, at every depth, so that schemas compare equal."""
    by_class = Schema.of({"a": pl.Int64, "b": pl.List(pl.Struct({"x": pl.Int8}))})
    by_value = Schema.of({"a": pl.Int64(), "b": pl.List(pl.Struct({"x": pl.Int8()}))})

    assert by_class == by_value
    assert hash(by_class) == hash(by_value)
    assert isinstance(by_class.fields[0].dtype, pl.DataType)


def test_type_that_is_not_complete_is_refused() -> None:
    """A list of nothing is no type."""
    with pytest.raises(SchemaError, match="List is not complete"):
        Field("a", pl.List)


def test_two_fields_of_one_name_are_refused() -> None:
    """A frame could not have both."""
    with pytest.raises(SchemaError, match="more than one field 'a'"):
        Schema((Field("a", pl.Int64()), Field("a", pl.String())))


@pytest.mark.parametrize("name", ["*", "^a.*$"])
def test_name_that_polars_reads_as_a_pattern_is_refused(name: str) -> None:
    """``pl.col("*")`` is every column: a field of that name could not be reached."""
    with pytest.raises(SchemaError, match="cannot be a column"):
        Schema.of({name: pl.Int64})


def test_display_is_one_line_a_field() -> None:
    """Names are aligned, and what is required says so."""
    schema = Schema(
        (Field("id", pl.Int64(), required=True), Field("carrier", pl.String())),
        "flights",
    )

    assert str(schema).splitlines() == [
        "flights: 2 fields",
        "  id       Int64  required",
        "  carrier  String",
    ]


def test_only_keeps_the_order_of_the_schema() -> None:
    """A selection is not a re-ordering."""
    schema = Schema.of({"a": pl.Int64, "b": pl.Int64, "c": pl.Int64})

    assert schema.only(["c", "a"]).dtypes.names() == ["a", "c"]


def test_empty_frame_has_the_types() -> None:
    """What a trial on no rows needs."""
    schema = Schema.of({"a": pl.List(pl.Int8), "b": pl.Datetime("ms", "UTC")})

    assert schema.empty().schema == schema.dtypes


ADDRESS = pl.List(
    pl.Struct({"street": pl.String(), "geo": pl.Struct({"lat": pl.Int8()})})
)


def test_personal_fields_are_marked_by_name():
    """A column, or what is inside of one behind a point, also inside of lists."""
    schema = Schema.of({"email": pl.String(), "address": ADDRESS})
    marked = schema.with_personal(["address.geo.lat", "email"])
    assert marked.personal == (("email",), ("address", "geo", "lat"))
    assert "email    String  personal" in str(marked)
    assert "personal: geo.lat" in str(marked)


def test_a_mark_covers_what_is_inside():
    """The outermost mark says it all."""
    schema = Schema.of({"address": ADDRESS}).with_personal(["address.geo.lat"])
    assert schema.with_personal(["address.geo"]).personal == (("address", "geo"),)
    assert schema.with_personal(["address"]).personal == (("address",),)


def test_a_field_that_is_not_there_is_named():
    """A typing mistake must not leave a field unmasked."""
    with pytest.raises(UnknownName, match="'emial'") as refused:
        Schema.of({"email": pl.String()}).with_personal(["emial"])
    assert "email" in refused.value.hint


def test_a_point_in_a_name_is_no_way_inside():
    """Where two fields are written alike, both are marked."""
    schema = Schema.of({"a.b": pl.Int8(), "a": pl.Struct({"b": pl.Int8()})})
    assert schema.with_personal(["a.b"]).personal == (("a.b",), ("a", "b"))
