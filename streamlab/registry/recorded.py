"""Recorded schemas: a registry without a server, for tests and packages."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from contextvars import ContextVar

from streamlab.errors import Refused
from streamlab.registry.client import Registered, Registry

_CURRENT: ContextVar[Registry | None] = ContextVar("recorded", default=None)


class RecordedRegistry(Registry):
    """The schemas that it is given, and no others; it takes none.

    Args:
        schemas: Schema id → schema.
    """

    def __init__(self, schemas: Mapping[int, Registered]) -> None:
        super().__init__("http://recorded.invalid")
        self.close()
        self._recorded = dict(schemas)

    def __str__(self) -> str:
        """Return what it is."""
        return "(recorded schemas)"

    def _ask(self, method: str, path: str, **body: object) -> dict[str, object] | None:
        del body
        kind, _, number = path.rpartition("/")
        if method == "GET" and kind == "schemas/ids":
            found = self._recorded.get(int(number))
            return None if found is None else as_json(found)
        if method == "GET":
            for each in self._recorded.values():
                if path == f"subjects/{each.subject}/versions/{each.version}":
                    return as_json(each)
            return None
        raise Refused(f"{self} cannot be changed")


def as_json(schema: Registered) -> dict[str, object]:
    """Return a schema as the registry's protocol has it."""
    return {
        "id": schema.id,
        "schemaType": schema.kind,
        "schema": schema.text,
        "references": [
            {"name": one.name, "subject": one.subject, "version": one.version}
            for one in schema.references
        ],
        "subject": schema.subject,
        "version": schema.version,
    }


@contextlib.contextmanager
def recorded(schemas: Mapping[int, Registered]) -> Iterator[RecordedRegistry]:
    """Let formats that are made inside of the block find these schemas only."""
    registry = RecordedRegistry(schemas)
    token = _CURRENT.set(registry)
    try:
        yield registry
    finally:
        _CURRENT.reset(token)


def current() -> Registry | None:
    """Return the recorded registry of the block around; None where there is none."""
    return _CURRENT.get()
