"""Real IPython shells that are emptied and ended without waiting.

IPython collects garbage, in the whole process, whenever a shell that keeps outputs is
emptied; and it ends a shell only when the process ends, one such collection for each.
"""

from __future__ import annotations

import atexit

from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config


def without_history() -> Config:
    """Return a configuration of a shell that keeps no database of its history."""
    config = Config()
    config.HistoryManager.enabled = False
    return config


def emptied(shell: InteractiveShell) -> None:
    """Forget what a shell has run; its outputs, too, but for their cycles."""
    hook = shell.displayhook
    caching, hook.do_full_cache = hook.do_full_cache, False
    shell.reset()
    hook.do_full_cache = caching


def ended(shell: InteractiveShell) -> None:
    """End a shell now, so that nothing of it is left for the end of the process."""
    shell.displayhook.do_full_cache = False
    shell.atexit_operations()
    atexit.unregister(shell.atexit_operations)
