"""``streamlab notebook``: notebooks without a front end, and notebooks in git."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from streamlab.errors import UsageError, WrongParameters

USAGE_ERROR = 2


def add(name: str, parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    del name
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    _add_run(actions.add_parser("run", help="execute notebooks, leave one HTML report"))
    listing = actions.add_parser("parameters", help="list what a notebook takes")
    listing.add_argument("path", type=Path, metavar="PATH")
    _add_render(
        actions.add_parser("render", help="write the notebook beside each source")
    )


def _add_run(parser: argparse.ArgumentParser) -> None:
    from streamlab.headless.execution import CELL_TIMEOUT_S, START_TIMEOUT_S

    _add_paths(parser, ".ipynb, or .py with # %% cells")
    parser.add_argument(
        "-p",
        dest="values",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a parameter; given twice, each value makes a run of its own",
    )
    parser.add_argument(
        "-f",
        dest="file",
        type=Path,
        metavar="FILE",
        help="parameters in YAML: a mapping, or a list of them, one run each",
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FOLDER",
        help="for the notebooks and report.html; .streamlab/notebooks/<time>",
    )
    parser.add_argument(
        "--jobs", type=_positive, metavar="N", help="run N at a time; one per core"
    )
    parser.add_argument(
        "--start-timeout",
        type=float,
        default=START_TIMEOUT_S,
        metavar="S",
        help="seconds a kernel may take to start (%(default)g)",
    )
    parser.add_argument(
        "--cell-timeout",
        type=float,
        default=CELL_TIMEOUT_S,
        metavar="S",
        help="seconds a cell may take (%(default)g)",
    )


def _add_render(parser: argparse.ArgumentParser) -> None:
    _add_paths(parser, ".py with # %% cells")
    parser.add_argument(
        "--check",
        action="store_true",
        help="run nothing; say which notebooks are not those of their sources",
    )


def _add_paths(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help=what)
    parser.add_argument(
        "--folder",
        type=Path,
        metavar="FOLDER",
        help="working directory; each notebook's own folder if left out",
    )


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def run(name: str, arguments: argparse.Namespace) -> int:
    """Do what is asked; 1 if a cell failed, 2 for parameters that do not fit."""
    del name
    actions = {"run": _run, "parameters": _parameters, "render": _render}
    try:
        return actions[arguments.action](arguments)
    except WrongParameters as error:
        print(f"streamlab notebook: {error}", file=sys.stderr)
        return USAGE_ERROR


def _run(arguments: argparse.Namespace) -> int:
    from streamlab import headless
    from streamlab.headless import given

    stored = given.of_file(arguments.file) if arguments.file else []
    ran = headless.run(
        arguments.paths,
        given.crossed(stored, given.of_words(arguments.values)),
        output=arguments.output,
        folder=arguments.folder,
        jobs=arguments.jobs,
        start_timeout_s=arguments.start_timeout,
        cell_timeout_s=arguments.cell_timeout,
        progress=_say,
    )
    print()
    print(ran)
    return 0 if ran.passed else 1


def _say(news: object) -> None:
    from streamlab.headless.execution import CellStarted

    if isinstance(news, CellStarted):
        print(news, flush=True)


def _parameters(arguments: argparse.Namespace) -> int:
    from streamlab import headless
    from streamlab.headless.parameters import table

    found = headless.parameters(arguments.path)
    if not found:
        print(f"{arguments.path} takes no parameters: no cell is tagged 'parameters'")
        return 0
    lines = [("name", "type", "default", "range", ""), *table(found)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = (text.ljust(width) for text, width in zip(line, widths, strict=True))
        print("  ".join(cells).rstrip())
    return 0


def _render(arguments: argparse.Namespace) -> int:
    from streamlab import headless
    from streamlab.headless import rendering

    if arguments.check:
        found = [
            text for path in arguments.paths if (text := rendering.differing(path))
        ]
        if found:
            message = "\n".join(found)
            raise UsageError(message, hint="streamlab notebook render PATH")
        return 0
    written = headless.render(arguments.paths, folder=arguments.folder, progress=_say)
    for path in written:
        print(f"{os.path.relpath(path)}  {path.stat().st_size:,} bytes")
    return 0
