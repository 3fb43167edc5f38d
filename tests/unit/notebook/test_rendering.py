"""Live or static: what the front end said, or what was asked for."""

from types import SimpleNamespace

import pytest

from streamlab.errors import SettingsError
from streamlab.notebook.rendering import is_live


def kernel(allow_stdin):
    return SimpleNamespace(get_parent=lambda: {"content": {"allow_stdin": allow_stdin}})


@pytest.fixture(autouse=True)
def nothing_asked(monkeypatch):
    """Begin without an override."""
    monkeypatch.delenv("STREAMLAB_RENDER", raising=False)


def test_a_person_in_front_means_live():
    """JupyterLab allows questions to the person."""
    assert is_live(kernel(allow_stdin=True))


def test_papermill_means_static():
    """A headless run allows none."""
    assert not is_live(kernel(allow_stdin=False))


def test_a_terminal_means_static():
    """A shell without a front end paints no widgets."""
    assert not is_live(SimpleNamespace())


@pytest.mark.parametrize(("asked", "live"), [("static", False), ("live", True)])
def test_the_environment_decides(monkeypatch, asked, live):
    """``STREAMLAB_RENDER`` goes before what was found out."""
    monkeypatch.setenv("STREAMLAB_RENDER", asked)
    assert is_live(kernel(allow_stdin=not live)) is live


def test_another_value_is_refused(monkeypatch):
    """A misspelt override is said, not ignored."""
    monkeypatch.setenv("STREAMLAB_RENDER", "sometimes")
    with pytest.raises(SettingsError, match="sometimes"):
        is_live(kernel(allow_stdin=True))
