"""Start, find and stop the servers of a home together."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import filelock
import psutil

from streamlab.errors import StackError, UnknownName
from streamlab.settings import STATE_FOLDER, made_state_folder
from streamlab.stack import ports
from streamlab.stack.kafka import Kafka
from streamlab.stack.postgres import Postgres
from streamlab.stack.processes import last_lines
from streamlab.stack.record import Record
from streamlab.stack.registry import SchemaRegistry
from streamlab.stack.server import Server, Tell

_KINDS: Mapping[str, type[Server]] = {
    "kafka": Kafka,
    "postgres": Postgres,
    "registry": SchemaRegistry,
}
SERVERS = tuple(_KINDS)
"""Names of the servers a stack can have."""

STANDARD = ("kafka", "postgres")
"""Names of the servers that start where none is named."""

_LOCK_PATIENCE_S = 900.0  # seconds; another `up` may have to download first
_LOCK_SILENCE_S = 1.0  # seconds until it is said that another one is waited for


@dataclass(frozen=True)
class Stack:
    """The running servers of a home.

    As a context manager, or by ``close``, it stops the servers that it started
    itself; one that only attached to a running stack leaves it running.

    Attributes:
        home: Folder that has the stack's ``.streamlab``.
        servers: Name → server.
        started: Names of the servers that ran only from this call of ``up`` on.
    """

    home: Path
    servers: Mapping[str, Server] = field(repr=False)
    started: frozenset[str]

    @property
    def kafka(self) -> str:
        """Return the broker's address, ``host:port``."""
        return self.server("kafka").address

    @property
    def postgres(self) -> str:
        """Return the DSN of PostgreSQL."""
        return self.server("postgres").access["dsn"]

    @property
    def registry(self) -> str:
        """Return the URL of the schema registry.

        Raises:
            UnknownName: It was not started; it starts on request only.
        """
        return self.server("registry").access["url"]

    @property
    def attached(self) -> bool:
        """Return whether all of it ran before, so that it is not ours to stop."""
        return not self.started

    def server(self, name: str) -> Server:
        """Return one server, to stop, kill, pause or start it alone.

        Raises:
            UnknownName: The stack does not have this server.
        """
        try:
            return self.servers[name]
        except KeyError:
            hint = f"start it: streamlab up {name}"
            raise UnknownName("server", name, self.servers, hint=hint) from None

    def close(self) -> None:
        """Stop the servers that this stack started."""
        if self.started:
            down(self.home, servers=sorted(self.started))

    def __enter__(self) -> Self:
        """Return the stack itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop the servers that this stack started."""
        self.close()


@dataclass(frozen=True, slots=True)
class ServerState:
    """What is known of one server.

    Attributes:
        name: Name of the server.
        state: ``running``, ``starting``, ``stopped``, or ``died``: it was started,
            not stopped, and is not there.
        pid: Its main process, if it runs.
        access: How clients reach it, or last did: ``address``, and ``dsn`` (without
            a password) or ``url`` where it has one; empty before the first start.
        log: The last lines of its log if it died.
    """

    name: str
    state: str
    pid: int | None = None
    access: Mapping[str, str] = field(default_factory=dict)
    log: str = ""


def up(
    home: Path,
    *,
    servers: Sequence[str] = STANDARD,
    kafka_port: int = 0,
    postgres_port: int = 0,
    registry_port: int = 0,
    progress: Tell | None = None,
) -> Stack:
    """Start the servers that do not run yet, and return when all serve clients.

    The servers run on when this process ends, until ``down``. Several calls at once,
    from any process, wait for each other; the later ones attach.

    Args:
        home: Folder that gets or has the stack's ``.streamlab``.
        servers: Names of the servers to start.
        kafka_port: Port of the broker; 0 for the one of the last start, or a free one.
        postgres_port: The same for PostgreSQL.
        registry_port: The same for the schema registry.
        progress: Takes lines about what is being done, to show to a person.

    Raises:
        StackError: A server died or did not get ready (what was started before is
            stopped again), a port is taken, or something cannot be fetched.
        UnknownName: There is no server of a given name.
    """
    home = home.resolve()
    tell = progress or (lambda _: None)
    asked = {
        "kafka": kafka_port,
        "postgres": postgres_port,
        "registry": registry_port,
    }
    for name in servers:
        if name not in _KINDS:
            raise UnknownName("server", name, SERVERS)
    with _obstacles_told(), _locked(home, tell):
        return _up(home, {name: asked[name] for name in servers}, tell)


def down(home: Path, *, servers: Sequence[str] = SERVERS) -> tuple[str, ...]:
    """Stop servers of a home, also those whose starter was killed; data stays.

    Returns:
        The names of the servers that ran.

    Raises:
        StackError: A server belongs to another user.
    """
    home = home.resolve()
    if not (home / STATE_FOLDER).exists():
        return ()
    stopped = []
    with _obstacles_told(), _locked(home, lambda _: None):
        for name in servers:
            server = _server(home, name, {})
            if server.process():
                server.stop()
                stopped.append(name)
            Record.load(home).without_server(name).save(home)
    return tuple(stopped)


def status(home: Path) -> tuple[ServerState, ...]:
    """Return what is known of each server of a home; disturbs and waits for nothing.

    A server that starts on request only is left out while it was not asked for.

    Raises:
        StackError: The stack belongs to another user.
    """
    home = home.resolve()
    record = Record.load(home)
    with _obstacles_told():
        return tuple(
            _state(home, name, record)
            for name in SERVERS
            if name in STANDARD or name in record.servers
        )


def _up(home: Path, asked: Mapping[str, int], tell: Tell) -> Stack:
    servers: dict[str, Server] = {}
    processes: dict[str, psutil.Process] = {}
    started: set[str] = set()
    with contextlib.ExitStack() as undo:
        # All are launched before any is waited for: their starts overlap.
        for name, port in asked.items():
            running = _running(home, name, port)
            if running is None:
                servers[name] = _with_ports(home, name, port)
                started.add(name)
                undo.callback(servers[name].stop)
                processes[name] = servers[name].launch(tell)
            else:
                servers[name], processes[name] = running
        for name, server in servers.items():
            tell(f"{name}: waiting until it is ready")
            server.wait(processes[name])
            access = {**server.access, "pid": processes[name].pid}
            Record.load(home).with_server(name, access).save(home)
        undo.pop_all()
    return Stack(home, servers, frozenset(started))


def _running(home: Path, name: str, asked: int) -> tuple[Server, psutil.Process] | None:
    """Return a server that runs already, and its process.

    Raises:
        StackError: It runs on another port than the one that was asked for.
    """
    known = Record.load(home).ports.get(name)
    server = _server(home, name, known or {})
    process = server.process()
    if process is None:
        return None
    if not known:
        # Somebody removed the record: nobody can say where it listens.
        server.stop()
        return None
    if asked not in {0, server.port}:
        raise StackError(
            f"{name} runs already, on {server.address}, not on port {asked}",
            hint="stop it first: streamlab down",
        )
    return server, process


def _with_ports(home: Path, name: str, asked: int) -> Server:
    """Return a server to start, its ports chosen and, before it starts, noted."""
    record = Record.load(home)
    chosen = ports.choose(_KINDS[name].port_names, asked, record.ports.get(name, {}))
    record.without_server(name).with_ports(name, chosen).save(home)
    return _server(home, name, chosen)


def _server(home: Path, name: str, its_ports: Mapping[str, int]) -> Server:
    return _KINDS[name](home / STATE_FOLDER / name, its_ports)


def _state(home: Path, name: str, record: Record) -> ServerState:
    server = _server(home, name, record.ports.get(name, {}))
    access = server.access if server.ports else {}
    if process := server.process():
        state = "running" if server.is_ready() else "starting"
        return ServerState(name, state, process.pid, access)
    if name in record.servers:
        return ServerState(name, "died", None, access, last_lines(server.log))
    return ServerState(name, "stopped", None, access)


@contextlib.contextmanager
def _obstacles_told() -> Iterator[None]:
    """Turn what the system refuses, such as a folder of another user, into an error."""
    try:
        yield
    except OSError as error:
        what = f"{error.filename}: " if error.filename else ""
        raise StackError(
            f"the stack cannot be used: {what}{error.strerror or error}",
            hint="it needs free disk space, and files that belong to you: a stack "
            "that another user started is that user's",
        ) from error


@contextlib.contextmanager
def _locked(home: Path, tell: Tell) -> Iterator[None]:
    """Let one process at a time change the stack of a home."""
    folder = home / STATE_FOLDER
    made_state_folder(folder)
    lock = filelock.FileLock(folder / "stack.lock")
    try:
        lock.acquire(timeout=_LOCK_SILENCE_S)
    except filelock.Timeout:
        tell("another process starts or stops this stack; waiting for it")
        try:
            lock.acquire(timeout=_LOCK_PATIENCE_S)
        except filelock.Timeout as error:
            raise StackError(
                f"another process has been starting or stopping the stack of {home} "
                f"for {_LOCK_PATIENCE_S / 60:.0f} minutes",
                hint="see what it does, or end it",
            ) from error
    try:
        yield
    finally:
        lock.release()
