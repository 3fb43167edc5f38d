"""What may change in the layout of a table whose rows are stored already.

New tables, which begin empty, and new columns that are not keys or due times, which
are null in old rows. Everything else is refused with its choices.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from streamlab.errors import StateError
from streamlab.state.table import TableLayout

_CHOICES = (
    "run the old version until a savepoint and start the new one without its state; or "
    "undo the change; or begin without state: streamlab state reset PIPELINE"
)


def described(layout: TableLayout) -> dict[str, Any]:
    """Return a layout as JSON."""
    return {
        "columns": {name: str(dtype) for name, dtype in layout.schema.items()},
        "keys": list(layout.keys),
        "due": layout.due,
        "unique": layout.unique,
    }


def require_compatible(
    stored: Mapping[str, Mapping[str, Any]], wanted: Sequence[TableLayout]
) -> None:
    """Refuse layouts that the stored tables cannot be read with.

    Args:
        stored: Table → its layout, as ``described`` gave it.
        wanted: The layouts of today.

    Raises:
        StateError: With the table, the column, what is stored and what is wanted.
    """
    names = {layout.name for layout in wanted}
    for name in stored:
        if name not in names:
            raise _refused(f"has the table {name}, which no transform uses any more")
    for layout in wanted:
        if layout.name in stored:
            _require_same_table(layout, stored[layout.name])


def _require_same_table(layout: TableLayout, stored: Mapping[str, Any]) -> None:
    wanted = described(layout)
    for name, dtype in stored["columns"].items():
        if name not in wanted["columns"]:
            raise _refused(
                f"has the column {name!r} ({dtype}) in its table {layout.name}, "
                "which is wanted no more"
            )
        if (now := wanted["columns"][name]) != dtype:
            raise _refused(
                f"has {dtype} in the column {name!r} of its table {layout.name}; "
                f"{now} is wanted now"
            )
    for what in ("keys", "due", "unique"):
        if stored[what] != wanted[what]:
            raise _refused(
                f"has {_shown(what, stored[what])} in its table {layout.name}; "
                f"{_shown(what, wanted[what])} is wanted now"
            )


def _shown(what: str, value: Any) -> str:
    if what == "keys":
        return f"the key {', '.join(value) or 'of no column'}"
    if what == "due":
        return f"the due time {value!r}" if value else "no due time"
    return "one row for a key" if value else "many rows for a key"


def _refused(what: str) -> StateError:
    return StateError(f"the stored state {what}", hint=_CHOICES)
