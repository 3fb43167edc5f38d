"""Bytes that are not what was written are never used, whichever file they are in."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from streamlab.errors import StateError
from streamlab.state import files
from streamlab.state.home import StateHome
from streamlab.state.store import TaskState
from streamlab.state.table import TableLayout

LAYOUT = TableLayout(
    "fold.state",
    pl.Schema({"key": pl.Int64(), "due": pl.Int64()}),
    ("key",),
    "due",
    unique=True,
)


def rows(start: int, end: int) -> pl.DataFrame:
    keys = pl.int_range(start, end, eager=True).alias("key")
    return keys.to_frame().with_columns((pl.col("key") * 10).alias("due"))


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A state with a segment of rows and graves, and two versions to replay on it."""
    folder = tmp_path_factory.mktemp("state")
    state = TaskState.open(StateHome(folder), "t/0", [LAYOUT], None)
    table = state.tables[LAYOUT.name]
    table.put(rows(0, 5_000))
    state.save()
    state.compact()
    state.save()
    table.take(rows(4_990, 5_000))
    table.put(rows(5_000, 5_100))
    state.save()
    state.compact()
    for start in (6_000, 7_000):
        table.put(rows(start, start + 10))
        state_id = state.save()
    state.confirm(state_id)
    state.close()
    return folder, state_id


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def needed(folder: Path, state_id: str) -> list[str]:
    home = StateHome(folder)
    (current,) = [one for one in home.versions("t/0") if one.state_id == state_id]
    return sorted({*current.version.files, files.VERSION.join([state_id[:32], ""])})


@pytest.mark.parametrize("damage", [flipped, truncated, emptied, Path.unlink])
def test_damage_to_any_file_is_found_when_it_is_opened(
    damage: Callable[[Path], None], saved: tuple[Path, str], tmp_path: Path
) -> None:
    """Each file that the version needs; the message names it and where it was."""
    folder, state_id = saved
    names = needed(folder, state_id)
    assert len(names) > 4
    assert {Path(name).suffix for name in names} == files.SUFFIXES
    for number, name in enumerate(names):
        copy = tmp_path / str(number)
        shutil.copytree(folder, copy)
        damage(StateHome(copy).files("t/0").path(name))
        with pytest.raises(StateError, match=name) as caught:
            TaskState.open(StateHome(copy), "t/0", [LAYOUT], state_id)
        assert files.hostname() in str(caught.value)
        assert "streamlab state reset" in caught.value.hint


def test_without_the_check_damage_would_be_used(
    saved: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control: nothing but the hash sees a flipped bit of a value."""
    folder, state_id = saved
    name = next(name for name in needed(folder, state_id) if name.endswith(files.BLOCK))
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    flipped(StateHome(copy).files("t/0").path(name))
    monkeypatch.setattr(files, "_digest", lambda path: path.stem.partition("-")[0])
    TaskState.open(StateHome(copy), "t/0", [LAYOUT], state_id)


def test_a_state_of_another_machine_says_where_it_is(
    saved: tuple[Path, str], tmp_path: Path
) -> None:
    """The id names the machine, so even without any file the message can."""
    hexadecimal, _, _ = saved[1].partition("@")
    with pytest.raises(StateError, match="written to a folder on worker-7") as caught:
        TaskState.open(StateHome(tmp_path), "t/0", [LAYOUT], f"{hexadecimal}@worker-7")
    assert "one URL for the state" in caught.value.hint


def test_a_file_of_another_format_is_not_read(tmp_path: Path) -> None:
    """A later version of streamlab may write another one."""
    home = StateHome(tmp_path)
    data = b"streamlab state 2\n..."
    name = files.named(data, files.VERSION)
    home.files("t/0").write(name, data)
    with pytest.raises(StateError, match="a format that this version does not read"):
        TaskState.open(home, "t/0", [LAYOUT], name.removesuffix(files.VERSION))
