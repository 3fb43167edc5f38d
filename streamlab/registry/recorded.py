"""Recorded schemas: a registry without a server, for tests and packages."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import Any
from urllib.parse import quote

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
        if method != "GET":
            raise Refused(f"{self} cannot be changed")
        if kind == "schemas/ids":
            found = self._recorded.get(int(number))
        else:
            found = self._of_subject(kind, number)
        return None if found is None else found.as_json()

    def _of_subject(self, path: str, version: str) -> Registered | None:
        fitting = [
            each
            for each in self._recorded.values()
            if each.subject
            and path == f"subjects/{quote(each.subject, safe='')}/versions"
            and version in {"latest", str(each.version)}
        ]
        return max(fitting, key=lambda one: one.version, default=None)


@contextlib.contextmanager
def recorded(schemas: Mapping[int, Registered]) -> Iterator[RecordedRegistry]:
    """Let formats that are made inside of the block find these schemas only."""
    registry = RecordedRegistry(schemas)
    token = _CURRENT.set(registry)
    try:
        yield registry
    finally:
        _CURRENT.reset(token)


def recorded_as(
    schemas: Sequence[Mapping[str, Any]],
) -> contextlib.AbstractContextManager[RecordedRegistry]:
    """Do the same with schemas as JSON, as a sample has them."""
    return recorded({each["id"]: Registered.of(each) for each in schemas})


def current() -> Registry | None:
    """Return the recorded registry of the block around; None where there is none."""
    return _CURRENT.get()
