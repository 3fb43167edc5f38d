"""A capture under way: what was found so far, and what it needs."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streamlab.export.capture import constants, imports
from streamlab.export.capture.imports import Import
from streamlab.export.capture.local import LocalModules
from streamlab.export.capture.namespace import Namespace
from streamlab.export.capture.ordering import ordered, required
from streamlab.export.capture.pieces import Captured, Definition, Piece, Taken
from streamlab.export.capture.provenance import Provenance
from streamlab.export.capture.values import Unwritable, Writer

TABLES = "TABLES"
"""Name of the constant that says where the package's tables are."""


_RESERVED = "the package's module has this name for itself; give yours another"


@dataclass(frozen=True)
class User:
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


class Draft:
    """What was captured so far.

    Args:
        follow: Captures a global name for whoever needs it.

    Attributes:
        bound: Name of the module → what it stands for.
        imports: The imports.
        problems: What cannot be carried.
        modules: The local modules that are copied.
        future: Whether annotations are not evaluated.
        files: Names that files of declared tables may get.
    """

    def __init__(self, follow: Callable[[str, User], None]) -> None:
        self.follow = follow
        self.bound: dict[str, object] = {"sl": sys.modules["streamlab"]}
        self.imports: set[Import] = {Import("streamlab", "", "sl")}
        self.problems: list[str] = []
        self.modules = LocalModules()
        self.future = False
        self.files: set[str] = set()
        self._pieces: dict[str, Piece] = {}
        self._early: dict[str, list[str]] = {}
        self._late: dict[str, list[str]] = {}
        self._taken: dict[str, str] = {}
        self._seen: set[str] = set()
        self._namespaces: dict[int, Provenance] = {}

    def with_tables(self) -> None:
        """Have the module know where its tables are."""
        for name, value in ((TABLES, TABLES), ("Path", Path)):
            if self.bound.setdefault(name, value) is not value:
                self.problems.append(f"{name}: {_RESERVED}")
        self.imports.add(Import("pathlib", "Path", "Path"))

    def around(self, bound: Any) -> Provenance:
        """Return the provenance of the names of a namespace."""
        if id(bound) not in self._namespaces:
            self._namespaces[id(bound)] = Provenance(Namespace(bound))
        return self._namespaces[id(bound)]

    def refuse(self, name: str, user: User, why: object) -> None:
        """Note that a name cannot be carried."""
        self.problems.append(f"{name}, used by {user}: {why}")

    def add(self, key: str, piece: Piece, where: str) -> None:
        """Add a piece, taken from a cell or file."""
        self._pieces[key] = piece
        self._taken[key] = where

    def needs(
        self, key: str, early: Iterable[str] = (), late: Iterable[str] = ()
    ) -> None:
        """Note what a piece needs to be defined, and what to be called."""
        self._early.setdefault(key, []).extend(early)
        self._late.setdefault(key, []).extend(late)

    def is_new(self, name: str, value: object, user: User) -> bool:
        """Return whether a name is met for the first time; note a second meaning."""
        known = self.bound.setdefault(name, value)
        if known is not value and not constants.same(value, known):
            own = name in {TABLES, "sl", "Path"} and name not in self._seen
            why = "the name stands for two things; rename one of them"
            if own:
                why = _RESERVED
            self.refuse(name, user, why)
        first = name not in self._seen
        self._seen.add(name)
        return first and known is value

    def writer(self, user: User, key: str) -> Writer:
        """Return a writer whose references are captured for a piece."""

        def reference(value: object) -> str:
            text, name, new = constants.reference(value, user.namespace)
            if new is None:
                self.needs(key, early=[name])
                self.follow(name, user)
                return text
            if self.bound.setdefault(new.alias, value) is not value:
                message = f"needs the name {new.alias}, which stands for another thing"
                raise Unwritable(message)
            self._seen.add(new.alias)
            self.imports.add(new)
            return text

        return Writer(reference)

    def captured(self) -> Captured:
        """Return what was captured."""
        order = self._in_order()
        packages = {one.package for one in self.imports if not one.local}
        packages |= self.modules.packages
        missing = [
            f"{package}: an import that nothing installs; install it, or put its file "
            "beside the notebook"
            for package in sorted(packages)
            if not imports.is_installed(package)
        ]
        problems = [*self.problems, *missing, *self.modules.problems]
        return Captured(
            imports=frozenset(one for one in self.imports if not self._is_implied(one)),
            pieces=tuple(self._pieces[name] for name in order),
            modules=dict(sorted(self.modules.texts.items())),
            packages=frozenset(packages),
            taken=(
                *(Taken(n, self._taken[n]) for n in order if self._taken[n]),
                *(Taken(n, f"{n.replace('.', '/')}.py") for n in self.modules.taken),
            ),
            future=self.future,
            problems=tuple(dict.fromkeys(problems)),
        )

    def _in_order(self) -> list[str]:
        """Return the names of the pieces: constants first, where that can be."""
        order = ordered(list(self._pieces), self._early, self._late)
        defined = {n for n, one in self._pieces.items() if isinstance(one, Definition)}
        later = {n for n in order if required(n, self._early, self._late) & defined}
        return sorted(order, key=lambda name: name in later or name in defined)

    def _is_implied(self, one: Import) -> bool:
        """Return whether ``import a.b.c`` is there, which does ``import a.b``, too."""
        return not one.member and any(
            other.module.startswith(f"{one.module}.")
            and (other.alias, other.member, other.local) == (one.alias, "", False)
            for other in self.imports
        )
