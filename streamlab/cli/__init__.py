"""The ``streamlab`` command. Each command is a module with ``add`` and ``run``."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

from streamlab.errors import StreamlabError, near_names

COMMANDS = {
    "up": ("stack", "start the local servers"),
    "status": ("stack", "show the local servers"),
    "down": ("stack", "stop the local servers"),
    "init": ("init", "write a commented streamlab.toml"),
    "doctor": ("doctor", "test a connection step by step, rights included"),
    "topics": ("topics", "list the topics of a broker"),
    "tap": ("tap", "read a bounded sample of a topic, disturbing nobody"),
    "plan": ("run", "show what a pipeline would do"),
    "run": ("run", "run a pipeline until stopped"),
    "stop": ("stop", "stop the workers of a pipeline on this machine"),
    "lag": ("lag", "show how far a pipeline is behind"),
    "position": ("position", "show or reset where a pipeline has read to"),
    "state": ("state", "show or reset what windows, folds and joins hold"),
    "dlq": ("dlq", "show, replay or keep dead letters"),
    "sample": ("sample", "show a saved sample, or add events to it"),
    "export": ("export", "write a transform as an installable package"),
    "verify": ("verify", "run an exported package on its sample"),
    "notebook": ("notebook", "run notebooks without a front end, check, render them"),
}
"""Command → module of this folder, and what it does in a few words."""

USAGE_ERROR = 2
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code.

    A mistake of the user is one readable message on standard error, never a
    traceback: exit code 2 for a wrong command line, 1 for what went wrong later.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in {"-h", "--help", "help"}:
        print(_overview())
        return 0
    name, rest = words[0], words[1:]
    if name == "--version":
        from importlib.metadata import version

        print(version("streamlab-data"))
        return 0
    if name not in COMMANDS:
        hint = near_names(name, sorted(COMMANDS))
        print(f"streamlab: there is no command {name!r}; {hint}", file=sys.stderr)
        return USAGE_ERROR
    try:
        return _run(name, rest)
    except StreamlabError as error:
        print(f"streamlab {name}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"streamlab {name}: interrupted", file=sys.stderr)
        return INTERRUPTED


def _run(name: str, words: Sequence[str]) -> int:
    """Import and run one command. The import may take a second, and be interrupted."""
    module_name, summary = COMMANDS[name]
    module = importlib.import_module(f"streamlab.cli.{module_name}")
    parser = argparse.ArgumentParser(prog=f"streamlab {name}", description=summary)
    module.add(name, parser)
    code: int = module.run(name, parser.parse_args(words))
    return code


def _overview() -> str:
    width = max(map(len, COMMANDS))
    listed = "\n".join(f"  {n:<{width}}  {text}" for n, (_, text) in COMMANDS.items())
    return (
        f"usage: streamlab COMMAND …\n\n{listed}\n\nstreamlab COMMAND --help says more."
    )
