"""A JSON Schema to declared columns, and columns to a JSON Schema.

Source: https://json-schema.org/draft-07/json-schema-validation
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import polars as pl

from streamlab.contracts.schema import instantiated
from streamlab.errors import SchemaError
from streamlab.formats.json.dtypes import LEAVES, parts

DRAFT = "http://json-schema.org/draft-07/schema#"
DEEPEST = 32  # references and objects inside of each other; more is recursion

_LEAVES: Mapping[str, pl.DataType] = {
    "integer": pl.Int64(),
    "number": pl.Float64(),
    "boolean": pl.Boolean(),
    "string": pl.String(),
}
_TEXTS: Mapping[str, pl.DataType] = {
    "date": pl.Date(),
    "date-time": pl.Datetime("us", "UTC"),
}

Resolve = Callable[[str], Any]
"""From the text of a ``$ref`` to what it refers to; None where that is not there."""


def properties(document: Any, resolve: Resolve) -> dict[str, pl.DataType | None]:
    """Return the columns of a schema's properties; None where it leaves a type open."""
    node = _followed(document, resolve)
    found = node.get("properties")
    if not isinstance(found, Mapping):
        return {}
    return {name: _dtype(each, resolve, 0) for name, each in found.items()}


def _dtype(node: Any, resolve: Resolve, depth: int) -> pl.DataType | None:
    node = _followed(node, resolve)
    kinds = _kinds(node)
    if depth > DEEPEST or len(kinds) != 1:
        return None
    [kind] = kinds
    if kind == "array":
        inner = _dtype(node.get("items"), resolve, depth + 1)
        return None if inner is None else pl.List(inner)
    if kind == "object":
        return _struct(node, resolve, depth)
    if kind == "string":
        if node.get("contentEncoding") == "base64":
            return pl.Binary()
        return _TEXTS.get(str(node.get("format")), pl.String())
    return _LEAVES.get(kind)


def _struct(
    node: Mapping[str, Any], resolve: Resolve, depth: int
) -> pl.DataType | None:
    found = node.get("properties")
    if not isinstance(found, Mapping) or not found:
        return None
    inside = {name: _dtype(each, resolve, depth + 1) for name, each in found.items()}
    known = {name: dtype for name, dtype in inside.items() if dtype is not None}
    return pl.Struct(known) if len(known) == len(inside) else None


def _followed(node: Any, resolve: Resolve) -> Mapping[str, Any]:
    """Return what a node refers to, and of a choice with null the other."""
    for _ in range(DEEPEST):
        if not isinstance(node, Mapping):
            return {}
        if isinstance(node.get("$ref"), str):
            node = resolve(node["$ref"])
            continue
        choices = node.get("oneOf") or node.get("anyOf") or node.get("allOf")
        others = [one for one in choices or () if one != {"type": "null"}]
        if len(others) != 1:
            return node
        node = others[0]
    return {}


def _kinds(node: Mapping[str, Any]) -> set[str]:
    """Return the types that a node allows, without null."""
    kinds = node.get("type", ())
    found = {kinds} if isinstance(kinds, str) else set(kinds)
    if not found and isinstance(node.get("enum"), list):
        found = {"string" if isinstance(one, str) else "" for one in node["enum"]}
    if found >= {"integer", "number"}:
        found.discard("integer")
    return found - {"null"}


def written(schema: pl.Schema, title: str) -> str:
    """Return the JSON Schema of columns; all may be null.

    Raises:
        SchemaError: A column's type has no JSON form.
    """
    return json.dumps(
        {"$schema": DRAFT, "title": title, **_object(dict(schema), "")},
        ensure_ascii=False,
    )


def _object(columns: Mapping[str, pl.DataType], path: str) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            name: _nullable(_node(dtype, f"{path}.{name}" if path else name))
            for name, dtype in columns.items()
        },
        # An open object could not get a further property later: who wrote such a
        # property before may have put anything into it.
        "additionalProperties": False,
    }


def _nullable(node: dict[str, Any]) -> dict[str, Any]:
    return {**node, "type": [node["type"], "null"]}


def _node(dtype: pl.DataType, path: str) -> dict[str, Any]:
    if isinstance(dtype, pl.Array):
        dtype = pl.List(dtype.inner)
    if isinstance(dtype, pl.List):
        inner = instantiated(dtype.inner)
        return {"type": "array", "items": _nullable(_node(inner, f"{path}[]"))}
    if isinstance(dtype, pl.Struct):
        return _object({place[1:]: inner for place, inner in parts(dtype)}, path)
    return _leaf(dtype, path)


def _leaf(dtype: pl.DataType, path: str) -> dict[str, Any]:
    if type(dtype) not in LEAVES:
        raise SchemaError(
            f"column {path!r} is {dtype}, which JSON cannot carry",
            hint=f"convert it: pl.col({path!r}).cast(...)",
        )
    if dtype.is_integer():
        return {"type": "integer"}
    if dtype.is_float():
        return {"type": "number"}
    if dtype == pl.Boolean():
        return {"type": "boolean"}
    if dtype == pl.Binary():
        return {"type": "string", "contentEncoding": "base64"}
    if dtype == pl.Date():
        return {"type": "string", "format": "date"}
    zoned = isinstance(dtype, pl.Datetime) and dtype.time_zone is not None
    return {"type": "string", **({"format": "date-time"} if zoned else {})}
