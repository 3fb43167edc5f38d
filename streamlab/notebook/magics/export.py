"""``%export``: write a transform as an installable package."""

from __future__ import annotations

from pathlib import Path

from IPython.core.magic_arguments import argument, magic_arguments

from streamlab.notebook import destinations
from streamlab.notebook.magics import parsed
from streamlab.notebook.session import Session


@magic_arguments("export")
@argument("transform", metavar="TRANSFORM", help="the transform to export")
@argument(
    "--to",
    metavar="DESTINATION",
    required=True,
    help="where its worker writes: table:NAME, topic:NAME or folder:PATH",
)
@argument(
    "--key", default="", help="columns that name a row: a table is updated by key"
)
@argument(
    "--as", dest="name", metavar="NAME", help="name of the package; the transform's"
)
@argument("--folder", type=Path, default=Path("pipelines"), help="default: pipelines")
@argument(
    "--sample", metavar="SAMPLE", help="what it is tested on; that of its parameter"
)
@argument("--profile", metavar="PROFILE", help="another profile than that of %%connect")
def run(session: Session, line: str, _cell: str | None = None) -> object:
    """Write a transform as a package: a worker with its tests, which runs anywhere."""
    from streamlab import export

    arguments = parsed(run, line)
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
