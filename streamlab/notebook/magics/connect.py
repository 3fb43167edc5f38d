"""``%connect``: choose the servers that this notebook works with."""

from __future__ import annotations

from streamlab.connectors.kafka.connection import Cluster, connect
from streamlab.notebook.magics.parsing import MagicParser
from streamlab.notebook.session import Session

PARSER = MagicParser(
    "%connect",
    "Connect to the servers of a profile; the other magics then use them.",
)
PARSER.add_argument(
    "profile",
    metavar="PROFILE",
    nargs="?",
    default="",
    help="a profile of streamlab.toml; without it, the default one",
)


def run(session: Session, line: str, _cell: str | None = None) -> Cluster:
    """Run the magic; see its parser for what it does."""
    profile = PARSER.of(line).profile
    cluster = connect(profile)
    session.profile = profile
    return cluster
