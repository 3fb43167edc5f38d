"""Constants: their live value as the text of a literal, as a person would write it."""

from __future__ import annotations

import ast
import math
from collections.abc import Sequence

WIDTH = 88


def is_literal(value: object) -> bool:
    """Return whether a value can be written down as a Python literal."""
    if value is None or type(value) in {bool, int, str, bytes}:
        return True
    if type(value) is float:
        return math.isfinite(value)
    if type(value) is dict:
        return all(is_literal(k) and is_literal(v) for k, v in value.items())
    if type(value) in {list, tuple, set, frozenset}:
        return type(value) is not frozenset and all(map(is_literal, value))  # type: ignore[call-overload]  # a container, by its type
    return False


def literal(value: object, *, indent: int = 0, used: int = 0) -> str:
    """Return the literal of a value, broken over lines where it is long.

    Args:
        value: One that ``is_literal``.
        indent: Columns in front of a line that starts inside of it.
        used: Columns that the first line has already used.
    """
    flat = _flat(value)
    if used + len(flat) <= WIDTH or not isinstance(value, dict | list | tuple | set):
        return flat
    deeper = indent + 4
    pad = " " * deeper
    opening, closing = flat[0], flat[-1]
    if isinstance(value, dict):
        lines = [
            f"{pad}{_flat(k)}: "
            f"{literal(v, indent=deeper, used=deeper + len(_flat(k)) + 3)},"
            for k, v in value.items()
        ]
    else:
        items = _ordered(value)
        lines = [
            f"{pad}{literal(item, indent=deeper, used=deeper + 1)}," for item in items
        ]
    return "\n".join([opening, *lines, " " * indent + closing])


def evaluated(node: ast.expr) -> tuple[object, ...]:
    """Return ``(value,)`` of an expression that is a literal, else ``()``."""
    try:
        return (ast.literal_eval(node),)
    except (ValueError, TypeError, SyntaxError):
        return ()


def same(one: object, other: object) -> bool:
    """Return whether two literals are the same, types and order of keys included."""
    return _flat(one) == _flat(other)


def _flat(value: object) -> str:
    if isinstance(value, str):
        text = repr(value)
        return f'"{text[1:-1]}"' if text[0] == "'" and '"' not in text else text
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_flat(k)}: {_flat(v)}' for k, v in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_flat, value))}]"
    if isinstance(value, tuple):
        return f"({', '.join(map(_flat, value))}{',' if len(value) == 1 else ''})"
    if isinstance(value, set) and value:
        return f"{{{', '.join(map(_flat, _ordered(value)))}}}"
    return repr(value)


def _ordered(
    value: list[object] | tuple[object, ...] | set[object],
) -> Sequence[object]:
    """Return the items; those of a set in a fixed order, so that exports agree."""
    return sorted(value, key=_flat) if isinstance(value, set) else list(value)
