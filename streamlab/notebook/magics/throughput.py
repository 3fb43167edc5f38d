"""``%throughput``: events in and rows out per second."""

from __future__ import annotations

from streamlab.notebook import panels
from streamlab.notebook.magics.parsing import MagicParser
from streamlab.notebook.session import Session
from streamlab.notebook.shown import shown
from streamlab.observe.throughput import Throughput

SETTLE_S = 2.0  # five readings, so that a headless run has a course to show


PARSER = MagicParser(
    "%throughput",
    "Watch events per second, of topics and of the workers on this machine.",
)
PARSER.add_argument("topics", metavar="TOPIC", nargs="*", help="topics to watch")
PARSER.add_argument(
    "--pipeline",
    metavar="PIPELINE",
    action="append",
    default=[],
    help="only this pipeline's workers; without it, all on this machine",
)
PARSER.add_argument(
    "--profile", metavar="PROFILE", help="another profile than that of %%connect"
)


def run(session: Session, line: str, _cell: str | None = None) -> object:
    """Run the magic; see its parser for what it does."""
    arguments = PARSER.of(line)
    throughput = Throughput(
        arguments.topics,
        pipelines=arguments.pipeline,
        profile=arguments.profile or session.profile,
    )
    throughput.sampler.start()
    return shown(
        session,
        " ".join(["throughput", *arguments.topics]),
        throughput.sampler,
        lambda: panels.of_throughput(throughput),
        settle_s=SETTLE_S,
    )
