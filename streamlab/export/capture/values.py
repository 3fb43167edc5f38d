"""Live values as text: literals, and what a constructor gives back exactly."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import functools
import inspect
import math
import pathlib
import re
import typing
import uuid
import zoneinfo
from collections.abc import Callable
from types import CodeType, FunctionType, GenericAlias, ModuleType, UnionType
from typing import Any

import polars as pl

from streamlab.export.capture import literals
from streamlab.export.capture.unfit import unfit

_DATES = (dt.date, dt.datetime, dt.time, dt.timedelta)
_EQUAL = (
    *(*_DATES, uuid.UUID, fractions.Fraction, range, complex, pathlib.PosixPath),
    *(pathlib.PurePosixPath, pathlib.WindowsPath, pathlib.PureWindowsPath),
    *(GenericAlias, UnionType, dt.timezone, pl.Schema),
    type(typing.Optional[int]),  # noqa: UP045 -- this very class
    type(typing.List[int]),  # noqa: UP006 -- the same
)
"""Kinds whose ``==`` compares all there is."""


class Unwritable(Exception):
    """A value that no text gives back; the text says why."""


def same(one: Any, other: Any) -> bool:  # noqa: C901, PLR0911 -- a kind each
    """Return whether two values are the same to whoever uses them."""
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    if literals.is_literal(one) and literals.is_literal(other):
        return literals.same(one, other)
    if isinstance(one, dict):
        return list(map(_pair, one)) == list(map(_pair, other)) and all(
            same(one[key], other[key]) for key in one
        )
    if type(one) in {list, tuple} or is_plain_record(type(one)):
        left, right = _parts(one), _parts(other)
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(one, functools.partial):
        return all(map(same, _partial(one), _partial(other)))
    if isinstance(one, pl.Expr):
        return bool(one.meta.eq(other))
    if isinstance(one, decimal.Decimal | float | zoneinfo.ZoneInfo):
        return repr(one) == repr(other)
    if isinstance(one, re.Pattern):
        return bool((one.pattern, one.flags) == (other.pattern, other.flags))
    if isinstance(one, typing.TypeVar | typing.NewType):
        return repr(vars_of(one)) == repr(vars_of(other))
    if isinstance(one, type):
        return is_named_tuple(one) and _shape(one) == _shape(other)
    return (type(one) in {*_EQUAL, frozenset, set} or is_dtype(one)) and bool(
        one == other
    )


def _partial(one: functools.partial[Any]) -> list[Any]:
    return [one.func, one.args, one.keywords]


def _pair(key: object) -> tuple[str, object]:
    return type(key).__name__, key


def _parts(record: Any) -> list[Any]:
    if dataclasses.is_dataclass(record):
        names = [one.name for one in dataclasses.fields(record)]
        more = sorted(set(getattr(record, "__dict__", ())) - set(names))
        return [getattr(record, name) for name in (*names, *more)]
    return list(record)


def _shape(kind: Any) -> object:
    return kind.__name__, kind._fields, kind._field_defaults, sorted(vars(kind))


def vars_of(one: Any) -> tuple[object, ...]:
    """Return what a type variable or a new type is made of."""
    names = [
        "__name__",
        "__bound__",
        "__constraints__",
        "__covariant__",
        "__supertype__",
    ]
    return tuple(getattr(one, name, None) for name in names)


def is_plain(value: object) -> bool:
    """Return whether a value is of a built-in kind whose operators only compute."""
    kinds = (*_EQUAL, decimal.Decimal, float, frozenset)
    return literals.is_literal(value) or type(value) in kinds


def is_dtype(value: object) -> bool:
    """Return whether a value is a polars data type, or a class of them."""
    if isinstance(value, type):
        return issubclass(value, pl.DataType)
    return isinstance(value, pl.DataType)


def is_named_tuple(kind: object) -> bool:
    """Return whether a value is a class of named tuples."""
    return (
        isinstance(kind, type) and issubclass(kind, tuple) and hasattr(kind, "_fields")
    )


def is_plain_record(kind: object) -> bool:
    """Return whether making one of a class only stores what is given.

    True for named tuples, and for dataclasses whose ``__init__`` was generated.
    """
    if not isinstance(kind, type):
        return False
    if is_named_tuple(kind):
        new = inspect.unwrap(kind.__new__)
        code = getattr(new, "__code__", None)
        return "__init__" not in vars(kind) and _is_generated(code)
    made = vars(kind).get("__init__")
    return (
        dataclasses.is_dataclass(kind)
        and isinstance(made, FunctionType)
        and _is_generated(made.__code__)
        and not hasattr(kind, "__post_init__")
        and all(one.init for one in dataclasses.fields(kind))
    )


def _is_generated(code: CodeType | None) -> bool:
    return code is not None and code.co_filename.startswith("<string")


class Writer:
    """Writes live values.

    Args:
        reference: Returns the text that stands for a function, a class or a module
            in the package; raises :class:`Unwritable` if none does.
    """

    def __init__(self, reference: Callable[[object], str]) -> None:
        self.reference = reference

    def text(self, value: Any, used: int = 0) -> str:
        """Return an expression that gives the value.

        Args:
            value: A live value.
            used: Columns that its first line has already used.

        Raises:
            Unwritable: It cannot be written.
        """
        return literals.literal(self._written(value), used=used)

    def _written(self, value: Any) -> object:
        """Return a value as containers of literals and of texts."""
        if type(value) is dict:
            return {self._written(k): self._written(v) for k, v in value.items()}
        if type(value) in {list, tuple}:
            return type(value)(map(self._written, value))
        if type(value) is set:
            return set(map(self._written, value))
        if literals.is_literal(value):
            return value
        return _Text(self._constructor(value))

    def _constructor(self, value: Any) -> str:  # noqa: C901, PLR0911 -- a kind each
        kind = type(value)
        if isinstance(value, float | int) and kind in {float, int}:
            return f'float("{value}")' if not math.isfinite(value) else repr(value)
        if kind in {range, complex}:
            return repr(value)
        if kind is frozenset:
            return f"frozenset({self.text(set(value)) if value else ''})"
        if kind in _DATES:
            return self._date(value)
        if isinstance(value, pathlib.PurePath):
            return f"{self.reference(pathlib.Path)}({literals.literal(str(value))})"
        if kind in {decimal.Decimal, fractions.Fraction, uuid.UUID}:
            return f"{self.reference(kind)}({literals.literal(str(value))})"
        if kind is re.Pattern:
            flags = (
                value.flags & ~re.UNICODE
                if isinstance(value.pattern, str)
                else value.flags
            )
            tail = f", flags={flags}" if flags else ""
            pattern = literals.literal(value.pattern)
            return f"{self.reference(re)}.compile({pattern}{tail})"
        if isinstance(value, enum.Enum):
            names = str(value.name).split("|")  # of flags there may be several
            return " | ".join(f"{self.reference(kind)}.{name}" for name in names)
        if is_dtype(value):
            return self._dtype(value)
        if isinstance(value, functools.partial) and kind is functools.partial:
            words = [self.reference(value.func), *map(self.text, value.args)]
            words += [f"{k}={self.text(v)}" for k, v in value.keywords.items()]
            return f"{self.reference(kind)}({', '.join(words)})"
        if is_plain_record(kind):
            return self._record(value)
        if isinstance(value, FunctionType | type | ModuleType):
            return self.reference(value)
        raise Unwritable(unfit(value))

    def _date(self, value: Any) -> str:
        zone = getattr(value, "tzinfo", None)
        if zone is not None:
            raise Unwritable("a time with a zone; make it inside of the function")
        return self.reference(type(value)) + repr(value)[len(_dotted_name(value)) :]

    def _dtype(self, value: Any) -> str:
        text = repr(value if not isinstance(value, type) else value())
        name = value.__name__ if isinstance(value, type) else type(value).__name__
        if not isinstance(value, type) and text != name:
            raise Unwritable("a nested polars type; write it inside of the function")
        return f"{self.reference(pl)}.{name}"

    def _record(self, value: Any) -> str:
        names = getattr(value, "_fields", None) or [
            one.name for one in dataclasses.fields(value)
        ]
        if len(names) != len(_parts(value)):
            raise Unwritable("an object with more than its fields; make them fields")
        words = [
            f"{n}={self.text(v)}" for n, v in zip(names, _parts(value), strict=True)
        ]
        return f"{self.reference(type(value))}({', '.join(words)})"


def _dotted_name(value: object) -> str:
    """Return the dotted name that the ``repr`` of a date begins with."""
    return repr(value).partition("(")[0]


class _Text:
    """A piece of code among literals."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text
