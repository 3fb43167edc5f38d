"""What binds a name: assignments, loops, imports, definitions and changes in place."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

_Scoped = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef


@dataclass(frozen=True)
class Binding:
    """A statement of the top level that binds a name, or changes what it has.

    Attributes:
        name: The name.
        statement: The statement, of which this may be a part.
        values: Expressions that the new value is made of.
        text: The text that it is part of.
        where: ``In[3]``, or the name of a file.
        number: The place of its cell in the order of runs.
        whole: Whether the name is bound anew, not changed in place.
        computed: What computes the value where ``values`` do not tell it.
        passed: Whether the value was only handed to a function, which may change it.
    """

    name: str
    statement: ast.stmt = field(repr=False)
    values: tuple[ast.expr, ...] = field(repr=False)
    text: str = field(repr=False)
    where: str
    number: int
    whole: bool = True
    computed: str = ""
    passed: bool = False

    @property
    def assigned(self) -> ast.expr | None:
        """Return the expression of ``NAME = expression``; None of anything else."""
        statement = self.statement
        if isinstance(statement, ast.Assign):
            simple = all(isinstance(one, ast.Name) for one in statement.targets)
            return statement.value if simple else None
        if isinstance(statement, ast.AnnAssign):
            return statement.value if isinstance(statement.target, ast.Name) else None
        return None

    @property
    def lines(self) -> str:
        """Return the statement's own lines, with a comment behind it; "" if shared."""
        statement = self.statement
        if isinstance(statement, ast.Assign) and len(statement.targets) > 1:
            return ""
        rows = self.text.split("\n")
        taken = rows[statement.lineno - 1 : statement.end_lineno]
        before = rows[statement.lineno - 1].encode()[: statement.col_offset]
        after = taken[-1].encode()[statement.end_col_offset :].decode().strip()
        if before or (after and not after.startswith("#")):
            return ""
        return "\n".join(line.rstrip() for line in taken)


def bindings(tree: ast.Module, text: str, where: str, number: int) -> Iterator[Binding]:
    """Yield what a text binds when it is run, in its order.

    Both branches of an ``if`` are taken: which of them ran is not known.
    """
    for statement in _statements(tree.body):
        for name, values, kind in _bound(statement):
            yield Binding(
                name=name,
                statement=statement,
                values=tuple(values),
                text=text,
                where=where,
                number=number,
                whole=kind in {"", "computed"},
                computed=ast.unparse(values[0]) if kind == "computed" else "",
                passed=kind == "passed",
            )


def _statements(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    for statement in body:
        yield statement
        if isinstance(statement, _Scoped):
            continue
        for _, value in ast.iter_fields(statement):
            for item in value if isinstance(value, list) else ():
                if isinstance(item, ast.stmt):
                    yield from _statements([item])
                elif isinstance(item, ast.ExceptHandler | ast.match_case):
                    yield from _statements(item.body)


_Bound = tuple[str, Sequence[ast.expr], str]


def _bound(statement: ast.stmt) -> Iterator[_Bound]:
    """Yield name, values and kind: "" for bound anew, changed, passed, computed."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield statement.name, [], ""
        yield from _by_function(statement)
        return
    if isinstance(statement, ast.Import | ast.ImportFrom):
        for alias in statement.names:
            yield alias.asname or alias.name.partition(".")[0], [], ""
    elif isinstance(statement, ast.Match):
        yield from _captured(statement)
    else:
        yield from _entered(statement)
        yield from _assigned(statement)
    yield from _inside(statement)


def _entered(statement: ast.stmt) -> Iterator[_Bound]:
    """Yield what ``with … as`` and ``except … as`` bind."""
    if isinstance(statement, ast.With | ast.AsyncWith):
        for item in statement.items:
            if item.optional_vars is not None:
                for name, values, _ in _target(item.optional_vars, item.context_expr):
                    yield name, values, "computed"
    elif isinstance(statement, ast.Try | ast.TryStar):
        for handler in statement.handlers:
            if handler.name and handler.type is not None:
                yield handler.name, [handler.type], "computed"


def _assigned(statement: ast.stmt) -> Iterator[_Bound]:
    if isinstance(statement, ast.Assign):
        for target in statement.targets:
            yield from _target(target, statement.value)
    elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
        yield from _target(statement.target, statement.value)
    elif isinstance(statement, ast.AugAssign):
        yield from (
            (n, v, "changed") for n, v, _ in _target(statement.target, statement.value)
        )
    elif isinstance(statement, ast.For | ast.AsyncFor):
        yield from _target(statement.target, statement.iter)


def _target(target: ast.expr, value: ast.expr) -> Iterator[_Bound]:
    if isinstance(target, ast.Name):
        yield target.id, [value], ""
    elif isinstance(target, ast.Tuple | ast.List):
        for item in target.elts:
            yield from _target(item, value)
    elif isinstance(target, ast.Starred):
        yield from _target(target.value, value)
    elif isinstance(target, ast.Subscript | ast.Attribute):
        name = root(target)
        if name:
            key = [target.slice] if isinstance(target, ast.Subscript) else []
            yield name, [value, *key], "changed"


def _captured(statement: ast.Match) -> Iterator[_Bound]:
    for node in (part for case in statement.cases for part in ast.walk(case.pattern)):
        name = getattr(node, "name", None) or getattr(node, "rest", None)
        if isinstance(name, str):
            yield name, [statement.subject], ""


def _inside(statement: ast.stmt) -> Iterator[_Bound]:
    """Yield what the expressions of a statement bind (``:=``) and change."""
    for node in _expressions(statement):
        if isinstance(node, ast.NamedExpr):
            yield node.target.id, [node.value], ""
        elif isinstance(node, ast.Call):
            arguments = [*node.args, *(keyword.value for keyword in node.keywords)]
            name = root(node.func) if isinstance(node.func, ast.Attribute) else ""
            if name and isinstance(statement, ast.Expr) and arguments:
                yield name, arguments, "changed"
            for argument in arguments:
                if isinstance(argument, ast.Name):
                    yield argument.id, [node], "passed"


def _expressions(statement: ast.stmt) -> Iterator[ast.AST]:
    """Yield the nodes of a statement that run with it: no bodies of any kind."""
    waiting = [
        child for child in ast.iter_child_nodes(statement) if not _is_body(child)
    ]
    while waiting:
        node = waiting.pop(0)
        yield node
        if not isinstance(node, ast.Lambda):
            waiting += [
                child for child in ast.iter_child_nodes(node) if not _is_body(child)
            ]


def _is_body(node: ast.AST) -> bool:
    return isinstance(node, ast.stmt | ast.ExceptHandler | ast.match_case)


def _by_function(statement: ast.stmt) -> Iterator[_Bound]:
    """Yield the globals that a function assigns when it is called."""
    declared = {
        name
        for node in ast.walk(statement)
        if isinstance(node, ast.Global)
        for name in node.names
    }
    caller = ast.Name(id=getattr(statement, "name", ""), ctx=ast.Load())
    call = ast.copy_location(ast.Call(func=caller, args=[], keywords=[]), statement)
    for name in sorted(declared):
        yield name, [call], "changed"


def root(node: ast.expr) -> str:
    """Return the name that a chain such as ``NAME.x[0].y`` begins with; "" if none."""
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""
