"""``%export``: write a transform as an installable package."""

from __future__ import annotations

from pathlib import Path

from streamlab.notebook.magics.parsing import MagicParser
from streamlab.notebook.session import Session
from streamlab.pipelines import endpoints

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
    "--from",
    dest="begin",
    default="earliest",
    metavar="WHEN",
    help="where its worker begins the first time: earliest, latest or a time",
)
PARSER.add_argument(
    "--overwrite", action="store_true", help="replace a package that was edited"
)
PARSER.add_argument(
    "--profile", metavar="PROFILE", help="write this profile into the package"
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
    # Without --profile the package goes by the default profile of where it runs.
    profile = arguments.profile or ""
    return export.write(
        transform,
        arguments.name or transform.name,
        folder=arguments.folder,
        sample=sample,
        source=endpoints.source(sample.topic, start=arguments.begin, profile=profile),
        sink=endpoints.sink(arguments.to, key=arguments.key, profile=profile),
        overwrite=arguments.overwrite,
    )
