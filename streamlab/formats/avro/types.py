"""Avro schemas as values: names resolved, aliases and defaults kept.

Source: https://avro.apache.org/docs/1.12.0/specification/
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

PRIMITIVES = frozenset(
    ("null", "boolean", "int", "long", "float", "double", "bytes", "string")
)
NAMED = frozenset(("record", "error", "enum", "fixed"))

LOGICAL: Mapping[str, frozenset[str]] = {
    "date": frozenset(("int",)),
    "time-millis": frozenset(("int",)),
    "time-micros": frozenset(("long",)),
    "timestamp-millis": frozenset(("long",)),
    "timestamp-micros": frozenset(("long",)),
    "timestamp-nanos": frozenset(("long",)),
    "local-timestamp-millis": frozenset(("long",)),
    "local-timestamp-micros": frozenset(("long",)),
    "local-timestamp-nanos": frozenset(("long",)),
    "decimal": frozenset(("bytes", "fixed")),
}
"""Logical types that are read as such, and what they are annotations of. Others, and
those with a mistake, are read as the type below, as the specification wants it."""

MOST_DIGITS = 38
_SAID = frozenset(("logicalType", "precision", "scale"))
NO_DEFAULT: Any = object()


class NotAvro(ValueError):
    """A schema that is none, or that cannot be read; the text says why."""


@dataclass(frozen=True, slots=True)
class AvroField:
    """One field of a record; ``default`` is as JSON has it, or ``NO_DEFAULT``."""

    name: str
    type: AvroType
    default: Any = NO_DEFAULT
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AvroType:
    """A type, with what its kind needs.

    Attributes:
        kind: ``record``, ``enum``, ``fixed``, ``array``, ``map``, ``union`` or a
            primitive.
        name: Full name of a named type.
        logical: Its logical type, if it is one that is read as such.
        fields: Of a record.
        inner: The items of an array, the values of a map, the branches of a union.
        symbols: Of an enum.
        default: Symbol that stands for unknown ones, of an enum; empty for none.
        size: Bytes of a fixed.
        precision: Digits of a decimal.
        scale: Digits of a decimal behind the point.
        said: What the schema says beside that: Kafka Connect's converter has the
            names of its own types in it, and the logical type as it is written.
    """

    kind: str
    name: str = ""
    logical: str = ""
    fields: tuple[AvroField, ...] = ()
    inner: tuple[AvroType, ...] = ()
    symbols: tuple[str, ...] = ()
    default: str = ""
    size: int = 0
    precision: int = 0
    scale: int = 0
    said: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def __str__(self) -> str:
        """Return the type as its author would say it."""
        if self.kind == "union":
            return f"[{', '.join(map(str, self.inner))}]"
        if self.kind in {"array", "map"}:
            return f"{self.kind} of {self.inner[0]}"
        if self.logical == "decimal":
            return f"decimal({self.precision}, {self.scale})"
        return self.logical or self.kind

    @property
    def nullable(self) -> bool:
        """Return whether null is one of its values."""
        return self.kind == "null" or any(one.kind == "null" for one in self.inner)

    @property
    def present(self) -> AvroType:
        """Return the one type of ``["null", type]``; anything else as it is."""
        if self.kind != "union":
            return self
        branches = [one for one in self.inner if one.kind != "null"]
        return branches[0] if len(branches) == 1 else self

    @property
    def plain(self) -> AvroType:
        """Return the type without logical types, at any depth: what its bytes are."""
        return replace(
            self,
            logical="",
            inner=tuple(one.plain for one in self.inner),
            fields=tuple(replace(one, type=one.type.plain) for one in self.fields),
        )

    @property
    def takes_no_bytes(self) -> bool:
        """Return whether a value of it is nothing at all."""
        if self.kind == "record":
            return all(field.type.takes_no_bytes for field in self.fields)
        return self.kind == "null" or (self.kind == "fixed" and not self.size)


def parsed(text: str, references: Sequence[str] = ()) -> AvroType:
    """Return the type of a schema.

    Args:
        text: The schema.
        references: Schemas that it uses by name, those needed first.

    Raises:
        NotAvro: It is none, or one that cannot be read: a recursive one.
    """
    parser = _Parser()
    try:
        for each in references:
            parser.type(_document(each), "")
        return parser.type(_document(text), "")
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        if isinstance(error, NotAvro):
            raise
        raise NotAvro("it is not a valid Avro schema") from error
    except RecursionError as error:
        raise NotAvro("its types are nested too deeply") from error


def _document(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        # A primitive may be written without the quotes.
        return text


class _Parser:
    """Parses types, and remembers the named ones."""

    def __init__(self) -> None:
        self._known: dict[str, AvroType] = {}
        self._open: set[str] = set()

    def type(self, node: Any, space: str) -> AvroType:
        if isinstance(node, str):
            return AvroType(node) if node in PRIMITIVES else self._named(node, space)
        if isinstance(node, list):
            return AvroType("union", inner=tuple(self.type(n, space) for n in node))
        kind = node["type"]
        if not isinstance(kind, str) or not (
            kind in PRIMITIVES or kind in NAMED or kind in {"array", "map"}
        ):
            return self.type(kind, space)
        if kind in NAMED:
            return self._new(node, kind, space)
        if kind in {"array", "map"}:
            items = self.type(node["items" if kind == "array" else "values"], space)
            if items.takes_no_bytes:
                raise NotAvro(f"a list of {items}, whose items have no bytes")
            return AvroType(kind, inner=(items,), said=_said(node))
        return _annotated(AvroType(kind, said=_said(node)), node)

    def _named(self, name: str, space: str) -> AvroType:
        for full in (f"{space}.{name}" if space and "." not in name else name, name):
            if full in self._open:
                raise NotAvro(f"the type {full} is recursive")
            if full in self._known:
                return self._known[full]
        raise NotAvro(f"there is no type {name}")

    def _new(self, node: Mapping[str, Any], kind: str, space: str) -> AvroType:
        name, space = _full_name(node, space)
        if kind == "fixed":
            size = int(node["size"])
            made = _annotated(
                AvroType("fixed", name, size=size, said=_said(node)), node
            )
        elif kind == "enum":
            symbols = tuple(map(str, node["symbols"]))
            made = AvroType(
                "enum", name, symbols=symbols, default=node.get("default", "")
            )
        else:
            self._open.add(name)
            fields = tuple(self._field(each, space) for each in node["fields"])
            self._open.discard(name)
            made = AvroType("record", name, fields=fields, said=_said(node))
        self._known[name] = made
        return made

    def _field(self, node: Mapping[str, Any], space: str) -> AvroField:
        return AvroField(
            str(node["name"]),
            self.type(node["type"], space),
            node.get("default", NO_DEFAULT),
            tuple(node.get("aliases", ())),
        )


def _full_name(node: Mapping[str, Any], space: str) -> tuple[str, str]:
    """Return the full name of a named type, and the namespace inside of it."""
    name = str(node["name"])
    if "." in name:
        return name, name.rpartition(".")[0]
    space = node.get("namespace", space)
    return (f"{space}.{name}" if space else name), space


def _said(node: Mapping[str, Any]) -> Mapping[str, Any]:
    return {
        name: value
        for name, value in node.items()
        if name in _SAID or name.startswith("connect.")
    }


def _annotated(made: AvroType, node: Mapping[str, Any]) -> AvroType:
    """Return a type with its logical type, if that is one that can be read as such."""
    logical = node.get("logicalType")
    if not isinstance(logical, str) or made.kind not in LOGICAL.get(logical, ()):
        return made
    if logical != "decimal":
        return replace(made, logical=logical)
    precision, scale = node.get("precision", 0), node.get("scale", 0)
    if not (0 < precision <= MOST_DIGITS and 0 <= scale <= precision):
        return made
    return replace(made, logical=logical, precision=precision, scale=scale)
