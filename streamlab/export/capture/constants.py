"""Constants: how each is written, and whether it may be."""

from __future__ import annotations

import ast
import decimal
import enum
import functools
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType

from streamlab import secrets
from streamlab.export.capture import imports, literals, values
from streamlab.export.capture.bindings import Binding
from streamlab.export.capture.expressions import Evaluation, NotPure
from streamlab.export.capture.imports import Import
from streamlab.export.capture.namespace import Namespace
from streamlab.export.capture.objections import named, texts
from streamlab.export.capture.provenance import UNKNOWN, Provenance
from streamlab.export.capture.values import Unwritable

same = values.same


@dataclass(frozen=True)
class Written:
    """A constant in the user's own words.

    Attributes:
        text: The statement.
        names: The names that it reads.
        nodes: Its expressions.
    """

    text: str
    names: tuple[str, ...]
    nodes: Sequence[ast.AST]


def as_written(name: str, value: object, namespace: Namespace) -> Written | None:
    """Return the statement that binds a name, if it gives the live value today."""
    last = namespace.last(name)
    if last is None or last.assigned is None:
        return None
    evaluation = Evaluation(namespace.bound)
    try:
        given = evaluation.of(last.assigned)
    except NotPure:
        return None
    if not values.same(given, value):
        return None
    nodes: list[ast.AST] = [last.assigned]
    read = list(evaluation.names)
    text = last.lines or f"{name} = {_segment(last, last.assigned)}"
    if isinstance(last.statement, ast.AnnAssign):
        annotated = Evaluation(namespace.bound)
        try:
            annotated.of(last.statement.annotation)
        except NotPure:
            text = f"{name} = {_segment(last, last.assigned)}"
        else:
            read += annotated.names
            nodes.append(last.statement.annotation)
    return Written(text, tuple(dict.fromkeys(read)), nodes)


def is_value(value: object) -> bool:
    """Return whether a value is of a kind that may be written from itself."""
    if literals.is_literal(value) or values.is_plain(value) or values.is_dtype(value):
        return True
    if isinstance(value, functools.partial | enum.Enum | decimal.Decimal):
        return True
    if isinstance(value, dict | list | tuple | set | frozenset):
        return True
    return values.is_plain_record(type(value)) or type(value).__name__ == "Pattern"


def objection(name: str, value: object) -> str:
    """Return why a value must not be written, whatever made it; never the value."""
    why = secrets.objection(name, value)
    for text in texts(value):
        why = why or secrets.objection("", text)
    for key, one in named(value):
        why = why or secrets.objection(key, one)
    if not why and type(value).__module__.startswith("pathlib"):
        why = secrets.objection("", str(value))
    return why


def provenance_objection(
    name: str,
    value: object,
    namespace: Namespace,
    provenance: Provenance,
    written: Written | None,
) -> str:
    """Return why a value must not be written for where it came from; "" if it may.

    A value that was computed by a call (``os.environ.get``, a shell command, today's
    date) belongs to this machine and this moment, although it is a plain text now.
    """
    last = namespace.last(name)
    if written is None or last is None:
        origins = list(provenance.of_name(name))
    else:
        nodes = written.nodes
        origins = [one for node in nodes for one in provenance.of(node, last.where)]
        origins = [one for one in origins if one.source]
    if last is None:
        origins = [*origins, UNKNOWN]
    if origins:
        return str(origins[0])
    if written is None and not _is_told(value, namespace.bindings[name]):
        return "has a value that no cell gives it; run its cell again"
    return ""


def where(name: str, namespace: Namespace) -> str:
    """Return the cell that gave a name its value."""
    known = [one for one in namespace.bindings.get(name, ()) if not one.passed]
    if not known:
        return ""
    last = known[-1]
    if not namespace.is_notebook:
        return f"{last.where}:{last.statement.lineno}"
    told = ", a parameter of this run" if namespace.is_injected(last) else ""
    return f"{last.where}{told}"


def reference(value: object, namespace: Namespace) -> tuple[str, str, Import | None]:
    """Return the text that stands for a function, class or module.

    Returns:
        The text, the name of the namespace that it begins with, and the import that
        it needs if it begins with none.

    Raises:
        Unwritable: No name leads to it.
    """
    known = [name for name, one in namespace.bound.items() if one is value]
    known = [name for name in known if not name.startswith("_")]
    own = str(getattr(value, "__name__", ""))
    if known:
        name = own if own in known else min(known)
        return name, name, None
    home = sys.modules.get(str(getattr(value, "__module__", "")))
    if home is None and not isinstance(value, ModuleType):
        raise Unwritable(f"holds {own or 'something'}, which no name leads to")
    for name, one in namespace.bound.items():
        is_home = isinstance(one, ModuleType) and one is home
        if is_home and not name.startswith("_") and getattr(one, own, None) is value:
            return f"{name}.{own}", name, None
    made = imports.made_import(_usual(value, own), value)
    if made is None or made.alias in namespace.bound:
        raise Unwritable(f"holds {own}, which no name leads to; give it one")
    return made.alias, "", made


def _usual(value: object, own: str) -> str:
    """Return the name that a module is usually given."""
    if isinstance(value, ModuleType):
        return {"polars": "pl", "pandas": "pd", "numpy": "np"}.get(own, own)
    return own


def _segment(binding: Binding, node: ast.expr) -> str:
    return ast.get_source_segment(binding.text, node) or ast.unparse(node)


def _is_told(value: object, known: Sequence[Binding]) -> bool:
    """Return whether a statement can have given a value; one that computes can."""
    for one in known:
        given = () if one.assigned is None else literals.evaluated(one.assigned)
        if not given or values.same(given[0], value):
            return True
    return False
