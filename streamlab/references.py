"""References in settings, ``${env:NAME}`` and ``${file:PATH}``, and what they mean.

A variable that the environment does not have is looked up in a file ``.env``, which
streamlab reads and never writes, and does not put into the environment.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from streamlab.errors import SettingsError

_REFERENCE = re.compile(r"\$\{(env|file):([^}]+)\}")
_VARIABLE = re.compile(r"\s*(?:export\s+)?([A-Za-z_]\w*)\s*=\s*(.*?)\s*$")


def is_reference(value: str) -> bool:
    """Return whether a setting has a reference in it."""
    return _REFERENCE.search(value) is not None


def references_in(value: str) -> list[str]:
    """Return the references in a text, in order."""
    return [match.group() for match in _REFERENCE.finditer(value)]


def resolved(value: str, folder: Path) -> str:
    """Return a setting with its references replaced.

    Args:
        value: The setting as it was written.
        folder: Folder that has ``.env`` and that paths count from.

    Raises:
        SettingsError: A variable is not set or a file cannot be read. The message
            names the reference, never its content.
    """

    def replace(match: re.Match[str]) -> str:
        kind, name = match.groups()
        return _variable(name, folder) if kind == "env" else _content(name, folder)

    return _REFERENCE.sub(replace, value)


def _variable(name: str, folder: Path) -> str:
    found = os.environ.get(name)
    if found is None:
        found = _env_file(folder).get(name)
    if found is None:
        message = f"the environment variable {name} is not set"
        raise SettingsError(message, hint=f"export {name}=…, or write it into .env")
    return found


def _content(name: str, folder: Path) -> str:
    path = folder / Path(name).expanduser()
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8 text"
        message = f"the file of the reference ${{file:{name}}} cannot be read: {why}"
        raise SettingsError(message) from error


def _env_file(folder: Path) -> dict[str, str]:
    """Return the ``NAME=value`` lines of ``.env``; it may hold lines of other tools."""
    try:
        text = (folder / ".env").read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{folder / '.env'} cannot be read") from error
    matches = filter(None, map(_VARIABLE.match, text.splitlines()))
    return {match[1]: _unquoted(match[2]) for match in matches}


def _unquoted(value: str) -> str:
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
    return value[1:-1] if quoted else value
