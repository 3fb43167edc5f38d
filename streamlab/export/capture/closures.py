"""Functions made by functions: closures, and what decorators put around a function."""

from __future__ import annotations

import ast
import dis
from collections.abc import Sequence
from types import FunctionType
from typing import Any

from streamlab.export.capture.bindings import root
from streamlab.export.capture.found import Found, SourceMissing, codes, unwrapped
from streamlab.export.capture.namespace import Namespace
from streamlab.export.capture.values import Writer, same


def layers(value: Any, name: str, namespace: Namespace) -> tuple[list[Any], Any]:
    """Return what decorators put around a function, outermost first, and the rest.

    A decorator that used :func:`functools.wraps` names the function inside; of one
    that did not, it is the variable of its wrapper that has the name of the ``def``.
    """
    found: list[Any] = []
    while True:
        if hasattr(value, "__wrapped__"):
            inner = value.__wrapped__
        else:
            inner = _enclosed(value, name, namespace)
        if inner is None:
            return found, value
        found.append(value)
        value = inner


def require_decorators(
    found: Found, around: Sequence[Any], kept: Sequence[ast.expr], namespace: Namespace
) -> None:
    """Check that the decorators that are written are those that made the live object.

    Raises:
        SourceMissing: Something else is around the function.
    """
    if len(around) > len(kept):
        message = (
            "it was wrapped after it was defined; write the wrapper as a decorator"
        )
        raise SourceMissing(message)
    makers = [_function(namespace.bound.get(_root(one))) for one in kept]
    for layer in around:
        if not isinstance(layer, FunctionType) or None in makers:
            continue
        if not any(layer.__code__ in codes(one.__code__) for one in makers if one):
            message = "its decorator was changed since; run its cell again"
            raise SourceMissing(message)
    number = namespace.number(namespace.where(found.text).partition(":")[0])
    for one in kept:
        for part in ast.walk(one):
            if not isinstance(part, ast.Name) or not namespace.is_notebook:
                continue
            changed = namespace.bindings.get(part.id, ())
            if any(b.number > number and not b.passed for b in changed):
                message = (
                    f"{part.id} of its decorator was changed since; run its cell again"
                )
                raise SourceMissing(message)


def factory_call(found: Found, writer: Writer) -> str:
    """Return the call of a function's factory that makes it again.

    Args:
        found: The inner function.
        writer: Writes the values of the variables that it closes over.

    Raises:
        SourceMissing: The factory does more than that, or its values are not known.
        Unwritable: A value cannot be written.
    """
    function, factory = unwrapped(found.value), found.around
    live = function.__globals__.get(factory.name) if factory is not None else None
    variables = ", ".join(repr(one) for one in function.__code__.co_freevars)
    message = (
        f"uses {variables} of the function around it, which does more than return "
        "it; make each a parameter, or a global constant"
    )
    if (
        factory is None
        or not isinstance(live, FunctionType)
        or found.top is not factory
        or factory.decorator_list
        or found.decorators
        or function.__code__ not in codes(live.__code__)
        or not _only_returns(factory, found.node)
    ):
        raise SourceMissing(message)
    if _keeps_state(function, live):
        message = (
            f"changes {variables} from call to call; a worker's epochs share nothing"
        )
        raise SourceMissing(message)
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    enclosed = {name: cell.cell_contents for name, cell in cells}
    words = _arguments(live, factory, enclosed, writer)
    return f"{writer.reference(live)}({words})"


def _arguments(
    live: FunctionType,
    factory: ast.FunctionDef,
    enclosed: dict[str, Any],
    writer: Writer,
) -> str:
    arguments = factory.args
    names = [one.arg for one in (*arguments.posonlyargs, *arguments.args)]
    if (
        arguments.vararg
        or arguments.kwarg
        or set(enclosed) - {*names, *_keywords(factory)}
    ):
        message = f"uses variables that {factory.name} computes; make each a parameter"
        raise SourceMissing(message)
    defaults = live.__defaults__ or ()
    first = dict(zip(names[len(names) - len(defaults) :], defaults, strict=True))
    given = first | (live.__kwdefaults__ or {})
    words, by_name = [], False
    for name in (*names, *_keywords(factory)):
        if name not in enclosed:
            if name not in given:
                message = (
                    f"the value of {name!r} for {factory.name} is not known any more; "
                    "use it in the function, or leave it out"
                )
                raise SourceMissing(message)
            by_name = True
        elif name in given and same(given[name], enclosed[name]):
            by_name = True
        else:
            text = writer.text(enclosed[name])
            by_name = by_name or name not in names
            words.append(f"{name}={text}" if by_name else text)
    return ", ".join(words)


def _keywords(factory: ast.FunctionDef) -> list[str]:
    return [one.arg for one in factory.args.kwonlyargs]


def _only_returns(factory: ast.FunctionDef, inner: ast.AST) -> bool:
    """Return whether a factory defines one function and returns it, no more."""
    body = list(factory.body)
    if isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
        body = body[1:]
    last = body[-1]
    if not isinstance(last, ast.Return) or last.value is None:
        return False
    if isinstance(inner, ast.Lambda):
        return len(body) == 1 and last.value is inner
    named = isinstance(last.value, ast.Name) and last.value.id == getattr(
        inner, "name", ""
    )
    return len(body) == len([inner, last]) and body[0] is inner and named


def _keeps_state(function: FunctionType, factory: FunctionType) -> bool:
    inner = {
        str(one.argval)
        for code in codes(function.__code__)
        for one in dis.get_instructions(code)
        if one.opname in {"STORE_DEREF", "DELETE_DEREF"}
    }
    return bool(inner & set(function.__code__.co_freevars)) or factory is function


def _enclosed(value: Any, name: str, namespace: Namespace) -> Any:
    """Return the function that a wrapper without ``functools.wraps`` closes over."""
    last = namespace.last(name)
    statement = last.statement if last is not None else None
    if not isinstance(statement, ast.FunctionDef) or not statement.decorator_list:
        return None
    if not isinstance(value, FunctionType) or value.__code__.co_name == name:
        return None
    for cell in value.__closure__ or ():
        inner = cell.cell_contents
        if callable(inner) and getattr(inner, "__name__", "") == name:
            return inner
    return None


def _root(decorator: ast.expr) -> str:
    return root(decorator.func if isinstance(decorator, ast.Call) else decorator)


def _function(value: Any) -> FunctionType | None:
    try:
        return unwrapped(value)
    except SourceMissing:
        return None
