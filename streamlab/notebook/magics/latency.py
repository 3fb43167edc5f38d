"""``%latency``: how long events take from their time to the sink's commit."""

from __future__ import annotations

from streamlab.notebook import panels
from streamlab.notebook.magics.parsing import MagicParser
from streamlab.notebook.session import Session
from streamlab.notebook.shown import shown
from streamlab.observe.delays import Latency

SETTLE_S = 3.0  # so that a headless run has something to count


PARSER = MagicParser(
    "%latency",
    """\
Watch how long events take, as a histogram.

From an event's time to its commit in the sink, as the pipeline's workers on this
machine count it, from now on.
""",
)
PARSER.add_argument("pipeline", metavar="PIPELINE", help="name of a pipeline")


def run(session: Session, line: str, _cell: str | None = None) -> object:
    """Run the magic; see its parser for what it does."""
    arguments = PARSER.of(line)
    latency = Latency(arguments.pipeline)
    latency.sampler.start()
    return shown(
        session,
        f"latency {arguments.pipeline}",
        latency.sampler,
        lambda: panels.of_latency(latency),
        settle_s=SETTLE_S,
    )
