"""Fetching locked jars, from a Maven repository of the test's own."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from jgo.maven import MavenContext

from streamlab.errors import StackError
from streamlab.stack import jars
from streamlab.stack.jars import Jar, JarLock, fetch

CONTENT = {f"part-{n}-1.0.jar": bytes([n]) * 1000 * (n + 1) for n in range(5)}


class Repository(ThreadingHTTPServer):
    """A Maven repository on loopback that counts what it is asked for."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.content = dict(CONTENT)
        self.asked = Counter()
        self.counting = threading.Lock()


class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        name, _, kind = self.path.rpartition("/")[2].partition(".jar")
        name += ".jar"
        content = self.server.content.get(name)
        with self.server.counting:
            self.server.asked[name + kind] += 1
        if kind == ".sha1" and content is not None:
            content = hashlib.sha1(content).hexdigest().encode()
        self.send_response(404 if content is None else 200)
        self.send_header("Content-Length", str(len(content or b"")))
        self.end_headers()
        self.wfile.write(content or b"")

    def log_message(self, *_):
        """Keep the test's output clean."""


@pytest.fixture
def repository(monkeypatch):
    """Serve the five parts, and make jgo and the lock mean them."""
    server = Repository()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(
        jars,
        "_maven",
        lambda cache: MavenContext(
            repo_cache=cache, local_repos=[], remote_repos={"test": url}
        ),
    )
    locked = tuple(
        Jar(f"org.test:part-{n}:1.0", hashlib.sha256(c).hexdigest(), len(c))
        for n, c in enumerate(CONTENT.values())
    )
    monkeypatch.setattr(JarLock, "load", lambda _: JarLock("1.0", locked))
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def names(folder):
    return sorted(path.name for path in folder.iterdir() if path.name != "lock")


def test_every_locked_jar_is_fetched(repository, tmp_path):
    """The folder has the jars, whole, and nothing beside them."""
    folder = fetch("kafka", lambda _: None, tmp_path)
    assert names(folder) == sorted(CONTENT)
    assert {p.name: p.read_bytes() for p in folder.glob("*.jar")} == CONTENT


def test_progress_ends_with_all_of_it(repository, tmp_path):
    """The last line counts all jars and all bytes."""
    lines = []
    fetch("kafka", lines.append, tmp_path)
    assert lines[-1] == "5/5 jars, 0/0 MiB"


def test_a_second_call_asks_nobody(repository, tmp_path):
    """What is there is not fetched again, also without a network."""
    fetch("kafka", lambda _: None, tmp_path)
    repository.asked.clear()
    fetch("kafka", lambda _: None, tmp_path)
    assert not repository.asked


def test_a_jar_that_differs_from_the_lock_is_refused(repository, tmp_path):
    """A changed jar never gets its name in the folder."""
    changed = "part-3-1.0.jar"
    repository.content[changed] = b"x" * len(CONTENT[changed])
    with pytest.raises(StackError, match=r"org\.test:part-3:1\.0 is not the jar"):
        fetch("kafka", lambda _: None, tmp_path)
    assert not list(tmp_path.glob(f"*/{changed}"))


def test_a_killed_download_goes_on_where_it_was(repository, tmp_path):
    """Whole jars are kept, a half-written one and old leftovers are not."""
    folder = fetch("kafka", lambda _: None, tmp_path)
    (folder / "part-1-1.0.jar").write_bytes(b"half")
    (folder / "part-2-1.0.jar").unlink()
    leftover = folder / "partial-of-a-killed-run"
    leftover.mkdir()
    (leftover / "part-2-1.0.jar").write_bytes(b"half")
    repository.asked.clear()
    fetch("kafka", lambda _: None, tmp_path)
    assert {p.name: p.read_bytes() for p in folder.glob("*.jar")} == CONTENT
    assert {n for n in repository.asked if n.endswith("r")} == {
        "part-1-1.0.jar",
        "part-2-1.0.jar",
    }
    assert not leftover.exists()


def test_two_at_once_fetch_each_jar_once(repository, tmp_path):
    """The second waits for the first, and finds everything there."""
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: fetch("kafka", print, tmp_path), range(2)))
    assert both[0] == both[1]
    assert all(repository.asked[name] == 1 for name in CONTENT)


def test_what_cannot_be_fetched_is_named(repository, tmp_path):
    """After three tries the error has the coordinates, and the others are kept."""
    missing = "part-0-1.0.jar"
    del repository.content[missing]
    with pytest.raises(StackError, match=r"org\.test:part-0:1\.0 cannot be fetched"):
        fetch("kafka", lambda _: None, tmp_path)
    assert repository.asked[missing] == 3
    assert list(tmp_path.glob("*/part-4-1.0.jar"))


def test_the_shipped_lock_is_whole(monkeypatch):
    """The broker's lock names 46 different jars by coordinates and sha256."""
    lock = JarLock.load("kafka")
    assert len({jar.file_name for jar in lock.jars}) == 46
    assert all(len(bytes.fromhex(jar.sha256)) == 32 for jar in lock.jars)
    assert lock.version in {
        jar.coordinates.split(":")[2] for jar in lock.jars if "kafka" in jar.coordinates
    }


def test_the_cache_follows_the_desktop_convention(monkeypatch, tmp_path):
    """XDG_CACHE_HOME moves the cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert jars.cache_folder() == tmp_path / "streamlab" / "jars"


def test_a_file_that_is_no_jar_has_its_own_name():
    """Packaging and classifier stand behind the version, as Maven has them."""
    archive = Jar("org.test:app:1.0:tar.gz:all", "", 0)
    assert archive.file_name == "app-1.0-all.tar.gz"
    assert Jar("org.test:app:1.0", "", 0).file_name == "app-1.0.jar"
