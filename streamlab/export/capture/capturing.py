"""Capturing transforms: the functions, imports, constants and tables they need.

Everything is followed from the live objects, by name: what a function would find
when it is called now is what the package gets. What cannot be carried is collected,
all of it, and refused by name.
"""

from __future__ import annotations

import ast
import builtins
import sys
from collections.abc import Sequence
from types import FunctionType, ModuleType
from typing import Any

from streamlab.export.capture import constants, frames, imports, names
from streamlab.export.capture.declared import library_call
from streamlab.export.capture.definitions import Definitions
from streamlab.export.capture.draft import TABLES, Draft, User
from streamlab.export.capture.imports import Import
from streamlab.export.capture.namespace import Namespace
from streamlab.export.capture.objections import in_comments, objections
from streamlab.export.capture.pieces import Captured, Constant, Frame
from streamlab.export.capture.unfit import unfit
from streamlab.export.capture.values import Unwritable
from streamlab.transforms.library.function import LibraryFunction
from streamlab.transforms.transform import Transform

_OWN_NAMES = frozenset({"__name__", "__doc__", "__module__", "__qualname__"})
_NOTEBOOK_BUILTINS = frozenset({"get_ipython", "display"})
_SHELL_NAMES = frozenset({"open", "exit", "quit"})
"""Builtins that IPython binds to variants of its own."""


def capture(transforms: Sequence[Transform[Any, Any]]) -> Captured:
    """Follow the transforms of a pipeline to everything they need."""
    capturing = _Capturing()
    for one in transforms:
        capturing.draft.files |= {*one.tables, *(f"{one.name}_{n}" for n in one.tables)}
    for one in transforms:
        capturing.transform(one)
    return capturing.draft.captured()


class _Capturing:
    """A capture under way: decides by which way each name is carried."""

    def __init__(self) -> None:
        self.draft = self._draft = Draft(self._global)
        self._definitions = Definitions(self._draft)

    def transform(self, one: Transform[Any, Any]) -> None:
        """Capture a transform."""
        if one.tables:
            self._draft.with_tables()
        if not one.name.isidentifier():
            self._draft.problems.append(
                "a transform of a lambda has no name; write it as a function with def"
            )
            return
        if isinstance(one.function, LibraryFunction):
            self._library(one, one.function)
            return
        namespace = self._draft.around(
            getattr(one.function, "__globals__", {})
        ).namespace
        if self._draft.is_new(one.name, one, User(one.name, "", namespace)):
            self._definitions.function(one.function, one.name, namespace, one)

    def _library(self, one: Transform[Any, Any], function: LibraryFunction) -> None:
        """Capture a transform of the library as the call that made it."""
        user = User(one.name, "", Namespace({"sl": sys.modules["streamlab"]}))
        if not self._draft.is_new(one.name, one, user):
            return
        try:
            writer = self._draft.writer(user, one.name)
            call = library_call(one.name, function.made_by, writer)
        except Unwritable as error:
            self._draft.refuse(one.name, user, error)
            return
        self._draft.add(one.name, Constant(one.name, call, one), "")

    def _global(self, name: str, user: User) -> None:
        """Capture what a global name of a definition stands for now."""
        if name in _OWN_NAMES:
            return
        if name not in user.namespace.bound:
            self._builtin(name, user)
            return
        value = user.namespace.bound[name]
        if name in _NOTEBOOK_BUILTINS and user.namespace.is_notebook:
            self._builtin(name, user)
            return
        if name in _SHELL_NAMES and name not in user.namespace.bindings:
            return
        if self._draft.is_new(name, value, user):
            try:
                self._new(name, value, user)
            except RecursionError:
                self._draft.refuse(name, user, "holds itself; make it in the function")

    def _new(self, name: str, value: Any, user: User) -> None:
        namespace = user.namespace
        imported = imports.written_import(name, value, namespace)
        if imported is None and not self._is_defined_here(value, namespace):
            assigned = namespace.last(name)
            if (
                assigned is None
                or assigned.assigned is None
                or isinstance(value, ModuleType)
            ):
                imported = imports.made_import(name, value)
        if imported is not None:
            self._import(imported, user)
        elif frames.is_frame(value):
            self._frame(name, value, user)
        elif self._constant(name, value, user):
            return
        elif isinstance(value, Transform):
            self._definitions.function(value.function, name, namespace, value)
        elif isinstance(value, type) and self._is_defined_here(value, namespace):
            self._definitions.class_(value, name, user)
        elif _is_function(value):
            self._definitions.function(value, name, namespace)
        else:
            made = imports.made_import(name, value)
            if made is not None:
                self._import(made, user)
            else:
                self._draft.refuse(name, user, unfit(value))

    def _is_defined_here(self, value: object, namespace: Namespace) -> bool:
        inner: Any = value
        while hasattr(inner, "__wrapped__"):
            inner = inner.__wrapped__
        if isinstance(inner, FunctionType):
            return inner.__globals__ is namespace.bound
        own = namespace.bound.get("__name__", "")
        return isinstance(inner, type) and inner.__module__ == own

    def _builtin(self, name: str, user: User) -> None:
        if name == "get_ipython":
            why = "a % or ! command works only in a notebook; write it in Python"
            self._draft.refuse(name, user, why)
        elif name in _NOTEBOOK_BUILTINS:
            self._draft.refuse(name, user, "works only in a notebook; take it out")
        elif not hasattr(builtins, name):
            self._draft.refuse(name, user, "it is not defined")

    def _import(self, imported: Import, user: User) -> None:
        if imported.package in imports.NOTEBOOK_ONLY:
            why = f"{imported.package} works only in a notebook; take it out"
            self._draft.refuse(imported.alias, user, why)
            return
        self._draft.imports.add(imported)
        if imported.local:
            self._draft.modules.add(imported.module)
            inner = f"{imported.module}.{imported.member}"
            if imported.member and imports.is_submodule(inner):
                self._draft.modules.add(inner)
        if imported.member or imported.alias != imported.package:
            return
        read = names.submodules(user.nodes, imported.alias)
        read = [dotted for dotted in read if imports.is_submodule(dotted)]
        for dotted in read:
            if not any(other.startswith(f"{dotted}.") for other in read):
                alias = "" if imported.local else imported.alias
                self._draft.imports.add(Import(dotted, "", alias, imported.local))
                if imported.local:
                    self._draft.modules.add(dotted)

    # Values

    def _constant(self, name: str, value: object, user: User) -> bool:
        """Capture a value that can be written; False if it is of no such kind."""
        namespace = user.namespace
        provenance = self._draft.around(namespace.bound)
        written = constants.as_written(name, value, namespace)
        if written is None and not constants.is_value(value):
            return False
        why = constants.objection(name, value) or constants.provenance_objection(
            name, value, namespace, provenance, written
        )
        if why:
            self._draft.refuse(name, user, why)
            return True
        where = constants.where(name, namespace)
        inner = User(name, where, namespace)
        try:
            if written is not None:
                text = written.text
                inner = User(name, where, namespace, written.nodes)
                self._draft.needs(name, early=written.names)
                for one in written.names:
                    self._global(one, inner)
            else:
                writer = self._draft.writer(inner, name)
                text = f"{name} = {writer.text(value, used=len(name) + 3)}"
        except Unwritable as error:
            self._draft.refuse(name, user, error)
            return True
        for why in (*in_comments(text), *objections([ast.parse(text)])):
            self._draft.refuse(name, user, why)
        self._draft.add(name, Constant(name, text, value), where)
        return True

    def _frame(self, name: str, value: object, user: User) -> None:
        namespace = user.namespace
        provenance = self._draft.around(namespace.bound)
        origins = [one for one in provenance.of_name(name) if one.source and one.by]
        if origins:
            self._draft.refuse(name, user, f"a frame with a value that {origins[0]}")
            return
        self._draft.with_tables()
        try:
            content = frames.content(value)
            package = "pandas" if frames.is_pandas(value) else "polars"
            module = self._draft.writer(user, name).reference(sys.modules[package])
        except (frames.Unfit, Unwritable) as error:
            self._draft.refuse(name, user, error)
            return
        stem = f"{name}_frame" if name in self._draft.files else name
        read = frames.reader(value, module, f'{TABLES} / "{stem}.parquet"')
        frame = Frame(name, f"{name} = {read}", f"{stem}.parquet", content)
        self._draft.add(name, frame, constants.where(name, namespace))


def _is_function(value: object) -> bool:
    """Return whether a value is a function, maybe with decorators around it."""
    return isinstance(value, FunctionType) or (
        callable(value)
        and hasattr(value, "__wrapped__")
        and not isinstance(value, type)
    )
