r"""A version of a task's state: one file, which is all that an epoch writes.

    b"streamlab state 1\n"
    length of the header, 4 bytes, little endian
    header       JSON, see Version
    parts        Arrow IPC files one after another: the epoch's rows and graves

The file is named by the hash of all of it, and that is the version's id: the header
names the parent, the *logs* (older versions whose parts are still to be replayed) and
the files of the segments by theirs, so an id stands for every byte of the state. The
id ends with ``@`` and the machine that wrote it.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import orjson
import polars as pl

from streamlab.errors import StateError
from streamlab.failpoints import passing
from streamlab.state.files import VERSION, Files, Written, hostname
from streamlab.state.fresh import Changes
from streamlab.state.run import StoredBlock

_MAGIC: Final = b"streamlab state 1\n"
_LENGTH_BYTES: Final = 4


@dataclass(frozen=True)
class StoredSegment:
    """A run in files.

    Attributes:
        files: Its blocks, rows first, ascending by hash.
        floor: Rows that were due at or before it are gone.
        fingerprint: Of the hash that it is sorted by.
    """

    files: tuple[StoredBlock, ...]
    floor: int | None
    fingerprint: str


@dataclass(frozen=True)
class StoredTable:
    """A table in a version.

    Attributes:
        layout: As ``streamlab.state.evolution`` describes it.
        height: Number of its rows.
        sequence: Number of the next row that is put.
        bytes: About how many bytes it takes.
        oldest_due: The earliest due time, in µs since 1970 UTC.
        floor: What the epoch released of older rows.
        segments: Oldest first.
        parts: ``rows`` and ``graves`` → start and length in the file, behind the
            header.
    """

    layout: Mapping[str, Any]
    height: int
    sequence: int
    bytes: int
    oldest_due: int | None
    floor: int | None
    segments: tuple[StoredSegment, ...]
    parts: Mapping[str, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Version:
    """The header of a version.

    Attributes:
        task: Name of the task.
        parent: The version it was made from.
        written: Where.
        meta: What else belongs to the state, as JSON.
        logs: Ids of the versions to replay on the segments, oldest first, before this.
        tables: Name → table.
    """

    task: str
    parent: str | None
    written: Written
    meta: Mapping[str, Any]
    logs: tuple[str, ...]
    tables: Mapping[str, StoredTable]

    @property
    def files(self) -> frozenset[str]:
        """Return the names of all files that it needs beside its own."""
        blocks = {
            file.name
            for table in self.tables.values()
            for segment in table.segments
            for file in segment.files
        }
        return frozenset(blocks | {file_of(log) for log in self.logs})


@dataclass(frozen=True)
class Sealed:
    """A version that has an id and is not written yet.

    Attributes:
        state_id: The id.
        files: Where to write it.
        data: What to write; nothing if it was written before.
    """

    state_id: str
    files: Files
    data: bytes = field(repr=False)

    def write(self) -> None:
        """Write it durably; where that fails, it can be tried again.

        Raises:
            StateError: It cannot be written.
            Unavailable: The place that the state is shared in cannot be reached.
        """
        passing("before-state-save")
        if self.data:
            self.files.write(file_of(self.state_id), self.data)
        passing("after-state-save")


def file_of(state_id: str) -> str:
    """Return the name of a version's file."""
    return state_id.partition("@")[0] + VERSION


def id_of(name: str, host: str) -> str:
    """Return the id of a version by its file."""
    return f"{name.removesuffix(VERSION)}@{host}"


def encoded(version: Version, changes: Mapping[str, Changes]) -> bytes:
    """Return a version's file.

    Args:
        version: The header; its tables have no parts yet.
        changes: Table → what the epoch changed.
    """
    body = io.BytesIO()
    tables = dict(version.tables)
    for name, change in changes.items():
        parts: dict[str, tuple[int, int]] = {}
        for kind, frame in (("rows", change.rows), ("graves", change.graves)):
            if frame is not None:
                start = body.tell()
                data = io.BytesIO()
                frame.write_ipc(data, record_batch_size=max(1, frame.height))
                body.write(data.getbuffer())
                parts[kind] = (start, body.tell() - start)
        tables[name] = replace(tables[name], parts=parts)
    text = orjson.dumps(replace(version, tables=tables))
    length = len(text).to_bytes(_LENGTH_BYTES, "little")
    return b"".join([_MAGIC, length, text, body.getbuffer()])


def read(files: Files, state_id: str) -> tuple[Version, dict[str, Changes]]:
    """Return a version and what its epoch changed in each table.

    Raises:
        StateError: The file is missing or damaged.
    """
    name, _, host = state_id.partition("@")
    data = files.checked(name + VERSION, Written(host or hostname(), "")).read_bytes()
    header, body = _split(data, name)
    version = _version(header)
    changes = {}
    for table, stored in version.tables.items():
        frames = {
            kind: pl.read_ipc(data[body + start : body + start + length])
            for kind, (start, length) in stored.parts.items()
        }
        changes[table] = Changes(frames.get("rows"), frames.get("graves"), stored.floor)
    return version, changes


def peek(files: Files, name: str) -> Version:
    """Return the header of a version's file without looking at its parts.

    Raises:
        StateError: It is no such file.
    """
    files.require(name, Written(hostname(), ""))
    with files.path(name).open("rb") as file:
        start = file.read(len(_MAGIC) + _LENGTH_BYTES)
        length = int.from_bytes(start[len(_MAGIC) :], "little")
        header, _ = _split(start + file.read(length), name)
    return _version(header)


def _split(data: bytes, name: str) -> tuple[dict[str, Any], int]:
    """Return the header, and where the parts begin."""
    at = len(_MAGIC) + _LENGTH_BYTES
    if not data.startswith(_MAGIC):
        raise StateError(
            f"the state file {name} has a format that this version does not read",
            hint="it was written by another version of streamlab: run that one",
        )
    end = at + int.from_bytes(data[len(_MAGIC) : at], "little")
    try:
        header: dict[str, Any] = orjson.loads(data[at:end])
    except orjson.JSONDecodeError as error:
        raise StateError(f"the state file {name} is damaged") from error
    return header, end


def _version(header: Mapping[str, Any]) -> Version:
    tables = {
        name: StoredTable(
            **{
                **table,
                "segments": tuple(_segment(one) for one in table["segments"]),
                "parts": {kind: tuple(at) for kind, at in table["parts"].items()},
            }
        )
        for name, table in header["tables"].items()
    }
    return Version(
        task=header["task"],
        parent=header["parent"],
        written=Written(**header["written"]),
        meta=header["meta"],
        logs=tuple(header["logs"]),
        tables=tables,
    )


def _segment(stored: Mapping[str, Any]) -> StoredSegment:
    files = tuple(StoredBlock(**one) for one in stored["files"])
    return StoredSegment(files, stored["floor"], stored["fingerprint"])
