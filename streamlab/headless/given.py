"""The values a notebook is given: read, checked, and written as its next cell."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from streamlab.errors import SettingsError, UsageError, WrongParameters, near_names
from streamlab.headless.parameters import MISSING, Parameter
from streamlab.references import references_in
from streamlab.settings import resolved

Values: TypeAlias = Mapping[str, Any]

INJECTED_TAG = "injected-parameters"
"""Papermill's own tag for the cell with the values."""


class Written(str):
    """A value as text of a command line: the parameter's type says what it means."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Given:
    """Checked values for one run of one notebook.

    Attributes:
        shown: Name → value as text, for reports; a reference stays one.
        code: Source of the cell that sets them; empty without values.
        references: The references among them; their content is never written.
    """

    shown: Mapping[str, str]
    code: str
    references: tuple[str, ...] = ()


def checked(
    found: Mapping[str, Parameter], values: Values, *, notebook: str, folder: Path
) -> Given:
    """Check values against what a notebook declares.

    Args:
        found: The declared parameters.
        values: Name → value; :class:`Written` for a text of the command line.
        notebook: What messages call the notebook.
        folder: Where the notebook runs: references are looked up from there.

    Raises:
        WrongParameters: A name is not known, a value does not fit, or one is missing;
            everything that is wrong is told at once.
    """
    problems: list[str] = []
    lines: list[str] = []
    shown: dict[str, str] = {}
    used: list[str] = []
    for name, value in values.items():
        if name not in found:
            problems.append(_unknown(name, found))
            continue
        try:
            fitting = _fitting(found[name], value, folder)
        except ValueError as error:
            problems.append(str(error))
            continue
        shown[name] = fitting if isinstance(fitting, str) else repr(fitting)
        made = found[name].kind.code(fitting)
        if isinstance(fitting, str) and (inside := references_in(fitting)):
            used += inside
            made = f"_resolved({made})"
        lines.append(f"{name} = {made}")
    problems += [
        f"{one.name} has no default: give a value of {one.kind.written}"
        for one in found.values()
        if one.default is MISSING and one.name not in values
    ]
    if problems:
        raise WrongParameters(notebook, problems)
    if used:
        lines.insert(0, "from streamlab.settings import resolved as _resolved\n")
    code = "\n".join(["# Parameters", *lines]) if lines else ""
    return Given(shown, code, tuple(dict.fromkeys(used)))


def _unknown(name: str, found: Mapping[str, Parameter]) -> str:
    if not found:
        return f"there is no parameter {name!r}: it has no cell tagged 'parameters'"
    return f"there is no parameter {name!r}; {near_names(name, list(found))}"


def _fitting(one: Parameter, value: Any, folder: Path) -> Any:
    """Return a value of the parameter's type.

    Raises:
        ValueError: It is none, is out of range, or must not be written down.
    """
    try:
        if isinstance(value, Written):
            fitting = one.kind.parsed(str(value))
        else:
            fitting = one.kind.fitted(value)
    except (ValueError, KeyError):
        if isinstance(value, str) and references_in(value):
            message = f"{one.name} is {one.kind.phrase}, and a reference is a text"
            raise ValueError(message) from None
        what = type(value).__name__ if not isinstance(value, str) else repr(str(value))
        message = f"{one.name} must be {one.kind.phrase}, and is {what}"
        raise ValueError(message) from None
    if problem := one.problem(fitting):
        raise ValueError(problem)
    if isinstance(fitting, str):
        try:
            resolved(fitting, base=folder)
        except SettingsError as error:
            raise ValueError(f"{one.name}: {error.message}") from error
    return fitting


def of_words(words: Iterable[str]) -> list[dict[str, Any]]:
    """Return the sets of values that ``name=value`` words of a command line mean.

    A name that is given twice makes one set for each of its values.

    Raises:
        UsageError: A word is not of that form.
    """
    by_name: dict[str, list[Written]] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name.strip().isidentifier():
            message = f"{word!r} is not a parameter"
            raise UsageError(message, hint="-p name=value")
        by_name.setdefault(name.strip(), []).append(Written(value))
    combined = itertools.product(*by_name.values())
    return [dict(zip(by_name, each, strict=True)) for each in combined]


def of_file(path: Path) -> list[dict[str, Any]]:
    """Return the sets of values in a YAML file: a mapping, or a list of mappings.

    Raises:
        UsageError: It cannot be read, or holds something else.
    """
    try:
        stored = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        message = f"the parameter file {path} cannot be read"
        raise UsageError(message, hint=str(error).partition("\n")[0]) from error
    sets = stored if isinstance(stored, list) else [stored]
    for each in sets:
        if not isinstance(each, dict) or not all(isinstance(n, str) for n in each):
            message = f"the parameter file {path} must hold name: value"
            raise UsageError(message, hint="or a list of such mappings: one run each")
    return sets or [{}]


def crossed(first: Sequence[Values], second: Sequence[Values]) -> list[Values]:
    """Return each set of the first with each of the second on top."""
    return [{**one, **other} for one in first or [{}] for other in second or [{}]]
