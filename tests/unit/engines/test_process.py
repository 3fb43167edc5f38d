"""Failpoints and what is around a worker's process."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from streamlab import failpoints

SCRIPT = """
from streamlab import failpoints
for step in range(5):
    print(step, flush=True)
    failpoints.passing("after-poll")
    failpoints.passing("after-transform")
"""


def run(failpoint: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**os.environ, failpoints.VARIABLE: failpoint},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_a_failpoint_kills_where_and_when_it_is_told() -> None:
    """The third time past the place ends the process, and nothing can catch it."""
    ended = run("after-transform=kill@3")
    assert ended.returncode == -9
    assert ended.stdout.split() == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("failpoint", "message"),
    [
        ("after-pol=kill@1", "there is no failpoint 'after-pol'"),
        ("after-poll=die@1", "there is no failpoint action 'die'"),
        ("after-poll=kill", "is not of the form"),
    ],
)
def test_a_wrong_failpoint_is_named(failpoint: str, message: str) -> None:
    """A test that asks for what does not exist fails loudly."""
    ended = run(failpoint)
    assert ended.returncode == 1
    assert message in ended.stderr


def test_without_the_variable_nothing_happens() -> None:
    """A worker in production passes all places."""
    assert run("").returncode == 0
