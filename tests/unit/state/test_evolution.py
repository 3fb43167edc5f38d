"""What may change in a table that has rows already, and how the rest is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from streamlab.errors import StateError
from streamlab.state.home import StateHome
from streamlab.state.store import TaskState
from streamlab.state.table import TableLayout

COLUMNS = {"key": pl.Int64(), "n": pl.Int64(), "due": pl.Int64()}
LAYOUT = TableLayout("fold.state", pl.Schema(COLUMNS), ("key",), "due", unique=True)


def saved(folder: Path, *, compacted: bool) -> str:
    state = TaskState.open(StateHome(folder), "t", [LAYOUT], None)
    table = state.tables[LAYOUT.name]
    table.put(pl.DataFrame({"key": [1, 2], "n": [1, 2], "due": [5, 9]}))
    state.save()
    if compacted:
        state.compact()
    table.put(pl.DataFrame({"key": [3], "n": [3], "due": [None]}, schema=LAYOUT.schema))
    return state.save()


@pytest.mark.parametrize("compacted", [False, True])
def test_a_new_column_is_null_in_old_rows(compacted: bool, tmp_path: Path) -> None:
    """In files and in logs, also after they were merged."""
    state_id = saved(tmp_path, compacted=compacted)
    columns = {
        "key": pl.Int64(),
        "new": pl.String(),
        "n": pl.Int64(),
        "due": pl.Int64(),
    }
    wide = replace(LAYOUT, schema=pl.Schema(columns))
    for _ in range(2):
        state = TaskState.open(StateHome(tmp_path), "t", [wide], state_id)
        table = state.tables[wide.name]
        got = table.get(pl.DataFrame({"key": [1, 2, 3]})).sort("key")
        assert got.schema == wide.schema
        assert got.rows() == [(1, None, 1, 5), (2, None, 2, 9), (3, None, 3, None)]
        table.put(got.with_columns(n=pl.col("n")))
        state.save()
        state.compact()
        state_id = state.save()
        state.close()
    assert state.tables[wide.name].take_due(9)["key"].to_list() == [1, 2]


def test_a_new_table_begins_empty(tmp_path: Path) -> None:
    """The others keep their rows."""
    state_id = saved(tmp_path, compacted=True)
    other = replace(LAYOUT, name="join.left")
    state = TaskState.open(StateHome(tmp_path), "t", [LAYOUT, other], state_id)
    assert {name: one.height for name, one in state.tables.items()} == {
        LAYOUT.name: 3,
        other.name: 0,
    }


@pytest.mark.parametrize(
    ("layouts", "message"),
    [
        ([], "has the table fold.state, which no transform uses any more"),
        (
            [replace(LAYOUT, schema=pl.Schema({"key": pl.Int64(), "due": pl.Int64()}))],
            r"has the column 'n' \(Int64\) in its table fold.state, which is wanted",
        ),
        (
            [replace(LAYOUT, schema=pl.Schema({**COLUMNS, "n": pl.Float64()}))],
            "has Int64 in the column 'n' of its table fold.state; Float64 is wanted",
        ),
        (
            [replace(LAYOUT, keys=("key", "n"))],
            "has the key key in its table fold.state; the key key, n is wanted",
        ),
        (
            [replace(LAYOUT, due=None)],
            "has the due time 'due' in its table fold.state; no due time is wanted",
        ),
        (
            [replace(LAYOUT, unique=False)],
            "has one row for a key in its table fold.state; many rows for a key is",
        ),
    ],
)
def test_other_changes_are_refused(
    layouts: list[TableLayout], message: str, tmp_path: Path
) -> None:
    """With what is stored, what is wanted, and the choices there are."""
    state_id = saved(tmp_path, compacted=False)
    with pytest.raises(StateError, match=message) as caught:
        TaskState.open(StateHome(tmp_path), "t", layouts, state_id)
    assert "streamlab state reset" in caught.value.hint
    assert "savepoint" in caught.value.hint
