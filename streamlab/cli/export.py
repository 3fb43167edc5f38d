"""``streamlab export``: a transform, or a whole pipeline, as an installable package."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from streamlab.errors import UsageError

if TYPE_CHECKING:
    from streamlab.export import Exported
    from streamlab.taps.sample import Sample

EPILOG = """\
examples:
  streamlab tap flights --last 1000 --save flights.parquet
  streamlab export flows:delayed --sample flights.parquet --to table:delays
  streamlab export pipeline.toml --sample flights.parquet

Before the package is written, its code runs in a fresh process and must give the rows
that it gives here. `%export` does the same in a notebook.
"""
FOR_TRANSFORMS = ("to", "key", "begin", "profile")
"""Options that a pipeline file has settings for."""


def add(name: str, parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    del name
    parser.epilog = EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "what",
        metavar="WHAT",
        help="a transform as MODULE:FUNCTION, whose module lies in this folder or is "
        "installed; or a pipeline.toml, or the folder that holds one",
    )
    parser.add_argument(
        "--sample",
        type=Path,
        required=True,
        metavar="FILE",
        help="events to test the package on: what streamlab tap --save or "
        "Sample.save() wrote",
    )
    parser.add_argument(
        "--name", default="", help="name of the package; that of WHAT if left out"
    )
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path("pipelines"),
        help="where packages lie; default: pipelines",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace files that were edited"
    )
    ends = parser.add_argument_group(
        "where a transform reads and writes (a pipeline file says so itself)"
    )
    ends.add_argument(
        "--to",
        default="",
        metavar="DESTINATION",
        help="table:NAME, topic:NAME or folder:PATH; needed",
    )
    ends.add_argument(
        "--key", default="", help="columns that name a row: a table is updated by key"
    )
    ends.add_argument(
        "--from",
        dest="begin",
        default="",
        metavar="WHEN",
        help="where the worker begins the first time: earliest (as if left out), "
        "latest or a time",
    )
    ends.add_argument(
        "--profile", default="", help="write this profile into the package"
    )


def run(name: str, arguments: argparse.Namespace) -> int:
    """Write the package and say what to do with it."""
    del name
    from streamlab.taps.sample import Sample

    sample = Sample.load(arguments.sample)
    if ":" in arguments.what and not Path(arguments.what).exists():
        print(_of_transform(arguments, sample))
    else:
        print(_of_pipeline(arguments, sample))
    return 0


def _of_transform(arguments: argparse.Namespace, sample: Sample) -> Exported:
    from streamlab import export
    from streamlab.pipelines import endpoints, functions

    if not arguments.to:
        message = f"{arguments.what} has nowhere to write to"
        raise UsageError(message, hint="add --to table:NAME, topic:NAME or folder:PATH")
    (transform,) = functions.named([arguments.what], Path.cwd())
    profile = arguments.profile
    return export.write(
        transform,
        arguments.name,
        sample=sample,
        source=endpoints.source(
            sample.topic, start=arguments.begin or "earliest", profile=profile
        ),
        sink=endpoints.sink(arguments.to, key=arguments.key, profile=profile),
        folder=arguments.folder,
        overwrite=arguments.overwrite,
    )


def _of_pipeline(arguments: argparse.Namespace, sample: Sample) -> Exported:
    from streamlab import export
    from streamlab.pipelines.file import load

    if not Path(arguments.what).exists():
        message = f"there is no pipeline file {arguments.what}"
        raise UsageError(message, hint="a transform is named MODULE:FUNCTION")
    given = [name for name in FOR_TRANSFORMS if getattr(arguments, name)]
    if given:
        option = "--from" if given[0] == "begin" else f"--{given[0]}"
        message = f"{option} is for a transform; a pipeline file says so itself"
        raise UsageError(message, hint=f"change it in {arguments.what}")
    return export.write(
        load(arguments.what),
        arguments.name,
        sample=sample,
        folder=arguments.folder,
        overwrite=arguments.overwrite,
    )
