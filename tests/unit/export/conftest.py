from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

Cells = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def shell() -> InteractiveShell:
    """Return a real IPython shell that keeps no database of its history."""
    config = Config()
    config.HistoryManager.enabled = False
    return InteractiveShell(config=config)


@pytest.fixture
def cells(shell: InteractiveShell) -> Cells:
    """Return a function that runs cells in an empty namespace and returns it."""
    shell.reset()

    def run(*texts: str) -> dict[str, Any]:
        for text in texts:
            shell.run_cell(text, store_history=True).raise_error()
        return shell.user_ns

    return run
