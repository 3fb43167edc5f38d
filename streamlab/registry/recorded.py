"""Recorded schemas: a registry without a server, for tests and packages."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from streamlab.errors import Refused
from streamlab.registry.client import Registry
from streamlab.registry.schemas import Registered

OWN_IDS = 2**30
"""Ids from here on, up to 2**31, are of schemas that no registry has. Registries count
up from 1, or from 100,000."""

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

    @classmethod
    def of(cls, schemas: Sequence[Mapping[str, Any]]) -> RecordedRegistry:
        """Return the registry of schemas as JSON, as a sample has them."""
        return RecordedRegistry({each["id"]: Registered.of(each) for each in schemas})

    def __str__(self) -> str:
        """Return what it is."""
        return "(recorded schemas)"

    def id_of(self, guid: str) -> int | None:
        """Return the id of the schema that has a GUID; None where there is none."""
        fitting = (one.id for one in self._recorded.values() if one.guid == guid)
        return next(fitting, None)

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


class OwnSchemas(RecordedRegistry):
    """Schemas that are made here and are in no registry; their ids say what they are.

    The same schema has the same id wherever it is made, and belongs to no subject.
    """

    def __init__(self) -> None:
        super().__init__({})

    @property
    def all(self) -> tuple[Registered, ...]:
        """Return the schemas that were made so far, by id."""
        return tuple(self._recorded[number] for number in sorted(self._recorded))

    def register(self, subject: str, schema: Registered) -> int:
        """Keep a schema, and return its id."""
        del subject
        digest = hashlib.sha256(f"{schema.kind} {schema.text}".encode()).digest()
        number = OWN_IDS + int.from_bytes(digest[:4], "big") % OWN_IDS
        self._recorded[number] = replace(schema, id=number)
        return number


@contextlib.contextmanager
def standing_in(registry: Registry) -> Iterator[None]:
    """Let formats that are made inside of the block use this registry."""
    token = _CURRENT.set(registry)
    try:
        yield
    finally:
        _CURRENT.reset(token)


@contextlib.contextmanager
def recorded(schemas: Mapping[int, Registered]) -> Iterator[RecordedRegistry]:
    """Let formats that are made inside of the block find these schemas only."""
    registry = RecordedRegistry(schemas)
    with standing_in(registry):
        yield registry


def current() -> Registry | None:
    """Return the recorded registry of the block around; None where there is none."""
    return _CURRENT.get()
