"""The magics: a table, and one file each.

The body of a magic parses its line, calls the Python API and returns something that
displays. Whatever a magic does, Python code can do too.

To add one: a module in this folder with a ``PARSER`` and ``run(session, line, cell)``;
a line in :data:`MAGICS`; a test through a real IPython shell.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from streamlab.errors import UnknownName
from streamlab.notebook.magics.parsing import MagicParser
from streamlab.notebook.session import Session

MAGICS = {
    "connect": "line",
    "topics": "line",
    "tap": "line",
    "transform": "cell",
    "start": "line",
    "stop": "line",
    "lag": "line",
    "throughput": "line",
    "latency": "line",
    "export": "line",
    "streamlab": "line_cell",
}
"""Name, which is also the module of this folder → line or cell magic."""


@dataclass(frozen=True, slots=True)
class Magic:
    """A magic: how its line is parsed, and what it does."""

    parser: MagicParser
    run: Callable[[Session, str, str | None], Any]


def named(name: str) -> Magic:
    """Return a magic by name.

    Raises:
        UnknownName: There is none.
    """
    if name not in MAGICS:
        raise UnknownName("command", name, MAGICS)
    module = importlib.import_module(f"streamlab.notebook.magics.{name}")
    return Magic(module.PARSER, module.run)
