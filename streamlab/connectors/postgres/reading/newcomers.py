"""Tables that are new in a publication: noticed, and held back until their snapshot."""

from __future__ import annotations

from collections.abc import Collection

from streamlab.connectors.postgres.reading.looking import Reading, members
from streamlab.connectors.postgres.reading.seen import Seen


class Newcomers:
    """The tables whose changes come before their rows were read."""

    def __init__(self, reading: Reading, seen: Seen) -> None:
        self._reading, self._seen = reading, seen
        self._waiting: set[int] = set()

    def waits(self, oid: int) -> bool:
        """Return whether a table's changes are held back: its snapshot has them."""
        return oid in self._waiting

    def is_new(self, oid: int) -> bool:
        """Return whether a table is new, and will have a snapshot with its changes."""
        if oid in self._seen.versions:
            return False
        if oid not in self._waiting:
            # What is not published any more comes as long as the log has it.
            if oid not in members(self._reading):
                self._seen.know([oid])
                return False
            self._waiting.add(oid)
        return True

    def any_of(self, there: Collection[int]) -> bool:
        """Return whether some of the tables that are there now are new."""
        return bool(self._waiting or set(there) - self._seen.versions.keys())

    def forget(self) -> None:
        """Hold nothing back any more: the snapshot begins."""
        self._waiting.clear()
