"""``%export``: write a transform as an installable package."""

from __future__ import annotations

from pathlib import Path

from streamlab.notebook import destinations
from streamlab.notebook.magics.parsing import MagicParser
from streamlab.notebook.session import Session

PARSER = MagicParser(
    "%export",
    "Write a transform as a package: a worker with its tests, which runs anywhere.",
)
PARSER.add_argument("transform", metavar="TRANSFORM", help="the transform to export")
PARSER.add_argument(
    "--to",
    metavar="DESTINATION",
    required=True,
    help="where its worker writes: table:NAME, topic:NAME or folder:PATH",
)
PARSER.add_argument(
    "--key", default="", help="columns that name a row: a table is updated by key"
)
PARSER.add_argument(
    "--as", dest="name", metavar="NAME", help="name of the package; the transform's"
)
PARSER.add_argument(
    "--folder", type=Path, default=Path("pipelines"), help="default: pipelines"
)
PARSER.add_argument(
    "--sample", metavar="SAMPLE", help="what it is tested on; that of its parameter"
)
PARSER.add_argument(
    "--profile", metavar="PROFILE", help="another profile than that of %%connect"
)


def run(session: Session, line: str, _cell: str | None = None) -> object:
    """Run the magic; see its parser for what it does."""
    from streamlab import export

    arguments = PARSER.of(line)
    transform = session.transform(arguments.transform)
    sample = (
        session.sample(arguments.sample)
        if arguments.sample
        else session.sample_for(transform)
    )
    profile = arguments.profile or session.profile
    return export.write(
        transform,
        arguments.name or transform.name,
        folder=arguments.folder,
        sample=sample,
        sink=destinations.sink(arguments.to, key=arguments.key, profile=profile),
    )
