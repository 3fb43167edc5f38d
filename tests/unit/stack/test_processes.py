"""Server processes: detached, found again, stopped."""

from __future__ import annotations

import os
import signal
import time

import psutil
import pytest

from streamlab.stack import processes
from streamlab.stack.processes import Launch


@pytest.fixture
def launch(tmp_path):
    """Return a function that describes a shell script as a server."""

    def make(script: str) -> Launch:
        marker = f"# {tmp_path}"
        command = ("/bin/sh", "-c", f"{script}\n{marker}")
        return Launch(command, folder=tmp_path, log=tmp_path / "log")

    return make


def until(condition, patience_s=5.0):
    give_up = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.01)


def test_a_server_is_nobodys_child(launch):
    """It has a session of its own and no tie to us, so it outlives us."""
    process = processes.spawn(launch("sleep 60 & wait"))
    try:
        assert process.pid not in {child.pid for child in psutil.Process().children()}
        assert os.getsid(process.pid) != os.getsid(0)
    finally:
        processes.kill(process)


def test_what_it_prints_is_in_its_log(launch):
    """Both outputs go to the log; a new start replaces the old text."""
    for word in ("one", "two"):
        described = launch(f"echo {word}; echo error-{word} >&2; sleep 0.2")
        process = processes.spawn(described)
        until(lambda process=process: not processes.alive(process))
    assert processes.last_lines(described.log) == "two\nerror-two"


def test_only_harmless_variables_are_passed_on(launch, monkeypatch):
    """A secret of our environment does not reach a server."""
    monkeypatch.setenv("KAFKA_PASSWORD", "S3cr3tPw")
    described = launch("env; sleep 0.2")
    process = processes.spawn(described)
    until(lambda: not processes.alive(process))
    assert "PATH=" in described.log.read_text()
    assert "S3cr3tPw" not in described.log.read_text()


def test_stop_ends_the_children_too(launch):
    """Nothing of a server's family is left, also where only its head takes notice."""
    process = processes.spawn(launch("trap '' TERM; sleep 60 & sleep 60 & wait"))
    until(lambda: len(process.children()) == 2)
    family = [process, *process.children()]
    processes.stop(process, signal.SIGTERM, 0.2)
    assert not any(map(processes.alive, family))


def test_a_paused_server_can_be_stopped(launch):
    """Stopping wakes a frozen server, which could not act on the request."""
    process = processes.spawn(
        launch("trap 'exit 0' TERM; while :; do sleep 0.05; done")
    )
    time.sleep(0.1)
    processes.send(process, signal.SIGSTOP)
    until(lambda: process.status() == psutil.STATUS_STOPPED)
    started = time.monotonic()
    processes.stop(process, signal.SIGTERM, 5)
    assert not processes.alive(process)
    assert time.monotonic() - started < 3


def test_a_server_is_found_by_its_command_line(launch):
    """The search needs no stored pid, and forgets a server that ended."""
    described = launch("sleep 60 & wait")

    def is_own(arguments):
        return tuple(arguments) == described.command

    process = processes.spawn(described)
    until(lambda: processes.find(is_own) is not None)
    assert processes.find(is_own) == process
    processes.kill(process)
    assert processes.find(is_own) is None


def test_the_frames_of_a_java_trace_are_left_out(tmp_path):
    """The last lines say what happened, not in which method of the broker."""
    log = tmp_path / "log"
    log.write_text("ERROR fatal\njava.lang.RuntimeException: why\n" + "\tat x.Y\n" * 40)
    assert processes.last_lines(log) == "ERROR fatal\njava.lang.RuntimeException: why"
    assert processes.last_lines(tmp_path / "none") == ""
