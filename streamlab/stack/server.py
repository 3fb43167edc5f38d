"""One server of the local stack: what every kind must say, and what all can do."""

from __future__ import annotations

import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, TypeAlias

import psutil

from streamlab.errors import StackError
from streamlab.stack import processes
from streamlab.stack.processes import Launch

Tell: TypeAlias = Callable[[str], None]
"""Takes one line about what is being done, to show to a person."""

START_PATIENCE_S = 90.0  # seconds; a fresh start takes 3, a busy laptop many more
STOP_PATIENCE_S = 20.0  # seconds
_LOOK_EVERY_S = 0.05  # seconds
_DIED = "died while it started"
LOOPBACK = "127.0.0.1"


class Server(ABC):
    """A real server, run as a process apart from ours.

    ``prepare`` is called before every start, on a folder that may be new, complete,
    or left half-made by a killed predecessor. The other methods may be called at
    any time, and by another process than the one that started the server.

    Attributes:
        name: What the server is called in commands, records and folders.
        port_names: The ports it listens on; the first is the one for clients.
        stop_signal: The signal it takes as the request to stop in good order.
    """

    name: ClassVar[str]
    port_names: ClassVar[tuple[str, ...]]
    stop_signal: ClassVar[signal.Signals]

    def __init__(self, folder: Path, ports: Mapping[str, int]) -> None:
        """Describe the server; nothing is started.

        Args:
            folder: Absolute path of the folder for its data, settings and log.
            ports: One for each of ``port_names``.
        """
        self.folder = folder
        self.ports = dict(ports)

    @abstractmethod
    def prepare(self, tell: Tell) -> Launch:
        """Make everything a start needs, and return how to start."""

    @abstractmethod
    def is_own(self, arguments: Sequence[str]) -> bool:
        """Return whether a command line is the one of this very server."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Return whether the server, which runs, serves clients by now."""

    @property
    @abstractmethod
    def access(self) -> Mapping[str, str]:
        """Return how clients reach it: ``address``, ``dsn`` or ``url`` with it."""

    @property
    def port(self) -> int:
        """Return the port for clients."""
        return self.ports[self.port_names[0]]

    @property
    def address(self) -> str:
        """Return ``host:port`` for clients."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def log(self) -> Path:
        """Return the file that has what the server printed since its last start."""
        return self.folder / "server.log"

    def process(self) -> psutil.Process | None:
        """Return the server's main process, if it runs."""
        return processes.find(self.is_own)

    def launch(self, tell: Tell = lambda _: None) -> psutil.Process:
        """Start the server and return before it is ready.

        Raises:
            StackError: It died at once, or what it needs cannot be had.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            return processes.spawn(self.prepare(tell))
        except psutil.NoSuchProcess:
            raise self._failed(_DIED) from None

    def wait(self, process: psutil.Process) -> None:
        """Wait until the server, started as ``process``, serves clients.

        Raises:
            StackError: It died, with the last lines of its log, or takes too long.
        """
        give_up = time.monotonic() + START_PATIENCE_S
        while not self.is_ready():
            if not processes.alive(process):
                raise self._failed(_DIED)
            if time.monotonic() > give_up:
                raise self._failed(f"was not ready after {START_PATIENCE_S:.0f} s")
            time.sleep(_LOOK_EVERY_S)

    def start(self) -> None:
        """Start the server, on its ports and data, and wait until it is ready."""
        self.wait(self.process() or self.launch())

    def stop(self) -> None:
        """Stop the server in good order; kill it if that takes too long."""
        if process := self.process():
            processes.stop(process, self.stop_signal, STOP_PATIENCE_S)

    def kill(self) -> None:
        """Kill the server as a power cut would, and wait until it is gone."""
        if process := self.process():
            processes.kill(process)

    def pause(self) -> None:
        """Freeze the server: it keeps its connections and answers nothing."""
        if process := self.process():
            processes.send(process, signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused server go on."""
        if process := self.process():
            processes.send(process, signal.SIGCONT)

    def _failed(self, what: str) -> StackError:
        log = processes.last_lines(self.log) or "(empty)"
        return StackError(
            f"{self.name} {what}; the last lines of {self.log}:\n{log}",
            hint=f"if its data is damaged, and may go: remove {self.folder} and try "
            "again",
        )
