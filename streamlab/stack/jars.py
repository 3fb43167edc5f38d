"""Fetch the jars of servers: exactly the locked ones, checked, once per user."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import filelock

from streamlab.errors import MissingExtra, StackError
from streamlab.stack.server import Tell

_AT_ONCE = 8
_TRIES = 3
_TIMEOUT_S = 60  # seconds, for one request
_SAY_EVERY_S = 0.5  # seconds, so that a log file is not flooded
_PARTIAL = "partial-"


@dataclass(frozen=True, slots=True)
class Jar:
    """One locked jar, or another file of Maven's.

    Attributes:
        coordinates: ``group:artifact:version``; behind it ``:packaging:classifier``
            for a file that is no plain jar.
        sha256: Sum of its content.
        bytes: Its size.
    """

    coordinates: str
    sha256: str
    bytes: int

    @property
    def parts(self) -> tuple[str, str, str, str, str]:
        """Return group, artifact, version, packaging and classifier."""
        group, artifact, version, *kind = self.coordinates.split(":")
        packaging, classifier = kind or ("jar", "")
        return group, artifact, version, packaging, classifier

    @property
    def file_name(self) -> str:
        """Return the name Maven gives the file."""
        _, artifact, version, packaging, classifier = self.parts
        return "-".join(filter(None, (artifact, version, classifier))) + f".{packaging}"


@dataclass(frozen=True, slots=True)
class JarLock:
    """All jars of one server, exact to the byte."""

    version: str
    jars: tuple[Jar, ...]

    @classmethod
    def load(cls, name: str) -> JarLock:
        """Read a lock file that is part of this package."""
        text = files("streamlab.stack").joinpath(f"{name}.lock.json").read_text("utf-8")
        stored = json.loads(text)
        return cls(stored["version"], tuple(Jar(**jar) for jar in stored["jars"]))

    @property
    def digest(self) -> str:
        """Return a short name for exactly this set of jars."""
        joined = "".join(jar.sha256 for jar in self.jars)
        return hashlib.sha256(joined.encode()).hexdigest()[:12]


def cache_folder() -> Path:
    """Return the folder of this user for what can be fetched again."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base, "streamlab", "jars")


def fetch(name: str, tell: Tell, cache: Path | None = None) -> Path:
    """Return a folder with the locked jars of a server; fetch what is missing.

    A jar gets its name in the folder only after its checksum was compared, so one
    that is there is whole. A killed download costs the jars it had not finished.

    Args:
        name: Name of the lock file, such as ``"kafka"``.
        tell: Takes lines such as ``"12/46 jars, 31/43 MiB"``.
        cache: Folder for all jars; by default one per user.

    Raises:
        StackError: A jar cannot be fetched, or is not the locked one.
        MissingExtra: Jars are missing, and so is jgo, which fetches them.
    """
    lock = JarLock.load(name)
    cache = cache or cache_folder()
    folder = cache / f"{name}-{lock.version}-{lock.digest}"
    if not _missing(lock, folder):
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(folder / "lock"):
        for abandoned in folder.glob(f"{_PARTIAL}*"):
            shutil.rmtree(abandoned, ignore_errors=True)
        if missing := _missing(lock, folder):
            with tempfile.TemporaryDirectory(dir=folder, prefix=_PARTIAL) as partial:
                _Download(lock, missing, folder, Path(partial), tell).run()
    return folder


def _missing(lock: JarLock, folder: Path) -> list[Jar]:
    found = {path.name: path.stat().st_size for path in folder.glob("*")}
    return [jar for jar in lock.jars if found.get(jar.file_name) != jar.bytes]


class _Download:
    """One run of fetching missing jars in parallel, with its counts."""

    def __init__(
        self,
        lock: JarLock,
        missing: Sequence[Jar],
        folder: Path,
        partial: Path,
        tell: Tell,
    ) -> None:
        self._missing = missing
        self._folder = folder
        self._maven = _maven(partial)
        self._tell = tell
        self._all = (len(lock.jars), sum(jar.bytes for jar in lock.jars))
        self._done = (
            self._all[0] - len(missing),
            self._all[1] - sum(jar.bytes for jar in missing),
        )
        self._counting = threading.Lock()
        self._said_s = -_SAY_EVERY_S

    def run(self) -> None:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            running = [pool.submit(self._fetch, jar) for jar in self._missing]
            try:
                for each in running:
                    each.result()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _fetch(self, jar: Jar) -> None:
        fetched = self._downloaded(jar)
        found = hashlib.sha256(fetched.read_bytes()).hexdigest()
        if found != jar.sha256:
            raise StackError(
                f"{jar.coordinates} is not the jar of the lock: its sha256 is {found}, "
                f"locked is {jar.sha256}",
                hint="something between here and Maven Central changes files; fetch "
                "over another network",
            )
        fetched.replace(self._folder / jar.file_name)
        with self._counting:
            self._done = (self._done[0] + 1, self._done[1] + jar.bytes)
            self._say()

    def _say(self) -> None:
        (jars, size), (all_jars, all_size) = self._done, self._all
        now = time.monotonic()
        if jars < all_jars and now < self._said_s + _SAY_EVERY_S:
            return
        self._said_s = now
        self._tell(
            f"{jars}/{all_jars} jars, {size / 2**20:.0f}/{all_size / 2**20:.0f} MiB"
        )

    def _downloaded(self, jar: Jar) -> Path:
        group, artifact, version, packaging, classifier = jar.parts
        component = self._maven.project(group, artifact).at_version(version)
        wanted = component.artifact(classifier, packaging)
        for left in reversed(range(_TRIES)):
            try:
                return Path(wanted.resolve())
            except Exception as error:  # jgo lets through whatever its HTTP client has
                wanted.cached_path.unlink(missing_ok=True)
                if not left:
                    raise StackError(
                        f"{jar.coordinates} cannot be fetched from Maven Central",
                        hint="check the network; behind a proxy set HTTPS_PROXY, with "
                        "own certificates REQUESTS_CA_BUNDLE. What was fetched is kept",
                    ) from error
        raise AssertionError  # the loop returns or raises


def _maven(cache: Path) -> Any:
    try:
        from jgo.maven import MavenContext
    except ImportError as error:
        raise MissingExtra("fetching the broker", "stack") from error
    # An own empty cache: a file of the user's Maven may be half-written.
    return MavenContext(repo_cache=cache, local_repos=[], timeout=_TIMEOUT_S)
