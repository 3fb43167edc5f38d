"""A slow and strict JSON decoder, written apart from the fast one to check it."""

from __future__ import annotations

import base64
import datetime as dt
import json
import re
from typing import Any

SURROGATES = range(0xD800, 0xE000)
INTEGERS = {"Int64": (-(2**63), 2**63), "UInt8": (0, 2**8)}
MISSING = object()


class Bad(Exception):
    """The value is rejected with this code."""


def decode(value: bytes | None, columns: dict[str, Any]) -> dict[str, Any]:
    """Return the row, or raise Bad with the code.

    ``columns`` maps a name to a type: a name as in the tests below, a dict for a
    struct, a list of one for a list. A name ending in ``!`` is required.
    """
    found = parse(value)
    kinds = {name.rstrip("!"): kind for name, kind in columns.items()}
    checked = {name: base(found.get(name), kind) for name, kind in kinds.items()}
    row = {name: final(checked[name], kind) for name, kind in kinds.items()}
    if any(row[name[:-1]] is None for name in columns if name.endswith("!")):
        raise Bad("missing-field")
    return row


def parse(value: bytes | None) -> dict[str, Any]:
    if value is None:
        raise Bad("tombstone")
    value = value.removeprefix(b"\xef\xbb\xbf")
    if not value.strip(b" \t\r\n"):
        raise Bad("empty-value")
    try:
        found = json.loads(
            value.decode(), object_pairs_hook=pairs, parse_constant=constant
        )
        check(found)
    except (ValueError, RecursionError):
        raise Bad("not-json") from None
    if not isinstance(found, dict):
        raise Bad("not-an-object")
    return found


def pairs(given: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in given:
        check(value)
        found.setdefault(key, value)
        check(key)
    return found


def constant(name: str) -> Any:
    raise ValueError(name)


def check(found: Any) -> None:
    """Refuse what no reader can hold, wherever it is."""
    if isinstance(found, str) and any(
        ord(character) in SURROGATES for character in found
    ):
        raise ValueError("surrogate")
    if isinstance(found, float) and found in (float("inf"), float("-inf")):
        raise ValueError("infinite")
    if isinstance(found, int) and not -(2**127) <= found < 2**128:
        raise ValueError("integer")
    if isinstance(found, list):
        for each in found:
            check(each)


def base(found: Any, kind: Any) -> Any:
    """Check the JSON kind of a value."""
    if found is None:
        return None
    if isinstance(kind, dict) and isinstance(found, dict):
        return {name: base(found.get(name), inner) for name, inner in kind.items()}
    if isinstance(kind, list) and isinstance(found, list):
        return [base(each, kind[0]) for each in found]
    if not isinstance(kind, str) or not fits(found, kind):
        raise Bad("type-mismatch")
    return float(found) if kind == "Float64" else found


def fits(found: Any, kind: str) -> bool:
    if isinstance(found, bool):
        return kind == "Boolean"
    if kind in INTEGERS:
        return isinstance(found, int) and -(2**63) <= found < 2**63
    if kind == "Float64":
        return isinstance(found, int | float)
    return kind != "Boolean" and isinstance(found, str)


def final(found: Any, kind: Any) -> Any:
    """Convert what JSON carries as something else."""
    if found is None:
        return None
    if isinstance(kind, dict):
        return {name: final(found[name], inner) for name, inner in kind.items()}
    if isinstance(kind, list):
        return [final(each, kind[0]) for each in found]
    try:
        return leaf(found, kind)
    except ValueError:
        raise Bad("type-mismatch") from None


def leaf(found: Any, kind: str) -> Any:
    if kind in INTEGERS:
        low, high = INTEGERS[kind]
        if not low <= found < high:
            raise ValueError(kind)
    if kind == "Date":
        if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", found):
            raise ValueError(kind)
        return dt.date.fromisoformat(found)
    if kind == "Datetime":
        if not re.fullmatch(
            r"[0-9-]{10}[T ][0-9:]{8}(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})", found
        ):
            raise ValueError(kind)
        return dt.datetime.fromisoformat(found).astimezone(dt.UTC)
    if kind == "Binary":
        return base64.b64decode(found, validate=True)
    return found
