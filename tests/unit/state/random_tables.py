"""Random calls on the durable tables of a task, and on tables in memory beside them."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from streamlab.state.home import StateHome
from streamlab.state.memory import MemoryTable
from streamlab.state.store import TaskState
from streamlab.state.table import StateTable, TableLayout

VALUES = {
    "n": pl.Int64(),
    "text": pl.String(),
    "list": pl.List(pl.Int64),
    "due": pl.Int64(),
}
LAYOUTS = (
    TableLayout("many", pl.Schema({"key": pl.Int64(), **VALUES}), ("key",), "due"),
    TableLayout(
        "one", pl.Schema({"key": pl.String(), **VALUES}), ("key",), "due", unique=True
    ),
    TableLayout(
        "pair",
        pl.Schema({"a": pl.String(), "b": pl.Float64(), **VALUES}),
        ("a", "b"),
        unique=True,
    ),
    TableLayout("plain", pl.Schema({"a": pl.Enum(["x", "y", "z"]), **VALUES}), ("a",)),
    TableLayout("queue", pl.Schema(VALUES), (), "due"),
)


def values_of(layout: TableLayout, column: str, count: int, rng: random.Random) -> list:
    """Return random values of a column, with nulls and many that are equal."""
    wide = 12
    dtype = layout.schema[column]
    choices = {
        pl.Int64: lambda: rng.randrange(wide),
        pl.String: lambda: "k" * rng.randrange(wide) * rng.choice([1, 7]),
        pl.Float64: lambda: rng.choice([0.0, -0.0, 1.5, float("nan"), float("inf")]),
        pl.Enum: lambda: rng.choice("xyz"),
        pl.List: lambda: [rng.randrange(3)] * rng.randrange(3),
    }
    make = choices[type(dtype)]
    if column == layout.due:
        make = lambda: rng.randrange(200)  # noqa: E731 - one line as those above
    return [None if rng.random() < 0.1 else make() for _ in range(count)]


def rows_of(layout: TableLayout, count: int, rng: random.Random) -> pl.DataFrame:
    """Return random rows."""
    return pl.DataFrame(
        {name: values_of(layout, name, count, rng) for name in layout.schema},
        schema=layout.schema,
    )


def counted(rows: pl.DataFrame) -> list[str]:
    """Return rows as a multiset; ``-0.0`` is ``0.0``, as it is in a key."""
    plain = rows.with_columns(pl.col(pl.Float64).replace(0.0, 0.0))
    return sorted(repr(row) for row in plain.rows())


def by_key(layout: TableLayout, rows: pl.DataFrame) -> dict[str, list[str]]:
    """Return the rows of each key, in their order."""
    plain = rows.with_columns(pl.col(pl.Float64).replace(0.0, 0.0))
    groups: dict[str, list[str]] = {}
    for row in plain.rows(named=True):
        groups.setdefault(repr([row[key] for key in layout.keys]), []).append(repr(row))
    return groups


@dataclass
class Pair:
    """A task's durable tables and its tables in memory, to be told the same."""

    folder: Path
    rng: random.Random
    layouts: tuple[TableLayout, ...] = LAYOUTS
    saved: dict[str, dict[str, pl.DataFrame]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.home = StateHome(self.folder)
        self.open(None)

    def open(self, state_id: str | None) -> None:
        """Open a version, and bring back the tables in memory of that time."""
        self.state = TaskState.open(self.home, "a/1", self.layouts, state_id)
        self.memory = {layout.name: MemoryTable(layout) for layout in self.layouts}
        if state_id is not None:
            assert self.state.meta == {"saved": self._number(state_id)}
            for name, rows in self.saved[state_id].items():
                self.memory[name]._rows = rows

    def save(self) -> str:
        """Save, and remember what was saved."""
        self.state.meta["saved"] = len(self.saved) + 1
        state_id = self.state.save()
        self.saved[state_id] = {name: one._rows for name, one in self.memory.items()}
        return state_id

    def step(self) -> None:
        """Make one random call, and compare."""
        layout = self.rng.choice(self.layouts)
        table, memory = self.state.tables[layout.name], self.memory[layout.name]
        call = self.rng.choice(["put", "put", "get", "take", "due", "fold", "scan"])
        getattr(self, f"_{call}")(layout, table, memory)
        assert table.height == memory.height, (layout.name, call)

    def compare(self) -> None:
        """Compare all rows."""
        for name, memory in self.memory.items():
            table = self.state.tables[name]
            frames = list(table.scan())
            rows = pl.concat([memory._rows.clear(), *frames])
            assert counted(rows) == counted(memory._rows), name
            assert table.height == memory.height, name

    def _number(self, state_id: str) -> int:
        return list(self.saved).index(state_id) + 1

    def _put(self, layout: TableLayout, table: StateTable, memory: StateTable) -> None:
        rows = rows_of(layout, self.rng.randrange(12), self.rng)
        table.put(rows)
        memory.put(rows)

    def _get(self, layout: TableLayout, table: StateTable, memory: StateTable) -> None:
        if layout.keys:
            keys = rows_of(layout, self.rng.randrange(6), self.rng).select(layout.keys)
            got, right = table.get(keys), memory.get(keys)
            assert got.schema == layout.schema
            assert by_key(layout, got) == by_key(layout, right), layout.name

    def _take(self, layout: TableLayout, table: StateTable, memory: StateTable) -> None:
        if layout.keys:
            keys = rows_of(layout, self.rng.randrange(6), self.rng).select(layout.keys)
            got, right = table.take(keys), memory.take(keys)
            assert by_key(layout, got) == by_key(layout, right), layout.name

    def _due(self, layout: TableLayout, table: StateTable, memory: StateTable) -> None:
        until = self.rng.randrange(200)
        got, right = table.take_due(until), memory.take_due(until)
        assert got.schema == layout.schema
        assert [repr(row) for row in got.rows()] == [repr(row) for row in right.rows()]

    def _fold(self, layout: TableLayout, table: StateTable, memory: StateTable) -> None:
        """What a fold does: get, put and take of the same keys."""
        if not layout.keys:
            return
        rows = rows_of(layout, self.rng.randrange(8), self.rng)
        keys = rows.select(layout.keys)
        got, right = table.get(keys), memory.get(keys)
        assert by_key(layout, got) == by_key(layout, right)
        for each in (table, memory):
            each.put(rows)
            each.take(keys.head(1))

    def _scan(self, layout: TableLayout, table: StateTable, memory: StateTable) -> None:
        (rows,) = memory.scan()
        assert rows.schema == layout.schema
        assert counted(pl.concat([rows.clear(), *table.scan()])) == counted(rows)
