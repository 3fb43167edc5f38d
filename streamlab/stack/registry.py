"""A schema registry: Apicurio Registry, which speaks Confluent's protocol, too."""

from __future__ import annotations

import shutil
import signal
import tarfile
import tempfile
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import filelock

from streamlab.stack.jars import fetch
from streamlab.stack.java import find_java
from streamlab.stack.processes import Launch
from streamlab.stack.server import LOOPBACK, Server, Tell

_JAVA_OPTIONS = (
    "-Xmx256m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",  # starts faster, and one laptop's load needs no C2
    "-XX:-UsePerfData",
    "-Djava.awt.headless=true",
    f"-Dquarkus.http.host={LOOPBACK}",
    f"-Dquarkus.management.host={LOOPBACK}",  # else it listens everywhere
    "-Dquarkus.http.access-log.enabled=false",
    "-Dapicurio.storage.kind=sql",
)

_PATH = "/apis/ccompat/v7"
"""Where Apicurio answers as Confluent's registry does."""

_READY_S = 2.0  # seconds, for one look


class SchemaRegistry(Server):
    """A registry for one machine: plain HTTP on loopback, its schemas in a file."""

    name: ClassVar[str] = "registry"
    port_names: ClassVar[tuple[str, ...]] = ("port", "management_port")
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM

    def prepare(self, tell: Tell) -> Launch:
        """Fetch and unpack the program, if it is new."""
        java = find_java()
        fetched = fetch("registry", lambda line: tell(f"registry: fetching, {line}"))
        program = _unpacked(fetched, tell)
        return Launch(
            (
                *(str(java), *_JAVA_OPTIONS),
                f"-Dquarkus.http.port={self.port}",
                f"-Dquarkus.management.port={self.ports['management_port']}",
                f"-Dapicurio.datasource.url=jdbc:h2:file:{self._data}",
                *("-jar", str(program / "quarkus-run.jar")),
            ),
            folder=self.folder,
            log=self.log,
        )

    def is_own(self, arguments: Sequence[str]) -> bool:
        """Return whether this is a registry on our data."""
        ours = f"-Dapicurio.datasource.url=jdbc:h2:file:{self._data}"
        return Path(arguments[0]).name == "java" and ours in arguments

    def is_ready(self) -> bool:
        """Return whether the registry answers."""
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with direct.open(f"{self._url}/subjects", timeout=_READY_S):
                return True
        except (urllib.error.URLError, OSError):
            return False

    @property
    def access(self) -> Mapping[str, str]:
        """Return the address, and the ``url`` that clients want."""
        return {"address": self.address, "url": self._url}

    @property
    def _url(self) -> str:
        return f"http://{self.address}{_PATH}"

    @property
    def _data(self) -> Path:
        return self.folder / "data" / "registry"


def _unpacked(fetched: Path, tell: Tell) -> Path:
    """Return the folder of the program; one that is there is whole."""
    program = fetched / "program"
    with filelock.FileLock(fetched / "lock"):
        if not program.exists():
            tell("registry: unpacking")
            [archive] = fetched.glob("*.tar.gz")
            partial = Path(tempfile.mkdtemp(dir=fetched, prefix="partial-"))
            try:
                with tarfile.open(archive) as packed:
                    packed.extractall(partial, filter="data")
                partial.rename(program)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    return program
