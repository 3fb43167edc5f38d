"""The newest position, in two places of one file that are written in turns.

A position is kept several hundred times a second, and each time it must outlive a
process that is killed right after. Replacing a file takes ten times as long as writing
into one, and a machine that fails can lose both what was there and what came. So this
file lies beside the durable one. What is written into it is whole, or is seen not to be
and the one before counts; what a failing machine made of it is older than the durable
file, or is right.
"""

from __future__ import annotations

import os
import zlib
from pathlib import Path

import orjson

from streamlab.errors import Unavailable
from streamlab.positions import Progress

PLACE_BYTES = 64 * 2**10
"""The room of one place. The file has holes: it takes the disk pages that it needs."""

_PLACES = 2
_HEAD_BYTES = len(b"01234567 01234567 ")


class Recent:
    """A file that keeps the newest of the positions it was given."""

    def __init__(self, path: Path) -> None:
        """Open nothing yet."""
        self.path = path
        self._opened: int | None = None
        self._next = 0

    def read(self) -> Progress | None:
        """Return the newest position that is whole; None if there is none."""
        found = [one for one in self._places() if one is not None]
        return max(found, key=lambda one: one.epoch, default=None)

    def write(self, progress: Progress) -> bool:
        """Keep a position; one that was kept before stays until this one is whole.

        Returns:
            Whether there was room for it.

        Raises:
            Unavailable: It cannot be written now.
        """
        text = orjson.dumps(progress.to_json())
        record = b"%08x %08x %b" % (zlib.crc32(text), len(text), text)
        if len(record) > PLACE_BYTES:
            return False
        try:
            if self._opened is None:
                self._open()
            self._put(record)
        except OSError as error:
            message = f"{self.path} cannot be written: {error.strerror}"
            raise Unavailable(message) from error
        return True

    def remove(self) -> None:
        """Close and remove it: the durable file says more.

        Raises:
            Unavailable: It cannot be removed now.
        """
        self.close()
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            message = f"{self.path} cannot be removed: {error.strerror}"
            raise Unavailable(message) from error

    def close(self) -> None:
        """Close it; a second call does nothing."""
        opened, self._opened = self._opened, None
        if opened is not None:
            os.close(opened)

    def _open(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        kept = [-1 if one is None else one.epoch for one in self._places()]
        self._next = kept.index(min(kept))
        self._opened = os.open(self.path, os.O_WRONLY | os.O_CREAT, 0o666)

    def _put(self, record: bytes) -> None:
        if self._opened is None:
            return
        at = self._next * PLACE_BYTES
        while record:
            written = os.pwrite(self._opened, record, at)
            record, at = record[written:], at + written
        self._next = (self._next + 1) % _PLACES

    def _places(self) -> list[Progress | None]:
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return [None] * _PLACES
        return [
            _whole(content[number * PLACE_BYTES : (number + 1) * PLACE_BYTES])
            for number in range(_PLACES)
        ]


def _whole(place: bytes) -> Progress | None:
    """Return what a place has, None where it is empty or was written in part."""
    try:
        checksum, length = (int(part, 16) for part in place[:_HEAD_BYTES].split())
    except ValueError:
        return None
    text = place[_HEAD_BYTES : _HEAD_BYTES + length]
    if not text or len(text) != length or zlib.crc32(text) != checksum:
        return None
    return Progress.from_json(orjson.loads(text))
