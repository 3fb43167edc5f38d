"""The global names that a function needs, in the order it needs them."""

from __future__ import annotations

import ast
import dis
from collections.abc import Iterable, Iterator
from types import CodeType

from streamlab.export.found import Found

_READS = frozenset({"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"})
_WRITES = frozenset({"STORE_GLOBAL", "DELETE_GLOBAL"})


def needed(found: Found, decorators: Iterable[ast.expr]) -> list[str]:
    """Return the global names that a definition reads.

    The body's come from its compiled code, which knows what is local; those of
    decorators, defaults and annotations from the text.

    Args:
        found: The function.
        decorators: Those of its decorators that will be kept.
    """
    arguments = found.node.args
    annotations = [
        argument.annotation
        for argument in (
            *arguments.posonlyargs,
            *arguments.args,
            *arguments.kwonlyargs,
            *filter(None, (arguments.vararg, arguments.kwarg)),
        )
    ]
    values = [*decorators, *arguments.defaults, *filter(None, arguments.kw_defaults)]
    names = [name for node in values for name in _names(node)]
    for annotation in filter(None, (*annotations, found.node.returns)):
        names += _names(_unquoted(annotation))
    names += _operands(found.function.__code__, _READS)
    return list(dict.fromkeys(names))


def written(found: Found) -> list[str]:
    """Return the global names that a function assigns or deletes."""
    return list(dict.fromkeys(_operands(found.function.__code__, _WRITES)))


def submodules(found: Found, name: str) -> list[str]:
    """Return the dotted names that a definition reads below ``name``.

    ``concurrent.futures.wait(…)`` gives ``concurrent.futures`` and
    ``concurrent.futures.wait`` for ``concurrent``: some may be modules that need an
    import of their own.
    """
    dotted = [
        text
        for node in ast.walk(found.node)
        if isinstance(node, ast.Attribute)
        and (text := ast.unparse(node)).startswith(f"{name}.")
    ]
    return sorted(set(dotted))


def _names(node: ast.AST) -> Iterator[str]:
    return (part.id for part in ast.walk(node) if isinstance(part, ast.Name))


def _unquoted(annotation: ast.expr) -> ast.AST:
    """Return an annotation as code, also where it was written as a text."""
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        return ast.parse(annotation.value, mode="eval")
    return annotation


def _operands(code: CodeType, operations: frozenset[str]) -> Iterator[str]:
    for instruction in dis.get_instructions(code):
        if instruction.opname in operations:
            yield str(instruction.argval)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _operands(constant, operations)
