"""Savepoints: one version of each task, with all it needs, and the progress it is of.

savepoint.json        what the caller gave as progress, and task → state id
<task>/               the files of that version, as in a state's home
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import orjson

from streamlab.errors import StateError
from streamlab.state.files import Files, Written, hostname
from streamlab.state.home import StateHome
from streamlab.state.shared import file_system
from streamlab.state.version import file_of, read

_FILE: Final = "savepoint.json"


@dataclass(frozen=True)
class Savepoint:
    """What a savepoint is of.

    Attributes:
        progress: What the caller of ``export_to`` gave, as JSON.
        states: Task → id of its version.
    """

    progress: Any
    states: Mapping[str, str]


def export_to(
    place: str, home: StateHome, states: Mapping[str, str], progress: Any
) -> None:
    """Write a savepoint; it is there when its ``savepoint.json`` is.

    Args:
        place: A folder, or a URL as fsspec reads it.
        home: Where the state is.
        states: Task → id of the version to copy.
        progress: What belongs to it, as JSON.

    Raises:
        StateError: A version is missing or damaged, or cannot be written.
    """
    with TemporaryDirectory() as working:
        target = _home(place, Path(working))
        for task, state_id in states.items():
            _copy(home.files(task), target.files(task), state_id)
        data = orjson.dumps(
            {"progress": progress, "states": dict(states)}, option=orjson.OPT_INDENT_2
        )
        if target.url is None:
            target.folder.mkdir(parents=True, exist_ok=True)
            (target.folder / _FILE).write_bytes(data)
        else:
            system, root = file_system(place)
            system.makedirs(root, exist_ok=True)
            system.pipe_file(f"{root}/{_FILE}", data)


def look_at(place: str) -> Savepoint:
    """Return what a savepoint is of.

    Raises:
        StateError: There is none.
    """
    try:
        if "://" in place:
            system, root = file_system(place)
            data = system.cat_file(f"{root}/{_FILE}")
        else:
            data = (Path(place) / _FILE).read_bytes()
    except FileNotFoundError as error:
        raise StateError(
            f"there is no savepoint at {place}",
            hint=f"it has a file {_FILE} once it is complete",
        ) from error
    stored = orjson.loads(data)
    return Savepoint(stored["progress"], stored["states"])


def import_from(place: str, home: StateHome) -> Savepoint:
    """Copy the versions of a savepoint to where a pipeline's state is.

    Args:
        place: A folder, or a URL as fsspec reads it.
        home: Where the state is to be.

    Raises:
        StateError: There is no savepoint, or a file of it is missing or damaged.
    """
    savepoint = look_at(place)
    with TemporaryDirectory() as working:
        source = _home(place, Path(working))
        for task, state_id in savepoint.states.items():
            _copy(source.files(task), home.files(task), state_id)
    return savepoint


def _home(place: str, working: Path) -> StateHome:
    if "://" in place:
        return StateHome(working, url=place)
    return StateHome(Path(place))


def _copy(source: Files, target: Files, state_id: str) -> None:
    version, _ = read(source, state_id)
    for name in sorted(version.files):
        target.copy(name, source, version.written)
    # Last, so that a version that is there is complete.
    target.copy(file_of(state_id), source, Written(hostname(), ""))
