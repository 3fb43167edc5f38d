"""``%streamlab COMMAND``: every magic, also where another extension has its name."""

from __future__ import annotations

from typing import Any

from IPython.core.magic_arguments import argument, magic_arguments

from streamlab.notebook.magics import MAGICS, run_of
from streamlab.notebook.panel import Panel
from streamlab.notebook.session import Session


@magic_arguments("streamlab")
@argument("command", metavar="COMMAND", nargs="?", help="which magic")
@argument("rest", metavar="…", nargs="*", help="its arguments")
def run(session: Session, line: str, cell: str | None = None) -> Any:
    """Run one of the magics by name: %streamlab tap orders --last 10."""
    name, _, rest = line.strip().partition(" ")
    if not name:
        return _overview()
    return run_of(name)(session, rest, cell)


def _overview() -> Panel:
    commands = [name for name in MAGICS if name != "streamlab"]
    return Panel(
        title="streamlab",
        facts={"commands": str(len(commands))},
        columns=("magic", "what it does"),
        rows=[(_spelled(name), _summary(name)) for name in commands],
        note="%NAME? shows the help of one",
    )


def _spelled(name: str) -> str:
    return f"%%{name}" if MAGICS[name] == "cell" else f"%{name}"


def _summary(name: str) -> str:
    return run_of(name).parser.description.splitlines()[0]  # type: ignore[attr-defined,no-any-return]  # magic_arguments put it there
