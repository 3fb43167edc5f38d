"""``%tap``: read a bounded sample of a topic, disturbing nobody."""

from __future__ import annotations

import argparse
import builtins
import keyword
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from streamlab.errors import UsageError, first_line
from streamlab.notebook import panels
from streamlab.notebook.magics.parsing import MagicParser
from streamlab.notebook.picking import picker
from streamlab.notebook.session import Session
from streamlab.notebook.shown import shown
from streamlab.taps.sample import Sample

SETTLE_S = 2.0
FOR_LIVE = (
    "last",
    "where",
    "format",
    "schema",
    "profile",
    "personal",
    "unmask",
)
"""What a live tap takes; the rest bounds a sample."""


PARSER = MagicParser(
    "%tap",
    """\
Read a sample of a topic into a variable. It joins no group, commits nothing.

The variable is named like the topic unless --as says otherwise. A transform
whose parameter has that name is then shown at work on the sample.
""",
)
PARSER.add_argument("topic", metavar="TOPIC", help="the topic to read")
PARSER.add_argument(
    "--last", type=int, metavar="N", help="the last N events of all partitions"
)
PARSER.add_argument(
    "--since", metavar="WHEN", help="events since a time, or of the last 10m, 2h"
)
PARSER.add_argument(
    "--from",
    dest="from_offsets",
    metavar="OFFSETS",
    help="from these offsets, such as 0:100,1:250 (partition:offset)",
)
PARSER.add_argument("--key", help="only events with this key")
PARSER.add_argument(
    "--where", metavar="EXPR", help="only events that fit: \"pl.col('n') > 3\""
)
PARSER.add_argument(
    "--format",
    choices=["json", "string", "bytes"],
    default="json",
    help="how the values are written",
)
PARSER.add_argument(
    "--schema", type=Path, metavar="FILE", help="a schema file; else inferred"
)
PARSER.add_argument(
    "--personal", metavar="FIELDS", help="mask these too: email,address.street"
)
PARSER.add_argument("--unmask", action="store_true", help="mask nothing")
PARSER.add_argument(
    "--rows", type=int, dest="max_rows", metavar="N", help="read at most N events"
)
PARSER.add_argument(
    "--bytes", type=int, dest="max_bytes", metavar="N", help="at most N bytes"
)
PARSER.add_argument(
    "--seconds", type=float, dest="max_seconds", metavar="S", help="at most S s"
)
PARSER.add_argument(
    "--as", dest="variable", metavar="NAME", help="the variable to bind"
)
PARSER.add_argument(
    "--live", action="store_true", help="follow the topic in a live view"
)
PARSER.add_argument(
    "--into", metavar="NAME", help="with --live: the sample that picked events join"
)
PARSER.add_argument(
    "--profile", metavar="PROFILE", help="another profile than that of %%connect"
)


def run(session: Session, line: str, _cell: str | None = None) -> object:
    """Run the magic; see its parser for what it does."""
    arguments = PARSER.of(line)
    if arguments.live:
        return _followed(session, arguments)
    if arguments.into:
        message = "--into goes with --live, whose events can be picked"
        raise UsageError(message, hint="--as names the variable of a sample")
    from streamlab.taps.tap import tap

    name = _variable(session, arguments)
    sample = tap(arguments.topic, **_options(session, arguments))
    session.namespace[name] = replace(sample, name=name)
    return session.namespace[name]


def _options(session: Session, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the arguments that the line gives; the others keep the API's default."""
    options: dict[str, Any] = {
        name: getattr(arguments, name)
        for name in ("last", "since", "key", "max_rows", "max_bytes", "max_seconds")
        if getattr(arguments, name) is not None
    }
    if arguments.from_offsets is not None:
        options["from_offsets"] = _offsets(arguments.from_offsets)
    if arguments.where is not None:
        options["where"] = _expression(arguments.where, session)
    if arguments.schema is not None:
        from streamlab.contracts import odcs

        options["schema"] = odcs.load(arguments.schema)
    if arguments.personal is not None:
        names = arguments.personal.split(",")
        options["personal"] = [name.strip() for name in names if name.strip()]
    if arguments.unmask:
        options["unmask"] = True
    options["format"] = arguments.format
    options["profile"] = arguments.profile or session.profile
    return options


def _offsets(text: str) -> dict[int, int]:
    try:
        pairs = [pair.split(":") for pair in text.split(",")]
        return {int(partition): int(offset) for partition, offset in pairs}
    except ValueError:
        message = f"{text!r} does not say which offsets to read from"
        hint = "write partition:offset, such as --from 0:100,1:250"
        raise UsageError(message, hint=hint) from None


def _expression(text: str, session: Session) -> pl.Expr:
    """Return the polars expression that a text says, with the user's variables."""
    try:
        found = eval(text, {"pl": pl, **session.namespace})  # noqa: S307 -- the user's own code, in the user's kernel
    except Exception as error:
        message = f"--where {text!r} fails: {first_line(error)}"
        raise UsageError(message) from error
    if not isinstance(found, pl.Expr):
        message = f"--where {text!r} is a {type(found).__name__}, not an expression"
        raise UsageError(message, hint="such as --where \"pl.col('delay') > 15\"")
    return found


def _variable(session: Session, arguments: argparse.Namespace) -> str:
    """Return the name to bind: the one asked for, or the topic's."""
    name: str = arguments.variable or identifier(arguments.topic)
    if not name.isidentifier() or keyword.iskeyword(name):
        message = f"{name!r} cannot name a variable"
        raise UsageError(message, hint=f"--as {identifier(name)}")
    taken = session.namespace.get(name)
    if not arguments.variable and taken is not None and not isinstance(taken, Sample):
        message = f"the variable {name!r} already holds a {type(taken).__name__}"
        raise UsageError(message, hint=f"--as NAME binds another one, --as {name} this")
    return name


def identifier(topic: str) -> str:
    """Return a topic's name as a variable's: ``order-items.v2``, ``order_items_v2``."""
    name = re.sub(r"\W", "_", topic)
    if name[:1].isdigit():
        name = "_" + name
    if keyword.iskeyword(name) or hasattr(builtins, name):
        name += "_"
    return name


def _followed(session: Session, arguments: argparse.Namespace) -> object:
    """Return a live view of the topic's newest events."""
    from streamlab.taps.live import live_tap

    options = _options(session, arguments)
    unfit = [name for name in options if name not in FOR_LIVE]
    if unfit:
        spelled = "--" + unfit[0].removeprefix("max_").removesuffix("_offsets")
        message = f"{spelled} does not go with --live, which follows the newest events"
        raise UsageError(message, hint="leave one of the two out")
    if "last" in options:
        options["keep_rows"] = options.pop("last")
    cases = arguments.into or f"{identifier(arguments.topic)}_cases"
    if not cases.isidentifier() or keyword.iskeyword(cases):
        message = f"{cases!r} cannot name a variable"
        raise UsageError(message, hint=f"--into {identifier(cases)}")
    following = live_tap(arguments.topic, **options)
    return shown(
        session,
        f"tap {arguments.topic}",
        following,
        lambda: panels.of_tap(following),
        settle_s=SETTLE_S,
        picked=picker(session, following, cases),
    )
