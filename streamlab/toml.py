"""A TOML file that knows its lines, so that a mistake in it can be pointed at."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streamlab.errors import UsageError

_NAME = r"""(?:"[^"]*"|'[^']*'|[A-Za-z0-9_-]+)"""
_HEADER = re.compile(rf"\s*\[\s*({_NAME}(?:\s*\.\s*{_NAME})*)\s*\]")
_KEY = re.compile(rf"\s*({_NAME}(?:\s*\.\s*{_NAME})*)\s*=")
_PLACE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")


@dataclass(frozen=True)
class TomlFile:
    """A parsed TOML file.

    Attributes:
        path: The file.
        tables: What it says.
        lines: Names from the outermost table to a key, or to a table that has a
            header → line, counted from 1.
    """

    path: Path
    tables: Mapping[str, Any]
    lines: Mapping[tuple[str, ...], int]

    @classmethod
    def read(cls, path: Path, kind: type[UsageError]) -> TomlFile:
        """Parse a file.

        Raises:
            UsageError: Of the class ``kind``: it cannot be read, or is not TOML.
        """
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise kind(f"{path} cannot be read: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise kind(f"{path} is not UTF-8 text") from error
        try:
            return cls(path, tomllib.loads(text), _lines(text))
        except tomllib.TOMLDecodeError as error:
            place = _PLACE.search(str(error))
            line = place[1] if place and place[1] else len(text.splitlines()) or 1
            what = _PLACE.sub("", str(error))
            raise kind(f"{path}:{line}: not valid TOML: {what}") from error

    def place(self, *names: str) -> str:
        """Return ``file:line`` of a key or table, or of the nearest one around it."""
        for length in range(len(names), 0, -1):
            if line := self.lines.get(names[:length]):
                return f"{self.path}:{line}"
        return str(self.path)


def _lines(text: str) -> dict[tuple[str, ...], int]:
    """Return the line of each header and key, as far as lines alone tell them.

    The parser keeps no places. A key inside of a multi-line text may add an entry
    that nobody asks for; the first line of a name wins.
    """
    found: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.match(line):
            table = _names(header[1])
            names = table
        elif key := _KEY.match(line):
            names = (*table, *_names(key[1]))
        else:
            continue
        for length in range(1, len(names) + 1):
            found.setdefault(names[:length], number)
    return found


def _names(dotted: str) -> tuple[str, ...]:
    return tuple(name.strip("\"'") for name in re.findall(_NAME, dotted))
