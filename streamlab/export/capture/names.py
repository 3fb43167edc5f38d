"""The global names that a definition needs, in the order it needs them."""

from __future__ import annotations

import ast
import copy
import symtable
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from streamlab.export.capture.bindings import root
from streamlab.export.capture.namespace import parsed

_CHANGES = frozenset(
    [
        "add",
        "append",
        "clear",
        "discard",
        "extend",
        "insert",
        "pop",
        "popitem",
        "remove",
        "reverse",
        "setdefault",
        "sort",
        "update",
    ]
)
_Callable = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


@dataclass(frozen=True)
class Needs:
    """The global names of a definition.

    Attributes:
        early: Those that it reads when it is defined: decorators, defaults, bases,
            annotations, the body of a class.
        late: Those that it reads when it is called.
        written: Those that it assigns, deletes, or may change in place.
    """

    early: tuple[str, ...]
    late: tuple[str, ...]
    written: tuple[str, ...]


def needs(
    node: ast.FunctionDef | ast.ClassDef | ast.Lambda,
    decorators: Sequence[ast.expr],
) -> Needs:
    """Return the global names of a definition.

    Which names are global is what Python's own compiler says (:mod:`symtable`); the
    names of annotations, also of those that are texts, come from the tree.

    Args:
        node: The definition, which stands at the top level.
        decorators: Those of its decorators that are kept.
    """
    scopes = _scopes(_decorated(node, decorators))
    free = _globals_of(scopes)
    early: list[str] = [name for one in decorators for name in _loads(one)]
    late: list[str] = []
    for name, deferred in _reads(node, deferred=False, top=True):
        if name in free:
            (late if deferred else early).append(name)
    for annotation in _annotations(node):
        early += _annotated(annotation)
    firsts = tuple(dict.fromkeys(early))
    rest = tuple(name for name in dict.fromkeys(late) if name not in firsts)
    return Needs(firsts, rest, _written(node, scopes, free))


def run_at_definition(*nodes: ast.stmt) -> Iterator[ast.AST]:
    """Yield what runs when statements are run: not the bodies of functions."""
    for node in nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            arguments = node.args
            yield from node.decorator_list
            yield from [*arguments.defaults, *filter(None, arguments.kw_defaults)]
        elif isinstance(node, ast.ClassDef):
            yield from [*node.decorator_list, *node.bases, *node.keywords]
            yield from run_at_definition(*node.body)
        elif isinstance(node, ast.If) and "__name__" in ast.unparse(node.test):
            continue  # what a file does when it is run as a program
        elif isinstance(node, ast.If | ast.For | ast.While | ast.With | ast.Try):
            for child in ast.iter_child_nodes(node):
                if isinstance(child, ast.stmt):
                    yield from run_at_definition(child)
                elif isinstance(child, ast.ExceptHandler):
                    yield from run_at_definition(*child.body)
                else:
                    yield child
        elif not isinstance(node, ast.Import | ast.ImportFrom):
            yield node


def submodules(nodes: Sequence[ast.AST], name: str) -> list[str]:
    """Return the dotted names that code reads below ``name``.

    ``concurrent.futures.wait(…)`` gives ``concurrent.futures`` and
    ``concurrent.futures.wait`` for ``concurrent``: some may be modules that need an
    import of their own.
    """
    dotted = [
        text
        for node in nodes
        for part in ast.walk(node)
        if isinstance(part, ast.Attribute)
        and (text := ast.unparse(part)).startswith(f"{name}.")
    ]
    return sorted(set(dotted))


def _decorated(node: ast.AST, decorators: Sequence[ast.expr]) -> ast.AST:
    """Return a definition with the decorators that are kept, and no others."""
    if isinstance(node, ast.Lambda):
        return node
    kept = copy.copy(node)
    kept.decorator_list = list(decorators)  # type: ignore[attr-defined]  # of a definition
    return kept


def _scopes(node: ast.AST) -> list[symtable.SymbolTable]:
    """Return the scopes of a definition as the compiler sees them, outermost first."""
    table = symtable.symtable(ast.unparse(node), "<definition>", "exec")
    waiting, found = [table], []
    while waiting:
        one = waiting.pop(0)
        found.append(one)
        waiting += one.get_children()
    return found


def _globals_of(scopes: Sequence[symtable.SymbolTable]) -> set[str]:
    own = set(scopes[0].get_identifiers())
    inner = {
        symbol.get_name()
        for scope in scopes[1:]
        for symbol in scope.get_symbols()
        if symbol.is_global() or (scope.get_type() == "class" and _is_shadow(symbol))
    }
    return own | inner


def _is_shadow(symbol: symtable.Symbol) -> bool:
    """Return whether a class may read the global before it has a name of its own."""
    return symbol.is_referenced() and symbol.is_local()


def _reads(
    node: ast.AST, *, deferred: bool, top: bool = False
) -> Iterator[tuple[str, bool]]:
    """Yield the names that are read, with whether that is when a function runs."""
    if isinstance(node, ast.Name):
        if isinstance(node.ctx, ast.Load):
            yield node.id, deferred
        return
    if isinstance(node, _Callable):
        early: list[ast.AST] = [] if top else list(getattr(node, "decorator_list", []))
        early += [*node.args.defaults, *filter(None, node.args.kw_defaults)]
        for child in early:
            yield from _reads(child, deferred=deferred)
        body = node.body if isinstance(node.body, list) else [node.body]
        for child in body:
            yield from _reads(child, deferred=True)
        return
    if isinstance(node, ast.ClassDef) and top:
        yield from _reads_of_class(node, deferred=deferred)
        return
    for child in ast.iter_child_nodes(node):
        yield from _reads(child, deferred=deferred)


def _reads_of_class(
    node: ast.ClassDef, *, deferred: bool
) -> Iterator[tuple[str, bool]]:
    """Yield what a class reads, but not the names that it has itself by then."""
    own: set[str] = set()
    for child in (*node.bases, *node.keywords):
        yield from _reads(child, deferred=deferred)
    for statement in node.body:
        for name, later in _reads(statement, deferred=deferred):
            if later or name not in own:
                yield name, later
        own |= {
            part.id
            for part in ast.walk(statement)
            if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)
        }
        if isinstance(statement, ast.FunctionDef | ast.ClassDef):
            own.add(statement.name)


def _annotations(node: ast.AST) -> Iterator[ast.expr]:
    for part in ast.walk(node):
        if isinstance(part, ast.arg | ast.AnnAssign) and part.annotation is not None:
            yield part.annotation
        elif isinstance(part, ast.FunctionDef) and part.returns is not None:
            yield part.returns


def _annotated(annotation: ast.AST) -> Iterator[str]:
    """Yield the names of an annotation; a text in it is code, but not in Literal."""
    if isinstance(annotation, ast.Name):
        yield annotation.id
    elif isinstance(annotation, ast.Constant):
        tree = parsed(annotation.value) if isinstance(annotation.value, str) else None
        for statement in tree.body if tree is not None else ():
            yield from _annotated(statement)
    elif isinstance(annotation, ast.Subscript) and _is_called(
        annotation.value, "Literal"
    ):
        yield from _loads(annotation.value)
    else:
        for child in ast.iter_child_nodes(annotation):
            yield from _annotated(child)


def _is_called(node: ast.expr, name: str) -> bool:
    return ast.unparse(node).rpartition(".")[2] == name


def _loads(node: ast.AST) -> Iterator[str]:
    """Yield the names that an expression at the top level reads."""
    wrapped = ast.Expression(body=node) if isinstance(node, ast.expr) else node
    table = symtable.symtable(ast.unparse(wrapped), "<expression>", "exec")
    free = set(table.get_identifiers())
    free |= {
        symbol.get_name()
        for child in table.get_children()
        for symbol in child.get_symbols()
        if symbol.is_global()
    }
    return (name for name, _ in _reads(node, deferred=False) if name in free)


def _written(
    node: ast.AST, scopes: Sequence[symtable.SymbolTable], free: set[str]
) -> tuple[str, ...]:
    declared = [
        symbol.get_name()
        for scope in scopes[1:]
        for symbol in scope.get_symbols()
        if symbol.is_declared_global() and symbol.is_assigned()
    ]
    changed: list[str] = []
    for part in ast.walk(node):
        if isinstance(part, ast.Subscript | ast.Attribute) and not isinstance(
            part.ctx, ast.Load
        ):
            changed.append(root(part))
        elif (
            isinstance(part, ast.Call)
            and isinstance(part.func, ast.Attribute)
            and isinstance(part.func.value, ast.Name)
            and part.func.attr in _CHANGES
        ):
            changed.append(part.func.value.id)
    return tuple(dict.fromkeys([*declared, *(one for one in changed if one in free)]))
