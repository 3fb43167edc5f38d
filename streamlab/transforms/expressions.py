"""Expressions of a serialized plan: whether each looks at one row only."""

from __future__ import annotations

import re
from typing import Any, TypeAlias

from streamlab.transforms import rowwise

Json: TypeAlias = Any
"""A part of a serialized plan: nested dicts, lists and texts."""


class NotShown(Exception):
    """The plan proves nothing; says why."""


class LooksAcross(Exception):
    """The plan looks across rows; says by what."""


def only(value: Json) -> tuple[str, Json]:
    """Return the name and the content of one node or expression."""
    if isinstance(value, str):
        return value, {}
    if isinstance(value, dict) and len(value) == 1:
        return next(iter(value.items()))
    raise NotShown("it has a part of unknown shape")


def holds(value: Json, names: frozenset[str]) -> bool:
    """Return whether one of the names is a key or a text anywhere inside."""
    if isinstance(value, dict):
        return any(key in names or holds(item, names) for key, item in value.items())
    if isinstance(value, list):
        return any(holds(item, names) for item in value)
    return isinstance(value, str) and value in names


def holds_key(value: Json, name: str) -> bool:
    """Return whether the name is a key anywhere inside; texts may be the user's."""
    if isinstance(value, dict):
        return name in value or any(holds_key(item, name) for item in value.values())
    return isinstance(value, list) and any(holds_key(item, name) for item in value)


def check_row_wise(expression: Json) -> None:
    """Check that an expression's value in a row depends on that row alone.

    Raises:
        LooksAcross: It does not.
        NotShown: It may not.
    """
    name, content = only(expression)
    if name in rowwise.ACROSS_EXPRESSIONS:
        raise LooksAcross(f"it uses {rowwise.ACROSS_EXPRESSIONS[name]}")
    if name in {"Column", "Selector", "Field"}:
        return
    checks = {
        "Literal": _literal,
        "Cast": _cast,
        "Eval": _within_a_list,
        "Function": _function,
    }
    if name in checks:
        checks[name](content)
        return
    for part in _parts(name, content):
        check_row_wise(part)


def _parts(name: str, content: Json) -> list[Json]:
    """Return the operands of an expression that only combines them."""
    if name == "Alias":
        return [content[0]]
    if name == "KeepName":
        return [content]
    fields = {
        "RenameAlias": ("expr",),
        "BinaryExpr": ("left", "right"),
        "Ternary": ("predicate", "truthy", "falsy"),
    }
    if name in fields:
        return [content[field] for field in fields[name]]
    if name == "StructEval":
        return [content["expr"], *content["evaluation"]]
    raise NotShown(f"{name} is not known to be row-wise")


def _literal(content: Json) -> None:
    name, _ = only(content)
    if name not in {"Dyn", "Scalar"}:
        raise NotShown("it uses a whole series as a constant")


def _cast(content: Json) -> None:
    # Text to a date: polars then infers one format from the values it sees.
    if holds(content["dtype"], frozenset({"Date", "Datetime", "Time"})):
        raise NotShown("a cast to a date or time may infer its format")
    check_row_wise(content["expr"])


def _within_a_list(content: Json) -> None:
    variant, _ = only(content["variant"])
    if variant not in {"List", "ListAgg", "Array", "ArrayAgg"}:
        raise LooksAcross("it uses cumulative_eval()")
    if holds(content["evaluation"], frozenset({"Column", "Random", "Selector"})):
        raise NotShown("list.eval() uses more than the list's own elements")
    check_row_wise(content["expr"])


def _function(content: Json) -> None:
    name = _function_name(content["function"])
    if name.startswith("Random") or name == "ListExpr.Sample":
        raise LooksAcross("it uses randomness")
    if name in rowwise.ACROSS_ROWS:
        raise LooksAcross(f"it uses {_as_written(name)}")
    if name not in rowwise.ROW_WISE:
        raise NotShown(f"{name} is not known to be row-wise")
    if name == "StringExpr.Strptime":
        _strptime(content["function"]["StringExpr"]["Strptime"])
    operands = content["input"]
    if name in rowwise.VALUE_SETS:
        if any(only(values)[0] != "Literal" for values in operands[1:3]):
            raise NotShown(f"{name} compares with a whole column")
        operands = [operands[0], *operands[3:]]
    for operand in operands:
        check_row_wise(operand)


def _as_written(name: str) -> str:
    """Return a function's name as a user writes it: ``IsFirst`` → ``is_first()``."""
    namespace, _, last = name.rpartition(".")
    if name in rowwise.WRITTEN or namespace in rowwise.WRITTEN:
        return rowwise.WRITTEN.get(name) or rowwise.WRITTEN[namespace]
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", last).lower() + "()"


def _strptime(arguments: Json) -> None:
    if not arguments[1]["format"]:
        raise NotShown("a date or time is parsed without a format")


def _function_name(function: Json) -> str:
    """Return the name as ``rowwise`` has it, such as ``StringExpr.Contains``."""
    name, content = only(function)
    listed = rowwise.ROW_WISE | rowwise.ACROSS_ROWS
    inner = next(iter(content), "") if isinstance(content, dict) else content
    qualified = f"{name}.{inner}"
    return name if name in listed and qualified not in listed else qualified
