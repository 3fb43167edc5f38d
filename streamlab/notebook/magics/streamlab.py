"""``%streamlab COMMAND``: every magic, also where another extension has its name."""

from __future__ import annotations

from typing import Any

from streamlab.notebook.magics import MAGICS, named
from streamlab.notebook.magics.parsing import MagicParser
from streamlab.notebook.panel import Panel
from streamlab.notebook.session import Session

PARSER = MagicParser(
    "%streamlab",
    "Run one of the magics by name: %streamlab tap orders --last 10.",
)
PARSER.add_argument("command", metavar="COMMAND", nargs="?", help="which magic")
PARSER.add_argument("rest", metavar="…", nargs="*", help="its arguments")


def run(session: Session, line: str, cell: str | None = None) -> Any:
    """Run the magic; see its parser for what it does."""
    name, _, rest = line.strip().partition(" ")
    if not name:
        return _overview()
    return named(name).run(session, rest, cell)


def _overview() -> Panel:
    parsers = [named(name).parser for name in MAGICS if name != "streamlab"]
    return Panel(
        title="streamlab",
        facts={"commands": str(len(parsers))},
        columns=("magic", "what it does"),
        rows=[(parser.prog, parser.summary) for parser in parsers],
        note="%NAME? shows the help of one",
    )
