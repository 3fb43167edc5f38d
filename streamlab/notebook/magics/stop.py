"""``%stop``: list what runs from this kernel, or end some of it."""

from __future__ import annotations

from streamlab.notebook.magics.parsing import MagicParser
from streamlab.notebook.markup import duration
from streamlab.notebook.panel import Panel
from streamlab.notebook.session import Session

PARSER = MagicParser(
    "%stop",
    "Stop live views, previews and workers; without a name, list them.",
)
PARSER.add_argument("names", metavar="RUNNING", nargs="*", help="what to stop")
PARSER.add_argument(
    "--all", action="store_true", help="stop everything that runs from here"
)


def run(session: Session, line: str, _cell: str | None = None) -> Panel:
    """Run the magic; see its parser for what it does."""
    arguments = PARSER.of(line)
    names = list(session.running()) if arguments.all else arguments.names
    for name in names:
        session.stop(name)
    return listed(session, stopped=names)


def listed(session: Session, *, stopped: list[str]) -> Panel:
    """Return what runs, and what was just stopped."""
    running = session.running()
    alive = sum(thing.running for thing in running.values())
    return Panel(
        title="running from this notebook",
        facts={"running": str(alive)},
        columns=("name", "what", "for", "state") if running else (),
        rows=[
            (name, thing.kind, duration(session.seconds(name)), thing.describe())
            for name, thing in running.items()
        ],
        note=f"stopped {', '.join(stopped)}" if stopped else "",
    )
