"""Server processes: started apart from us, found again, signalled, stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from streamlab.errors import StackError

_PASSED_ON = ("PATH", "HOME", "TMPDIR", "TZ", "LANG", "LD_LIBRARY_PATH", "JAVA_HOME")
"""The variables a server sees. The rest may hold secrets, and is not its business."""

_DETACH = '"$@" >&2 & echo $!'
"""Start in the background, say the pid, be gone.

The server then has no parent that would have to wait for it, so a notebook or a
command that started it can end, be killed or live on, and leaves no zombie.
"""


_LOOK_EVERY_S = 0.02  # seconds
_DEATH_PATIENCE_S = 10.0  # seconds, until a killed process has left the table


@dataclass(frozen=True, slots=True)
class Launch:
    """How to start one server.

    Attributes:
        command: The program and its arguments.
        folder: Its working directory.
        log: File that takes what it prints; the one of the last start is replaced.
        user: System user to run as; None for the user we are.
    """

    command: tuple[str, ...]
    folder: Path
    log: Path
    user: str | None = None


def spawn(launch: Launch) -> psutil.Process:
    """Start a server in a session of its own and return its process at once.

    Raises:
        psutil.NoSuchProcess: It ended before it could be looked at.
    """
    with launch.log.open("wb") as log:
        said = subprocess.run(
            ["/bin/sh", "-c", _DETACH, "sh", *launch.command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            cwd=launch.folder,
            env={name: os.environ[name] for name in _PASSED_ON if name in os.environ},
            start_new_session=True,
            check=True,
            **as_user(launch.user),
        )
    return psutil.Process(int(said.stdout))


def as_user(name: str | None) -> dict[str, Any]:
    """Return the arguments of ``subprocess.run`` that change to a user."""
    if name is None:
        return {}
    return {"user": name, "group": name, "extra_groups": []}


def find(is_own: Callable[[Sequence[str]], bool]) -> psutil.Process | None:
    """Return the live process whose command line is the one looked for.

    The command line, not a stored pid: it names the data folder, so it also finds
    a server whose starter was killed before it could write anything down, and never
    takes a stranger with a reused pid for ours.
    """
    for process in psutil.process_iter(["cmdline"]):
        arguments = process.info["cmdline"]
        if arguments and is_own(arguments) and alive(process):
            return process
    return None


def alive(process: psutil.Process) -> bool:
    """Return whether a process still runs, or holds its files and ports.

    A zombie holds nothing any more, except while some of its threads still end.
    """
    try:
        if not process.is_running():
            return False
        ended = process.status() == psutil.STATUS_ZOMBIE
        return not ended or process.num_threads() > 1
    except psutil.NoSuchProcess:
        return False


def send(process: psutil.Process, number: signal.Signals) -> None:
    """Send a signal to a process and all its children."""
    for each in _family(process):
        _send(each, number)


def stop(process: psutil.Process, number: signal.Signals, patience_s: float) -> None:
    """Ask a server to stop, wait, and kill what is still there then.

    Args:
        process: The server's main process.
        number: The signal it takes as the request to stop in good order.
        patience_s: How long it may take, in seconds, before it is killed.

    Raises:
        StackError: The process belongs to another user.
    """
    family = _family(process)
    _send(process, number)
    for each in family:  # a paused process acts on SIGKILL and on this one only
        _send(each, signal.SIGCONT)
    _kill(_left(family, patience_s))


def kill(process: psutil.Process) -> None:
    """End a process and all its children at once, and wait until they are gone.

    Raises:
        StackError: The process belongs to another user.
    """
    _kill(_family(process))


def text_of(log: Path) -> str:
    """Return what a log file has, or ``""`` where there is none."""
    try:
        return log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def last_lines(log: Path, most: int = 15) -> str:
    """Return the end of a log, or ``""``; without the frames of Java's traces.

    Those push what happened out of sight, and mean nothing to whom it happened.
    """
    lines = text_of(log).splitlines()
    return "\n".join([line for line in lines if line[:4] != "\tat "][-most:])


def _family(process: psutil.Process) -> list[psutil.Process]:
    try:
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return [process]


def _left(family: Sequence[psutil.Process], patience_s: float) -> list[psutil.Process]:
    """Wait for processes to end and return those that did not.

    ``psutil.wait_procs`` would also wait until somebody reaps them, which the first
    process of a container does late or never.
    """
    give_up = time.monotonic() + patience_s
    while left := [process for process in family if alive(process)]:
        if time.monotonic() > give_up:
            break
        time.sleep(_LOOK_EVERY_S)
    return left


def _kill(family: Sequence[psutil.Process]) -> None:
    for each in family:
        _send(each, signal.SIGKILL)
    _left(family, _DEATH_PATIENCE_S)


def _send(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        pass  # it is gone already, which is what every signal here is to lead to
    except psutil.AccessDenied as error:
        raise StackError(
            f"process {process.pid} belongs to another user",
            hint="stop the stack as the user who started it",
        ) from error
