"""Definitions: functions, closures and classes with all that they need."""

from __future__ import annotations
import __future__

import ast
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import FunctionType
from typing import Any

from streamlab.export.capture import closures, constants, imports, names, signatures
from streamlab.export.capture.classes import find_class, own_methods
from streamlab.export.capture.declared import arguments
from streamlab.export.capture.draft import Draft, User
from streamlab.export.capture.found import Found, SourceMissing, find
from streamlab.export.capture.namespace import Namespace
from streamlab.export.capture.objections import in_comments, objections
from streamlab.export.capture.pieces import Constant, Definition
from streamlab.export.capture.provenance import called
from streamlab.export.capture.values import Unwritable
from streamlab.transforms.transform import Transform, transform

_MUTABLE = (list, dict, set, bytearray)


class Definitions:
    """Captures functions and classes.

    Args:
        draft: Where they are put.
    """

    def __init__(self, draft: Draft) -> None:
        self._draft = draft

    def function(
        self,
        value: Callable[..., Any],
        name: str,
        namespace: Namespace,
        owner: Transform[Any, Any] | None = None,
    ) -> None:
        """Capture a function under the name that it is reached by."""
        around, plain = closures.layers(value, name, namespace)
        user = User(name, "", namespace)
        try:
            own = self._own(plain, namespace)
            found = find(plain, own)
            if found.value.__closure__:  # type: ignore[union-attr]  # a function
                user = replace(self._user(name, found, own), namespace=namespace)
                self._closure(found, name, user)
                return
            namespace = own
            user = self._user(name, found, namespace)
            kept = [
                one for one in found.decorators if not _is_transform(one, namespace)
            ]
            closures.require_decorators(found, around, kept, namespace)
            _require_shape(found, name, kept, around)
            self._define(found, name, kept, user, owner)
            self._implementations(value, name, namespace)
        except (SourceMissing, Unwritable) as error:
            self._draft.problems.append(f"{user}: {error}")

    def _own(self, plain: Any, namespace: Namespace) -> Namespace:
        """Return the globals of a function: ``%run`` gives a script its own.

        Raises:
            SourceMissing: It is of an installed package, whose text is not copied.
        """
        bound = getattr(plain, "__globals__", namespace.bound)
        if bound is namespace.bound:
            return namespace
        module = str(bound.get("__name__", ""))
        if imports.is_installed(module):
            message = f"it was made by {module}; make it inside of the function"
            raise SourceMissing(message)
        return self._draft.around(bound).namespace

    def class_(self, kind: type, name: str, user: User) -> None:
        """Capture a class; ``user`` needs it."""
        try:
            found = find_class(kind, user.namespace)
            own = self._user(name, found, user.namespace)
            self._define(found, kind.__name__, found.decorators, own, None)
        except (SourceMissing, Unwritable) as error:
            self._draft.refuse(name, user, error)

    def _user(self, name: str, found: Found, namespace: Namespace) -> User:
        where = namespace.where(found.text, found.node.lineno)
        return User(name, where, namespace, [found.node])

    def _define(
        self,
        found: Found,
        name: str,
        kept: Sequence[ast.expr],
        user: User,
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
            self._draft.future |= bool(found.value.__code__.co_flags & flag)
        decorators = [f"@{found.segment(one)}\n" for one in kept]
        text = "".join(decorators) + found.body(name, edits)
        for why in in_comments(found.comment + text):
            self._draft.problems.append(f"{user}: {why}")
        replaced = {id(part) for edit, _ in edits for part in ast.walk(edit)}
        gone = _names_only_in(found.node, replaced)
        needs = owner.needs if owner is not None else None
        declared = arguments(needs, self._draft.writer(user, key))
        made = Definition(name, found.comment, text, owner, declared)
        self._draft.add(key, made, user.where)
        early = [one for one in needed.early if one not in gone]
        self._draft.needs(key, early, needed.late)
        for one in (*needed.early, *needed.late):
            if one not in gone and one != name:
                self._draft.follow(one, user)

    def _edits(self, found: Found, user: User, key: str) -> list[signatures.Edit]:
        """Return the changes of defaults that are not what their text says now."""
        provenance = self._draft.around(user.namespace.bound)
        functions: list[tuple[FunctionType, Any]] = []
        if isinstance(found.value, FunctionType):
            functions = [(found.value, found.node)]
        else:
            functions = list(own_methods(found))
        edits: list[signatures.Edit] = []
        for function, node in functions:
            for parameter, text, value in signatures.defaults(function, node):
                origin = provenance.machine(text, user.where)
                why = constants.objection(parameter, value) or (
                    str(origin) if origin else ""
                )
                if why:
                    self._draft.problems.append(
                        f"{user}: the default of {parameter} {why}"
                    )
                else:
                    writer = self._draft.writer(user, key)
                    edits += signatures.edit(text, value, user.namespace, writer)
        return edits

    def _check(
        self, found: Found, kept: Sequence[ast.expr], needed: names.Needs, user: User
    ) -> None:
        """Note what is wrong with a definition apart from the names it uses."""
        namespace = user.namespace
        provenance = self._draft.around(namespace.bound)
        for name in needed.written:
            value = namespace.bound.get(name)
            if name in namespace.bound and (
                isinstance(value, _MUTABLE)
                or name not in (*needed.early, *needed.late)
                or _declares(found.node, name)
            ):
                self._draft.problems.append(
                    f"{user}: changes the global {name!r}; a worker's epochs share "
                    "nothing"
                )
        parts: list[ast.AST] = [*kept]
        if isinstance(found.node, ast.ClassDef):
            parts += names.run_at_definition(found.node)
        for part in parts:
            origin = provenance.machine(part, user.where)
            if origin is not None:
                self._draft.problems.append(f"{user}: a value in it {origin}")
        exported = [*kept, *ast.iter_child_nodes(found.node)]
        skipped = {id(one) for one in found.decorators} - {id(one) for one in kept}
        exported = [one for one in exported if id(one) not in skipped]
        self._draft.problems += [f"{user}: {why}" for why in objections(exported)]

    def _closure(self, found: Found, name: str, user: User) -> None:
        """Capture a function as the call that made it."""
        provenance = self._draft.around(user.namespace.bound)
        factory = found.around.name if found.around is not None else ""
        for origin in provenance.of_name(name):
            if origin.source or origin.by != called(factory):
                raise SourceMissing(f"a value that it closes over {origin}")
        text = closures.factory_call(found, self._draft.writer(user, name))
        for variable, cell in zip(
            found.value.__code__.co_freevars,  # type: ignore[union-attr]  # a function
            found.value.__closure__ or (),  # type: ignore[union-attr]  # the same
            strict=True,
        ):
            why = constants.objection(variable, cell.cell_contents)
            if why:
                raise SourceMissing(f"its variable {variable} {why}")
        self._draft.add(
            name, Constant(name, f"{name} = {text}", found.value), user.where
        )

    def _implementations(self, value: Any, name: str, namespace: Namespace) -> None:
        """Capture what was registered with a ``functools.singledispatch``."""
        registry = getattr(value, "registry", None)
        if registry is None or not hasattr(value, "dispatch"):
            return
        functions = list(
            dict.fromkeys(registry[kind] for kind in registry if kind is not object)
        )
        for number, function in enumerate(functions):
            found = find(function, namespace)
            registers = [
                one for one in found.decorators if _begins(one, f"{name}.register")
            ]
            if not registers:
                message = (
                    "an implementation was registered by a call; use it as a decorator"
                )
                raise SourceMissing(message)
            key = f"{name}.register {number}"
            user = self._user(name, found, namespace)
            self._draft.needs(key, early=[name])
            self._draft.needs(name, late=[key])
            own = getattr(found.node, "name", name)
            self._define(found, own, found.decorators, user, None, key)


def _require_shape(
    found: Found, name: str, kept: Sequence[ast.expr], around: Sequence[Any]
) -> None:
    """Refuse a function that its text does not make.

    Raises:
        SourceMissing: It is decorated and has another name, has attributes, or is a
            transform and has decorators above that.
    """
    own = getattr(found.node, "name", name)
    if around and own != name:
        message = f"another name of the decorated function {own}; use that one"
        raise SourceMissing(message)
    if vars(found.value) and not kept:
        message = "values were set on it as attributes; make them constants"
        raise SourceMissing(message)
    if len(kept) < len(found.decorators) and found.decorators[0] in kept:
        message = "a decorator stands above @sl.transform; write it below"
        raise SourceMissing(message)


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


def _begins(decorator: ast.expr, text: str) -> bool:
    node = decorator.func if isinstance(decorator, ast.Call) else decorator
    return ast.unparse(node) == text


def _declares(node: ast.AST, name: str) -> bool:
    return any(
        isinstance(one, ast.Global) and name in one.names for one in ast.walk(node)
    )


def _names_only_in(node: ast.AST, replaced: set[int]) -> set[str]:
    """Return the names that a definition has only in parts that are replaced."""
    inside: set[str] = set()
    outside: set[str] = set()
    for part in ast.walk(node):
        if isinstance(part, ast.Name):
            (inside if id(part) in replaced else outside).add(part.id)
    return inside - outside
