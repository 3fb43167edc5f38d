"""The parameters of a notebook, as the cell tagged ``parameters`` declares them.

A declaration is an assignment, with an annotation and a comment where they help::

    rows: int = 20_000  # 1..1_000_000: events to look at
    carrier: Literal["UA", "AA"] = "UA"  # the airline
    since: date = date(2013, 1, 1)  # 2013-01-01..2013-12-31
    topic: str  # no default: it must be given

The annotation is the type; without one it is that of the default. A range stands at
the start of the comment, and either side may be open: ``1..``, ``..0.5``. The cell is
parsed and never executed here.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from streamlab import secrets
from streamlab.errors import WrongParameters
from streamlab.headless import kinds
from streamlab.headless.kinds import Kind

TAG = "parameters"

_RANGE = re.compile(r"(?=\S*\d)[-+\w:.]*\.\.[-+\w:.]*")
"""The first word of a comment that gives a range; it has a figure somewhere."""


class _Missing:
    """The default of a parameter that has none."""

    def __repr__(self) -> str:
        return ""


MISSING = _Missing()


@dataclass(frozen=True, slots=True)
class Parameter:
    """One declared parameter.

    Attributes:
        name: Its name.
        kind: Its type.
        default: Its default; :data:`MISSING` if a value must be given, and the text
            of the expression where that is no literal.
        low: Smallest value; None if any.
        high: Largest value; None if any.
        description: What its comment says.
    """

    name: str
    kind: Kind
    default: Any = MISSING
    low: Any = None
    high: Any = None
    description: str = ""

    @property
    def range(self) -> str:
        """Return the range as it is written: ``1..100``, ``1..``; empty without."""
        if self.low is None and self.high is None:
            return ""
        return f"{_shown(self.low)}..{_shown(self.high)}"

    def problem(self, value: Any) -> str:
        """Return what is wrong with a value of the right type; "" if nothing is."""
        if objection := secrets.secret_objection(self.name, value):
            return (
                f"{self.name} {objection}, and values are kept in the output: "
                f"give a reference, such as {self.name}='${{env:NAME}}'"
            )
        if value is None:
            return ""
        if self.low is not None and not value >= self.low:
            return f"{self.name} is {value}, and must be in {self.range}"
        if self.high is not None and not value <= self.high:
            return f"{self.name} is {value}, and must be in {self.range}"
        return ""


def declared(notebook: Any, where: str) -> dict[str, Parameter]:
    """Return the parameters that a notebook declares, by name; none without a cell.

    Args:
        notebook: The notebook as ``nbformat`` has it.
        where: What messages call it.

    Raises:
        WrongParameters: The cell cannot be read as declarations; names each line.
    """
    source = next(
        (c.source for c in notebook.cells if TAG in c.metadata.get("tags", [])), ""
    )
    try:
        statements = ast.parse(source).body
    except SyntaxError as error:
        problem = f"line {error.lineno} of its parameters cell is not plain Python"
        raise WrongParameters(where, [problem]) from error
    comments = _comments(source)
    found: dict[str, Parameter] = {}
    problems: list[str] = []
    for statement in statements:
        try:
            for one in _parameters(statement, comments.get(statement.end_lineno, "")):
                found[one.name] = one
        except ValueError as error:
            problems.append(f"line {statement.lineno} of its parameters cell: {error}")
    if problems:
        raise WrongParameters(where, problems)
    return found


def table(found: dict[str, Parameter]) -> list[tuple[str, str, str, str, str]]:
    """Return a line for each parameter: name, type, default, range, description."""
    return [
        (
            one.name,
            one.kind.written,
            "(must be given)" if one.default is MISSING else _default_text(one),
            one.range,
            one.description,
        )
        for one in found.values()
    ]


def _default_text(one: Parameter) -> str:
    return one.default.text if isinstance(one.default, _Code) else repr(one.default)


@dataclass(frozen=True, slots=True)
class _Code:
    """A default that is no literal: its value is known when the cell runs."""

    text: str


def _parameters(statement: ast.stmt, comment: str) -> Iterator[Parameter]:
    match statement:
        case ast.Import() | ast.ImportFrom():
            return
        case ast.Expr(value=ast.Constant(value=str())):
            return
        case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation, value=node):
            kind = kinds.of_annotation(annotation)
            if kind is None:
                message = f"{name} has a type that parameters cannot have"
                raise ValueError(
                    f"{message}: {ast.unparse(annotation)}; there are int, float, str, "
                    "bool, list, dict, date, datetime, Literal[…] and each with | None"
                )
        case ast.Assign(targets=[ast.Name(id=name)], value=node):
            kind = None
        case _:
            raise ValueError("write one assignment to one name a line")
    yield _parameter(name, kind, node, comment)


def _parameter(
    name: str, kind: Kind | None, node: ast.expr | None, comment: str
) -> Parameter:
    default: Any = MISSING
    if node is not None:
        try:
            default = ast.literal_eval(node)
        except ValueError:
            default = _Code(ast.unparse(node))
    kind = kind or kinds.of_value(default)
    if kind is None:
        message = f"{name} has no type: annotate it, such as {name}: str | None = …"
        raise ValueError(message)
    low, high, description = _range(name, kind, comment)
    one = Parameter(name, kind, default, low, high, description)
    if default is MISSING or isinstance(default, _Code):
        return one
    try:
        fitting = kind.fitted(default)
    except ValueError:
        raise ValueError(f"the default of {name} is not {kind.phrase}") from None
    if problem := one.problem(fitting):
        raise ValueError(f"the default is not allowed: {problem}")
    return one


def _range(name: str, kind: Kind, comment: str) -> tuple[Any, Any, str]:
    """Return the smallest and the largest value, and what the comment says then."""
    first, _, rest = comment.partition(" ")
    if not _RANGE.fullmatch(first):
        return None, None, comment
    if not kind.ordered:
        message = f"{name} has the range {first}, and {kind.written} has no order"
        raise ValueError(message)
    try:
        sides = first.removesuffix(":").split("..", 1)
        low, high = (kind.parsed(each) if each else None for each in sides)
    except ValueError:
        message = f"the range of {name}, {first}, is not of {kind.written}"
        raise ValueError(message) from None
    return low, high, rest.strip()


def _comments(source: str) -> dict[int | None, str]:
    """Return line → text of the comment that ends it."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {
        token.start[0]: token.string.lstrip("#").strip()
        for token in tokens
        if token.type == tokenize.COMMENT
    }


def _shown(value: Any) -> str:
    return "" if value is None else str(value)
