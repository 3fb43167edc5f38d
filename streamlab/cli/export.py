"""``streamlab export``: a pipeline file as an installable package."""

from __future__ import annotations

import argparse
from pathlib import Path


def add(name: str, parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    del name
    parser.add_argument(
        "pipeline", type=Path, help="a pipeline.toml, or the folder that holds one"
    )
    parser.add_argument(
        "--sample",
        type=Path,
        required=True,
        help="events to test the package on: what Sample.save() or streamlab tap wrote",
    )
    parser.add_argument("--name", default="", help="name of the package")
    parser.add_argument(
        "--folder", type=Path, default=Path("pipelines"), help="where packages lie"
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace files that were edited"
    )


def run(name: str, arguments: argparse.Namespace) -> int:
    """Write the package and say what to do with it."""
    del name
    from streamlab import export
    from streamlab.pipelines.file import load
    from streamlab.taps.sample import Sample

    exported = export.write(
        load(arguments.pipeline),
        arguments.name,
        sample=Sample.load(arguments.sample),
        folder=arguments.folder,
        overwrite=arguments.overwrite,
    )
    print(exported)
    return 0
