"""What code holds that must not, or cannot, leave this machine."""

from __future__ import annotations

import ast
import dataclasses
import functools
import tokenize
from collections.abc import Iterator, Sequence

from streamlab import secrets

_HOMES = ("/home/", "/Users/", "/root/", "~/")
_READERS = ("read_", "scan_")
_METHODS = frozenset({"read_text", "read_bytes", "open"})


def objections(nodes: Sequence[ast.AST]) -> list[str]:
    """Return what is wrong with a piece of code; never a value of it."""
    found: list[str] = []
    for part in (part for node in nodes for part in ast.walk(node)):
        found += [f"line {line}: {why}" for line, why in _of(part)]
    return list(dict.fromkeys(found))


def in_comments(text: str) -> list[str]:
    """Return what is wrong with the comments of a piece of code."""
    found: list[str] = []
    lines = iter(text.splitlines(keepends=True))
    try:
        for token in tokenize.generate_tokens(lambda: next(lines, "")):
            if token.type == tokenize.COMMENT:
                words = token.string.lstrip("#").strip()
                why = secrets.objection("", f"{words}\n")
                if any(word.startswith(_HOMES) for word in words.split()):
                    why = why or "has a path of this machine"
                found += [f"the comment in line {token.start[0]} {why}"] if why else []
    except (tokenize.TokenError, IndentationError):
        return found
    return found


def texts(value: object) -> list[str]:
    """Return the texts of a value, however deep."""
    if isinstance(value, str):
        return [value]
    inside = [one for pair in _entries(value) for one in pair]
    return [text for one in inside for text in texts(one)]


def named(value: object) -> Iterator[tuple[str, object]]:
    """Yield the entries of a value that have a name, however deep."""
    for key, one in _entries(value):
        if isinstance(key, str):
            yield key, one
        yield from named(one)


def _entries(value: object) -> Iterator[tuple[object, object]]:
    """Yield the parts of a container or record: names, if there are any, and values."""
    if isinstance(value, dict):
        yield from value.items()
    elif isinstance(value, functools.partial):
        yield from value.keywords.items()
        yield from ((None, one) for one in value.args)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for one in dataclasses.fields(value):
            yield one.name, getattr(value, one.name, None)
    elif isinstance(value, tuple) and hasattr(value, "_fields"):
        yield from zip(value._fields, value, strict=True)
    elif isinstance(value, list | tuple | set | frozenset):
        yield from ((None, one) for one in value)


def _of(part: ast.AST) -> Iterator[tuple[int, str]]:
    if isinstance(part, ast.Constant):
        why = secrets.objection("", part.value)
        if why:
            yield part.lineno, f"a text {why}"
    elif isinstance(part, ast.Call) and _reads_file(part):
        yield (
            part.lineno,
            "reads a file; declare it as a table: @sl.transform(tables={…})",
        )
    for line, name, node in _names(part):
        value = node.value if isinstance(node, ast.Constant) else None
        why = secrets.objection(name, value)
        if why:
            yield line, f"{name} {why}"


def _names(part: ast.AST) -> Iterator[tuple[int, str, ast.AST | None]]:
    """Yield what a piece of code gives a name to: assignments, arguments, keys."""
    if isinstance(part, ast.Assign):
        for target in part.targets:
            if isinstance(target, ast.Name | ast.Attribute):
                name = target.id if isinstance(target, ast.Name) else target.attr
                yield part.lineno, name, part.value
    elif isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name):
        yield part.lineno, part.target.id, part.value
    elif isinstance(part, ast.keyword) and part.arg:
        yield part.value.lineno, part.arg, part.value
    elif isinstance(part, ast.Dict):
        for key, value in zip(part.keys, part.values, strict=True):
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                yield key.lineno, key.value, value
    elif isinstance(part, ast.arguments):
        yield from _defaults(part)


def _defaults(part: ast.arguments) -> Iterator[tuple[int, str, ast.AST | None]]:
    plain = [*part.posonlyargs, *part.args]
    last = plain[len(plain) - len(part.defaults) :]
    pairs = [
        *zip(last, part.defaults, strict=True),
        *zip(part.kwonlyargs, part.kw_defaults, strict=True),
    ]
    for argument, default in pairs:
        yield argument.lineno, argument.arg, default


def _reads_file(call: ast.Call) -> bool:
    """Return whether a call opens a file, such as ``pl.read_csv("planes.csv")``."""
    if isinstance(call.func, ast.Name):
        return call.func.id == "open"
    if not isinstance(call.func, ast.Attribute):
        return False
    name = call.func.attr
    return name in _METHODS or (name.startswith(_READERS) and bool(call.args))
