"""Finding the source of a live class, and that the source is what lives."""

from __future__ import annotations

import ast
import enum
import functools
from collections.abc import Iterator
from types import FunctionType, MemberDescriptorType
from typing import Any

from streamlab.export.capture.expressions import Evaluation, NotPure
from streamlab.export.capture.found import Found, SourceMissing, find, source
from streamlab.export.capture.namespace import Namespace, parsed
from streamlab.export.capture.values import is_named_tuple, same


def find_class(kind: type, namespace: Namespace) -> Found:
    """Return a class with its source.

    The text is that of its methods; of a class without any, the newest cell that
    defines it as it lives.

    Raises:
        SourceMissing: There is none, or the class was changed since.
    """
    if "." in kind.__qualname__:
        message = "it is a class inside of a function or class; define it at the top"
        raise SourceMissing(message)
    told = ""
    for text in _texts(kind, namespace):
        tree = parsed(text)
        for top in reversed(tree.body if tree is not None else []):
            for node in ast.walk(top):
                if isinstance(node, ast.ClassDef) and node.name == kind.__name__:
                    differs = _difference(kind, node, text, namespace)
                    if not differs:
                        return Found(kind, node, text, None, top)
                    told = told or differs
    raise SourceMissing(
        told or "its source is not known; define it with class in a cell or a file"
    )


def methods(kind: type) -> Iterator[tuple[str, FunctionType]]:
    """Yield the functions that a class was written with."""
    for name, value in vars(kind).items():
        for function in _functions(value):
            generated = function.__code__.co_filename.startswith("<string")
            if function.__module__ == kind.__module__ and not generated:
                yield name, function


def own_methods(found: Found) -> Iterator[tuple[FunctionType, ast.FunctionDef]]:
    """Yield the live methods of a class, each with its definition."""
    if not isinstance(found.value, type) or not isinstance(found.node, ast.ClassDef):
        return
    for _, function in methods(found.value):
        for node in found.node.body:
            if isinstance(node, ast.FunctionDef) and (
                node.name == function.__name__
                and _first_line(node) == function.__code__.co_firstlineno
            ):
                yield function, node


def _first_line(node: ast.FunctionDef) -> int:
    return min([node.lineno, *(one.lineno for one in node.decorator_list)])


def _texts(kind: type, namespace: Namespace) -> list[str]:
    for _, function in methods(kind):
        if f"{kind.__qualname__}." in function.__qualname__:
            text = source(function)
            if text:
                return [text]
    return [cell.text for cell in reversed(namespace.cells)]


def _functions(value: Any) -> list[FunctionType]:
    """Return the functions of an entry of a class: of a property there are three."""
    if isinstance(value, staticmethod | classmethod):
        value = value.__func__
    if isinstance(value, functools.cached_property):
        value = value.func
    several: list[Any] = [value]
    if isinstance(value, property):
        several = [value.fget, value.fset, value.fdel]
    found = []
    for one in several:
        while hasattr(one, "__wrapped__"):
            one = one.__wrapped__  # noqa: PLW2901 -- one layer deeper
        if isinstance(one, FunctionType):
            found.append(one)
    return found


def _difference(kind: type, node: ast.ClassDef, text: str, namespace: Namespace) -> str:
    """Return how a class is not what its text says; "" if it is."""
    for name, function in methods(kind):
        try:
            inside = find(function, namespace)
        except SourceMissing:
            return "its source changed since it was run; run the cell or import again"
        first, last = node.lineno, int(node.end_lineno or 0)
        if inside.text != text or not first <= inside.node.lineno <= last:
            return f"{name} was put into it after it was defined; write it in the class"
    annotated = [
        one.target.id
        for one in node.body
        if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name)
    ]
    if annotated != list(vars(kind).get("__annotations__", {})):
        return "its source changed since it was run; run the cell again"
    if not _has_bases(kind, node, namespace):
        return "its base was defined anew since; run its cell again"
    for name, value in _attributes(node):
        if not _is_as_written(kind, name, value, namespace):
            return f"its {name} was changed since; write the value into the class"
    return ""


def _has_bases(kind: type, node: ast.ClassDef, namespace: Namespace) -> bool:
    if is_named_tuple(kind) and tuple in kind.__bases__:
        return True
    for text, base in zip(node.bases, kind.__bases__, strict=False):
        try:
            value = Evaluation(namespace.bound).of(text)
        except NotPure:
            continue
        if isinstance(value, type) and value is not base:
            return False
    return True


def _attributes(node: ast.ClassDef) -> Iterator[tuple[str, ast.expr]]:
    for one in node.body:
        if isinstance(one, ast.Assign):
            for target in one.targets:
                if isinstance(target, ast.Name):
                    yield target.id, one.value
        elif (
            isinstance(one, ast.AnnAssign)
            and isinstance(one.target, ast.Name)
            and one.value is not None
        ):
            yield one.target.id, one.value


def _is_as_written(kind: type, name: str, text: ast.expr, namespace: Namespace) -> bool:
    if name not in vars(kind):
        return True  # a field with a factory has no value in its class
    value = vars(kind)[name]
    if is_named_tuple(kind):
        value = kind._field_defaults.get(name)  # type: ignore[attr-defined]  # of a named tuple
    elif isinstance(kind, enum.EnumMeta) and name in kind.__members__:
        value = kind.__members__[name].value
    elif isinstance(value, MemberDescriptorType):
        return True
    scope = {**namespace.bound, **{n: v for n, v in vars(kind).items() if n != name}}
    try:
        return same(Evaluation(scope).of(text), value)
    except NotPure:
        return True
