"""``%topics``: what there is to tap."""

from __future__ import annotations

import fnmatch

import polars as pl

from streamlab.connectors.kafka.topics import topics
from streamlab.notebook.magics.parsing import MagicParser
from streamlab.notebook.session import Session

PARSER = MagicParser(
    "%topics",
    "List the topics of the broker: partitions, messages, first and last time.",
)
PARSER.add_argument(
    "pattern",
    metavar="TOPIC",
    nargs="?",
    default="*",
    help="only the topics that match, such as 'orders*'",
)
PARSER.add_argument(
    "--profile", metavar="PROFILE", help="another profile than that of %%connect"
)


def run(session: Session, line: str, _cell: str | None = None) -> pl.DataFrame:
    """Run the magic; see its parser for what it does."""
    arguments = PARSER.of(line)
    found = topics(arguments.profile or session.profile)
    names = fnmatch.filter(found["topic"].to_list(), arguments.pattern)
    return found.filter(pl.col("topic").is_in(names))
