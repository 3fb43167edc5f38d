"""``%connect``: choose the servers that this notebook works with."""

from __future__ import annotations

from IPython.core.magic_arguments import argument, magic_arguments

from streamlab.connectors.kafka.connection import Cluster, connect
from streamlab.notebook.magics import parsed
from streamlab.notebook.session import Session


@magic_arguments("connect")
@argument(
    "profile",
    metavar="PROFILE",
    nargs="?",
    default="",
    help="a profile of streamlab.toml; without it, the default one",
)
def run(session: Session, line: str, _cell: str | None = None) -> Cluster:
    """Connect to the servers of a profile; the other magics then use them."""
    profile = parsed(run, line).profile
    cluster = connect(profile)
    session.profile = profile
    return cluster
