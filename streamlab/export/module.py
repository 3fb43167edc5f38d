"""The text of an exported module, in the form that ruff's formatter gives."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from streamlab.export.capture.draft import TABLES
from streamlab.export.capture.imports import Import
from streamlab.export.capture.literals import WIDTH, literal
from streamlab.export.capture.pieces import Captured, Definition
from streamlab.transforms.transform import Transform


def text_of(
    captured: Captured, stems: Mapping[tuple[str, str], str], *, docstring: str
) -> str:
    """Return the module: docstring, imports, constants, functions and classes.

    Args:
        captured: What the module holds.
        stems: ``(transform, parameter)`` → file stem of a table.
        docstring: One line that says what the module is.
    """
    head = [f'"""{docstring}"""']
    if captured.future:
        head.append("from __future__ import annotations")
    head += _import_blocks(captured.imports)
    parts = list(_parts(captured, stems))
    if parts and not parts[0].defines:
        head.append(parts.pop(0).text)
    return "\n\n\n".join(["\n\n".join(head), *(one.text for one in parts)]) + "\n"


@dataclass(frozen=True)
class _Part:
    """A definition, or statements that stand together."""

    text: str
    defines: bool


def _parts(captured: Captured, stems: Mapping[tuple[str, str], str]) -> Iterator[_Part]:
    block: list[str] = []
    if stems or captured.frames:
        block.append(f'{TABLES} = Path(__file__).parent / "tables"')
    for piece in captured.pieces:
        if not isinstance(piece, Definition):
            block.append(piece.text)
            continue
        if block:
            yield _Part("\n".join(block), defines=False)
        block = []
        yield _Part(_definition(piece, stems), defines=True)
    if block:
        yield _Part("\n".join(block), defines=False)


def _import_blocks(imports: Iterable[Import]) -> list[str]:
    """Return the imports: the standard library's, the others, the package's own."""
    ordered = sorted(imports)
    local = [one for one in ordered if one.local]
    standard = [
        one
        for one in ordered
        if not one.local and one.package in sys.stdlib_module_names
    ]
    others = [one for one in ordered if one not in standard and not one.local]
    blocks = [block for block in (standard, others, local) if block]
    return ["\n".join(_statements(block)) for block in blocks]


def _statements(block: list[Import]) -> list[str]:
    """Return a block's statements: plain imports, then those from a module."""
    plain = [one.statement for one in block if not one.source[1] and one.alias]
    members: list[str] = []
    rest = sorted(
        (one for one in block if one.source[1] or not one.alias),
        key=lambda one: (one.source[0], *_rank(one.source[1])),
    )
    for module, group in groupby(rest, lambda one: one.source[0]):
        taken = list(group)
        own = [one.source[1] for one in taken if one.alias == one.source[1]]
        if own:
            members.append(_from(module, own))
        members += [one.statement for one in taken if one.alias != one.source[1]]
    return plain + members


def _rank(name: str) -> tuple[int, str]:
    """Return what names are sorted by: constants, then classes, then the others."""
    if name.isupper() and len(name) > 1:
        return 0, name
    return (1 if name[:1].isupper() else 2), name


def _from(module: str, members: list[str]) -> str:
    flat = f"from {module} import {', '.join(members)}"
    if len(flat) <= WIDTH:
        return flat
    listed = "".join(f"    {member},\n" for member in members)
    return f"from {module} import (\n{listed})"


def _definition(definition: Definition, stems: Mapping[tuple[str, str], str]) -> str:
    decorator = ""
    if definition.transform is not None:
        decorator = _transform_decorator(definition, definition.transform, stems) + "\n"
    return definition.comment + decorator + definition.text


def _transform_decorator(
    definition: Definition,
    transform: Transform[Any, Any],
    stems: Mapping[tuple[str, str], str],
) -> str:
    arguments: list[str] = list(definition.declared)
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
