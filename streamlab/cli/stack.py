"""``streamlab up``, ``status`` and ``down``: the local servers."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from streamlab.settings import home_of

_CLEAR_LINE = "\r\x1b[K"


def add(name: str, parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of one of the three commands."""
    if name == "up":
        parser.add_argument(
            "servers",
            nargs="*",
            help="kafka, postgres, registry; the first two if none is named",
        )
        for server in ("kafka", "postgres", "registry"):
            parser.add_argument(
                f"--{server}-port",
                type=int,
                default=0,
                metavar="PORT",
                help="by default the one of the last start, or a free one",
            )
    elif name == "status":
        parser.description = (
            "Show the local servers. The exit code is 0 if all of them run, else 1."
        )
    else:
        parser.description = "Stop the local servers; their data stays."


def run(name: str, arguments: argparse.Namespace) -> int:
    """Run one of the three commands on the stack of the working directory."""
    return _COMMANDS[name](home_of(Path.cwd()), arguments)


def _up(home: Path, arguments: argparse.Namespace) -> int:
    from streamlab import stack

    stack.up(
        home,
        servers=arguments.servers or stack.STANDARD,
        kafka_port=arguments.kafka_port,
        postgres_port=arguments.postgres_port,
        registry_port=arguments.registry_port,
        progress=_tell,
    )
    _show(home)
    print("They run until: streamlab down")
    return 0


def _status(home: Path, _: argparse.Namespace) -> int:
    return 0 if _show(home) else 1


def _down(home: Path, _: argparse.Namespace) -> int:
    from streamlab import stack

    stopped = stack.down(home)
    print(f"stopped: {', '.join(stopped)}" if stopped else "nothing was running")
    return 0


_COMMANDS: dict[str, Callable[[Path, argparse.Namespace], int]] = {
    "up": _up,
    "status": _status,
    "down": _down,
}


def _show(home: Path) -> bool:
    """Print one line for each server; return whether all of them run."""
    from streamlab import stack

    states = stack.status(home)
    _clear()
    for each in states:
        keys = ("dsn", "url", "address")
        reach = next(filter(None, map(each.access.get, keys)), "")
        pid = f"pid {each.pid}" if each.pid else ""
        print(f"{each.name:<9} {each.state:<9} {pid:<12} {reach}".rstrip())
        if each.log:
            print("  the last lines of its log:", *each.log.splitlines(), sep="\n  ")
    return all(each.state == "running" for each in states)


def _tell(line: str) -> None:
    """Show progress: one changing line for a person, a line each for a log."""
    if sys.stderr.isatty():
        print(f"{_CLEAR_LINE}{line}", end="", file=sys.stderr, flush=True)
    else:
        print(line, file=sys.stderr, flush=True)


def _clear() -> None:
    if sys.stderr.isatty():
        print(_CLEAR_LINE, end="", file=sys.stderr, flush=True)
