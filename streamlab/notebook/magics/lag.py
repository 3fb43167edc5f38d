"""``%lag``: how far a pipeline is behind, per partition."""

from __future__ import annotations

from streamlab.notebook import panels
from streamlab.notebook.magics.parsing import MagicParser
from streamlab.notebook.session import Session
from streamlab.notebook.shown import shown
from streamlab.observe.lag import LagWatch

SETTLE_S = 1.2  # two readings, so that a headless run shows a time to drain


PARSER = MagicParser(
    "%lag",
    """\
Watch how far a pipeline is behind, and when it will have caught up.

Offsets are looked up; the group is not joined.
""",
)
PARSER.add_argument(
    "group", metavar="GROUP", help="name of a pipeline or of a consumer group"
)
PARSER.add_argument(
    "--profile", metavar="PROFILE", help="another profile than that of %%connect"
)


def run(session: Session, line: str, _cell: str | None = None) -> object:
    """Run the magic; see its parser for what it does."""
    arguments = PARSER.of(line)
    profile = arguments.profile or session.profile
    watch = LagWatch(arguments.group, profile=profile)
    watch.sampler.start()
    return shown(
        session,
        f"lag {arguments.group}",
        watch.sampler,
        lambda: panels.of_lag(watch),
        settle_s=SETTLE_S,
    )
