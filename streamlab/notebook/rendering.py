"""Whether views are live here, or a table and a picture."""

from __future__ import annotations

from typing import Any

from streamlab.settings import render_mode


def is_live(shell: Any) -> bool:
    """Return whether a front end listens that can paint live views.

    Under papermill and nbconvert the request that runs a cell does not allow
    questions to a person (``allow_stdin`` is false), in JupyterLab it does. A plain
    terminal has no front end. ``STREAMLAB_RENDER=static`` or ``live`` decides instead.
    """
    wanted = render_mode()
    if wanted:
        return wanted == "live"
    get_parent = getattr(shell, "get_parent", None)
    if get_parent is None:
        return False
    return bool(get_parent().get("content", {}).get("allow_stdin", False))
