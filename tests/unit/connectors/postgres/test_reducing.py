"""Many changes of a key are reduced to what one by one would have made."""

from __future__ import annotations

import random

import polars as pl
import pytest

from streamlab.connectors.postgres.reducing import (
    behind_truncation,
    moved_incompletely,
    own_columns,
    reduced,
)

COLUMNS = {
    "id": pl.Int64(),
    "a": pl.Int64(),
    "b": pl.String(),
    "_op": pl.String(),
    "_unavailable": pl.List(pl.String),
}


def frame(*rows: tuple[object, ...]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=COLUMNS, orient="row")


def applied(
    rows: dict[int, tuple[object, object]], changes: pl.DataFrame
) -> dict[int, tuple[object, object]]:
    """Apply changes one by one."""
    rows = dict(rows)
    for id_, a, b, op, lacking in changes.iter_rows():
        if op == "delete":
            rows.pop(id_, None)
            continue
        old = rows.get(id_, (None, None))
        rows[id_] = (
            old[0] if "a" in (lacking or ()) else a,
            old[1] if "b" in (lacking or ()) else b,
        )
    return rows


def merged(
    rows: dict[int, tuple[object, object]], changes: pl.DataFrame
) -> dict[int, tuple[object, object]]:
    """Apply what is left of the changes, as the sink does."""
    rows = dict(rows)
    left = reduced(changes, ["id"])
    for id_ in left.deleted["id"]:
        rows.pop(id_, None)
    for lacking, part in left.partial:
        for id_, a, b in part.select("id", "a", "b").iter_rows():
            old = rows[id_]
            rows[id_] = (
                old[0] if "a" in lacking else a,
                old[1] if "b" in lacking else b,
            )
    for id_, a, b in left.whole.select("id", "a", "b").iter_rows():
        rows[id_] = (a, b)
    return rows


@pytest.mark.parametrize("seed", range(200))
def test_the_rest_is_what_one_by_one_makes(seed: int) -> None:
    """For random changes of few keys, values missing and null in between."""
    rng = random.Random(seed)
    start: dict[int, tuple[object, object]] = {
        key: (key, "old") for key in range(5) if rng.random() < 0.6
    }
    present, changes = set(start), []
    for number in range(rng.randrange(1, 25)):
        key = rng.randrange(5)
        a, b = rng.choice([number, None]), rng.choice([f"v{number}", None])
        if key not in present:
            changes.append((key, a, b, rng.choice(["insert", "snapshot"]), None))
            present.add(key)
        elif rng.random() < 0.3:
            changes.append((key, None, None, "delete", ["a", "b"]))
            present.discard(key)
        else:
            lacking = [name for name in ("a", "b") if rng.random() < 0.4]
            changes.append(
                (
                    key,
                    None if "a" in lacking else a,
                    None if "b" in lacking else b,
                    "update",
                    lacking or None,
                )
            )
    frame_ = frame(*changes)
    assert merged(start, frame_) == applied(start, frame_)


def test_a_value_that_was_not_sent_is_never_null() -> None:
    """It is left as it is where no earlier change has it."""
    left = reduced(frame((1, 5, None, "update", ["b"])), ["id"])
    assert left.whole.is_empty()
    ((lacking, rows),) = left.partial
    assert lacking == ("b",)
    assert rows["a"].to_list() == [5]


def test_what_was_before_a_truncation_is_gone() -> None:
    """Only what came behind it counts."""
    emptied, left = behind_truncation(
        frame(
            (1, 1, "x", "insert", None),
            (None, None, None, "truncate", None),
            (2, 2, "y", "insert", None),
        )
    )
    assert emptied
    assert left["id"].to_list() == [2]
    assert behind_truncation(left) == (False, left)


def test_columns_of_the_change_are_no_columns_of_the_row() -> None:
    """They begin with an underscore."""
    assert own_columns(["id", "_op", "name", "_before"]) == ["id", "name"]


def test_a_moved_row_that_lacks_values_is_found() -> None:
    """Its values stand under the key from before."""
    changes = pl.DataFrame(
        {
            "id": [2, 3],
            "_op": ["insert", "insert"],
            "_unavailable": [["b"], None],
            "_before": [{"id": 1}, None],
        }
    )
    assert moved_incompletely(changes) == [0]
