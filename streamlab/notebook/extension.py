"""``%load_ext streamlab``: the magics, displays, completion and error messages."""

from __future__ import annotations

import atexit
import warnings
from typing import Any

from streamlab.notebook import completion, displays, rendering
from streamlab.notebook.cells import CellWatch
from streamlab.notebook.failures import Handler, publish
from streamlab.notebook.magics import MAGICS, named
from streamlab.notebook.session import Session

_KEPT_AS = "_streamlab_extension"


class Extension:
    """Everything that one shell was given, so that it can be taken back."""

    def __init__(self, shell: Any) -> None:
        """Prepare for a shell; nothing is changed yet."""
        self.shell = shell
        self.session = Session(shell.user_ns, live=lambda: rendering.is_live(shell))
        self._cells = CellWatch(self.session, lambda error: publish(shell, error))
        self._failures = Handler(shell)
        self._matcher = completion.matcher(self.session)
        self._magics: dict[tuple[str, str], Any] = {}

    def install(self) -> None:
        """Give the shell the magics and all that belongs to them."""
        taken = [name for name in MAGICS if not self._add(name)]
        if taken:
            listed = ", ".join(f"%{name}" for name in taken)
            warnings.warn(
                f"{listed} belong(s) to another extension and was left alone; "
                f"%streamlab {taken[0]} … works",
                stacklevel=2,
            )
        displays.register(self.shell, self.session)
        self._failures.install()
        self.shell.Completer.custom_matchers.append(self._matcher)
        self.shell.events.register("pre_run_cell", self._cells.before)
        self.shell.events.register("post_run_cell", self._cells.after)
        atexit.register(self.session.close)

    def remove(self) -> None:
        """Take everything back, and end what runs."""
        self.session.close()
        atexit.unregister(self.session.close)
        self.shell.events.unregister("pre_run_cell", self._cells.before)
        self.shell.events.unregister("post_run_cell", self._cells.after)
        self.shell.Completer.custom_matchers.remove(self._matcher)
        self._failures.remove()
        displays.unregister(self.shell, self.session)
        for (kind, name), magic in self._magics.items():
            registered = self.shell.magics_manager.magics[kind]
            if registered.get(name) is magic:
                del registered[name]

    def _add(self, name: str) -> bool:
        """Register a magic unless the shell has one of that name already."""
        registered = self.shell.magics_manager.magics
        if any(name in registered[kind] for kind in ("line", "cell")):
            return False
        kind = MAGICS[name]
        self.shell.register_magic_function(
            _magic(name, kind, self.session), magic_kind=kind, magic_name=name
        )
        for each in ("line", "cell"):
            if name in registered[each]:
                self._magics[each, name] = registered[each][name]
        return True


def _magic(name: str, kind: str, session: Session) -> Any:
    """Return the function that the shell calls; its doc is the help."""
    behind = named(name)

    def line_magic(line: str) -> Any:
        return behind.run(session, line, None)

    def cell_magic(line: str, cell: str | None = None) -> Any:
        return behind.run(session, line, cell)

    magic = line_magic if kind == "line" else cell_magic
    magic.__name__ = name
    magic.__doc__ = behind.parser.format_help()
    return magic


def loaded(shell: Any) -> Extension | None:
    """Return what a shell was given; None if the extension is not loaded there."""
    return getattr(shell, _KEPT_AS, None)


def load(shell: Any) -> None:
    """Load the extension into a shell; a second call changes nothing."""
    if loaded(shell) is None:
        extension = Extension(shell)
        extension.install()
        setattr(shell, _KEPT_AS, extension)


def unload(shell: Any) -> None:
    """Take the extension out of a shell again."""
    extension = loaded(shell)
    if extension is not None:
        extension.remove()
        delattr(shell, _KEPT_AS)
