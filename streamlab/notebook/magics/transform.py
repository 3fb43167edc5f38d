"""``%%transform``: a cell whose function becomes a transform."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from IPython.core.getipython import get_ipython

from streamlab.errors import UsageError
from streamlab.notebook.magics.parsing import MagicParser
from streamlab.notebook.session import Session
from streamlab.transforms.transform import Transform, transform

PARSER = MagicParser(
    "%%transform",
    """\
Make a transform of the last function in this cell, and show it at work.

The same as @sl.transform above the function in an ordinary cell, which is the
better way: linters, formatters and type checkers skip cells of a magic.
""",
)
PARSER.add_argument("--on", metavar="SAMPLE", help="the sample to show it on")
PARSER.add_argument("--live", action="store_true", help="show it on live events, too")


def run(session: Session, line: str, cell: str | None = None) -> object:
    """Run the magic; see its parser for what it does."""
    arguments = PARSER.of(line)
    if arguments.on and arguments.on not in session.namespace:
        session.sample(arguments.on)  # raises, with near names
    made = defined(session, cell or "")
    session.namespace[made.name] = made
    if arguments.on:
        session.chosen[made] = arguments.on
    if not arguments.live:
        return None
    from streamlab.notebook.magics.start import previewed

    return previewed(session, made, topic="")


def defined(session: Session, cell: str) -> Transform[Any, Any]:
    """Run a cell and return its last function as a transform.

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
    return made if isinstance(made, Transform) else transform(_function(made))


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
