"""``%%transform``: a cell whose function becomes a transform."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from typing import Any

from IPython.core.getipython import get_ipython

from streamlab.errors import UsageError
from streamlab.notebook.magics.parsing import MagicParser
from streamlab.notebook.session import Session
from streamlab.transforms.event_time import EventTime, event_time
from streamlab.transforms.transform import Transform, transform
from streamlab.transforms.windows import Window, count_window, hopping, tumbling
from streamlab.transforms.windows import session as session_window

PARSER = MagicParser(
    "%%transform",
    """\
Make a transform of the last function in this cell, and show it at work.

The same as @sl.transform above the function in an ordinary cell, which is the
better way: linters, formatters and type checkers skip cells of a magic.
""",
)
PARSER.add_argument(
    "--on",
    metavar="NAME",
    help="the sample to show it on; with --window the column with the event time",
)
PARSER.add_argument("--sample", metavar="NAME", help="the sample to show it on")
PARSER.add_argument(
    "--window",
    metavar="KIND",
    help="complete windows: 1h, 1h/5m (hopping), session:30m or count:100",
)
PARSER.add_argument("--keys", metavar="A,B", default="", help="columns it groups by")
PARSER.add_argument("--bound", default="0s", help="how far events are out of order")
PARSER.add_argument("--lateness", default="0s", help="how late events still count")
PARSER.add_argument("--live", action="store_true", help="show it on live events, too")


def run(session: Session, line: str, cell: str | None = None) -> object:
    """Run the magic; see its parser for what it does."""
    arguments = PARSER.of(line)
    sample = arguments.sample or ("" if arguments.window else arguments.on)
    if sample and sample not in session.namespace:
        session.sample(sample)  # raises, with near names
    made = defined(session, cell or "", _needs(arguments))
    session.namespace[made.name] = made
    if sample:
        session.chosen[made] = sample
    if not arguments.live:
        return None
    from streamlab.notebook.magics.start import previewed

    return previewed(session, made, topic="")


def _needs(arguments: Any) -> dict[str, Any]:
    """Return what ``sl.transform`` is given for the options of a window.

    Raises:
        UsageError: They do not go together, or the window is none.
    """
    if not arguments.window:
        if arguments.keys or arguments.lateness != "0s" or arguments.bound != "0s":
            message = "--keys, --bound and --lateness go with --window"
            raise UsageError(message, hint="such as --window 1h --on TIME --keys A,B")
        return {}
    if not arguments.on:
        message = "--window needs --on, the column with the event time"
        raise UsageError(message, hint="such as --window 1h --on scheduled")
    keys = [name.strip() for name in arguments.keys.split(",") if name.strip()]
    on = event_time(arguments.on, bound=arguments.bound)
    return {"window": window(arguments.window, on, arguments.lateness), "keys": keys}


def window(text: str, on: EventTime, lateness: str) -> Window:
    """Return the window that a person wrote in short: see ``--window``.

    Raises:
        UsageError: It is none.
    """
    kind, _, size = text.rpartition(":")
    if kind == "session":
        return session_window(size, on=on, lateness=lateness)
    if kind == "count" and size.isdigit():
        return count_window(int(size), on=on, lateness=lateness)
    if kind:
        message = f"{text!r} is not a window"
        raise UsageError(message, hint="write 1h, 1h/5m, session:30m or count:100")
    size, _, every = text.partition("/")
    if every:
        return hopping(size, every, on=on, lateness=lateness)
    return tumbling(size, on=on, lateness=lateness)


def defined(
    session: Session, cell: str, needs: Mapping[str, Any]
) -> Transform[Any, Any]:
    """Run a cell and return its last function as a transform.

    Args:
        session: Has the variables.
        cell: Its text.
        needs: What the function needs, as arguments of ``sl.transform``.

    Raises:
        UsageError: The cell defines no function.
    """
    # The cell's first line is the magic's own; with an empty one in its place, the
    # line numbers of errors and of inspect.getsource() are those that are seen.
    source = "\n" + cell
    tree = ast.parse(source)
    functions = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    if not functions:
        raise UsageError(
            "the cell defines no function",
            hint="write def NAME(events): … with the sample's name as parameter",
        )
    exec(_compiled(source, tree), session.namespace)  # noqa: S102 -- the user's own cell
    made = session.namespace[functions[-1]]
    if isinstance(made, Transform):
        return made
    wrapped: Transform[Any, Any] = transform(**needs)(_function(made))
    return wrapped


def _compiled(source: str, tree: ast.Module) -> Any:
    """Compile as the shell compiles a cell, so that the source is found again."""
    shell: Any = get_ipython()
    name = shell.compile.cache(source, number=shell.execution_count, raw_code=source)
    return compile(tree, name, "exec", flags=shell.compile.flags, dont_inherit=True)


def _function(value: object) -> Callable[..., Any]:
    if not callable(value):
        message = f"the last function of the cell became a {type(value).__name__}"
        raise UsageError(message)
    return value
