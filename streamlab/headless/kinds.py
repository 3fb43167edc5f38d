"""The types of parameters: what an annotation says, and which values it allows."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

import yaml

_TRUTH = {"true": True, "false": False}
_ARTICLES = {"int": "an int", "list": "a list", "dict": "a dict"}


@dataclass(frozen=True, slots=True)
class Kind:
    """The type of a parameter.

    Attributes:
        name: ``int``, ``float``, ``str``, ``bool``, ``list``, ``dict``, ``date``,
            ``datetime`` or ``Literal``.
        written: The annotation as the notebook has it, or the name.
        choices: The values of a ``Literal``.
        optional: Whether ``None`` is a value too.
        item: What a list holds, or the values of a dict; anything if None.
    """

    name: str
    written: str
    choices: tuple[Any, ...] = ()
    optional: bool = False
    item: Kind | None = None

    @property
    def ordered(self) -> bool:
        """Return whether its values can have a range."""
        return self.name in {"int", "float", "date", "datetime"}

    @property
    def phrase(self) -> str:
        """Return what a value must be, for a message: ``an int``."""
        if self.choices:
            return f"one of {', '.join(map(repr, self.choices))}"
        phrase = _ARTICLES.get(self.name, f"a {self.name}")
        return f"{phrase} or None" if self.optional else phrase

    def parsed(self, text: str) -> Any:
        """Return the value that a text of a command line means.

        Raises:
            ValueError: It is none of this type.
        """
        if self.optional and text in {"None", "null", ""}:
            return None
        if self.choices:
            return {str(choice): choice for choice in self.choices}[text]
        return _PARSERS[self.name](text)

    def fitted(self, value: Any) -> Any:
        """Return a value as one of this type; an int may serve as a float.

        Raises:
            ValueError: It is none of this type.
        """
        if value is None and self.optional:
            return None
        if self.choices:
            if not any(_same(value, choice) for choice in self.choices):
                raise ValueError
            return value
        if self.name in {"date", "datetime"}:
            return _instant(value, self.name)
        if self.name == "float" and type(value) is int:
            return float(value)
        if type(value) is not _TYPES[self.name]:
            raise ValueError
        return self._with_items(value)

    def _with_items(self, value: Any) -> Any:
        if self.name == "list":
            fit = self.item.fitted if self.item else _plain
            return [fit(each) for each in value]
        if self.name == "dict":
            fit = self.item.fitted if self.item else _plain
            return {_key(key): fit(each) for key, each in value.items()}
        return value

    def code(self, value: Any) -> str:
        """Return the Python expression that makes a value of this type."""
        if value is not None and self.name in {"date", "datetime"}:
            # The cell that declares the parameter has imported the annotation's name.
            name = self.written.partition("|")[0].strip()
            return f"{name}.fromisoformat({value.isoformat()!r})"
        return _literal(value)


def of_annotation(node: ast.expr) -> Kind | None:
    """Return the type that an annotation names; None for one that is not known."""
    written = ast.unparse(node)
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return of_annotation(ast.parse(node.value, mode="eval").body)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _or_none(node, written)
    name, arguments = node, None
    if isinstance(node, ast.Subscript):
        name, arguments = node.value, node.slice
    last = ast.unparse(name).rpartition(".")[2]
    if last == "Literal" and arguments is not None:
        choices = _choices(arguments)
        return Kind(last, written, choices) if choices else None
    held = _held(last, arguments) if arguments is not None else None
    if last not in _PARSERS or (arguments is not None and held is None):
        return None
    return Kind(last, written, item=held)


def of_value(value: Any) -> Kind | None:
    """Return the type of a default; None where it does not tell."""
    name = type(value).__name__
    return Kind(name, name) if name in _TYPES and value is not None else None


def _or_none(node: ast.BinOp, written: str) -> Kind | None:
    sides = (node.left, node.right)
    others = [side for side in sides if not _is_none(side)]
    kind = of_annotation(others[0]) if len(others) == 1 else None
    return replace(kind, written=written, optional=True) if kind else None


def _choices(node: ast.expr) -> tuple[Any, ...]:
    listed = node.elts if isinstance(node, ast.Tuple) else [node]
    if not all(isinstance(each, ast.Constant) for each in listed):
        return ()
    return tuple(each.value for each in listed if isinstance(each, ast.Constant))


def _held(name: str, arguments: ast.expr) -> Kind | None:
    """Return what ``list[…]`` or ``dict[str, …]`` holds."""
    if name == "list":
        return of_annotation(arguments)
    if name == "dict" and isinstance(arguments, ast.Tuple):
        return of_annotation(arguments.elts[-1])
    return None


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _same(value: Any, choice: Any) -> bool:
    return type(value) is type(choice) and value == choice


def _key(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError  # noqa: TRY004 -- one kind of error: the value does not fit
    return value


def _plain(value: Any) -> Any:
    """Return what a list or a dict without further types may hold: JSON's values."""
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {_key(key): _plain(each) for key, each in value.items()}
    if value is not None and type(value) not in {int, float, str, bool}:
        raise ValueError
    return value


def _instant(value: Any, name: str) -> date:
    if isinstance(value, str):
        return _PARSERS[name](value)  # type: ignore[no-any-return]  # by the name
    if isinstance(value, datetime) != (name == "datetime"):
        raise ValueError
    if not isinstance(value, date):
        raise ValueError  # noqa: TRY004 -- one kind of error: the value does not fit
    return value


def _literal(value: Any) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    if isinstance(value, list):
        return f"[{', '.join(map(_literal, value))}]"
    if isinstance(value, dict):
        pairs = (f"{key!r}: {_literal(each)}" for key, each in value.items())
        return f"{{{', '.join(pairs)}}}"
    return repr(value)


def _yaml(kind: type) -> Callable[[str], Any]:
    def parse(text: str) -> Any:
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ValueError from error
        if not isinstance(value, kind):
            raise ValueError  # noqa: TRY004 -- one kind of error: the value does not fit
        return value

    return parse


_TYPES: Mapping[str, type] = {
    "int": int,
    "float": float,
    "str": str,
    "bool": bool,
    "list": list,
    "dict": dict,
}

_PARSERS: Mapping[str, Callable[[str], Any]] = {
    "int": int,
    "float": float,
    "str": str,
    "bool": lambda text: _TRUTH[text.lower()],
    "list": _yaml(list),
    "dict": _yaml(dict),
    "date": date.fromisoformat,
    "datetime": datetime.fromisoformat,
}
