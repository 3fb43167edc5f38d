"""Capturing transforms: the functions, imports, constants and tables they need.

Everything is followed from the live objects, by name: what a function would find
when it is called now is what the package gets. What cannot be carried is collected,
all of it, and refused by name.
"""

from __future__ import annotations

import ast
import builtins
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

import polars as pl

from streamlab import secrets
from streamlab.export import assignments, imports, literals, names
from streamlab.export.found import Found, SourceMissing, find
from streamlab.export.imports import Import
from streamlab.transforms.transform import Transform, transform

TABLES = "TABLES"
"""Name of the constant that says where the package's tables are."""

_OWN_NAMES = frozenset({"__name__", "__doc__", "__module__", "__qualname__"})
_NOTEBOOK_BUILTINS = frozenset({"get_ipython", "display"})
_FILE_READERS = ("read_", "scan_")


@dataclass(frozen=True)
class Constant:
    """A global constant: its name and the text of its literal."""

    name: str
    text: str


@dataclass(frozen=True)
class Definition:
    """A function of the module.

    Attributes:
        found: The function with its source.
        decorators: Text of the decorators that stay, without ``@``.
        transform: The transform that it is the function of, if it is one.
    """

    found: Found
    decorators: tuple[str, ...]
    transform: Transform[Any, Any] | None = None

    @property
    def name(self) -> str:
        """Return the function's name."""
        return self.found.node.name


@dataclass(frozen=True)
class Captured:
    """What a module needs to hold the transforms.

    Attributes:
        imports: In no particular order.
        constants: In the order in which they were needed.
        definitions: Functions; each comes after those that it uses.
        problems: What cannot be carried, each by name and with what to do.
    """

    imports: frozenset[Import]
    constants: tuple[Constant, ...]
    definitions: tuple[Definition, ...]
    problems: tuple[str, ...] = ()


def capture(transforms: Sequence[Transform[Any, Any]]) -> Captured:
    """Follow the transforms of a pipeline to everything they need."""
    capturing = _Capturing()
    if any(one.tables for one in transforms):
        capturing.bound |= {TABLES: TABLES, "Path": Path}
        capturing.imports.add(Import("pathlib", "Path", "Path"))
    for one in transforms:
        capturing.transform(one)
    return Captured(
        imports=frozenset(capturing.imports),
        constants=tuple(capturing.constants),
        definitions=tuple(capturing.definitions),
        problems=tuple(dict.fromkeys(capturing.problems)),
    )


@dataclass
class _Capturing:
    """A capture under way."""

    bound: dict[str, object] = field(default_factory=lambda: {"sl": _public()})
    imports: set[Import] = field(
        default_factory=lambda: {Import("streamlab", "", "sl")}
    )
    constants: list[Constant] = field(default_factory=list)
    definitions: list[Definition] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)

    def transform(self, one: Transform[Any, Any]) -> None:
        """Capture a transform."""
        if self._is_new(one.name, one, one.name):
            self._function(one.function, one.name, one)

    def _function(
        self,
        function: Callable[..., Any],
        name: str,
        owner: Transform[Any, Any] | None = None,
    ) -> None:
        try:
            found = find(function)
        except SourceMissing as error:
            self.problems.append(f"{name}: {error}")
            return
        kept = [
            decorator
            for decorator in found.node.decorator_list
            if not _is_transform_decorator(decorator, found)
        ]
        self._check_shape(found, name)
        exported = [*kept, found.node.args, *found.node.body]
        self.problems += [f"{name}: {text}" for text in _objections(exported)]
        for needed in names.needed(found, kept):
            self._global(needed, found)
        decorators = tuple(found.segment(decorator) for decorator in kept)
        self.definitions.append(Definition(found, decorators, owner))

    def _check_shape(self, found: Found, name: str) -> None:
        """Note what is wrong with a function apart from the names it uses."""
        if found.node.name != name:
            self.problems.append(
                f"{name}: another name of the function {found.node.name}; "
                "call it by its own name"
            )
        self.problems += [
            f"{name}: uses {variable!r} of the function around it; make it a global "
            "constant"
            for variable in found.function.__code__.co_freevars
        ]
        self.problems += [
            f"{name}: changes the global {variable!r}; a worker's epochs share nothing"
            for variable in names.written(found)
        ]

    def _global(self, name: str, user: Found) -> None:
        """Capture what a global name of a function stands for now."""
        function = user.node.name
        if name in _OWN_NAMES:
            return
        if name not in user.function.__globals__:
            self._builtin(name, function)
            return
        value = user.function.__globals__[name]
        if not self._is_new(name, value, function):
            return
        imported = imports.import_of(name, value, assignments.texts(user))
        if imported is not None:
            self._import(imported, user)
        elif isinstance(value, Transform):
            self._function(value.function, name, value)
        elif _is_function(value):
            self._function(value, name)
        elif literals.is_literal(value):
            self._constant(name, value, user)
        else:
            self.problems.append(f"{name}, used by {function}: {_unfit(value)}")

    def _is_new(self, name: str, value: object, function: str) -> bool:
        """Return whether a name is met for the first time; note a second meaning."""
        known = self.bound.setdefault(name, value)
        if known is not value and not (
            literals.is_literal(value)
            and literals.is_literal(known)
            and literals.same(value, known)
        ):
            self.problems.append(
                f"{name}, used by {function}: the name stands for two things; rename "
                "one of them"
            )
        first = name not in self.seen
        self.seen.add(name)
        return first and known is value

    def _builtin(self, name: str, function: str) -> None:
        if name in _NOTEBOOK_BUILTINS:
            self.problems.append(f"{name}, used by {function}: only in a notebook")
        elif not hasattr(builtins, name):
            self.problems.append(f"{name}, used by {function}: it is not defined")

    def _import(self, imported: Import, user: Found) -> None:
        if imported.package in imports.NOTEBOOK_ONLY:
            self.problems.append(
                f"{imported.alias}, used by {user.node.name}: {imported.package} is "
                "only in a notebook"
            )
            return
        self.imports.add(imported)
        if imported.member or imported.alias != imported.package:
            return
        for dotted in names.submodules(user, imported.alias):
            if imports.is_submodule(dotted):
                self.imports.add(Import(dotted, "", imported.alias))

    def _constant(self, name: str, value: object, user: Found) -> None:
        objection = secrets.objection(name, value) or assignments.objection(
            name, value, user
        )
        for text in _texts(value):
            objection = objection or secrets.objection("", text)
        if objection:
            self.problems.append(f"{name}, used by {user.node.name}: {objection}")
            return
        text = assignments.written(name, value, user) or (
            f"{name} = {literals.literal(value, used=len(name) + 3)}"
        )
        self.constants.append(Constant(name, text))


def _public() -> ModuleType:
    """Return the public module, which layers below it must not import."""
    return sys.modules["streamlab"]


def _is_transform_decorator(decorator: ast.expr, found: Found) -> bool:
    """Return whether a decorator is ``sl.transform``, with or without arguments."""
    node = decorator.func if isinstance(decorator, ast.Call) else decorator
    value: object = None
    if isinstance(node, ast.Name):
        value = found.function.__globals__.get(node.id)
    elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        module = found.function.__globals__.get(node.value.id)
        value = getattr(module, node.attr, None)
    return value is transform


def _is_function(value: object) -> bool:
    """Return whether a value is a function, maybe with decorators around it."""
    return isinstance(value, FunctionType) or (
        callable(value)
        and hasattr(value, "__wrapped__")
        and not isinstance(value, type)
    )


def _unfit(value: object) -> str:
    """Return why a value is not carried, and what to do; never the value."""
    if isinstance(value, ModuleType):
        return f"{value.__name__} is a local file; import the function from it instead"
    if isinstance(value, pl.DataFrame | pl.LazyFrame):
        return "a frame; declare it as a table: @sl.transform(tables={…})"
    if isinstance(value, type):
        return "a class of the notebook; put it into a module that can be installed"
    if isinstance(value, pl.Expr):
        return "a polars expression; write it inside of the function"
    if isinstance(value, BuiltinFunctionType):
        return "a method that was bound to a name; call it by its full name"
    return f"of type {type(value).__name__}; make it inside of the function"


def _objections(nodes: Sequence[ast.AST]) -> list[str]:
    """Return what a function holds that must not, or cannot, leave this machine."""
    found: list[str] = []
    for part in (part for node in nodes for part in ast.walk(node)):
        if isinstance(part, ast.Constant):
            why = secrets.objection("", part.value)
            found += [f"line {part.lineno}: a text {why}"] if why else []
        elif isinstance(part, ast.Call) and _reads_file(part):
            found.append(
                f"line {part.lineno}: reads a file; declare it as a table: "
                "@sl.transform(tables={…})"
            )
    return found


def _reads_file(call: ast.Call) -> bool:
    """Return whether a call opens a file, such as ``pl.read_csv("planes.csv")``."""
    if isinstance(call.func, ast.Name):
        return call.func.id == "open"
    return (
        isinstance(call.func, ast.Attribute)
        and call.func.attr.startswith(_FILE_READERS)
        and bool(call.args)
        and isinstance(call.args[0], ast.Constant)
    )


def _texts(value: object) -> list[str]:
    """Return the texts of a literal, however deep."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for pair in value.items() for one in pair for text in _texts(one)]
    if isinstance(value, list | tuple | set):
        return [text for one in value for text in _texts(one)]
    return []
