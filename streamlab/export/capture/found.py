"""Finding the source of what lives: its cell or file, and its own lines.

A function is followed from the object, not from the notebook: its code names the
file that it was compiled from, and for a cell that is an entry of :mod:`linecache`.
So the version that runs is the version that is found, whatever was edited since.
"""

from __future__ import annotations

import ast
import linecache
import re
import textwrap
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import CodeType, FunctionType
from typing import Any

from streamlab.export.capture.namespace import Namespace, parsed

_CELL_MARKER = re.compile(r"#\s*(%%|\+|-\s*$|In\[)")
"""Comments that notebook tools write between cells."""

_FILE_MARKER = re.compile(r"#\s*(!|ruff:|mypy:|type:|fmt:|-\*-)")
"""Comments that speak to tools, of the file that they are in."""

Defined = ast.FunctionDef | ast.ClassDef | ast.Lambda


class SourceMissing(Exception):
    """The source of something cannot be found; the text says why."""


@dataclass(frozen=True)
class Found:
    """A function or class with its source.

    Attributes:
        value: The plain function, without what decorators put around it, or the class.
        node: Its definition in the parsed text.
        text: The whole text of its cell or file.
        around: The function that it is defined in, if it is in one.
        top: The statement of the top level that holds it.
    """

    value: FunctionType | type
    node: Defined
    text: str
    around: ast.FunctionDef | None
    top: ast.stmt

    @property
    def decorators(self) -> list[ast.expr]:
        """Return the decorators, in the order they are written."""
        return [] if isinstance(self.node, ast.Lambda) else self.node.decorator_list

    @property
    def comment(self) -> str:
        """Return the comment lines that stand directly above the definition."""
        lines = self.text.split("\n")
        first = last = _first_line(self.node) - 1
        while first and (line := lines[first - 1].strip()).startswith("#"):
            if _CELL_MARKER.match(line) or _FILE_MARKER.match(line):
                break
            first -= 1
        above = (line.strip() for line in lines[first:last])
        return "".join(f"{line}\n" for line in above)

    def segment(self, node: ast.expr) -> str:
        """Return the text of a part of the definition."""
        return ast.get_source_segment(self.text, node) or ast.unparse(node)

    def body(self, name: str, edits: Sequence[tuple[ast.expr, str]] = ()) -> str:
        """Return the definition without its decorators, flush left.

        Args:
            name: The name that it gets.
            edits: Parts of it and the text that each is replaced by.

        Raises:
            SourceMissing: The text cannot be moved to the left margin.
        """
        if isinstance(self.node, ast.Lambda):
            return self._from_lambda(self.node, name, edits)
        rows = self.text.encode().split(b"\n")
        node = self.node
        for part, new in sorted(edits, key=lambda edit: _start(edit[0]), reverse=True):
            last = int(part.end_lineno or 0) - 1
            tail = rows[last][part.end_col_offset or 0 :]
            head = rows[part.lineno - 1][: part.col_offset]
            rows[part.lineno - 1 : last + 1] = [head + new.encode() + tail]
        gone = len(self.text.encode().split(b"\n")) - len(rows)
        taken = rows[node.lineno - 1 : int(node.end_lineno or 0) - gone]
        text = _without_trailing_blanks(b"\n".join(taken).decode())
        if node.name != name:
            text = re.sub(rf"\b{node.name}\b", name, text, count=1)
        return self._at_margin(text)

    def _at_margin(self, text: str) -> str:
        if self.node.col_offset == 0:
            return text
        before = ast.parse(f"if True:\n{text}").body[0]
        moved = parsed(textwrap.dedent(text))
        inner = before.body[0] if isinstance(before, ast.If) else before
        if moved is None or ast.dump(moved.body[0]) != ast.dump(inner):
            message = "a text in it cannot be moved to the left; define it at the top"
            raise SourceMissing(message)
        return textwrap.dedent(text)

    def _from_lambda(
        self, node: ast.Lambda, name: str, edits: Sequence[tuple[ast.expr, str]]
    ) -> str:
        """Return the ``def`` that does what a lambda does."""
        replaced = {ast.unparse(part): text for part, text in edits}
        arguments = ast.unparse(node.args)
        for part in [*node.args.defaults, *filter(None, node.args.kw_defaults)]:
            old = ast.unparse(part)
            arguments = arguments.replace(
                f"={old}", f"={replaced.get(old, self.segment(part))}", 1
            )
        body = self.segment(node.body)
        if "\n" in body:
            first, _, rest = body.partition("\n")
            inner = textwrap.indent(f"{first}\n{textwrap.dedent(rest)}", " " * 8)
            body = f"(\n{inner}\n    )"
        text = f"def {name}({arguments}):\n    return {body}"
        tree = parsed(text)
        returned = tree.body[0].body[0] if tree is not None else None  # type: ignore[attr-defined]  # of a def
        if ast.dump(getattr(returned, "value", node)) != ast.dump(node.body):
            message = "a lambda over several lines; write it as a function with def"
            raise SourceMissing(message)
        return text


def find(function: Callable[..., Any], namespace: Namespace) -> Found:
    """Return a function with its source.

    Args:
        function: Maybe with decorators around it.
        namespace: Its globals, whose cells are searched where it names no source.

    Raises:
        SourceMissing: It is no function of a cell or file, or its text changed.
    """
    plain = unwrapped(function)
    code = plain.__code__
    texts = [text] if (text := source(plain)) else _magics(namespace)
    for text in texts:
        tree = parsed(text)
        found = _matching(plain, tree, text) if tree is not None else None
        if found is not None:
            return found
    if texts and (source(plain) or code.co_filename.startswith("<timed")):
        message = "its source changed since it was run; run the cell or import again"
    else:
        message = (
            "its source is not known; define it in a cell or a file (code run by "
            "exec has no source)"
        )
    raise SourceMissing(message)


def source(function: FunctionType) -> str:
    """Return the text of the cell or file that a function was compiled from."""
    name = function.__code__.co_filename
    linecache.checkcache(name)
    return "".join(linecache.getlines(name, function.__globals__))


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


def codes(code: CodeType) -> Iterator[CodeType]:
    """Yield a code and all that are defined in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from codes(constant)


def _without_trailing_blanks(text: str) -> str:
    """Strip the ends of lines, unless that changes a text over several lines."""
    stripped = "\n".join(line.rstrip() for line in text.split("\n"))
    block = "if True:\n" if text[:1].isspace() else ""
    same = ast.dump(ast.parse(block + stripped)) == ast.dump(ast.parse(block + text))
    return stripped if same else text


def _start(node: ast.expr) -> tuple[int, int]:
    return node.lineno, node.col_offset


def _magics(namespace: Namespace) -> list[str]:
    """Return the cells whose magic compiled them under a name without source."""
    numbers = [cell.number for cell in namespace.cells]
    return [
        cell.text
        for cell in reversed(namespace.cells)
        if namespace.is_notebook and numbers.count(cell.number) > 1
    ]


def _matching(plain: FunctionType, tree: ast.Module, text: str) -> Found | None:
    code = plain.__code__
    for top in tree.body:
        for node, around in _definitions(top, None):
            name = getattr(node, "name", "<lambda>")
            if isinstance(node, ast.AsyncFunctionDef) and name == code.co_name:
                message = "it is a coroutine (async def); write it with def"
                raise SourceMissing(message)
            if (
                isinstance(node, ast.FunctionDef | ast.Lambda)
                and (name, _first_line(node)) == (code.co_name, code.co_firstlineno)
                and _is_at(node, code)
                and _compiles_to(tree, top, code)
            ):
                return Found(plain, node, text, around, top)
    return None


def _definitions(
    node: ast.AST, around: ast.FunctionDef | None
) -> Iterator[tuple[ast.AST, ast.FunctionDef | None]]:
    """Yield what is below a node, each with the function around it."""
    yield node, around
    inner = node if isinstance(node, ast.FunctionDef) else around
    for child in ast.iter_child_nodes(node):
        yield from _definitions(child, inner)


def _first_line(node: ast.AST) -> int:
    """Return the line that a code object names: of the first decorator, if any."""
    decorators = getattr(node, "decorator_list", [])
    lines: list[int] = [getattr(one, "lineno", 0) for one in (node, *decorators)]
    return min(lines)


def _is_at(node: ast.FunctionDef | ast.Lambda, code: CodeType) -> bool:
    """Return whether a lambda stands where the code does: a line may have several."""
    if isinstance(node, ast.FunctionDef):
        return True
    body = node.body
    spans = [(first, start) for first, _, start, _ in code.co_positions() if start]
    return all(
        (body.lineno, body.col_offset)
        <= (int(line or 0), int(start or 0))
        <= (int(body.end_lineno or 0), int(body.end_col_offset or 0))
        for line, start in spans
        if line
    )


def _compiles_to(tree: ast.Module, top: ast.stmt, live: CodeType) -> bool:
    """Return whether the text still gives the code that runs.

    A file is compiled whole, a cell statement by statement, and the compiler knows
    in the first case only which names are modules: the code differs in how it calls
    their functions.
    """
    units = (tree, ast.Module(body=[top], type_ignores=tree.type_ignores))
    return any(
        _same(code, live)
        for unit in units
        for code in codes(_compiled(unit, live.co_filename))
    )


def _compiled(unit: ast.Module, name: str) -> CodeType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of escapes in the user's texts
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        code: CodeType = compile(unit, name, "exec", flags=flags, dont_inherit=True)
        return code


def _same(one: CodeType, other: CodeType) -> bool:
    """Compare what two codes do; where they stand and docstrings do not matter."""
    if (one.co_name, one.co_firstlineno) != (other.co_name, other.co_firstlineno):
        return False
    nested_one = [c for c in one.co_consts if isinstance(c, CodeType)]
    nested_other = [c for c in other.co_consts if isinstance(c, CodeType)]
    plain_one = [c for c in one.co_consts if not isinstance(c, CodeType)]
    plain_other = [c for c in other.co_consts if not isinstance(c, CodeType)]
    return (
        (one.co_code, one.co_names, one.co_varnames, one.co_freevars)
        == (other.co_code, other.co_names, other.co_varnames, other.co_freevars)
        and plain_one == plain_other
        and len(nested_one) == len(nested_other)
        and all(map(_same, nested_one, nested_other))
    )
