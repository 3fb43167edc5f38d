"""A pipeline file, and settings read from it into dataclasses.

The fields of a connector's dataclass are its settings: their names, types and
defaults are the only list there is. What a file says is checked against them, and
a mistake is told with ``file:line`` and the names that were probably meant.
"""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Collection, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields
from enum import Enum
from pathlib import Path
from typing import Any, Literal, TypeVar

from streamlab.errors import PipelineError, StreamlabError, near_names
from streamlab.toml import TomlFile

T = TypeVar("T")

_TOML_NAMES: Mapping[type, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    list: "a list",
    dict: "a table",
    Path: "a path as text",
}


class _Unfit(Exception):
    """A value does not have the type of its field; the text says what would."""


@dataclass(frozen=True)
class Document:
    """A pipeline file, section by section.

    Attributes:
        file: The parsed file.
    """

    file: TomlFile

    @classmethod
    def read(cls, path: Path) -> Document:
        """Parse a file.

        Raises:
            PipelineError: It cannot be read, or is not TOML.
        """
        return cls(TomlFile.read(path, PipelineError))

    @property
    def sections(self) -> Mapping[str, Any]:
        """Return its tables."""
        return self.file.tables

    def error(
        self, section: str, key: str, message: str, hint: str = ""
    ) -> PipelineError:
        """Return an error that names the place of a key, or of its section."""
        place = self.file.place(*filter(None, (*section.split("."), key)))
        where = place if place != str(self.file.path) else f"{place}:1"
        return PipelineError(f"{where}: {message}", hint=hint)

    def section(self, name: str, *, hint: str) -> dict[str, Any]:
        """Return the keys of a section that must be there.

        Raises:
            PipelineError: It is not, or it is not a table.
        """
        found: Any = self.sections
        for part in name.split("."):
            found = found.get(part)
        if found is None:
            raise self.error(name, "", f"there is no section [{name}]", hint)
        if not isinstance(found, dict):
            message = f"{name} must be a section, not {_kind(found)}"
            raise self.error("", name, message, hint)
        return dict(found)

    def only(self, section: str, keys: Collection[str], known: Sequence[str]) -> None:
        """Refuse the first key that is not a known one.

        Raises:
            PipelineError: With the line of the key, and near names.
        """
        for key in keys:
            if key not in known:
                where = f"[{section}]" if section else "a pipeline file"
                kind = "setting" if section else "section"
                message = f"{where} has no {kind} {key!r}"
                raise self.error(section, key, message, near_names(key, known))

    def text(self, section: str, values: dict[str, Any], key: str) -> str:
        """Take a text out of ``values``.

        Raises:
            PipelineError: It is missing, or not a text.
        """
        if key not in values:
            message = f"[{section}] needs {key!r}"
            misspelt = difflib.get_close_matches(key, values, 1)
            hint = f"is {misspelt[0]!r} meant to be it?" if misspelt else ""
            raise self.error(section, "", message, hint)
        value = values.pop(key)
        if not isinstance(value, str):
            message = f"{key} must be a text, not {_kind(value)}"
            raise self.error(section, key, message)
        return value

    def options(self, section: str, values: dict[str, Any], key: str) -> dict[str, str]:
        """Take a table of names and texts out of ``values``; empty where there is none.

        Raises:
            PipelineError: It is something else.
        """
        try:
            return _fitted_table(values.pop(key, {}))
        except _Unfit as error:
            message = f"{key} must be {error}"
            raise self.error(section, key, message) from None

    def build(
        self, section: str, cls: type[T], values: Mapping[str, Any], base: Path
    ) -> T:
        """Return a dataclass whose fields are the keys of a section.

        Args:
            section: Where ``values`` come from.
            cls: The dataclass; keys are checked against its fields.
            values: Setting → value as TOML has it.
            base: What relative paths count from.

        Raises:
            PipelineError: An unknown or a missing setting, a value of another type,
                or one that the dataclass itself refuses.
        """
        settings = {item.name: item for item in _fields(cls) if item.init}
        self.only(section, values, sorted(settings))
        hints = typing.get_type_hints(cls)
        built: dict[str, Any] = {}
        for key, value in values.items():
            try:
                built[key] = fitted(value, hints[key], base)
            except _Unfit as error:
                named = isinstance(value, str) and str(error).startswith("'")
                found = "another text" if named else _kind(value)
                message = f"{key} must be {error}, not {found}"
                hint = (
                    'put dotted names in quotes: "group.protocol" = …'
                    if isinstance(value, dict)
                    else ""
                )
                raise self.error(section, key, message, hint) from None
        for item in settings.values():
            if item.name not in values and _mandatory(item):
                raise self.error(section, "", f"[{section}] needs {item.name!r}")
        try:
            return cls(**built)
        except StreamlabError as error:
            raise self.error(section, "", error.message, error.hint) from error


def fitted(value: Any, annotation: Any, base: Path) -> Any:
    """Return a TOML value as the type of a field, without any lossy conversion.

    Raises:
        _Unfit: It has another type; the text names the wanted one.
    """
    origin = typing.get_origin(annotation)
    if origin in {typing.Union, types.UnionType}:
        return _fitted_choice(value, typing.get_args(annotation), base)
    if origin is Literal:
        return _fitted_name(value, typing.get_args(annotation))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        item = typing.get_args(annotation)[1]
        return _fitted_table(value) if item is str else _fitted_items(value, item, base)
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return _fitted_list(value, typing.get_args(annotation)[0], base)
    return _fitted_scalar(value, annotation, base)


def _fitted_choice(value: Any, choices: Sequence[Any], base: Path) -> Any:
    """Return the value as the first member of a union that takes it."""
    wanted: list[str] = []
    for choice in choices:
        if choice is types.NoneType:
            continue
        try:
            return fitted(value, choice, base)
        except _Unfit as error:
            wanted.append(str(error))
    raise _Unfit(" or ".join(wanted))


def _fitted_name(value: Any, names: Sequence[Any]) -> Any:
    if value not in names:
        raise _Unfit(" or ".join(repr(name) for name in names))
    return value


def _fitted_table(value: Any) -> dict[str, str]:
    """Return a table of client options; drivers take their numbers as text, too."""
    if not isinstance(value, dict):
        raise _Unfit(_TOML_NAMES[dict])
    options: dict[str, str] = {}
    for name, option in value.items():
        if isinstance(option, dict | list):
            message = "a table of names and texts"
            raise _Unfit(message)
        options[name] = (
            str(option).lower() if option is True or option is False else str(option)
        )
    return options


def _fitted_items(value: Any, item: Any, base: Path) -> dict[str, Any]:
    """Return a table whose values are not just texts."""
    if not isinstance(value, dict):
        raise _Unfit(_TOML_NAMES[dict])
    return {name: fitted(one, item, base) for name, one in value.items()}


def _fitted_list(value: Any, item: Any, base: Path) -> tuple[Any, ...]:
    """Return a list as a tuple; one value alone stands for a list of it."""
    listed = value if isinstance(value, list) else [value]
    try:
        return tuple(fitted(one, item, base) for one in listed)
    except _Unfit as error:
        message = f"a list, each item {error}"
        raise _Unfit(message) from None


def _fitted_scalar(value: Any, annotation: Any, base: Path) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return annotation(_fitted_name(value, [member.value for member in annotation]))
    if annotation is Path and isinstance(value, str):
        return base / value
    if annotation is float and type(value) is int:
        return float(value)
    if type(value) is not annotation:
        raise _Unfit(_TOML_NAMES.get(annotation, "what no file can hold"))
    return value


def _fields(cls: type) -> tuple[Field[Any], ...]:
    """Return the fields of a class that is a dataclass, as every connector is."""
    return fields(cls)


def _mandatory(item: Field[Any]) -> bool:
    return item.default is MISSING and item.default_factory is MISSING


def _kind(value: Any) -> str:
    """Return what a value is, never the value: it might be a secret."""
    return _TOML_NAMES.get(type(value), "a date or a time")
