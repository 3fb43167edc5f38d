"""``streamlab state show|reset``: what windows, folds and joins hold."""

from __future__ import annotations

import argparse

from streamlab.cli.chosen import add_pipeline, chosen_pipeline
from streamlab.cli.confirming import confirmed


def add(name: str, parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    del name
    parser.add_argument("action", choices=["show", "reset"])
    add_pipeline(parser)
    parser.add_argument(
        "--to",
        default="",
        help="reset: where to read on, as in streamlab position reset; else from "
        "where it stands",
    )
    parser.add_argument("--yes", action="store_true", help="do it without asking")


def run(name: str, arguments: argparse.Namespace) -> int:
    """Show the state of each task, or drop it when confirmed."""
    del name
    from streamlab.engines.local import kept_state, position

    pipeline = chosen_pipeline(arguments)
    if arguments.action == "show":
        tasks = kept_state.kept(pipeline)
        print("\n".join(map(str, tasks)) if tasks else "there is no state yet")
        return 0
    moves = kept_state.planned(pipeline, arguments.to)
    for move in moves:
        print(move)
    print("what windows, folds and joins hold is dropped: they begin empty")
    if not (arguments.yes or confirmed("reset?")):
        print("nothing was changed")
        return 0
    position.reset(pipeline, moves)
    kept_state.drop(pipeline)
    print("done")
    return 0
