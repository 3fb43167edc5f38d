"""Errors as one readable message instead of a traceback."""

from __future__ import annotations

from typing import Any

from streamlab.errors import StreamlabError
from streamlab.notebook.markup import visible


def lines(error: StreamlabError) -> list[str]:
    """Return what is shown of an error: kind, message, its events, what to do."""
    message = f"{type(error).__name__}: {error.message}"
    return [visible(line) for line in (message, *error.notes)]


class Handler:
    """Shows :class:`StreamlabError` as one message, wherever in a cell it is raised.

    A shell has one place for such a handler. What another extension put there before
    goes on to handle its own exceptions.
    """

    def __init__(self, shell: Any) -> None:
        """Remember what handled exceptions before."""
        self._shell = shell
        self._before = (shell.custom_exceptions, shell.CustomTB)

    def install(self) -> None:
        """Handle from now on."""
        earlier, _ = self._before
        self._shell.set_custom_exc((*earlier, StreamlabError), self._handle)
        self._mine = self._shell.CustomTB

    def remove(self) -> None:
        """Put back what was there, unless somebody came after us."""
        if self._shell.CustomTB is self._mine:
            self._shell.custom_exceptions, self._shell.CustomTB = self._before

    def _handle(
        self, shell: Any, kind: type, error: BaseException, trace: Any, tb_offset: Any
    ) -> list[str]:
        if not isinstance(error, StreamlabError):
            return list(self._before[1](kind, error, trace, tb_offset=tb_offset))
        return publish(shell, error)


def publish(shell: Any, error: StreamlabError) -> list[str]:
    """Make an error the output of the cell that runs, and return its lines."""
    shown = lines(error)
    # The shell's own way to publish an error: front ends show it in the cell, and
    # headless runs see that the cell failed.
    shell._showtraceback(type(error), error, ["\n".join(shown)])  # noqa: SLF001 -- there is no public way
    return shown
