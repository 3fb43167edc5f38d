"""``%connect``: choose the servers that this notebook works with."""

from __future__ import annotations

from IPython.display import display

from streamlab import doctor
from streamlab.notebook.magics.parsing import MagicParser
from streamlab.notebook.session import Session

PARSER = MagicParser(
    "%connect",
    """\
Connect to the servers of a profile; the other magics then use them.

Each step is tested and shown: settings, name, reach, TLS, login, brokers. Rights
are tested where they are asked for.
""",
)
PARSER.add_argument(
    "profile",
    metavar="PROFILE",
    nargs="?",
    default="",
    help="a profile of streamlab.toml; without it, the default one",
)


PARSER.add_argument(
    "--topic", metavar="TOPIC", default="", help="a topic that should be readable"
)
PARSER.add_argument(
    "--group", metavar="GROUP", default="", help="a group that should be usable"
)
PARSER.add_argument(
    "--write", metavar="TOPIC", default="", help="a topic that should be writable"
)


def run(session: Session, line: str, _cell: str | None = None) -> doctor.Diagnosis:
    """Run the magic; see its parser for what it does.

    Raises:
        ConnectorError: A step failed; the steps are shown first.
    """
    asked = PARSER.of(line)
    found = doctor.kafka(
        asked.profile, topic=asked.topic, group=asked.group, write=asked.write
    )
    if found.connected:
        session.profile = asked.profile
    if not found.ok:
        display(found)  # type: ignore[no-untyped-call]  # IPython has no types for it
    found.raise_failed()
    return found
