"""Dead letters in a file."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from streamlab.engines.local.dead_letters import DeadLetterFile
from streamlab.errors import Refused, Unavailable, UsageError
from streamlab.sinks import DeadLetter


def letter(position: object, value: bytes | None = b"\x00\xff") -> DeadLetter:
    return DeadLetter(
        topic="flights",
        partition=2,
        position=position,
        timestamp_ms=5,
        key=b"UA",
        value=value,
        headers=[("trace", b"\x01"), ("empty", None)],
        stage="decode",
        code="not-json",
        reason="the value is not JSON",
    )


@pytest.fixture
def file(tmp_path: Path) -> DeadLetterFile:
    return DeadLetterFile(tmp_path / "deep" / "dead.jsonl")


def test_letters_come_back_as_they_were(file: DeadLetterFile) -> None:
    """Bytes, headers and a position of any kind survive."""
    written = [letter(1), letter((2, 3)), letter(4, value=None)]
    file.write(written)
    assert list(file.read()) == written


def test_a_letter_written_twice_is_one(file: DeadLetterFile) -> None:
    """A replayed epoch adds no second letter for an event."""
    file.write([letter(1)])
    file.write([letter(1), letter(2)])
    assert [one.position for one in file.read()] == [1, 2]


def test_a_torn_line_is_cut_before_the_next_is_written(file: DeadLetterFile) -> None:
    """What a killed worker left half written does not spoil what follows."""
    file.write([letter(1), letter(2)])
    whole = file.path.read_bytes()
    file.path.write_bytes(whole[:-10])
    assert [one.position for one in file.read()] == [1]
    file.write([letter(2)])
    assert [one.position for one in file.read()] == [1, 2]


def test_a_file_that_is_torn_from_its_first_line_on_is_begun_anew(
    file: DeadLetterFile,
) -> None:
    """A single torn line is longer than any block that is searched at a time."""
    file.path.parent.mkdir()
    file.path.write_bytes(b"x" * 200_000)
    file.write([letter(1)])
    assert [one.position for one in file.read()] == [1]


def test_only_the_owner_may_read_them(file: DeadLetterFile) -> None:
    """A dead letter holds what the event held."""
    file.write([letter(1)])
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600


def test_something_else_in_the_file_is_named(file: DeadLetterFile) -> None:
    """The message has file and line."""
    file.path.parent.mkdir()
    file.path.write_text('{"a": 1}\n')
    with pytest.raises(UsageError, match=r"dead\.jsonl:1 is not a dead letter"):
        list(file.read())


def test_no_file_means_no_letters(file: DeadLetterFile) -> None:
    """A pipeline without trouble never makes the file."""
    assert list(file.read()) == []


def test_a_full_disk_is_waited_for(
    file: DeadLetterFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What passes by itself pauses the worker and does not end it."""

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Unavailable, match="No space left"):
        file.write([letter(1)])


def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    """A wrong path ends the worker with a sentence, not with a traceback."""
    (tmp_path / "dead.jsonl").mkdir()
    with pytest.raises(Refused, match="cannot be written"):
        DeadLetterFile(tmp_path / "dead.jsonl").write([letter(1)])
