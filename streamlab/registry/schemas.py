"""Schemas as a registry has them.

Source: https://docs.confluent.io/platform/current/schema-registry/develop/api.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Reference:
    """A schema that another one uses: under this name, that version of a subject."""

    name: str
    subject: str
    version: int


@dataclass(frozen=True, slots=True)
class Registered:
    """A schema as the registry has it.

    Attributes:
        id: Its number; 0 before it is registered.
        kind: ``AVRO``, ``PROTOBUF`` or ``JSON``.
        text: The schema itself.
        references: Other schemas that it uses.
        subject: The subject that it was asked for by, if it was.
        version: Its version in that subject; 0 where none was asked for.
        guid: What names it in every registry, where the registry says so.
    """

    id: int
    kind: str
    text: str
    references: tuple[Reference, ...] = ()
    subject: str = ""
    version: int = 0
    guid: str = ""

    @classmethod
    def of(cls, found: Mapping[str, Any], *, number: int = 0) -> Registered:
        """Return a schema from the protocol's JSON, of this id where it has none."""
        references: Sequence[Mapping[str, Any]] = found.get("references") or ()
        return cls(
            id=number or int(found["id"]),
            kind=found.get("schemaType") or "AVRO",
            text=found.get("schema") or "",
            references=tuple(
                Reference(each["name"], each["subject"], int(each["version"]))
                for each in references
            ),
            subject=found.get("subject") or "",
            version=int(found.get("version") or 0),
            guid=found.get("guid") or "",
        )

    def as_json(self) -> dict[str, Any]:
        """Return the schema as the protocol has it."""
        return {
            "id": self.id,
            "subject": self.subject,
            "version": self.version,
            **({"guid": self.guid} if self.guid else {}),
            **self.body(),
        }

    def body(self) -> dict[str, Any]:
        """Return what a request has of the schema."""
        return {
            "schema": self.text,
            "schemaType": self.kind,
            "references": [
                {"name": each.name, "subject": each.subject, "version": each.version}
                for each in self.references
            ],
        }
