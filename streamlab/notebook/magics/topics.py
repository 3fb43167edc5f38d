"""``%topics``: what there is to tap."""

from __future__ import annotations

import fnmatch

import polars as pl
from IPython.core.magic_arguments import argument, magic_arguments

from streamlab.connectors.kafka.topics import topics
from streamlab.notebook.magics import parsed
from streamlab.notebook.session import Session


@magic_arguments("topics")
@argument(
    "pattern",
    metavar="TOPIC",
    nargs="?",
    default="*",
    help="only the topics that match, such as 'orders*'",
)
@argument("--profile", metavar="PROFILE", help="another profile than that of %%connect")
def run(session: Session, line: str, _cell: str | None = None) -> pl.DataFrame:
    """List the topics of the broker: partitions, messages, first and last time."""
    arguments = parsed(run, line)
    found = topics(arguments.profile or session.profile)
    names = fnmatch.filter(found["topic"].to_list(), arguments.pattern)
    return found.filter(pl.col("topic").is_in(names))
