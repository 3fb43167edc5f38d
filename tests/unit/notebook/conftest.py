"""A real IPython shell with the extension, for tests of what a person types."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

from streamlab.notebook import extension
from tests import shells


@pytest.fixture
def bare_shell(tmp_path, monkeypatch) -> Iterator[Any]:
    """Return a shell without the extension, in an empty folder."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.delenv("STREAMLAB_RENDER", raising=False)
    monkeypatch.chdir(tmp_path)
    config = shells.without_history()
    config.InteractiveShell.colors = "nocolor"
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance(config=config)
    yield shell
    extension.unload(shell)
    InteractiveShell.clear_instance()
    shells.ended(shell)


@pytest.fixture
def shell(bare_shell: Any) -> Any:
    """Return a shell that has run ``%load_ext streamlab``."""
    bare_shell.run_line_magic("load_ext", "streamlab")
    return bare_shell


@pytest.fixture
def session(shell: Any) -> Any:
    """Return the session behind the shell's magics."""
    return extension.loaded(shell).session
