"""``streamlab stop``: the workers of a pipeline on this machine, with a savepoint."""

from __future__ import annotations

import argparse

from streamlab.cli.chosen import add_pipeline, chosen_pipeline


def add(name: str, parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    del name
    add_pipeline(parser)
    parser.add_argument(
        "--savepoint",
        default="",
        metavar="PLACE",
        help="then write one: a folder, or a URL as fsspec reads it",
    )


def run(name: str, arguments: argparse.Namespace) -> int:
    """Ask the workers to finish what is under way, and wait for their end."""
    del name
    from streamlab.engines import local
    from streamlab.engines.local import savepoints

    pipeline = chosen_pipeline(arguments)
    stopped = local.stop(pipeline.name, wait_s=local.STOP_S)
    print(f"stopped {', '.join(map(str, stopped))}")
    if arguments.savepoint:
        savepoints.take(pipeline, arguments.savepoint)
        print(f"wrote the savepoint {arguments.savepoint}")
    return 0
