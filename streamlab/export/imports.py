"""Imports: which statement gives a name its live value, and what it installs."""

from __future__ import annotations

import ast
import functools
import importlib.metadata
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import ModuleType

from streamlab.errors import DISTRIBUTION

NOTEBOOK_ONLY = frozenset({"IPython", "ipykernel", "ipywidgets", "get_ipython"})

_MISSING = object()


@dataclass(frozen=True, order=True)
class Import:
    """One imported name.

    Attributes:
        module: The module.
        member: What is taken from it; "" imports the module itself.
        alias: The name it is bound to.
    """

    module: str
    member: str
    alias: str

    @property
    def package(self) -> str:
        """Return the top-level package."""
        return self.module.partition(".")[0]

    @property
    def statement(self) -> str:
        """Return the statement as a person would write it."""
        if self.member:
            tail = "" if self.alias == self.member else f" as {self.alias}"
            return f"from {self.module} import {self.member}{tail}"
        plain = self.alias == self.package
        return f"import {self.module}" + ("" if plain else f" as {self.alias}")

    def gives(self, value: object) -> bool:
        """Return whether the statement would bind this very object."""
        plain = not self.member and self.alias == self.package
        module = sys.modules.get(self.package if plain else self.module)
        if not self.member:
            return module is value
        found = getattr(module, self.member, _MISSING)
        if found is _MISSING:
            found = sys.modules.get(f"{self.module}.{self.member}", _MISSING)
        return found is value


def import_of(name: str, value: object, texts: Iterable[str]) -> Import | None:
    """Return the import that binds ``name`` to ``value``; None if none can.

    The statement that the user wrote is preferred, if it still gives the value;
    else one is made from what the object says of itself.

    Args:
        name: The global name.
        value: What it is bound to now.
        texts: Cells or files to look for import statements in, newest first.
    """
    written = (statement for text in texts for statement in _statements(text))
    for statement in written:
        if (
            statement.alias == name
            and is_installed(statement.module)
            and statement.gives(value)
        ):
            return statement
    if isinstance(value, ModuleType):
        made = Import(value.__name__, "", name)
    else:
        made = Import(
            str(getattr(value, "__module__", "")),
            str(getattr(value, "__name__", "")),
            name,
        )
    return made if is_installed(made.module) and made.gives(value) else None


def is_installed(module: str) -> bool:
    """Return whether a module comes with Python or with an installed package."""
    package = module.partition(".")[0]
    return package in sys.stdlib_module_names or bool(distribution_of(package))


def is_submodule(dotted: str) -> bool:
    """Return whether a dotted name is a module that has been imported."""
    return dotted in sys.modules and is_installed(dotted)


def distribution_of(package: str) -> str:
    """Return the distribution that installs a top-level package; "" if none."""
    if package == "streamlab":  # an editable install does not list its packages
        return DISTRIBUTION
    found = _distributions().get(package)
    return min(found) if found else ""


def requirement(distribution: str) -> str:
    """Return ``name~=major.minor`` of what is installed now."""
    version = importlib.metadata.version(distribution)
    major_minor = ".".join(version.split("+")[0].split(".")[:2])
    return f"{distribution}~={major_minor}"


@functools.cache
def _distributions() -> Mapping[str, list[str]]:
    """Return top-level package → distributions; reading them all takes 0.1 s."""
    return importlib.metadata.packages_distributions()


def _statements(text: str) -> list[Import]:
    """Return the imports of a cell or file; one that is no Python has none."""
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return []
    found: list[Import] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for item in node.names:
                alias = item.asname or item.name.partition(".")[0]
                found.append(Import(item.name, "", alias))
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found += [
                Import(node.module, item.name, item.asname or item.name)
                for item in node.names
            ]
    return found
