"""Local modules: files beside the notebook, copied with what they import locally."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FunctionType
from typing import Any

from streamlab.export.capture import imports
from streamlab.export.capture.classes import find_class
from streamlab.export.capture.expressions import Evaluation, NotPure
from streamlab.export.capture.found import SourceMissing, find
from streamlab.export.capture.names import run_at_definition
from streamlab.export.capture.namespace import Namespace, parsed
from streamlab.export.capture.objections import in_comments, objections
from streamlab.export.capture.provenance import Provenance
from streamlab.export.capture.values import same

_TAKEN = frozenset({"transform", "worker", "tables", "pipeline", "schema"})
"""Names that the package's module has files of."""

_Edit = tuple[ast.stmt, str]


@dataclass
class LocalModules:
    """The local modules that a package needs, as far as they are known.

    Attributes:
        texts: Path in the package's module → text, with imports made relative.
        packages: Top-level packages that they import and that are installed.
        problems: What is wrong with them.
        taken: The modules in the order they were met.
    """

    texts: dict[str, str] = field(default_factory=dict)
    packages: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)
    taken: list[str] = field(default_factory=list)

    def add(self, module: str) -> None:
        """Copy a module, the packages that it is in, and what they import."""
        parts = module.split(".")
        for count in range(1, len(parts) + 1):
            self._one(".".join(parts[:count]))

    def _one(self, module: str) -> None:
        if module in self.taken:
            return
        self.taken.append(module)
        path, is_package = _place(module)
        if path is None:
            return  # a folder without __init__.py has no text
        if module in _TAKEN:
            self._refuse(module, f"the package has a {module} of its own; rename it")
        text = path.read_text(encoding="utf-8") if path.suffix == ".py" else ""
        tree = parsed(text)
        if path.suffix != ".py" or tree is None:
            self._refuse(module, "it is no Python text; install it as a package")
            return
        self._check(module, tree)
        for why in in_comments(text):
            self._refuse(module, why)
        depth = module.count(".") + 1 + is_package
        target = module.replace(".", "/") + ("/__init__.py" if is_package else ".py")
        edits = [
            one
            for node in ast.walk(tree)
            for one in self._import(node, module, depth, is_package=is_package)
        ]
        self.texts[target] = _edited(text, edits)

    def _refuse(self, module: str, why: str) -> None:
        self.problems.append(f"the local module {module}: {why}")

    def _import(
        self, node: ast.AST, module: str, depth: int, *, is_package: bool
    ) -> Iterator[_Edit]:
        """Copy what a statement imports; yield how it has to change."""
        if isinstance(node, ast.ImportFrom) and node.level:
            package = module if is_package else module.rpartition(".")[0]
            for _ in range(node.level - 1):
                package = package.rpartition(".")[0]
            base = f"{package}.{node.module}" if node.module else package
            self._members(base, node)
        elif isinstance(node, ast.ImportFrom) and node.module:
            if imports.is_local(node.module):
                self._members(node.module, node)
                listed = ", ".join(ast.unparse(alias) for alias in node.names)
                yield node, f"from {'.' * depth}{node.module} import {listed}"
            else:
                self._installed(module, node.module)
        elif isinstance(node, ast.Import):
            lines = [self._plain(alias, module, depth) for alias in node.names]
            if any(imports.is_local(alias.name) for alias in node.names):
                yield node, "\n".join(lines)

    def _installed(self, module: str, imported: str) -> None:
        package = imported.partition(".")[0]
        if package in imports.NOTEBOOK_ONLY:
            self._refuse(module, f"{package} works only in a notebook; take it out")
        self.packages.add(package)

    def _members(self, base: str, node: ast.ImportFrom) -> None:
        self.add(base)
        for alias in node.names:
            if _place(f"{base}.{alias.name}")[0] is not None:
                self.add(f"{base}.{alias.name}")

    def _plain(self, alias: ast.alias, module: str, depth: int) -> str:
        if not imports.is_local(alias.name):
            self._installed(module, alias.name)
            return f"import {ast.unparse(alias)}"
        self.add(alias.name)
        above, _, last = alias.name.rpartition(".")
        dots = "." * depth
        if alias.asname:
            return f"from {dots}{above} import {last} as {alias.asname}"
        top = alias.name.partition(".")[0]
        first = f"from {dots} import {top}"
        if not above:
            return first
        hidden = "_" + alias.name.replace(".", "_")
        return f"{first}\nfrom {dots}{above} import {last} as {hidden}"

    def _check(self, module: str, tree: ast.Module) -> None:
        """Note what a module holds that must not leave, or is not what lives."""
        for why in objections([tree]):
            self._refuse(module, why)
        live = sys.modules.get(module)
        path, _ = _place(module)
        bound: dict[str, Any] = (
            dict(vars(live)) if live is not None else {"__file__": str(path)}
        )
        namespace = Namespace(bound)
        provenance = Provenance(namespace)
        for node in run_at_definition(*tree.body):
            origin = provenance.machine(node, "")
            if origin is not None:
                line = getattr(node, "lineno", 1)
                self._refuse(
                    module,
                    f"line {line}: reads {origin.source} when it is imported; "
                    "make it a parameter of a function",
                )
                break
        if live is not None:
            for why in _changes(module, bound, tree, namespace):
                self._refuse(module, why)


def _changes(
    module: str, bound: dict[str, Any], tree: ast.Module, namespace: Namespace
) -> Iterator[str]:
    """Yield how a live module is not what its file says."""
    yield from _replaced(module, bound, tree, namespace)
    for name, several in namespace.bindings.items():
        text = several[-1].assigned if len(several) == 1 else None
        if text is None or name not in bound:
            continue
        try:
            written = Evaluation(bound).of(text)
        except NotPure:
            continue
        if not same(written, bound[name]):
            yield f"{name} was changed after the import; change it in the file"


def _replaced(
    module: str, bound: dict[str, Any], tree: ast.Module, namespace: Namespace
) -> Iterator[str]:
    """Yield the functions and classes that are not those of the file."""
    functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    for name in sorted(functions & set(bound)):
        value = bound[name]
        if not isinstance(value, FunctionType) or hasattr(value, "__wrapped__"):
            continue
        try:
            find(value, namespace)
        except SourceMissing as error:
            yield f"{name}: {error}"
        if value.__module__ != module:
            yield f"{name} was replaced after the import; change it in the file"
    for name, value in bound.items():
        if isinstance(value, type) and value.__module__ == module:
            try:
                find_class(value, namespace)
            except SourceMissing as error:
                yield f"{name}: {error}"


def _place(module: str) -> tuple[Path | None, bool]:
    """Return the file of a module, and whether it is a package's; imports nothing."""
    top, *below = module.split(".")
    path = imports.file_of(top)
    if path is None or (below and path.is_file()):
        return None, False
    if path.is_file():
        return path, False
    for name in below[:-1]:
        path /= name
    if below and (path / f"{below[-1]}.py").exists():
        return path / f"{below[-1]}.py", False
    path = path.joinpath(*below[-1:]) / "__init__.py"
    return (path, True) if path.exists() else (None, False)


def _edited(text: str, edits: list[_Edit]) -> str:
    rows = text.encode().split(b"\n")
    for node, new in sorted(edits, key=lambda edit: edit[0].lineno, reverse=True):
        first, last = node.lineno - 1, int(node.end_lineno or 0) - 1
        head = rows[first][: node.col_offset]
        tail = rows[last][node.end_col_offset or 0 :]
        between = (
            "; "
            if head.strip() or tail.strip().startswith(b";")
            else "\n" + head.decode()
        )
        rows[first : last + 1] = (
            head + new.replace("\n", between).encode() + tail
        ).split(b"\n")
    return b"\n".join(rows).decode()
