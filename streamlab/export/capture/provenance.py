"""Where the value of a name came from: this machine, a call, or the notebook itself.

All statements that ever bound or changed a name count, not the last one alone: what
was taken from the environment stays refused under every name that it was given.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from types import ModuleType

from streamlab.export.capture.bindings import Binding
from streamlab.export.capture.imports import is_local
from streamlab.export.capture.namespace import Namespace

_MACHINE = {
    "os.environ": "the environment",
    "os.environb": "the environment",
    "os.getenv": "the environment",
    "os.getenvb": "the environment",
    "os.path.expanduser": "the environment",
    "os.path.expandvars": "the environment",
    "os.getcwd": "this machine",
    "os.getlogin": "this machine",
    "os.uname": "this machine",
    "pathlib.Path.home": "this machine",
    "pathlib.Path.cwd": "this machine",
    "dotenv": "the environment",
    "decouple": "the environment",
    "environs": "the environment",
    "platform": "this machine",
    "socket": "this machine",
    "sys.argv": "this machine",
    "sys.executable": "this machine",
    "sys.path": "this machine",
    "sys.platform": "this machine",
    "sys.prefix": "this machine",
    "streamlab.settings": "the settings",
    "keyring": "a store of secrets",
    "getpass": "a prompt",
    "input": "a prompt",
    "get_ipython": "a % or ! command",
    "os.popen": "a shell command",
    "os.system": "a shell command",
    "subprocess": "a shell command",
    "commands": "a shell command",
    "__file__": "this machine",
}
"""Dotted name → what a value of it came from."""

_PURE = frozenset(
    [
        "abs",
        "all",
        "any",
        "ascii",
        "bin",
        "bool",
        "bytes",
        "chr",
        "complex",
        "dict",
        "divmod",
        "enumerate",
        "filter",
        "float",
        "format",
        "frozenset",
        "hex",
        "int",
        "isinstance",
        "len",
        "list",
        "map",
        "max",
        "min",
        "oct",
        "ord",
        "pow",
        "print",
        "range",
        "repr",
        "reversed",
        "round",
        "set",
        "slice",
        "sorted",
        "str",
        "sum",
        "tuple",
        "type",
        "zip",
        "display",
    ]
)
_PURE_MODULES = frozenset(
    [
        "collections",
        "datetime",
        "decimal",
        "enum",
        "fractions",
        "functools",
        "itertools",
        "math",
        "operator",
        "re",
        "statistics",
        "string",
        "typing",
        "zoneinfo",
        "polars",
        "numpy",
        "pandas",
    ]
)
_CLOCKS = frozenset({"now", "today", "utcnow", "random", "default_rng"})
_PURE_METHODS = frozenset(
    name
    for kind in (str, bytes, list, dict, set, tuple, int, float, datetime, timedelta)
    for name in vars(kind)
    if not name.startswith("_")
)
_READERS = ("read_", "scan_")


@dataclass(frozen=True)
class Origin:
    """A place outside of the notebook that a value came from.

    Attributes:
        source: The place in words; "" if Python code computed it.
        by: What computed it, or the dotted name that was read.
        where: ``In[3]``, or a file.
    """

    source: str
    by: str
    where: str

    def __str__(self) -> str:
        """Return a sentence's end: why the value is not carried, and what to do."""
        place = f" ({self.where})" if self.where else ""
        if not self.source:
            return (
                f"was computed by {self.by}{place}; write its value, or compute it in "
                "the function"
            )
        return f"came from {self.source}{place}; make it a parameter"


def called(name: str) -> str:
    """Return what a call of something is called in a sentence."""
    return f"a call of {name}"


UNKNOWN = Origin("somewhere that no cell tells", "", "")


class Provenance:
    """The origins of the names of one namespace.

    Attributes:
        namespace: The namespace.
    """

    def __init__(self, namespace: Namespace) -> None:
        self.namespace = namespace
        self._known: dict[str, tuple[Origin, ...]] = {}

    def of_name(self, name: str) -> tuple[Origin, ...]:
        """Return all origins of a name's value, those of this machine first."""
        if name not in self._known:
            self._known[name] = ()  # what refers to itself adds nothing
            found = list(self._of_name(name))
            found.sort(key=lambda origin: not origin.source)
            self._known[name] = tuple(dict.fromkeys(found))
        return self._known[name]

    def of(self, node: ast.AST, where: str) -> tuple[Origin, ...]:
        """Return all origins of what an expression, or a function's body, gives."""
        return tuple(dict.fromkeys(self._of(node, where)))

    def machine(self, node: ast.AST, where: str) -> Origin | None:
        """Return the first origin outside of Python code; calls do not count."""
        return next((one for one in self.of(node, where) if one.source), None)

    def _of_name(self, name: str) -> Iterator[Origin]:
        known = self.namespace.bindings.get(name, ())
        if self.namespace.is_clouded(name):
            yield UNKNOWN
        for binding in known:
            for value in binding.values:
                origins = self._of(value, binding.where)
                if binding.passed:
                    origins = (one for one in origins if one.source)
                yield from origins
            if binding.computed:
                yield Origin("", called(binding.computed), binding.where)

    def _of(self, node: ast.AST, where: str) -> Iterator[Origin]:
        dotted = self.dotted(node)
        source = _machine(dotted)
        if source:
            yield Origin(source, dotted, where)
            return
        yield from self._of_module(dotted, where)
        if isinstance(node, ast.Name):
            yield from self.of_name(node.id)
        elif isinstance(node, ast.Call):
            yield from self._of_call(node, where)
        elif isinstance(node, ast.Lambda):
            return  # runs later, if at all
        elif isinstance(node, ast.Await | ast.Yield | ast.YieldFrom):
            yield Origin("", "a coroutine", where)
        else:
            for child in ast.iter_child_nodes(node):
                yield from self._of(child, where)

    def _of_module(self, dotted: str, where: str) -> Iterator[Origin]:
        """Yield the origins of a value that a module holds."""
        package, dot, _ = dotted.partition(".")
        if not dot or package in _PURE_MODULES or package in self.namespace.bindings:
            known = self.namespace.bound.get(package)
            if not dot or package in _PURE_MODULES or not isinstance(known, ModuleType):
                return
        name, holder = dotted, None
        while holder is None and "." in name:
            name = name.rpartition(".")[0]
            holder = sys.modules.get(name)
        if holder is None:
            return
        member = dotted[len(name) + 1 :].partition(".")[0]
        value = vars(holder).get(member)
        if callable(value) or isinstance(value, ModuleType):
            return
        if is_local(name):
            yield from Provenance(Namespace(vars(holder))).of_name(member)
        else:
            yield Origin("", dotted, where)

    def _of_call(self, call: ast.Call, where: str) -> Iterator[Origin]:
        dotted = self.dotted(call.func)
        source = _machine(dotted)
        if source:
            yield Origin(source, dotted, where)
            return
        method = dotted.rpartition(".")[2]
        if not dotted and isinstance(call.func, ast.Attribute):
            method = call.func.attr
        reads = method.startswith(_READERS)
        if not self._is_pure(dotted, method) or reads or method in _CLOCKS:
            yield Origin("", called(method or "a function"), where)
        for definition in self._definitions(call.func):
            yield from (one for one in self._of_body(definition) if one.source)
        if isinstance(call.func, ast.Attribute):
            yield from self._of(call.func.value, where)
        if not reads:  # what a file holds is not what its path came from
            for argument in (*call.args, *(one.value for one in call.keywords)):
                yield from self._of(argument, where)

    def _is_pure(self, dotted: str, method: str) -> bool:
        root, dot, _ = dotted.partition(".")
        if root in _PURE_MODULES:
            return True
        if dot:  # a method of a value; of another module it may do anything
            return method in _PURE_METHODS and root not in self._imported.values()
        return method in (_PURE if dotted else _PURE_METHODS)

    def _definitions(self, function: ast.expr) -> Iterator[Binding]:
        if isinstance(function, ast.Name):
            for one in self.namespace.bindings.get(function.id, ()):
                if isinstance(one.statement, ast.FunctionDef | ast.ClassDef):
                    yield one

    def _of_body(self, definition: Binding) -> tuple[Origin, ...]:
        key = f"{definition.name}()"
        if key not in self._known:
            self._known[key] = ()
            self._known[key] = self.of(definition.statement, definition.where)
        return self._known[key]

    def dotted(self, node: ast.AST) -> str:
        """Return the full dotted name of a chain, with imports resolved; else ""."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return ""
        start = self._imported.get(node.id, node.id)
        return ".".join([start, *reversed(parts)])

    @cached_property
    def _imported(self) -> Mapping[str, str]:
        """Return name → dotted name of what an import or the live value gives it."""
        found: dict[str, str] = {}
        for name, value in self.namespace.bound.items():
            if isinstance(value, ModuleType):
                found[name] = value.__name__
        for cell in self.namespace.cells:
            for node in ast.walk(cell.tree):
                if isinstance(node, ast.Import):
                    for alias in node.names:
                        full = alias.name if alias.asname else ""
                        top = alias.name.partition(".")[0]
                        found.setdefault(alias.asname or top, full or top)
                elif isinstance(node, ast.ImportFrom) and node.module:
                    for alias in node.names:
                        name = alias.asname or alias.name
                        found.setdefault(name, f"{node.module}.{alias.name}")
                    if node.names[0].name == "*" and node.module == "os":
                        found |= {one: f"os.{one}" for one in ("environ", "getenv")}
        return found


def _machine(dotted: str) -> str:
    while dotted:
        if dotted in _MACHINE:
            return _MACHINE[dotted]
        dotted = dotted.rpartition(".")[0]
    return ""
