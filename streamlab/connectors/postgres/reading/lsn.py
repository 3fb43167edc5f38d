"""Positions in a database's log, as numbers and as people write them.

A position is ``(LSN, index)``: the next change to read is number ``index`` of the
transaction whose commit record is at ``LSN``; behind the last change of a transaction
it is ``(end of the transaction, 0)``. So the LSN is always what the server may be
asked to send from, and what it may forget up to. Before that stand:

- ``(0, 0)``: not begun;
- ``(C, -1, n, state)``: ``n`` rows of a snapshot taken at ``C`` are read, and ``state``
  is what it takes to read the others.

While changes of a snapshot that was interrupted are told apart, a text of the same kind
follows the two numbers of the stream, too.
"""

from __future__ import annotations

import re

from streamlab.connectors.postgres.changes.pgoutput import lsn_number, lsn_text
from streamlab.errors import UsageError
from streamlab.positions import Position

__all__ = ["lsn_number", "lsn_text", "parsed", "spelled"]

NOT_BEGUN: Position = (0, 0)
IN_SNAPSHOT = -1
ROWS_BITS = 40
ROWS_MASK = (1 << ROWS_BITS) - 1
"""Rows of a snapshot are counted in these bits; above them is which attempt it is."""

ATTEMPT_BITS = 8
"""Above rows and attempts is which tables were there before: each snapshot's own."""

_WRITTEN = re.compile(r"([0-9A-Fa-f]{1,8})/([0-9A-Fa-f]{1,8})(?::([0-9]+))?")


def spelled(position: Position) -> str:
    """Return ``0/16B3748:3``, or ``snapshot at 0/16B3748, 1,200 rows read``."""
    numbers = numbers_of(position)
    if numbers == NOT_BEGUN:
        return "not begun"
    if len(numbers) > 2 and numbers[1] == IN_SNAPSHOT:  # noqa: PLR2004 -- LSN and index
        return (
            f"snapshot at {lsn_text(numbers[0])}, {numbers[2] & ROWS_MASK:,} rows read"
        )
    return f"{lsn_text(numbers[0])}:{numbers[1]}"


def parsed(text: str) -> Position:
    """Return the position of ``0/16B3748:3`` or ``0/16B3748``.

    Raises:
        UsageError: It is not one.
    """
    found = _WRITTEN.fullmatch(text.strip())
    if found is None:
        message = f"{text!r} is not a position in PostgreSQL's log"
        raise UsageError(message, hint="such as 0/16B3748 or 0/16B3748:3")
    high, low, index = found.groups()
    return (lsn_number(f"{high}/{low}"), int(index or 0))


def numbers_of(position: Position) -> tuple[int, ...]:
    """Return a position without the text behind it."""
    parts = position if isinstance(position, tuple) else (position,)
    return tuple(part for part in parts if isinstance(part, int))


def state_of(position: Position) -> str:
    """Return the text of a position; empty where it has none."""
    last = position[-1] if isinstance(position, tuple) else 0
    return last if isinstance(last, str) else ""
