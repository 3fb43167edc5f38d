"""What a changelog amounts to, and when two results are the same."""

from __future__ import annotations

import polars as pl

from streamlab.operators.netting import near_rows, netted


def changes(*rows: tuple[str, str, int]) -> pl.DataFrame:
    """Return rows with an operation, a key and a value."""
    return pl.DataFrame(rows, schema=["_op", "key", "n"], orient="row")


def test_the_last_change_of_a_key_counts() -> None:
    """A deleted key leaves nothing; rows without operations are as they are."""
    log = changes(("insert", "a", 1), ("insert", "b", 1), ("update", "a", 2))
    assert sorted(netted(log, ["key"]).rows()) == [("a", 2), ("b", 1)]
    gone = pl.concat([log, changes(("delete", "a", 2))])
    assert netted(gone, ["key"]).rows() == [("b", 1)]
    plain = log.drop("_op")
    assert netted(plain, []) is plain


def test_without_a_key_deletes_take_inserts_back() -> None:
    """Each of them one; rows that are there twice are two."""
    log = changes(("insert", "a", 1), ("insert", "a", 1), ("delete", "a", 1))
    assert netted(log, []).rows() == [("a", 1)]
    assert netted(changes(("insert", "a", 1), ("delete", "a", 1)), []).is_empty()


def test_floats_may_be_apart_by_rounding_and_nothing_else_may() -> None:
    """NaN equals NaN, null equals null, the order counts for nothing."""
    left = pl.DataFrame({"k": ["a", "b", None], "x": [0.1 + 0.2, float("nan"), None]})
    right = pl.DataFrame({"k": [None, "b", "a"], "x": [None, float("nan"), 0.3]})
    assert near_rows(left, right)
    assert not near_rows(left, right.with_columns(x=pl.lit(0.3000001)))
    assert not near_rows(left, right.head(2))
    assert not near_rows(left, right.with_columns(k=pl.lit("a")))
