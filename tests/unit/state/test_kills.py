"""A process that is killed while it saves or compacts leaves every version whole."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from streamlab.errors import StateError
from streamlab.failpoints import STATE_PLACES, VARIABLE
from streamlab.state.home import StateHome
from streamlab.state.store import TaskState
from streamlab.state.table import TableLayout

LAYOUT = TableLayout(
    "fold.state",
    pl.Schema({"key": pl.Int64(), "n": pl.Int64(), "due": pl.Int64()}),
    ("key",),
    "due",
    unique=True,
)
ROWS = 100
EPOCHS = 30
COMPACT_EVERY = 7


def epoch(state: TaskState, number: int) -> None:
    """Count up the same keys, and let those of the epoch before last expire."""
    keys = pl.int_range(ROWS, eager=True).alias("key").to_frame()
    table = state.tables[LAYOUT.name]
    held = keys.join(table.get(keys), on="key", how="left")
    counted = held.select(
        "key", pl.col("n").fill_null(0) + 1, pl.lit(None, pl.Int64).alias("due")
    )
    table.put(counted)
    passing = pl.int_range(ROWS + 10 * number, ROWS + 10 * number + 10, eager=True)
    table.put(
        passing.alias("key")
        .to_frame()
        .with_columns(pl.lit(1, pl.Int64).alias("n"), pl.lit(number).alias("due"))
        .cast(LAYOUT.schema)
    )
    table.take_due(number - 2)
    state.meta["epoch"] = number


def run(folder: Path) -> None:
    """Go on from the version in ``current``, as a sink would name it, to the end."""
    current = folder / "current"
    state_id = current.read_text() if current.exists() else None
    state = TaskState.open(StateHome(folder / "state"), "t/0", [LAYOUT], state_id)
    for number in range(state.meta.get("epoch", 0) + 1, EPOCHS + 1):
        epoch(state, number)
        state_id = state.save()
        committed = folder / "committing"
        committed.write_text(state_id)
        committed.replace(current)
        state.confirm(state_id)
        if number % COMPACT_EVERY == 0:
            state.compact()
    state.close()


def require_right(folder: Path) -> None:
    """Check the version in ``current`` against what its epoch says it must hold."""
    state_id = (folder / "current").read_text()
    state = TaskState.open(StateHome(folder / "state"), "t/0", [LAYOUT], state_id)
    number = state.meta["epoch"]
    rows = pl.concat(state.tables[LAYOUT.name].scan()).sort("key")
    counts = rows.filter(pl.col("key") < ROWS)["n"].to_list()
    assert counts == [number] * ROWS
    passing = rows.filter(pl.col("key") >= ROWS)["due"].to_list()
    assert passing == sorted([n for n in (number - 1, number) if n > 0] * 10)
    assert state.tables[LAYOUT.name].height == rows.height


@pytest.mark.parametrize(
    ("place", "at"),
    [
        (place, at)
        for place in STATE_PLACES
        for at in ([1, 3] if place == "in-compaction" else [1, 12])
    ],
)
def test_a_kill_leaves_the_committed_version_whole(
    place: str, at: int, tmp_path: Path
) -> None:
    """And the next process ends where one that was never killed does."""
    environment = {**os.environ, VARIABLE: f"{place}=kill@{at}"}
    command = [sys.executable, str(Path(__file__)), str(tmp_path)]
    killed = subprocess.run(command, env=environment, check=False, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    if (tmp_path / "current").exists():
        require_right(tmp_path)
    subprocess.run(command, check=True, timeout=60)
    require_right(tmp_path)
    assert _epoch(tmp_path) == EPOCHS


def test_a_version_without_one_of_its_epochs_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control: a state file that is skipped makes the test above red."""
    from streamlab.state import store

    run(tmp_path)
    right = store.read
    seen: list[str] = []

    def skipping(files: store.Files, state_id: str) -> object:
        version, changes = right(files, state_id)
        seen.append(state_id)
        return version, changes if len(seen) != 2 else {}

    monkeypatch.setattr(store, "read", skipping)
    with pytest.raises(AssertionError):
        require_right(tmp_path)
    assert len(seen) > 1


def test_a_stopped_file_is_not_there(tmp_path: Path) -> None:
    """What was written and not renamed has no name that a version could have."""
    environment = {**os.environ, VARIABLE: "in-state-save=kill@1"}
    command = [sys.executable, str(Path(__file__)), str(tmp_path)]
    subprocess.run(command, env=environment, check=False, timeout=60)
    files = StateHome(tmp_path / "state").files("t/0")
    assert files.names() == []
    assert len(list(files.partials())) == 1
    with pytest.raises(StateError):
        TaskState.open(StateHome(tmp_path / "state"), "t/0", [LAYOUT], "0" * 32)


def _epoch(folder: Path) -> int:
    state_id = (folder / "current").read_text()
    home = StateHome(folder / "state")
    state = TaskState.open(home, "t/0", [LAYOUT], state_id)
    return int(state.meta["epoch"])


if __name__ == "__main__":
    run(Path(sys.argv[1]))
