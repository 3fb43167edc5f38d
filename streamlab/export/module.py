"""The text of an exported module, in the form that ruff's formatter gives."""

from __future__ import annotations
import __future__

import sys
from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any

from streamlab.export.capture import TABLES, Captured, Definition
from streamlab.export.imports import Import
from streamlab.export.literals import WIDTH, literal
from streamlab.transforms.transform import Transform


def text_of(
    captured: Captured, stems: Mapping[tuple[str, str], str], *, docstring: str
) -> str:
    """Return the module: docstring, imports, constants, functions.

    Args:
        captured: What the module holds.
        stems: ``(transform, parameter)`` → file stem of a table.
        docstring: One line that says what the module is.
    """
    head = [f'"""{docstring}"""']
    if any(_has_future_annotations(one) for one in captured.definitions):
        head.append("from __future__ import annotations")
    head += _import_blocks(captured.imports)
    constants = [constant.text for constant in captured.constants]
    if stems:
        constants.insert(0, f'{TABLES} = Path(__file__).parent / "tables"')
    if constants:
        head.append("\n".join(constants))
    functions = [_function(one, stems) for one in captured.definitions]
    return "\n\n\n".join(["\n\n".join(head), *functions]) + "\n"


def _has_future_annotations(definition: Definition) -> bool:
    flag = __future__.annotations.compiler_flag
    return bool(definition.found.function.__code__.co_flags & flag)


def _import_blocks(imports: Iterable[Import]) -> list[str]:
    """Return the standard library's imports and the others, each as a block."""
    ordered = sorted(imports)
    standard = [one for one in ordered if one.package in sys.stdlib_module_names]
    others = [one for one in ordered if one not in standard]
    return ["\n".join(_statements(block)) for block in (standard, others) if block]


def _statements(block: list[Import]) -> list[str]:
    """Return a block's statements: plain imports, then those from a module."""
    plain = [one.statement for one in block if not one.member]
    members: list[str] = []
    for module, group in groupby((o for o in block if o.member), lambda o: o.module):
        taken = list(group)
        own = [one.member for one in taken if one.alias == one.member]
        if own:
            members.append(_from(module, own))
        members += [one.statement for one in taken if one.alias != one.member]
    return plain + members


def _from(module: str, members: list[str]) -> str:
    flat = f"from {module} import {', '.join(members)}"
    if len(flat) <= WIDTH:
        return flat
    listed = "".join(f"    {member},\n" for member in members)
    return f"from {module} import (\n{listed})"


def _function(definition: Definition, stems: Mapping[tuple[str, str], str]) -> str:
    lines = [f"@{decorator}" for decorator in definition.decorators]
    if definition.transform is not None:
        lines.insert(0, _transform_decorator(definition.transform, stems))
    body = definition.found.body.rstrip("\n")
    return definition.found.comment + "\n".join([*lines, body])


def _transform_decorator(
    transform: Transform[Any, Any], stems: Mapping[tuple[str, str], str]
) -> str:
    arguments: list[str] = []
    if transform.tables:
        tables = {
            name: _table(stems[transform.name, name], table.key)
            for name, table in transform.tables.items()
        }
        entries = "".join(f"        {literal(n)}: {t},\n" for n, t in tables.items())
        arguments.append(f"tables={{\n{entries}    }}")
    if transform.metadata is not None:
        arguments.append(f"metadata={literal(list(transform.metadata))}")
    if transform.pandas:
        arguments.append("pandas=True")
    if not arguments:
        return "@sl.transform"
    flat = f"@sl.transform({', '.join(arguments)})"
    if "\n" not in flat and len(flat) <= WIDTH:
        return flat
    return "\n".join(["@sl.transform(", *(f"    {one}," for one in arguments), ")"])


def _table(stem: str, key: tuple[str, ...]) -> str:
    path = f"{TABLES} / {literal(f'{stem}.parquet')}"
    if not key:
        return f"sl.table({path})"
    named = literal(key[0] if len(key) == 1 else key)
    return f"sl.table({path}, key={named})"
