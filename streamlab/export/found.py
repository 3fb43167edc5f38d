"""Finding the source of a live function: its cell or file, and its own lines.

A function is followed from the object, not from the notebook: its code names the
file that it was compiled from, and for a cell that is an entry of :mod:`linecache`.
So the version that runs is the version that is found, whatever was edited since.
"""

from __future__ import annotations

import ast
import linecache
import re
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import CodeType, FunctionType
from typing import Any

_CELL_MARKER = re.compile(r"#\s*(%%|\+|-\s*$|In\[)")
"""Comments that notebook tools write between cells."""


class SourceMissing(Exception):
    """The source of a function cannot be found; the text says why."""


@dataclass(frozen=True)
class Found:
    """A function with its source.

    Attributes:
        function: The plain function, without what decorators put around it.
        node: Its definition in the parsed text.
        text: The whole text of its cell or file.
    """

    function: FunctionType
    node: ast.FunctionDef
    text: str

    @property
    def body(self) -> str:
        """Return the definition without its decorators, flush left."""
        return textwrap.dedent(self._lines(self.node.lineno, self.node.end_lineno))

    @property
    def comment(self) -> str:
        """Return the comment lines that stand directly above the definition."""
        lines = self.text.splitlines()
        first = last = _first_line(self.node) - 1
        while first and (line := lines[first - 1].strip()).startswith("#"):
            if _CELL_MARKER.match(line):
                break
            first -= 1
        above = (line.strip() for line in lines[first:last])
        return "".join(f"{line}\n" for line in above)

    def segment(self, node: ast.expr) -> str:
        """Return the text of a part of the definition."""
        return ast.get_source_segment(self.text, node) or ast.unparse(node)

    def _lines(self, first: int, last: int | None) -> str:
        return "\n".join(self.text.splitlines()[first - 1 : last]) + "\n"


def find(function: Callable[..., Any]) -> Found:
    """Return a function with its source.

    Raises:
        SourceMissing: It is no function of a cell or file, or its text changed.
    """
    plain = unwrapped(function)
    if plain.__name__ == "<lambda>":
        message = "it is a lambda; write it as a function with def"
        raise SourceMissing(message)
    code = plain.__code__
    linecache.checkcache(code.co_filename)
    text = "".join(linecache.getlines(code.co_filename, plain.__globals__))
    if not text:
        message = (
            "its source is not known; define it in a cell or a file (code run by "
            "exec has no source)"
        )
        raise SourceMissing(message)
    try:
        tree = ast.parse(text)
    except SyntaxError:
        message = "its source changed since it was run; run the cell again"
        raise SourceMissing(message) from None
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and (
            node.name == code.co_name and _first_line(node) == code.co_firstlineno
        ):
            if not _compiles_to(tree, node, code):
                break
            return Found(plain, node, text)
    message = "its source changed since it was run; run the cell or import again"
    raise SourceMissing(message)


def unwrapped(function: Callable[..., Any]) -> FunctionType:
    """Return the plain function inside of what decorators made of it.

    Raises:
        SourceMissing: There is none: a class, a built-in, a partial.
    """
    inner: Any = function
    while hasattr(inner, "__wrapped__"):
        inner = inner.__wrapped__
    if not isinstance(inner, FunctionType):
        message = f"it is a {type(inner).__name__}, not a function written with def"
        raise SourceMissing(message)
    return inner


def _first_line(node: ast.FunctionDef) -> int:
    """Return the line that a code object names: of the first decorator, if any."""
    return min([node.lineno, *(item.lineno for item in node.decorator_list)])


def _compiles_to(tree: ast.Module, node: ast.FunctionDef, live: CodeType) -> bool:
    """Return whether the text still gives the code that runs.

    A file is compiled whole, a cell statement by statement, and the compiler knows
    in the first case only which names are modules: the code differs in how it calls
    their functions.
    """
    alone = [part for part in tree.body if any(n is node for n in ast.walk(part))]
    units = (tree, ast.Module(body=alone, type_ignores=tree.type_ignores))
    return any(
        _same(code, live)
        for unit in units
        for code in _codes(compile(unit, live.co_filename, "exec", dont_inherit=True))
    )


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _same(one: CodeType, other: CodeType) -> bool:
    """Compare what two codes do; where they stand and docstrings do not matter."""
    if (one.co_name, one.co_firstlineno) != (other.co_name, other.co_firstlineno):
        return False
    nested_one = [c for c in one.co_consts if isinstance(c, CodeType)]
    nested_other = [c for c in other.co_consts if isinstance(c, CodeType)]
    plain_one = [c for c in one.co_consts if not isinstance(c, CodeType)]
    plain_other = [c for c in other.co_consts if not isinstance(c, CodeType)]
    return (
        (one.co_code, one.co_names, one.co_varnames)
        == (other.co_code, other.co_names, other.co_varnames)
        and plain_one == plain_other
        and len(nested_one) == len(nested_other)
        and all(map(_same, nested_one, nested_other))
    )
