"""Dead letters on disk, and the choice between disk and topic.

A dead letter is durable before the position passes its event. An epoch that is
replayed may write it again: its identity is its origin, and readers count origins.
"""

from __future__ import annotations

import base64
import errno
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from streamlab.errors import Refused, Unavailable, UsageError
from streamlab.pipelines import Pipeline
from streamlab.sinks import DeadLetter

PRIVATE = 0o600  # a dead letter holds what the event held
BLOCK_BYTES = 65_536
PASSING = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EAGAIN})


class DeadLetterWriter(Protocol):
    """Takes dead letters."""

    def write(self, letters: Sequence[DeadLetter]) -> None:
        """Write them, durably on return.

        Raises:
            Unavailable: Try again later; some may have been written.
        """

    def close(self) -> None:
        """Drop the connection."""


@dataclass(frozen=True, slots=True)
class DeadLetterFile:
    """A file of JSON lines, one a dead letter, bytes in base64."""

    path: Path

    def write(self, letters: Sequence[DeadLetter]) -> None:
        """Append the letters and wait until they are on disk.

        Raises:
            Unavailable: There is no room now; a part of them may have been written.
            Refused: The file cannot be written.
        """
        lines = b"".join(_line(letter) for letter in letters)
        try:
            self._append(lines)
        except OSError as error:
            message = f"{self.path} cannot be written: {error.strerror}"
            if error.errno in PASSING:
                raise Unavailable(message) from error
            raise Refused(message, hint="see [dead_letters] file") from error

    def _append(self, lines: bytes) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.path, "a+b", opener=_private) as file:
            _drop_torn_line(file)
            file.write(lines)
            file.flush()
            os.fsync(file.fileno())

    def close(self) -> None:
        """Do nothing: each write opens the file anew."""

    def read(self) -> Iterator[DeadLetter]:
        """Yield the letters, one for each distinct origin, the last written last.

        A torn last line is passed over: its worker was killed while it wrote, so the
        event was not acknowledged and comes again.

        Raises:
            UsageError: A line is not a dead letter.
        """
        letters: dict[tuple[str, int, object], DeadLetter] = {}
        lines = self.path.read_bytes().split(b"\n") if self.path.exists() else []
        for number, line in enumerate(lines[:-1], 1):
            try:
                letter = _letter(json.loads(line))
            except (ValueError, KeyError, TypeError) as error:
                message = f"{self.path}:{number} is not a dead letter"
                raise UsageError(message) from error
            letters[letter.topic, letter.partition, letter.position] = letter
        yield from letters.values()


def open_writer(pipeline: Pipeline) -> DeadLetterWriter:
    """Return the writer that a pipeline's settings name."""
    policy = pipeline.dead_letters
    if policy.file is not None:
        return DeadLetterFile(pipeline.folder / policy.file)
    from streamlab.connectors.kafka.dead_letters import KafkaDeadLetterWriter

    return KafkaDeadLetterWriter(
        topic=str(policy.topic), pipeline=pipeline.name, profile=policy.profile
    )


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, PRIVATE)


def _drop_torn_line(file: BinaryIO) -> None:
    """Cut what a killed worker left behind the last whole line."""
    end = file.seek(0, os.SEEK_END)
    whole = end
    while whole:
        start = max(0, whole - BLOCK_BYTES)
        file.seek(start)
        newline = file.read(whole - start).rfind(b"\n")
        whole = start + newline + 1 if newline >= 0 else start
        if newline >= 0:
            break
    if whole != end:
        file.truncate(whole)


def _line(letter: DeadLetter) -> bytes:
    fields = {
        "topic": letter.topic,
        "partition": letter.partition,
        "position": letter.position,
        "timestamp_ms": letter.timestamp_ms,
        "stage": letter.stage,
        "code": letter.code,
        "reason": letter.reason,
        "key": _text(letter.key),
        "value": _text(letter.value),
        "headers": [[name, _text(value)] for name, value in letter.headers],
    }
    return json.dumps(fields).encode() + b"\n"


def _letter(fields: dict[str, Any]) -> DeadLetter:
    position = fields["position"]
    headers = [(name, _bytes(value)) for name, value in fields.pop("headers")]
    return DeadLetter(
        **{
            **fields,
            "position": tuple(position) if isinstance(position, list) else position,
            "key": _bytes(fields["key"]),
            "value": _bytes(fields["value"]),
        },
        headers=headers,
    )


def _text(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode()


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)
