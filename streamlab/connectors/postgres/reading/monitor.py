"""A look at the slot every few seconds, from a connection of its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

import psycopg

from streamlab.connectors.postgres import connection as database
from streamlab.connectors.postgres.connection import Address
from streamlab.connectors.postgres.failures import translation
from streamlab.connectors.postgres.reading import published
from streamlab.connectors.postgres.reading import slot as slots
from streamlab.connectors.postgres.reading.slot import Slot, megabytes
from streamlab.errors import ConnectorError, StreamlabError, Unavailable

EVERY_S = 5.0

logger = logging.getLogger(__name__)


class SlotMonitor:
    """Watches one slot in a thread of its own.

    Attributes:
        slot: The slot as last seen.
        published: The tables that were published then, by object id.
        failure: What makes it useless, once that was seen.
    """

    def __init__(
        self,
        address: Address,
        name: str,
        database_name: str,
        seen: Callable[[Slot], None],
        publication: str = "",
    ) -> None:
        """Start watching.

        Args:
            address: The database.
            name: The slot.
            database_name: The database it must belong to.
            seen: Told of each look, in the monitor's thread.
            publication: The publication whose tables are looked at, too.
        """
        self.slot: Slot | None = None
        self.published: frozenset[int] = frozenset()
        self.failure: ConnectorError | None = None
        self._address, self._name, self._database = address, name, database_name
        self._seen = seen
        self._publication = publication
        self._connection: psycopg.Connection[Any] | None = None
        self._warned = ""
        self._closing = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name=f"slot {name}", daemon=True
        )
        self._thread.start()

    @property
    def facts(self) -> dict[str, float]:
        """Return the slot in numbers, for status and metrics."""
        slot = self.slot
        if slot is None:
            return {}
        facts = {
            "slot_retained_bytes": float(slot.retained_bytes),
            "slot_lag_bytes": float(slot.lag_bytes),
            "slot_active": float(slot.active_pid is not None),
            "slot_lost": float(slot.is_lost),
        }
        if slot.safe_bytes is not None:
            facts["slot_safe_bytes"] = float(slot.safe_bytes)
        return facts

    def close(self) -> None:
        """Stop watching; a second call does nothing."""
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            self._watch()
        finally:
            if self._connection is not None:
                self._connection.close()

    def _watch(self) -> None:
        while not self._closing.wait(EVERY_S):
            try:
                self._look()
            except Unavailable:
                continue  # the stream notices, too, and says so
            except ConnectorError as error:
                self.failure = error
            except StreamlabError:
                continue

    def _look(self) -> None:
        if self._connection is None or self._connection.closed:
            self._connection = database.connect(
                self._address, f"streamlab {self._name}"
            )
        with translation("looking at the replication slot"):
            found = slots.find(self._connection, self._name)
            members = published.members(self._connection, self._publication)
        self.published = frozenset(members)
        self.slot = slot = slots.require_usable(found, self._name, self._database)
        self._seen(slot)
        warning = slot.warning
        if warning and warning.partition(" ")[0] != self._warned:
            logger.warning("slot %s: %s", self._name, warning)
        self._warned = warning.partition(" ")[0]
        logger.debug("slot %s retains %s", self._name, megabytes(slot.retained_bytes))
