"""Questions of the command line."""

from __future__ import annotations

import io

import pytest

from streamlab.cli.confirming import confirmed
from streamlab.errors import UsageError


@pytest.mark.parametrize(
    ("typed", "answer"),
    [("y\n", True), (" Y \n", True), ("\n", False), ("no\n", False)],
)
def test_only_a_yes_is_a_yes(monkeypatch, typed, answer):
    """An empty line is a no, as the capital letter of the question says."""
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    assert confirmed("reset?") is answer


def test_with_nobody_to_ask_nothing_is_done(monkeypatch):
    """In a script without a terminal the error names the option that is needed."""
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    with pytest.raises(UsageError, match="--yes"):
        confirmed("reset?")
