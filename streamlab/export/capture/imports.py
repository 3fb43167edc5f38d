"""Imports: which statement gives a name its live value, and what it installs."""

from __future__ import annotations

import ast
import functools
import importlib.metadata
import importlib.util
import site
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

from streamlab.errors import DISTRIBUTION
from streamlab.export.capture.namespace import Namespace

NOTEBOOK_ONLY = frozenset({"IPython", "ipykernel", "ipywidgets", "get_ipython"})

_MISSING = object()


@dataclass(frozen=True, order=True)
class Import:
    """One imported name.

    Attributes:
        module: The module.
        member: What is taken from it; "" imports the module itself.
        alias: The name it is bound to; "" loads a module that another name reaches.
        local: Whether the module is copied into the package.
    """

    module: str
    member: str
    alias: str
    local: bool = False

    @property
    def package(self) -> str:
        """Return the top-level package."""
        return self.module.partition(".")[0]

    @property
    def source(self) -> tuple[str, str]:
        """Return what stands after ``from`` and after ``import``; "" for neither."""
        if not self.local or self.member:
            return ("." if self.local else "") + self.module, self.member
        above, _, last = self.module.rpartition(".")
        if self.alias == self.package and self.alias != self.module:
            above, last = "", self.package
        return f".{above}", last

    @property
    def statement(self) -> str:
        """Return the statement as a person would write it."""
        module, member = self.source
        if not self.alias:
            above, _, last = self.module.rpartition(".")
            hidden = "_" + self.module.replace(".", "_")
            return f"from .{above} import {last} as {hidden}  # noqa: F401"
        if member:
            tail = "" if self.alias == member else f" as {self.alias}"
            return f"from {module} import {member}{tail}"
        plain = self.alias == self.package
        return f"import {module}" + ("" if plain else f" as {self.alias}")

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


def written_import(name: str, value: object, namespace: Namespace) -> Import | None:
    """Return the import that the user wrote for a name, if it gives its live value.

    Args:
        name: The global name.
        value: What it is bound to now.
        namespace: Whose cells are searched, newest first.
    """
    for cell in reversed(namespace.cells):
        for statement in _statements(cell.tree, name):
            if statement.gives(value):
                return replace(statement, local=is_local(statement.module))
    return None


def made_import(name: str, value: object) -> Import | None:
    """Return the import that a value tells of itself, if it gives it back."""
    if isinstance(value, ModuleType):
        made = Import(value.__name__, "", name)
    else:
        made = Import(
            str(getattr(value, "__module__", "")),
            str(getattr(value, "__name__", "")),
            name,
        )
    if made.module in {"__main__", "builtins", ""} or not made.gives(value):
        return None
    return replace(made, local=is_local(made.module))


def is_installed(module: str) -> bool:
    """Return whether a module comes with Python or with an installed package."""
    package = module.partition(".")[0]
    known = package in sys.stdlib_module_names or bool(distribution_of(package))
    return known and not is_local(module)


def is_local(module: str) -> bool:
    """Return whether a module is a file of the user's, which nothing installed."""
    package = module.partition(".")[0]
    path = file_of(package)
    if package == "streamlab" or path is None:
        return False
    return not any(path.is_relative_to(folder) for folder in _installed_folders()) and (
        path.parent not in _editable_folders()
    )


def is_submodule(dotted: str) -> bool:
    """Return whether a dotted name is a module that has been imported."""
    return dotted in sys.modules


def distribution_of(package: str) -> str:
    """Return the distribution that installs a top-level package; "" if none."""
    if package == "streamlab":  # an editable install does not list its packages
        return DISTRIBUTION
    found = _distributions().get(package)
    return min(found) if found else _editable(package)


def requirement(distribution: str) -> str:
    """Return ``name~=major.minor`` of what is installed now."""
    version = importlib.metadata.version(distribution)
    major_minor = ".".join(version.split("+")[0].split(".")[:2])
    return f"{distribution}~={major_minor}"


def file_of(package: str) -> Path | None:
    """Return the file of a top-level module, or the folder of a package."""
    module = sys.modules.get(package)
    spec = getattr(module, "__spec__", None)
    if module is None:
        try:
            spec = importlib.util.find_spec(package)
        except (ImportError, ValueError):
            return None
    places = list(getattr(spec, "submodule_search_locations", None) or ())
    path = places[0] if places else getattr(spec, "origin", None)
    if module is not None and not path:
        path = getattr(module, "__file__", None)
    return Path(path).resolve() if path and Path(path).exists() else None


@functools.cache
def _installed_folders() -> tuple[Path, ...]:
    """Return the folders that Python and installers write to."""
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    folders = [*map(sysconfig.get_path, names), *site.getsitepackages()]
    return tuple(Path(one).resolve() for one in (*folders, site.getusersitepackages()))


@functools.cache
def _editable_folders() -> Mapping[Path, str]:
    """Return folder → distribution, for those installed from where they are edited."""
    found: dict[Path, str] = {}
    for distribution in importlib.metadata.distributions():
        for path in distribution.files or ():
            if path.suffix == ".pth" and "editable" in path.name:
                lines = path.read_text().splitlines()
                for line in lines:
                    if line and not line.startswith("import"):
                        found[Path(line).resolve()] = distribution.name
    return found


def _editable(package: str) -> str:
    path = file_of(package)
    return _editable_folders().get(path.parent, "") if path is not None else ""


@functools.cache
def _distributions() -> Mapping[str, list[str]]:
    """Return top-level package → distributions; reading them all takes 0.1 s."""
    return importlib.metadata.packages_distributions()


def _statements(tree: ast.Module, name: str) -> Iterator[Import]:
    """Yield the imports of a cell or file that may bind a name; ``*`` is one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for item in node.names:
                alias = item.asname or item.name.partition(".")[0]
                if alias == name:
                    yield Import(item.name, "", alias)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for item in node.names:
                member = name if item.name == "*" else item.name
                if (item.asname or member) == name:
                    yield Import(node.module, member, name)
