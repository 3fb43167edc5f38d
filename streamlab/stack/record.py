"""The record of a stack: ``.streamlab/stack.json``, which settings read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from streamlab.settings import STACK_RECORD, STATE_FOLDER


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of the stack of one home.

    Attributes:
        servers: Server → how to reach it (``address``, ``dsn``) and its ``pid``, for
            those that were started and not stopped.
        ports: Server → port name → number, also of stopped ones, so that addresses
            stay the same from one start to the next.
    """

    servers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    ports: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    @classmethod
    def load(cls, home: Path) -> Record:
        """Read the record; an absent or unreadable one is empty.

        Unreadable is as good as absent: running servers are found without it.
        """
        try:
            stored = json.loads((home / STATE_FOLDER / STACK_RECORD).read_text("utf-8"))
            return cls(stored["servers"], stored["ports"])
        except (OSError, ValueError, KeyError, TypeError):
            return cls()

    def save(self, home: Path) -> None:
        """Write the record at once, readable for its owner only."""
        path = home / STATE_FOLDER / STACK_RECORD
        new = path.with_suffix(".new")
        new.touch(mode=0o600)
        text = json.dumps({"servers": self.servers, "ports": self.ports}, indent=2)
        new.write_text(text + "\n", encoding="utf-8")
        new.replace(path)

    def with_ports(self, name: str, ports: Mapping[str, int]) -> Record:
        """Return the record with the ports of a server noted."""
        return replace(self, ports={**self.ports, name: dict(ports)})

    def with_server(self, name: str, access: Mapping[str, Any]) -> Record:
        """Return the record with a server noted as running."""
        return replace(self, servers={**self.servers, name: dict(access)})

    def without_server(self, name: str) -> Record:
        """Return the record with a server noted as stopped."""
        left = {key: value for key, value in self.servers.items() if key != name}
        return replace(self, servers=left)
