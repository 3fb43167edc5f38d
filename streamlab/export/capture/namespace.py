"""A namespace and what bound its names: the cells that were run, or the file."""

from __future__ import annotations

import ast
import linecache
import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from streamlab.export.capture.bindings import Binding, bindings

_HISTORY = "_ih"
"""Where IPython keeps the cells that were run, in the user's own namespace."""

_RUNS_BODY = frozenset({"time", "capture", "prun", "transform"})
"""Cell magics that run their body as Python among the notebook's names."""

_BINDS_NOTHING = frozenset(
    [
        "!",
        "HTML",
        "SVG",
        "autoreload",
        "bash",
        "cd",
        "cmd",
        "conda",
        "config",
        "env",
        "file",
        "history",
        "html",
        "javascript",
        "js",
        "latex",
        "load_ext",
        "ls",
        "markdown",
        "matplotlib",
        "perl",
        "pip",
        "prun",
        "pwd",
        "pypy",
        "python",
        "python3",
        "reload_ext",
        "ruby",
        "script",
        "set_env",
        "sh",
        "svg",
        "sx",
        "system",
        "timeit",
        "who",
        "writefile",
    ]
)
_OWN = frozenset(
    ["connect", "export", "lag", "start", "stop", "tap", "throughput", "topics"]
)
"""streamlab's own magics: none binds a constant."""

_INJECTED = re.compile(r"#\s*parameters\s*$", re.MULTILINE | re.IGNORECASE)
"""How papermill begins the cell that it puts in."""


@dataclass(frozen=True)
class Cell:
    """A text that was run among the names of a namespace.

    Attributes:
        text: As Python ran it: magics are calls.
        where: ``In[3]``, or the name of a file.
        number: Its place in the order of runs.
        tree: Its parsed text.
    """

    text: str
    where: str
    number: int
    tree: ast.Module = field(repr=False)


class Namespace:
    """The globals of a function and the texts that bound them.

    Attributes:
        bound: Name → live value.
    """

    def __init__(self, bound: Mapping[str, Any]) -> None:
        self.bound = bound
        self._unread: list[str] = []

    @property
    def is_notebook(self) -> bool:
        """Return whether cells are run among these names."""
        return isinstance(self.bound.get(_HISTORY), list)

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """Return what was run, oldest first; bodies of magics are cells, too."""
        if not self.is_notebook:
            path = str(self.bound.get("__file__", ""))
            text = "".join(linecache.getlines(path, dict(self.bound))) if path else ""
            return tuple(self._read(text, Path(path).name, 0))
        return tuple(
            cell
            for number, text in enumerate(self.bound[_HISTORY])
            if isinstance(text, str)
            for cell in self._read(text, f"In[{number}]", number)
        )

    @cached_property
    def bindings(self) -> Mapping[str, tuple[Binding, ...]]:
        """Return name → the statements that bind or change it, oldest first."""
        found: dict[str, list[Binding]] = {}
        for cell in self.cells:
            for one in bindings(cell.tree, cell.text, cell.where, cell.number):
                found.setdefault(one.name, []).append(one)
        return {name: tuple(several) for name, several in found.items()}

    def last(self, name: str) -> Binding | None:
        """Return the newest statement that binds a name as a whole."""
        whole = [one for one in self.bindings.get(name, ()) if one.whole]
        return whole[-1] if whole else None

    def is_clouded(self, name: str) -> bool:
        """Return whether something that cannot be read may have bound a name."""
        _ = self.cells
        word = re.compile(rf"\b{re.escape(name)}\b")
        return any(word.search(text) for text in self._unread)

    def where(self, text: str, line: int = 1) -> str:
        """Return the cell or file that a text is, as a person finds it.

        Args:
            text: What a function was compiled from.
            line: A line of it; for a file.
        """
        wanted = text.strip("\n")
        for cell in reversed(self.cells):
            if cell.text.strip("\n") == wanted:
                return cell.where if self.is_notebook else f"{cell.where}:{line}"
        return ""

    def number(self, where: str) -> int:
        """Return the place of a cell in the order of runs."""
        return max((one.number for one in self.cells if one.where == where), default=0)

    def is_injected(self, binding: Binding) -> bool:
        """Return whether papermill put the statement in."""
        return any(
            cell.number == binding.number and _INJECTED.match(cell.text)
            for cell in self.cells
        )

    def _read(self, text: str, where: str, number: int) -> Iterator[Cell]:
        """Yield a text as a cell, and the bodies of the magics that it runs."""
        tree = parsed(text)
        if tree is None:
            self._unread.append(text)
            return
        yield Cell(text, where, number, tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                yield from self._magic(node.func.attr, node.args, where, number)

    def _magic(
        self, method: str, arguments: list[ast.expr], where: str, number: int
    ) -> Iterator[Cell]:
        texts = [
            argument.value
            for argument in arguments
            if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
        ]
        if method not in {"run_cell_magic", "run_line_magic"} or not texts:
            return
        name, line, body = [*texts, "", ""][:3]
        if name == "streamlab":
            name, _, line = line.partition(" ")
        if name not in _BINDS_NOTHING | _OWN:
            self._unread.append("" if name == "time" else line)
        if name in _RUNS_BODY:
            yield from self._read(body or line, where, number)
        elif name not in _BINDS_NOTHING | _OWN:
            self._unread.append(body)


def parsed(text: str) -> ast.Module | None:
    """Return the tree of a text; None if it is no Python."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes in the user's texts
            return ast.parse(text)
    except (SyntaxError, ValueError):
        return None
