"""What the source of a function tells: calls whose result changes by itself.

``date.today()`` becomes a constant in the plan, and running twice in the same second
gives the same: only the source shows it.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import os
import sysconfig
import textwrap
import tokenize
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

_CHANGING = frozenset(
    {
        "now",
        "utcnow",
        "today",
        "localtime",
        "gmtime",
        "time_ns",
        "monotonic",
        "perf_counter",
        "sample",
        "shuffle",
        "choice",
        "randint",
        "uuid1",
        "uuid4",
        "urandom",
        "token_hex",
    }
)
_CHANGING_MODULES = frozenset({"random", "secrets", "time", "uuid"})
_STEADY = frozenset({"UUID", "mktime", "sleep", "strptime", "uuid3", "uuid5"})
_CALLABLES = (types.FunctionType, types.BuiltinFunctionType, types.MethodType, type)
_FOLDERS = [
    *(sysconfig.get_path(kind) for kind in ("stdlib", "purelib", "platlib")),
    str(Path(__file__).parents[1]),
]
LIBRARIES = tuple(f"{folder}{os.sep}" for folder in _FOLDERS)
"""Where code lies that the user did not write, this package among it."""


def changing(function: Callable[..., Any]) -> str:
    """Return a sentence about a call whose result changes by itself, or ``""``.

    Looks into the user's own functions that it calls, too.
    """
    for one in _own_functions(function):
        tree = _tree(one)
        for node in ast.walk(tree) if tree else ():
            if isinstance(node, ast.Call) and _changes(node.func, one):
                line = one.__code__.co_firstlineno + node.lineno - 1
                call = ast.unparse(node.func)
                return (
                    f"line {line} calls {call}(), which gives another result each "
                    "time. Use the event's own time, or a constant"
                )
    return ""


def readable(function: Callable[..., Any]) -> bool:
    """Return whether the source is there and catches no errors.

    A function that catches errors could read rows and hide that it did.
    """
    trees = [_tree(one) for one in _own_functions(function)]
    return bool(trees) and all(
        tree is not None and not any(isinstance(n, ast.Try) for n in ast.walk(tree))
        for tree in trees
    )


def _own_functions(function: Callable[..., Any]) -> Iterator[types.FunctionType]:
    """Yield the function and the user's functions that it calls by name."""
    waiting: list[Any] = [inspect.unwrap(function)]
    seen: set[int] = set()
    while waiting:
        one = waiting.pop()
        if not isinstance(one, types.FunctionType) or id(one) in seen:
            continue
        if seen and one.__code__.co_filename.startswith(LIBRARIES):
            continue  # a library's function; the first one is always the user's
        seen.add(id(one))
        yield one
        tree = _tree(one)
        waiting += [
            _resolved(node.func, one)
            for node in (ast.walk(tree) if tree else ())
            if isinstance(node, ast.Call)
        ]


def _tree(function: types.FunctionType) -> ast.AST | None:
    try:
        return ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError, tokenize.TokenError):
        return None  # there is none, or the file was changed since


def _changes(called: ast.expr, function: types.FunctionType) -> bool:
    if isinstance(called, ast.Attribute) and called.attr in _CHANGING:
        return True
    found = _resolved(called, function)
    # Other objects may answer to every name, as pl.col does.
    if not isinstance(found, _CALLABLES) or found.__name__ in _STEADY:
        return False
    owner = getattr(found, "__self__", None)  # random.random is random.Random's
    return any(
        getattr(one, "__module__", None) in _CHANGING_MODULES for one in (found, owner)
    )


def _resolved(called: ast.expr, function: types.FunctionType) -> object:
    """Return what a dotted name means in the function, None where that is unknown."""
    if isinstance(called, ast.Attribute):
        owner = _resolved(called.value, function)
        # Only modules: asking other objects could run the user's code.
        if isinstance(owner, types.ModuleType):
            return getattr(owner, called.attr, None)
        return None
    if not isinstance(called, ast.Name):
        return None
    free = inspect.getclosurevars(function)
    for names in (free.nonlocals, free.globals, vars(builtins)):
        if called.id in names:
            return names[called.id]
    return None
