"""Capturing transforms: the functions, imports, constants and tables they need.

Everything is followed from the live objects, by name: what a function would find
when it is called now is what the package gets. What cannot be carried is collected,
all of it, and refused by name.
"""

from __future__ import annotations

import __future__

import ast
import builtins
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from streamlab.export import closures, constants, frames, imports, names, signatures
from streamlab.export.classes import find_class, own_methods
from streamlab.export.found import Found, SourceMissing, find
from streamlab.export.imports import Import
from streamlab.export.local import LocalModules
from streamlab.export.namespace import Namespace
from streamlab.export.objections import objections
from streamlab.export.ordering import ordered, required
from streamlab.export.pieces import Captured, Constant, Definition, Frame, Piece, Taken
from streamlab.export.provenance import Provenance
from streamlab.export.unfit import unfit
from streamlab.export.values import Unwritable, Writer
from streamlab.transforms.transform import Transform, transform

TABLES = "TABLES"
"""Name of the constant that says where the package's tables are."""

_OWN_NAMES = frozenset({"__name__", "__doc__", "__module__", "__qualname__"})
_NOTEBOOK_BUILTINS = frozenset({"get_ipython", "display"})
_MUTABLE = (list, dict, set, bytearray)
_RESERVED = "a name of the package's own module; give yours another one"


def capture(transforms: Sequence[Transform[Any, Any]]) -> Captured:
    """Follow the transforms of a pipeline to everything they need."""
    capturing = _Capturing()
    if any(one.tables for one in transforms):
        capturing.with_tables()
    for one in transforms:
        capturing.transform(one)
    return capturing.captured()


@dataclass(frozen=True)
class _User:
    """Who needs a name: a definition, and the names around it.

    Attributes:
        name: The definition.
        where: Its cell or file.
        namespace: Its globals.
        nodes: Its code, for the submodules that it reads.
    """

    name: str
    where: str
    namespace: Namespace
    nodes: Sequence[ast.AST] = ()

    def __str__(self) -> str:
        """Return the words of a problem."""
        return f"{self.name} ({self.where})" if self.where else self.name


class _Capturing:
    """A capture under way."""

    def __init__(self) -> None:
        self.bound: dict[str, object] = {"sl": sys.modules["streamlab"]}
        self.imports: set[Import] = {Import("streamlab", "", "sl")}
        self.problems: list[str] = []
        self._pieces: dict[str, Piece] = {}
        self._early: dict[str, list[str]] = {}
        self._late: dict[str, list[str]] = {}
        self._taken: dict[str, str] = {}
        self._seen: set[str] = set()
        self._modules = LocalModules()
        self._namespaces: dict[int, tuple[Namespace, Provenance]] = {}
        self._future = False

    def with_tables(self) -> None:
        """Have the module know where its tables are."""
        self.bound |= {TABLES: TABLES, "Path": Path}
        self.imports.add(Import("pathlib", "Path", "Path"))

    def captured(self) -> Captured:
        """Return what was captured."""
        names_in_order = self._in_order()
        packages = {one.package for one in self.imports if not one.local}
        packages |= self._modules.packages
        for package in sorted(packages):
            if not imports.is_installed(package):
                self.problems.append(
                    f"{package}: an import that nothing installs; install it, or put "
                    "its file beside the notebook"
                )
        return Captured(
            imports=frozenset(self.imports),
            pieces=tuple(self._pieces[name] for name in names_in_order),
            modules=dict(sorted(self._modules.texts.items())),
            packages=frozenset(packages),
            taken=tuple(
                Taken(name, self._taken[name])
                for name in names_in_order
                if self._taken.get(name)
            ),
            future=self._future,
            problems=tuple(dict.fromkeys([*self.problems, *self._modules.problems])),
        )

    def _in_order(self) -> list[str]:
        """Return the names of the pieces: constants first, as far as that is possible."""
        order = ordered(list(self._pieces), self._early, self._late)
        defined = {n for n, one in self._pieces.items() if isinstance(one, Definition)}
        later = {n for n in order if required(n, self._early, self._late) & defined}
        return sorted(order, key=lambda name: name in later or name in defined)

    def transform(self, one: Transform[Any, Any]) -> None:
        """Capture a transform."""
        namespace, _ = self._around(getattr(one.function, "__globals__", {}))
        if self._is_new(one.name, one, _User(one.name, "", namespace)):
            self._function(one.function, one.name, namespace, one)

    def _around(self, bound: Any) -> tuple[Namespace, Provenance]:
        if id(bound) not in self._namespaces:
            namespace = Namespace(bound)
            self._namespaces[id(bound)] = namespace, Provenance(namespace)
        return self._namespaces[id(bound)]

    def _refuse(self, name: str, user: _User, why: object) -> None:
        self.problems.append(f"{name}, used by {user}: {why}")

    # Functions and classes

    def _function(
        self,
        value: Callable[..., Any],
        name: str,
        namespace: Namespace,
        owner: Transform[Any, Any] | None = None,
    ) -> None:
        """Capture a function under the name that it is reached by."""
        around, plain = closures.layers(value, name, namespace)
        user = _User(name, "", namespace)
        try:
            found = find(plain, namespace)
            user = self._user(name, found, namespace)
            if found.value.__closure__:  # type: ignore[union-attr]  # a function
                self._closure(found, name, user)
                return
            kept = [one for one in found.decorators if not _is_transform(one, namespace)]
            closures.require_decorators(found, around, kept, namespace)
            if around and not isinstance(found.node, ast.Lambda) and found.node.name != name:
                message = f"another name of the function {found.node.name}; use that one"
                raise SourceMissing(message)
            self._define(found, name, kept, user, owner)
            self._implementations(value, name, namespace)
        except (SourceMissing, Unwritable) as error:
            self.problems.append(f"{user}: {error}")

    def _class(self, kind: type, name: str, user: _User) -> None:
        try:
            found = find_class(kind, user.namespace)
            own = self._user(name, found, user.namespace)
            self._define(found, kind.__name__, found.decorators, own, None)
        except (SourceMissing, Unwritable) as error:
            self._refuse(name, user, error)

    def _user(self, name: str, found: Found, namespace: Namespace) -> _User:
        where = namespace.where(found.text, found.node.lineno)
        return _User(name, where, namespace, [found.node])

    def _define(
        self,
        found: Found,
        name: str,
        kept: Sequence[ast.expr],
        user: _User,
        owner: Transform[Any, Any] | None,
        key: str = "",
    ) -> None:
        """Add a definition, and everything that it needs."""
        key = key or name
        needed = names.needs(found.node, kept)
        self._check(found, kept, needed, user)
        edits = self._edits(found, user, key)
        if isinstance(found.value, FunctionType):
            flag = __future__.annotations.compiler_flag
            self._future |= bool(found.value.__code__.co_flags & flag)
        decorators = [f"@{found.segment(one)}\n" for one in kept]
        text = "".join(decorators) + found.body(name, edits)
        replaced = {id(part) for edit, _ in edits for part in ast.walk(edit)}
        gone = _names_only_in(found.node, replaced)
        self._pieces[key] = Definition(name, found.comment, text, owner)
        self._taken[key] = user.where
        self._early.setdefault(key, []).extend(n for n in needed.early if n not in gone)
        self._late.setdefault(key, []).extend(needed.late)
        for one in (*needed.early, *needed.late):
            if one not in gone and one != name:
                self._global(one, user)

    def _edits(self, found: Found, user: _User, key: str) -> list[signatures.Edit]:
        """Return the changes of defaults that are not what their text says now."""
        provenance = self._around(user.namespace.bound)[1]
        functions: list[tuple[FunctionType, Any]] = []
        if isinstance(found.value, FunctionType):
            functions = [(found.value, found.node)]
        else:
            functions = list(own_methods(found))
        edits: list[signatures.Edit] = []
        for function, node in functions:
            for parameter, text, value in signatures.defaults(function, node):
                origin = provenance.machine(text, user.where)
                why = constants.objection(parameter, value) or (str(origin) if origin else "")
                if why:
                    self.problems.append(f"{user}: the default of {parameter} {why}")
                else:
                    writer = self._writer(user, key)
                    edits += signatures.edit(text, value, user.namespace, writer)
        return edits

    def _check(
        self, found: Found, kept: Sequence[ast.expr], needed: names.Needs, user: _User
    ) -> None:
        """Note what is wrong with a definition apart from the names it uses."""
        namespace, provenance = self._around(user.namespace.bound)
        for name in needed.written:
            value = namespace.bound.get(name)
            if name in namespace.bound and (
                isinstance(value, _MUTABLE) or name not in (*needed.early, *needed.late)
                or _declares(found.node, name)
            ):
                self.problems.append(
                    f"{user}: changes the global {name!r}; a worker's epochs share "
                    "nothing"
                )
        parts: list[ast.AST] = [*kept]
        if isinstance(found.node, ast.ClassDef):
            parts += names.run_at_definition(found.node)
        for part in parts:
            origin = provenance.machine(part, user.where)
            if origin is not None:
                self.problems.append(f"{user}: a value in it {origin}")
        exported = [*kept, *ast.iter_child_nodes(found.node)]
        skipped = {id(one) for one in found.decorators} - {id(one) for one in kept}
        exported = [one for one in exported if id(one) not in skipped]
        self.problems += [f"{user}: {why}" for why in objections(exported)]

    def _closure(self, found: Found, name: str, user: _User) -> None:
        """Capture a function as the call that made it."""
        provenance = self._around(user.namespace.bound)[1]
        factory = found.around.name if found.around is not None else ""
        for origin in provenance.of_name(name):
            if origin.source or origin.call != factory:
                raise SourceMissing(f"a value that it closes over {origin}")
        text = closures.factory_call(found, user.namespace, self._writer(user, name))
        for variable, cell in zip(
            found.value.__code__.co_freevars,  # type: ignore[union-attr]  # a function
            found.value.__closure__ or (),  # type: ignore[union-attr]  # the same
            strict=True,
        ):
            why = constants.objection(variable, cell.cell_contents)
            if why:
                raise SourceMissing(f"its variable {variable} {why}")
        self._early.setdefault(name, []).append(factory)
        self._pieces[name] = Constant(name, f"{name} = {text}", None)
        self._taken[name] = user.where
        self._global(factory, user)

    def _implementations(self, value: Any, name: str, namespace: Namespace) -> None:
        """Capture what was registered with a ``functools.singledispatch``."""
        registry = getattr(value, "registry", None)
        if registry is None or not hasattr(value, "dispatch"):
            return
        functions = list(dict.fromkeys(registry[kind] for kind in registry if kind is not object))
        for number, function in enumerate(functions):
            found = find(function, namespace)
            registers = [one for one in found.decorators if _begins(one, f"{name}.register")]
            if not registers:
                message = "an implementation was registered by a call; use it as a decorator"
                raise SourceMissing(message)
            key = f"{name}.register {number}"
            user = self._user(name, found, namespace)
            self._early[key] = [name]
            self._late.setdefault(name, []).append(key)
            own = getattr(found.node, "name", name)
            self._define(found, own, found.decorators, user, None, key)

    # Names

    def _writer(self, user: _User, key: str) -> Writer:
        """Return a writer whose references are captured for a piece."""

        def reference(value: object) -> str:
            text, name, new = constants.reference(value, user.namespace)
            if new is not None:
                if self.bound.setdefault(new.alias, value) is not value:
                    raise Unwritable(f"needs the name {new.alias}, which means another thing")
                self._seen.add(new.alias)
                self.imports.add(new)
            else:
                self._early.setdefault(key, []).append(name)
                self._global(name, user)
            return text

        return Writer(reference)

    def _global(self, name: str, user: _User) -> None:
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
        if name in {"open", "exit", "quit"} and callable(value) and not (
            user.namespace.bindings.get(name)
        ):
            return
        if self._is_new(name, value, user):
            self._new(name, value, user)

    def _new(self, name: str, value: Any, user: _User) -> None:
        namespace = user.namespace
        imported = imports.written_import(name, value, namespace)
        if imported is None and not self._is_defined_here(value, namespace):
            assigned = namespace.last(name)
            if assigned is None or assigned.assigned is None or isinstance(value, ModuleType):
                imported = imports.made_import(name, value)
        if imported is not None:
            self._import(imported, user)
        elif frames.is_frame(value):
            self._frame(name, value, user)
        elif self._constant(name, value, user):
            return
        elif isinstance(value, Transform):
            self._function(value.function, name, namespace, value)
        elif isinstance(value, type) and self._is_defined_here(value, namespace):
            self._class(value, name, user)
        elif _is_function(value):
            self._function(value, name, namespace)
        else:
            made = imports.made_import(name, value)
            if made is not None:
                self._import(made, user)
            else:
                self._refuse(name, user, unfit(value))

    def _is_defined_here(self, value: object, namespace: Namespace) -> bool:
        inner: Any = value
        while hasattr(inner, "__wrapped__"):
            inner = inner.__wrapped__
        if isinstance(inner, FunctionType):
            return inner.__globals__ is namespace.bound
        own = namespace.bound.get("__name__", "")
        return isinstance(inner, type) and inner.__module__ == own

    def _is_new(self, name: str, value: object, user: _User) -> bool:
        """Return whether a name is met for the first time; note a second meaning."""
        known = self.bound.setdefault(name, value)
        if known is not value and not constants.same(value, known):
            own = name in {TABLES, "sl", "Path"} and name not in self._seen
            why = _RESERVED if own else "the name stands for two things; rename one"
            self._refuse(name, user, why)
        first = name not in self._seen
        self._seen.add(name)
        return first and known is value

    def _builtin(self, name: str, user: _User) -> None:
        if name == "get_ipython":
            why = "a % or ! command works only in a notebook; write it in Python"
            self._refuse(name, user, why)
        elif name in _NOTEBOOK_BUILTINS:
            self._refuse(name, user, "works only in a notebook; take it out")
        elif not hasattr(builtins, name):
            self._refuse(name, user, "it is not defined")

    def _import(self, imported: Import, user: _User) -> None:
        if imported.package in imports.NOTEBOOK_ONLY:
            why = f"{imported.package} works only in a notebook; take it out"
            self._refuse(imported.alias, user, why)
            return
        self.imports.add(imported)
        if imported.local:
            self._modules.add(imported.module)
            inner = f"{imported.module}.{imported.member}"
            if imported.member and imports.is_submodule(inner):
                self._modules.add(inner)
        if imported.member or imported.alias != imported.package:
            return
        for dotted in names.submodules(user.nodes, imported.alias):
            if imports.is_submodule(dotted):
                alias = "" if imported.local else imported.alias
                self.imports.add(Import(dotted, "", alias, imported.local))
                if imported.local:
                    self._modules.add(dotted)

    # Values

    def _constant(self, name: str, value: object, user: _User) -> bool:
        """Capture a value that can be written; return False if it is of no such kind."""
        namespace, provenance = self._around(user.namespace.bound)
        written = constants.as_written(name, value, namespace)
        if written is None and not constants.is_value(value):
            return False
        why = constants.objection(name, value) or constants.provenance_objection(
            name, value, namespace, provenance, written
        )
        if why:
            self._refuse(name, user, why)
            return True
        where = constants.where(name, namespace)
        inner = _User(name, where, namespace)
        try:
            if written is not None:
                text = written.text
                inner = _User(name, where, namespace, written.nodes)
                self._early.setdefault(name, []).extend(written.names)
                for one in written.names:
                    self._global(one, inner)
            else:
                text = f"{name} = {self._writer(inner, name).text(value, len(name) + 3)}"
        except Unwritable as error:
            self._refuse(name, user, error)
            return True
        self._pieces[name] = Constant(name, text, value)
        self._taken[name] = where
        return True

    def _frame(self, name: str, value: object, user: _User) -> None:
        namespace, provenance = self._around(user.namespace.bound)
        origins = [one for one in provenance.of_name(name) if one.source and one.call]
        if origins:
            self._refuse(name, user, f"a frame with a value that {origins[0]}")
            return
        self.with_tables()
        try:
            content = frames.content(value)
            package = "pandas" if frames.is_pandas(value) else "polars"
            module = self._writer(user, name)._reference(sys.modules[package])  # noqa: SLF001
        except (frames.Unfit, Unwritable) as error:
            self._refuse(name, user, error)
            return
        read = frames.reader(value, module, f'{TABLES} / "{name}.parquet"')
        self._pieces[name] = Frame(name, f"{name} = {read}", content)
        self._taken[name] = constants.where(name, namespace)


def _is_transform(decorator: ast.expr, namespace: Namespace) -> bool:
    """Return whether a decorator is ``sl.transform``, with or without arguments."""
    node = decorator.func if isinstance(decorator, ast.Call) else decorator
    value: object = None
    if isinstance(node, ast.Name):
        value = namespace.bound.get(node.id)
    elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        module = namespace.bound.get(node.value.id)
        value = getattr(module, node.attr, None)
    return value is transform


def _is_function(value: object) -> bool:
    """Return whether a value is a function, maybe with decorators around it."""
    return isinstance(value, FunctionType) or (
        callable(value)
        and hasattr(value, "__wrapped__")
        and not isinstance(value, type)
    )


def _begins(decorator: ast.expr, text: str) -> bool:
    node = decorator.func if isinstance(decorator, ast.Call) else decorator
    return ast.unparse(node) == text


def _declares(node: ast.AST, name: str) -> bool:
    return any(isinstance(one, ast.Global) and name in one.names for one in ast.walk(node))


def _names_only_in(node: ast.AST, replaced: set[int]) -> set[str]:
    """Return the names that a definition has only in parts that are replaced."""
    inside, outside = set(), set()
    for part in ast.walk(node):
        if isinstance(part, ast.Name):
            (inside if id(part) in replaced else outside).add(part.id)
    return inside - outside
