"""State that moves between machines: a shared place, and savepoints."""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path

import fsspec
import polars as pl
import pytest

from streamlab.errors import StateError, Unavailable
from streamlab.state import savepoint
from streamlab.state.home import StateHome
from streamlab.state.store import TaskState
from streamlab.state.table import TableLayout
from streamlab.state.version import file_of

TASK = "flights/0"
LAYOUT = TableLayout(
    "fold.state", pl.Schema({"key": pl.Int64()}), ("key",), unique=True
)


def keys(*values: int) -> pl.DataFrame:
    return pl.DataFrame({"key": values}, schema=LAYOUT.schema)


@pytest.fixture(params=["memory", "file"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A place of its own in a file system of fsspec."""
    name = uuid.uuid4().hex
    if request.param == "memory":
        return f"memory://{name}/state"
    return f"file://{tmp_path}/shared/state"


def opened(home: StateHome, state_id: str | None = None) -> TaskState:
    return TaskState.open(home, TASK, [LAYOUT], state_id)


def filled(home: StateHome) -> str:
    """Save a state with a segment and a log."""
    state = opened(home)
    state.tables[LAYOUT.name].put(keys(1, 2, 3))
    state.save()
    state.compact()
    state.tables[LAYOUT.name].take(keys(2))
    state_id = state.save()
    state.confirm(state_id)
    state.close()
    return state_id


def held(state: TaskState) -> list[int]:
    return sorted(state.tables[LAYOUT.name].get(keys(1, 2, 3, 4))["key"])


def test_another_machine_opens_what_one_saved(url: str, tmp_path: Path) -> None:
    """It fetches what it needs, and goes on from there."""
    first, second = (StateHome(tmp_path / name, url) for name in "ab")
    state = opened(second, filled(first))
    assert held(state) == [1, 3]
    state.tables[LAYOUT.name].put(keys(4))
    state_id = state.save()
    shutil.rmtree(tmp_path / "a")
    assert held(opened(first, state_id)) == [1, 3, 4]
    assert first.tasks() == [TASK]
    assert state_id in [one.state_id for one in first.versions(TASK)]


def test_damage_in_the_shared_place_is_found(url: str, tmp_path: Path) -> None:
    """What was fetched is checked like all files."""
    state_id = filled(StateHome(tmp_path / "a", url))
    system, root = fsspec.core.url_to_fs(url)
    listed = StateHome(tmp_path / "a", url).versions(TASK)
    (current,) = [one for one in listed if one.state_id == state_id]
    needed = {*current.version.files, file_of(state_id)}
    paths = [path for path in system.find(root) if Path(path).name in needed]
    assert len(paths) == 2
    for path in paths:
        data = system.cat_file(path)
        system.pipe_file(path, data[:-1])
        other = StateHome(tmp_path / uuid.uuid4().hex, url)
        with pytest.raises(
            StateError, match=r"damaged: it is not what was written to "
        ):
            opened(other, state_id)
        system.pipe_file(path, data)
    assert held(opened(StateHome(tmp_path / "b", url), state_id)) == [1, 3]


def test_damage_in_the_local_copy_is_mended(url: str, tmp_path: Path) -> None:
    """The shared place has the file still."""
    home = StateHome(tmp_path / "a", url)
    state_id = filled(home)
    for path in (tmp_path / "a").rglob("*.*"):
        path.write_bytes(path.read_bytes()[:-1])
    assert held(opened(home, state_id)) == [1, 3]


def test_a_file_that_is_nowhere_is_named_with_its_place(
    url: str, tmp_path: Path
) -> None:
    """The message has the URL."""
    home = StateHome(tmp_path / "a", url)
    state_id = filled(home)
    home.reset()
    assert home.tasks() == []
    with pytest.raises(StateError, match=r"\.version is not in .* written to "):
        opened(home, state_id)


def test_a_place_that_is_down_can_be_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The epoch is not lost by that."""
    home = StateHome(tmp_path, f"memory://{uuid.uuid4().hex}")
    state = opened(home)
    state.tables[LAYOUT.name].put(keys(1))

    def down(*_: object) -> None:
        raise OSError("connection refused")

    with monkeypatch.context() as broken:
        broken.setattr(fsspec.get_filesystem_class("memory"), "put_file", down)
        with pytest.raises(Unavailable, match="cannot be reached: connection refused"):
            state.save()
    state_id = state.save()
    assert held(opened(StateHome(tmp_path / "b", home.url), state_id)) == [1]


def test_a_compaction_waits_for_a_place_that_is_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is made again later, and nothing is lost in between."""
    state = opened(StateHome(tmp_path, f"memory://{uuid.uuid4().hex}"))
    state.tables[LAYOUT.name].put(keys(1))
    state.save()

    def down(*_: object) -> None:
        raise OSError("connection refused")

    with monkeypatch.context() as broken:
        broken.setattr(fsspec.get_filesystem_class("memory"), "put_file", down)
        with pytest.raises(Unavailable):
            state.compact()
    assert held(state) == [1]
    state.compact()
    assert held(state) == [1]
    assert any(run.files for run in state._tables[LAYOUT.name].runs)


def test_an_unknown_kind_of_place_is_refused(tmp_path: Path) -> None:
    """With what is wrong with it."""
    with pytest.raises(Unavailable, match="nowhere://x/flights%2F0 cannot be reached"):
        opened(StateHome(tmp_path, "nowhere://x"))


@pytest.mark.parametrize("shared", [False, True])
def test_a_savepoint_is_complete_by_itself(
    shared: bool, url: str, tmp_path: Path
) -> None:
    """State and progress, in a folder or a shared place."""
    home = StateHome(tmp_path / "home")
    place = f"{url}/savepoints/1" if shared else str(tmp_path / "savepoint")
    state_id = filled(home)
    savepoint.export_to(place, home, {TASK: state_id}, {"epoch": 7})
    shutil.rmtree(tmp_path / "home")
    other = StateHome(tmp_path / "other")
    imported = savepoint.import_from(place, other)
    assert imported.progress == {"epoch": 7}
    assert held(opened(other, imported.states[TASK])) == [1, 3]


def test_a_savepoint_that_is_not_complete_is_none(tmp_path: Path) -> None:
    """Its JSON is written last."""
    with pytest.raises(StateError, match="there is no savepoint at"):
        savepoint.import_from(str(tmp_path), StateHome(tmp_path / "home"))


def test_a_damaged_savepoint_is_not_imported(tmp_path: Path) -> None:
    """Its files are checked as those of a home are."""
    home = StateHome(tmp_path / "home")
    state_id = filled(home)
    place = tmp_path / "savepoint"
    savepoint.export_to(str(place), home, {TASK: state_id}, None)
    segment = next(place.rglob("*.arrow"))
    segment.write_bytes(segment.read_bytes()[:-1])
    with pytest.raises(StateError, match="is damaged"):
        savepoint.import_from(str(place), StateHome(tmp_path / "other"))
