"""Expressions that can be evaluated again without any effect.

A constant may be written as the user wrote it only if that gives its live value. So
the text is evaluated, by itself, from names, literals and a short list of functions
that do nothing but build a value.
"""

from __future__ import annotations

import ast
import collections
import datetime as dt
import decimal
import enum
import fractions
import functools
import operator
import pathlib
import re
import typing
import uuid
import zoneinfo
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import polars as pl

from streamlab.export.capture import values


class NotPure(Exception):
    """An expression that is not evaluated a second time."""


_BUILT_IN: dict[str, Any] = {
    kind.__name__: kind
    for kind in (
        *(bool, bytes, dict, float, frozenset, int, list, set, str, tuple, type, range),
        *(abs, len, max, min, round, sorted, sum, object),
    )
}
_BUILDERS: tuple[Any, ...] = (
    *(one for one in _BUILT_IN.values() if one not in {type, object}),
    *(dt.date, dt.datetime, dt.time, dt.timedelta),
    *(dt.timezone, decimal.Decimal, fractions.Fraction, uuid.UUID),
    *(pathlib.Path, pathlib.PurePath, pathlib.PurePosixPath, re.compile),
    *(functools.partial, typing.TypeVar, typing.NewType, zoneinfo.ZoneInfo),
    collections.namedtuple,  # noqa: PYI024 -- users call it
)
_POLARS = frozenset(
    [
        "all",
        "all_horizontal",
        "any_horizontal",
        "coalesce",
        "col",
        "concat_list",
        "concat_str",
        "date",
        "datetime",
        "duration",
        "element",
        "exclude",
        "first",
        "format",
        "last",
        "len",
        "lit",
        "max_horizontal",
        "mean_horizontal",
        "min_horizontal",
        "nth",
        "struct",
        "sum_horizontal",
        "time",
        "when",
        "Schema",
    ]
)
_METHODS: Mapping[type, frozenset[str]] = {
    **{kind: frozenset(vars(kind)) for kind in (str, bytes, int, float, tuple)},
    list: frozenset({"copy", "count", "index"}),
    dict: frozenset({"copy", "get", "items", "keys", "values"}),
    dt.timedelta: frozenset({"total_seconds"}),
    pathlib.PosixPath: frozenset({"as_posix", "joinpath", "with_name", "with_suffix"}),
}
_OPERATORS: Mapping[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Invert: operator.invert,
    ast.Not: operator.not_,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_GENERIC = (type, typing.TypeVar, type(list[int]), type(int | str), type(typing.Any))


@dataclass
class Evaluation:
    """An evaluation under way.

    Attributes:
        bound: Name → live value.
        names: The names that were read.
    """

    bound: Mapping[str, Any]
    names: list[str] = field(default_factory=list)

    def of(self, node: ast.expr) -> Any:
        """Return the value of an expression.

        Raises:
            NotPure: It does more than build a value.
        """
        method = getattr(self, f"_{type(node).__name__.lower()}", None)
        if method is None:
            raise NotPure
        try:
            return method(node)
        except NotPure:
            raise
        except Exception as error:  # whatever the values make of each other
            raise NotPure from error

    def _constant(self, node: ast.Constant) -> Any:
        return node.value

    def _name(self, node: ast.Name) -> Any:
        if node.id in self.bound:
            self.names.append(node.id)
            return self.bound[node.id]
        if node.id in _BUILT_IN:
            return _BUILT_IN[node.id]
        raise NotPure

    def _tuple(self, node: ast.Tuple) -> Any:
        return tuple(map(self.of, node.elts))

    def _list(self, node: ast.List) -> Any:
        return list(map(self.of, node.elts))

    def _set(self, node: ast.Set) -> Any:
        return set(map(self.of, node.elts))

    def _dict(self, node: ast.Dict) -> Any:
        if None in node.keys:
            raise NotPure
        keys = [self.of(key) for key in node.keys if key is not None]
        return dict(zip(keys, map(self.of, node.values), strict=True))

    def _joinedstr(self, node: ast.JoinedStr) -> Any:
        return "".join(str(self.of(part)) for part in node.values)

    def _formattedvalue(self, node: ast.FormattedValue) -> Any:
        value = self.of(node.value)
        _require(type(value) in {str, int, float, bool})
        if node.conversion == ord("r"):
            value = repr(value)
        return format(value, self.of(node.format_spec) if node.format_spec else "")

    def _unaryop(self, node: ast.UnaryOp) -> Any:
        return _OPERATORS[type(node.op)](_operand(self.of(node.operand)))

    def _binop(self, node: ast.BinOp) -> Any:
        left, right = _operand(self.of(node.left)), _operand(self.of(node.right))
        return _OPERATORS[type(node.op)](left, right)

    def _compare(self, node: ast.Compare) -> Any:
        _require(len(node.ops) == 1)
        left, right = self.of(node.left), self.of(node.comparators[0])
        return _OPERATORS[type(node.ops[0])](_operand(left), _operand(right))

    def _subscript(self, node: ast.Subscript) -> Any:
        value = self.of(node.value)
        generic = isinstance(value, _GENERIC) or getattr(value, "__module__", "") in {
            "typing",
            "collections.abc",
        }
        _require(generic or type(value) in {dict, list, tuple, str})
        return value[self.of(node.slice)]

    def _attribute(self, node: ast.Attribute) -> Any:
        value = self.of(node.value)
        if isinstance(value, ModuleType):
            _require(node.attr in vars(value))
            return vars(value)[node.attr]
        if isinstance(value, enum.EnumMeta):
            return value[node.attr]
        _require(isinstance(value, pl.Expr) or value is dt.timezone)
        _require(not node.attr.startswith("_") and node.attr != "meta")
        return getattr(value, node.attr)

    def _call(self, node: ast.Call) -> Any:
        keywords = {one.arg: self.of(one.value) for one in node.keywords if one.arg}
        _require(len(keywords) == len(node.keywords))
        function = self._function(node.func)
        return function(*map(self.of, node.args), **keywords)

    def _function(self, node: ast.expr) -> Any:
        if isinstance(node, ast.Attribute):
            if self._is_polars(node.value):
                function = getattr(pl, node.attr)
                _require(node.attr in _POLARS or values.is_dtype(function))
                return function
            receiver = self._receiver(node.value)
            if node.attr in _METHODS.get(type(receiver), ()) or (
                _is_expression(receiver) and not node.attr.startswith("_")
            ):
                return getattr(receiver, node.attr)
        function = self.of(node)
        builds = any(function is one for one in _BUILDERS)
        _require(
            builds or values.is_plain_record(function) or values.is_dtype(function)
        )
        return function

    def _receiver(self, node: ast.expr) -> Any:
        """Return what a method is called on: namespaces of expressions, too."""
        if isinstance(node, ast.Attribute):
            inner = self._receiver(node.value)
            if isinstance(inner, pl.Expr) and node.attr in _EXPRESSION_NAMESPACES:
                return getattr(inner, node.attr)
        return self.of(node)

    def _is_polars(self, node: ast.expr) -> bool:
        return isinstance(node, ast.Name) and self.of(node) is pl


_EXPRESSION_NAMESPACES = frozenset(
    {"arr", "bin", "cat", "dt", "list", "name", "str", "struct"}
)


def _is_expression(value: object) -> bool:
    return type(value).__module__.startswith("polars.expr")


def _operand(value: Any) -> Any:
    """Return a value whose operators are known to do nothing else."""
    kinds = (*_GENERIC, enum.Flag)
    _require(
        _is_expression(value) or values.is_plain(value) or isinstance(value, kinds)
    )
    return value


def _require(condition: object) -> None:
    if not condition:
        raise NotPure
