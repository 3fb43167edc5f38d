"""Topics that rows name by their columns."""

from __future__ import annotations

import polars as pl
import pytest

from streamlab.connectors.kafka.routing import Route, _with_tombstones
from streamlab.connectors.kafka.sink import KafkaSink
from streamlab.errors import UnknownName, UsageError


def test_a_name_without_columns_is_no_route() -> None:
    """It is an ordinary topic."""
    assert Route.parse("orders") is None


def test_rows_go_where_their_columns_say_in_their_order() -> None:
    """Characters that a topic cannot have become underscores."""
    route = Route.parse("shop.{_schema}.{_table}.v1")
    assert route is not None
    frame = pl.DataFrame(
        {"_schema": ["s"] * 3, "_table": ["a", "b ü", "a"], "n": [1, 2, 3]}
    )
    parts = {topic: part["n"].to_list() for topic, _, part in route.parted(frame)}
    assert parts == {"shop.s.a.v1": [1, 3], "shop.s.b__.v1": [2]}


def test_columns_must_be_there_and_text() -> None:
    """A topic is named by words."""
    route = Route.parse("{kind}")
    assert route is not None
    with pytest.raises(UnknownName, match="kind"):
        route.require({"kin": pl.String()})
    with pytest.raises(UsageError, match="Int64"):
        route.require({"kind": pl.Int64()})


def test_a_delete_is_followed_by_a_tombstone() -> None:
    """With the same key, and counted as the same row."""
    records = [(b"1", b"x"), (b"2", b"y")]
    operations = pl.Series(["delete", "insert"])
    longer, rows = _with_tombstones(list(records), [4, 5], operations)
    assert longer == [(b"1", b"x"), (b"1", None), (b"2", b"y")]
    assert rows == [4, 4, 5]


def test_what_only_routes_can_have_is_refused_elsewhere() -> None:
    """And a transaction goes to one topic."""
    with pytest.raises(UsageError, match="tombstones"):
        KafkaSink("orders", tombstones=True)
    with pytest.raises(UsageError, match="transaction"):
        KafkaSink("{t}", transactional=True)


def test_encoded_events_are_not_encoded_again() -> None:
    """The default format would put the values into base64: that is no one's wish."""
    schema = {"_table": pl.String(), "value": pl.Binary()}
    with pytest.raises(UsageError, match='format = "bytes"'):
        KafkaSink("shop.{_table}")._require_plain(schema)
    KafkaSink("shop.{_table}", format="bytes")._require_plain(schema)
