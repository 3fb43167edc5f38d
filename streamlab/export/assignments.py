"""How a constant was written: its assignment in the cells of a notebook or a file."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from streamlab.export import literals
from streamlab.export.found import Found

_HISTORY = "_ih"
"""Where IPython keeps the cells that were run, in the user's own namespace."""

_COMPUTED = (ast.Call, ast.Await, ast.Yield, ast.NamedExpr)


@dataclass(frozen=True)
class _Assignment:
    """A top-level statement that binds a name, and the text it is part of."""

    statement: ast.stmt
    text: str


def texts(user: Found) -> list[str]:
    """Return the texts that may bind a function's globals, newest first.

    For a function of a cell these are the cells that were run; for one of a module
    it is the module.
    """
    history = user.function.__globals__.get(_HISTORY, [])
    cells = [cell for cell in history if isinstance(cell, str)]
    return [*reversed(cells), user.text]


def objection(name: str, value: object, user: Found) -> str:
    """Return why a constant's value must not be carried; "" if it may.

    A value that was computed by a call (``os.environ.get``, a shell command, today's
    date) belongs to this machine and this moment, although it is a plain text now.
    """
    assignments = list(_assignments(name, user))
    if not assignments or any(_is_literal(one, value) for one in assignments):
        return ""
    if any(isinstance(node, _COMPUTED) for node in ast.walk(assignments[0].statement)):
        return "was computed by a call; write its value, or compute it in the function"
    return ""


def written(name: str, value: object, user: Found) -> str:
    """Return the lines that assign the constant, if they give its present value."""
    for one in _assignments(name, user):
        if _is_literal(one, value):
            first, last = one.statement.lineno, one.statement.end_lineno
            lines = one.text.splitlines()[first - 1 : last]
            alone = one.statement.col_offset == 0 and ";" not in lines[-1]
            return "\n".join(lines) if alone else ""
    return ""


def _assignments(name: str, user: Found) -> Iterator[_Assignment]:
    """Yield the statements that bind a name, newest first."""
    for text in texts(user):
        try:
            tree = ast.parse(text)
        except SyntaxError:
            continue
        for statement in reversed(tree.body):
            if _binds(statement, name):
                yield _Assignment(statement, text)


def _binds(statement: ast.stmt, name: str) -> bool:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return False
    return any(
        isinstance(node, ast.Name)
        and node.id == name
        and isinstance(node.ctx, ast.Store)
        for node in ast.walk(statement)
    )


def _is_literal(one: _Assignment, value: object) -> bool:
    """Return whether a statement is ``NAME = literal`` with this very value."""
    statement = one.statement
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        target, assigned = statement.targets[0], statement.value
    elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
        target, assigned = statement.target, statement.value
    else:
        return False
    found = literals.evaluated(assigned) if isinstance(target, ast.Name) else ()
    return bool(found) and literals.same(found[0], value)
