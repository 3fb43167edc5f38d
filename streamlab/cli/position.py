"""``streamlab position show|reset|forget``: where a pipeline has read to."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from streamlab.cli.chosen import add_pipeline, chosen_pipeline
from streamlab.cli.confirming import confirmed


def add(name: str, parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    del name
    parser.add_argument("action", choices=["show", "reset", "forget"])
    add_pipeline(parser)
    parser.add_argument(
        "--to",
        default="",
        help="earliest, latest, a time such as 2013-01-01T05:00:00Z, or 0=100,1=250 "
        "(of several inputs flights/0=100)",
    )
    parser.add_argument("--yes", action="store_true", help="do it without asking")


def run(name: str, arguments: argparse.Namespace) -> int:
    """Show the positions, or show what is changed and do it when confirmed."""
    del name
    from streamlab.engines.local import position
    from streamlab.errors import UsageError

    pipeline = chosen_pipeline(arguments)
    if arguments.action == "show":
        print(f"{'partition':<30} {'position':>12} {'end':>12} {'epoch':>8}  kept by")
        for place in position.places(pipeline):
            spelled = pipeline.source_of(place.partition.topic).spelled
            epoch = place.progress.epoch if place.progress else "-"
            where = "not begun" if place.position is None else spelled(place.position)
            print(
                f"{place.partition!s:<30} {where:>12} {spelled(place.end):>12} "
                f"{epoch!s:>8}  {place.keeper}"
            )
        return 0
    if arguments.action == "forget":
        kept = pipeline.source.keeps_position_in(pipeline.name)
        print(f"removes {kept}: the next run is a first one")
        print("rows in the sink stay, and a position that is kept with them")
        return _confirmed(arguments, "forget?", lambda: position.forget(pipeline))
    if not arguments.to:
        message = "a reset needs to know where to"
        raise UsageError(message, hint="--to earliest|latest|TIME|0=100,1=250")
    moves = position.planned(pipeline, arguments.to)
    for move in moves:
        print(move)
    if pipeline.stateful:
        print("what windows, folds and joins hold is dropped: they begin empty")
    return _confirmed(arguments, "reset?", lambda: position.reset(pipeline, moves))


def _confirmed(
    arguments: argparse.Namespace, question: str, act: Callable[[], None]
) -> int:
    if not (arguments.yes or confirmed(question)):
        print("nothing was changed")
        return 0
    act()
    print("done")
    return 0
