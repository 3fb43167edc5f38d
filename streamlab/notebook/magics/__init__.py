"""The magics: a table, and one file each.

The body of a magic parses its line, calls the Python API and returns something that
displays. Whatever a magic does, Python code can do too.

To add one: a module in this folder with ``run(session, line, cell)``, decorated with
``magic_arguments``; a line in :data:`MAGICS`; a test through a real IPython shell.
"""

from __future__ import annotations

import argparse
import importlib
import shlex
from collections.abc import Callable
from typing import Any, TypeAlias

from IPython.core.error import UsageError as WrongLine

from streamlab.errors import UnknownName, UsageError, near_names
from streamlab.notebook.session import Session

Run: TypeAlias = Callable[[Session, str, str | None], Any]

MAGICS = {
    "connect": "line",
    "topics": "line",
    "tap": "line",
    "transform": "cell",
    "start": "line",
    "stop": "line",
    "lag": "line",
    "throughput": "line",
    "export": "line",
    "streamlab": "line_cell",
}
"""Name, which is also the module of this folder → line or cell magic."""


def run_of(name: str) -> Run:
    """Return the function behind a magic.

    Raises:
        UnknownName: There is no such magic.
    """
    if name not in MAGICS:
        raise UnknownName("command", name, MAGICS)
    module = importlib.import_module(f"streamlab.notebook.magics.{name}")
    run: Run = module.run
    return run


def parser_of(run: Run) -> argparse.ArgumentParser:
    """Return the argument parser of a magic's function."""
    parser: argparse.ArgumentParser = run.parser  # type: ignore[attr-defined]  # magic_arguments put it there
    return parser


def options_of(run: Run) -> dict[str, argparse.Action]:
    """Return the options of a magic, each spelling with what it stands for."""
    return {
        spelling: action
        for action in parser_of(run)._actions  # noqa: SLF001 -- argparse has no public list of them
        for spelling in action.option_strings
    }


def parsed(run: Run, line: str) -> argparse.Namespace:
    """Return the arguments of a magic's line; quotes group words as in a shell.

    Raises:
        UsageError: The line does not fit; with near names of options.
    """
    parser = parser_of(run)
    name = f"%{parser.prog}"
    try:
        words = shlex.split(line)
    except ValueError as error:
        message = f"{name}: a quotation mark is not closed"
        raise UsageError(message) from error
    known = options_of(run)
    for word in words:
        option = word.partition("=")[0]
        if option.startswith("--") and option not in known:
            message = f"{name} has no option {option}"
            raise UsageError(message, hint=near_names(option, sorted(known)))
    try:
        return parser.parse_args(words)
    except WrongLine as error:
        message = f"{name}: {error}"
        raise UsageError(message, hint=f"{name}? shows its help") from error
