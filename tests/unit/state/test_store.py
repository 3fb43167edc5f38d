"""The durable tables do what those in memory do, through saves and compactions."""

from __future__ import annotations

import random
from pathlib import Path

import polars as pl
import pytest

from streamlab.errors import StateError, UsageError
from streamlab.state import compaction, durable, hashing, merging, run, store
from streamlab.state.files import Files
from streamlab.state.home import StateHome
from streamlab.state.store import TaskState
from streamlab.state.table import TableLayout
from tests.unit.state.random_tables import Pair

SEEDS = 8
LAYOUT = TableLayout(
    "fold.state", pl.Schema({"key": pl.Int64(), "n": pl.Int64()}), ("key",), unique=True
)
QUEUE = TableLayout("queue", pl.Schema({"n": pl.Int64(), "due": pl.Int64()}), (), "due")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compact after few versions, in small blocks and ranges."""
    monkeypatch.setattr(store, "MOST_LOGS", 3)
    monkeypatch.setattr(compaction, "BLOCK_ROWS", 16)
    monkeypatch.setattr(merging, "SLICE_ROWS", 16)


def rows(*keys: int, n: int = 0) -> pl.DataFrame:
    return pl.DataFrame({"key": keys}, schema={"key": pl.Int64}).with_columns(
        pl.lit(n, pl.Int64).alias("n")
    )


def opened(folder: Path, state_id: str | None = None) -> TaskState:
    return TaskState.open(StateHome(folder), "t/0", [LAYOUT, QUEUE], state_id)


def drive(folder: Path, seed: int, steps: int = 150) -> None:
    """Make random calls, saves, compactions and openings of random versions."""
    rng = random.Random(seed)
    pair = Pair(folder, rng)
    for _ in range(steps):
        pair.step()
        chance = rng.random()
        if chance < 0.2:
            pair.save()
        elif chance < 0.25:
            pair.state.compact()
        elif chance < 0.3 and pair.saved:
            pair.state.close()
            pair.open(rng.choice(list(pair.saved)[-6:]))
            pair.compare()
    pair.compare()
    last = pair.save()
    pair.state.close()
    pair.open(last)
    pair.compare()
    pair.state.close()


def drive_all(folder: Path) -> None:
    for seed in range(SEEDS):
        drive(folder / str(seed), seed)


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.usefixtures("small")
def test_random_calls_give_what_the_tables_in_memory_give(
    seed: int, tmp_path: Path
) -> None:
    """Whatever is saved, compacted, reopened and at which version."""
    drive(tmp_path, seed)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.usefixtures("small")
def test_keys_with_equal_hashes_stay_apart(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hash of two bits makes almost all keys collide."""
    right = hashing.hashes

    def poor(rows: pl.DataFrame, keys: list[str]) -> pl.Series:
        return (right(rows, keys) % 4) * 2**62

    monkeypatch.setattr(hashing, "hashes", poor)
    monkeypatch.setattr(durable, "hashes", poor)
    drive(tmp_path, seed)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("broken", ["graves", "floor", "order"])
def test_the_comparison_sees_what_a_merge_forgets(
    broken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control: without graves, floors or order a table is another."""
    right = run.merge

    def wrong(layout: TableLayout, parts: list[run.Part], *, bottom: bool) -> run.Part:
        if broken == "floor":
            parts = [run.Part(part.rows, part.graves) for part in parts]
        if broken == "order":
            parts = parts[::-1]
        merged = right(layout, parts, bottom=bottom)
        return run.Part(merged.rows) if broken == "graves" else merged

    monkeypatch.setattr(compaction, "merge", wrong)
    with pytest.raises(AssertionError):
        drive_all(tmp_path)


@pytest.mark.usefixtures("small")
def test_segments_of_another_hash_are_sorted_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next polars may hash otherwise: then the stored order means nothing."""
    pair = Pair(tmp_path, random.Random(3))
    for _ in range(60):
        pair.step()
    pair.state.compact()
    state_id = pair.save()
    pair.state.close()
    monkeypatch.setattr(hashing, "_SEED", 6)
    hashing.fingerprint.cache_clear()
    try:
        for _ in range(3):
            pair.open(state_id)
            pair.compare()
            for _ in range(30):
                pair.step()
            pair.state.compact()
            state_id = pair.save()
            pair.state.close()
        tables = pair.home.versions("a/1")[-1].version.tables.values()
        stored = {one.fingerprint for table in tables for one in table.segments}
        assert stored == {hashing.fingerprint()}
    finally:
        hashing.fingerprint.cache_clear()


def test_a_version_that_changes_nothing_is_the_same_version(tmp_path: Path) -> None:
    """Meta is part of it: a watermark that moves makes a new one."""
    state = opened(tmp_path)
    first = state.save()
    assert state.save() == first
    state.meta["watermark"] = 5
    second = state.save()
    assert second != first
    assert opened(tmp_path, second).meta == {"watermark": 5}
    assert opened(tmp_path, first).meta == {}


def test_a_version_is_of_its_parent_too(tmp_path: Path) -> None:
    """The same epoch behind another history has another id."""
    ids = []
    for start in (1, 2):
        state = opened(tmp_path)
        state.tables[LAYOUT.name].put(rows(start))
        state.save()
        state.tables[LAYOUT.name].put(rows(7))
        ids.append(state.save())
    assert ids[0] != ids[1]


def test_what_was_not_saved_is_not_there(tmp_path: Path) -> None:
    """A version is what was saved, to the row."""
    state = opened(tmp_path)
    table = state.tables[LAYOUT.name]
    table.put(rows(1, 2))
    state_id = state.save()
    table.put(rows(3))
    table.take(rows(1))
    state.close()
    again = opened(tmp_path, state_id).tables[LAYOUT.name]
    assert sorted(again.get(rows(1, 2, 3))["key"]) == [1, 2]
    assert again.height == 2


def test_confirmed_versions_push_old_ones_out(tmp_path: Path) -> None:
    """The current one and two before it stay, with the files that they need."""
    state = opened(tmp_path)
    ids = []
    for n in range(8):
        state.tables[LAYOUT.name].put(rows(n))
        ids.append(state.save())
        if n == 3:
            state.compact()
        state.confirm(ids[-1])
    state.close()
    for n, state_id in enumerate(ids[5:], 6):
        assert opened(tmp_path, state_id).tables[LAYOUT.name].height == n
    files = StateHome(tmp_path).files("t/0")
    needed = {store.file_of(state_id) for state_id in ids[5:]}
    for listed in StateHome(tmp_path).versions("t/0"):
        if listed.state_id in ids[5:]:
            needed |= listed.version.files
    assert set(files.names()) == needed
    assert store.file_of(ids[0]) not in needed


def test_versions_behind_the_confirmed_one_stay(tmp_path: Path) -> None:
    """The next epoch may have been saved before this one was committed."""
    state = opened(tmp_path)
    ids = []
    for n in range(5):
        state.tables[LAYOUT.name].put(rows(n))
        ids.append(state.save())
    state.confirm(ids[0])
    for state_id in ids:
        opened(tmp_path, state_id)


def test_a_state_above_its_limit_stops(tmp_path: Path) -> None:
    """The message names the tables by size, and nothing is written."""
    home = StateHome(tmp_path, limit_bytes=5_000)
    state = TaskState.open(home, "t/0", [LAYOUT, QUEUE], None)
    state.tables[LAYOUT.name].put(rows(*range(1_000)))
    with pytest.raises(StateError, match=r"limit of 0\.0 MB: fold\.state 0\.0 MB"):
        state.save()
    assert home.versions("t/0") == []


def test_a_save_that_failed_can_be_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk loses nothing of the epoch."""
    state = opened(tmp_path)
    state.tables[LAYOUT.name].put(rows(1, 2))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(Path, "write_bytes", full)
        with pytest.raises(StateError, match="No space left on device"):
            state.save()
    assert opened(tmp_path, state.save()).tables[LAYOUT.name].height == 2


def test_due_rows_of_a_large_table_are_found_without_reading_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the rows that are due are touched, however many are not."""
    state = opened(tmp_path)
    queue = state.tables[QUEUE.name]
    queue.put(
        pl.DataFrame({"n": range(10_000), "due": range(10_000)}, schema=QUEUE.schema)
    )
    state.save()
    state.compact()
    taken = []
    right = pl.DataFrame.__getitem__

    def watched(frame: pl.DataFrame, at: object) -> object:
        if isinstance(at, pl.Series):
            taken.append(at.len())
        return right(frame, at)

    monkeypatch.setattr(pl.DataFrame, "__getitem__", watched)
    assert queue.take_due(99).height == 100
    assert queue.take_due(149)["n"].to_list() == list(range(100, 150))
    assert taken == [100, 50]
    assert queue.height == 9_850


def test_rows_of_another_dtype_are_refused(tmp_path: Path) -> None:
    """A state never casts."""
    wrong = rows(1).with_columns(pl.col("n").cast(pl.String))
    table = opened(tmp_path).tables[LAYOUT.name]
    with pytest.raises(UsageError, match=r"fold\.state have another dtype in n"):
        table.put(wrong)
    with pytest.raises(UsageError, match=r"fold\.state have another dtype in key"):
        table.get(rows(1).cast({"key": pl.Int32}))


def test_a_table_without_keys_cannot_be_searched(tmp_path: Path) -> None:
    """It is only ever due."""
    with pytest.raises(UsageError, match="queue has no keys"):
        opened(tmp_path).tables[QUEUE.name].get(rows(1))


def test_old_files_that_no_version_names_are_deleted(tmp_path: Path) -> None:
    """What a killed worker left behind goes a day later, and nothing else does."""
    import os

    state = opened(tmp_path)
    state.tables[LAYOUT.name].put(rows(1))
    current = state.save()
    state.tables[LAYOUT.name].put(rows(2))
    left = state.save()
    state.tables[LAYOUT.name].put(rows(3))
    young = state.save()
    files: Files = StateHome(tmp_path).files("t/0")
    for state_id in (current, left):
        os.utime(files.path(store.file_of(state_id)), (0, 0))
    again = opened(tmp_path, current)
    assert len(files.names()) == 3
    again.meta["watermark"] = 1
    new = again.save()
    again.confirm(new)
    again.close()
    kept = [store.file_of(state_id) for state_id in (current, young, new)]
    assert files.names() == sorted(kept)


def test_versions_are_listed_with_their_tables(tmp_path: Path) -> None:
    """Rows, bytes and the next due time, without reading the rows."""
    state = opened(tmp_path)
    state.tables[LAYOUT.name].put(rows(1, 2))
    state.tables[QUEUE.name].put(
        pl.DataFrame({"n": [1], "due": [40]}, schema=QUEUE.schema)
    )
    state_id = state.save()
    home = StateHome(tmp_path)
    assert home.tasks() == ["t/0"]
    (listed,) = home.versions("t/0")
    assert listed.state_id == state_id
    tables = listed.version.tables
    assert [tables[name].height for name in (LAYOUT.name, QUEUE.name)] == [2, 1]
    assert tables[QUEUE.name].oldest_due == 40
    assert tables[LAYOUT.name].bytes > 0
    home.reset()
    assert home.tasks() == []


def test_a_sealed_version_is_written_later(tmp_path: Path) -> None:
    """The next epoch goes on meanwhile, and is not part of it."""
    state = opened(tmp_path)
    table = state.tables[LAYOUT.name]
    table.put(rows(1))
    first = state.seal()
    table.put(rows(2))
    second = state.seal()
    assert StateHome(tmp_path).tasks() == []
    first.write()
    second.write()
    for count, sealed in enumerate((first, second), 1):
        assert opened(tmp_path, sealed.state_id).tables[LAYOUT.name].height == count
