"""Sections of a pipeline file as text: the settings that are not their default."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from streamlab import connectors
from streamlab.errors import PipelineError
from streamlab.sinks import Sink
from streamlab.sources import Source


def kind(role: str, connector: Source | Sink) -> str:
    """Return the name that a pipeline file uses for a connector's class.

    Raises:
        PipelineError: The class is not in the table of connectors.
    """
    module, name = type(connector).__module__, type(connector).__qualname__
    for known, places in connectors.BUILT_IN.items():
        home, _, attribute = (getattr(places, role) or "").partition(":")
        # A package may define its class in a module of its own.
        if attribute == name and (module == home or module.startswith(f"{home}.")):
            return known
    message = f"{name} is no {role} that a pipeline file can name"
    raise PipelineError(message, hint="see streamlab.connectors.BUILT_IN")


def settings_of(values: Any, folder: Path) -> dict[str, Any]:
    """Return the settings of a connector that differ from their default.

    Args:
        values: A dataclass.
        folder: Paths below it are returned relative to it, as files have them.
    """
    settings: dict[str, Any] = {}
    for item in fields(values):
        value = getattr(values, item.name)
        # An empty table or list is the default that a factory makes.
        if not item.init or value in (item.default, None, {}, ()):
            continue
        below = isinstance(value, Path) and value.is_relative_to(folder.resolve())
        settings[item.name] = value.relative_to(folder.resolve()) if below else value
    return settings


def text_of(name: str, values: Mapping[str, Any]) -> str:
    """Return one section; tables inside of it come last, as TOML wants."""
    plain = {key: value for key, value in values.items() if not _is_table(value)}
    lines = [f"[{name}]", *(f"{key} = {_toml(key, plain[key])}" for key in plain)]
    for key in (key for key in values if key not in plain):
        lines += ["", f"[{name}.{key}]"]
        lines += [f"{json.dumps(k)} = {_toml(k, v)}" for k, v in values[key].items()]
    return "\n".join([*lines, ""])


def _is_table(value: Any) -> bool:
    return isinstance(value, Mapping)


def _toml(key: str, value: Any) -> str:
    """Return a value as TOML; JSON's texts, numbers and booleans are valid TOML."""
    if isinstance(value, Path):
        return json.dumps(value.as_posix(), ensure_ascii=False)
    if isinstance(value, str | int | float):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list | tuple):
        return f"[{', '.join(_toml(key, item) for item in value)}]"
    message = f"the setting {key} cannot be written: it is a {type(value).__name__}"
    raise PipelineError(message)
