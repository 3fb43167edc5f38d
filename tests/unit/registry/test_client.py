"""The client of a schema registry, against an HTTP server of the test's own."""

from __future__ import annotations

import json
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from streamlab.errors import Refused, SettingsError, Unavailable
from streamlab.registry import client, connect
from streamlab.registry.client import Registry
from streamlab.registry.schemas import Reference, Registered


class Server(ThreadingHTTPServer):
    """Answers as it is told, and remembers what it was asked."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.answers = {}
        self.failing = 0
        self.asked = Counter()
        self.headers = []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked[self.path] += 1
        self.server.headers.append(self.headers)
        missing = (404, {"error_code": 40403, "message": "no"})
        code, body = self.server.answers.get(self.path, missing)
        if self.server.failing:
            self.server.failing -= 1
            code, body = 503, {}
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        """Keep the test's output clean."""


@pytest.fixture
def server(monkeypatch):
    """Run the server, with no waiting between tries."""
    monkeypatch.setattr(client, "WAIT_S", 0)
    running = Server()
    thread = threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield running
    running.shutdown()
    running.server_close()
    thread.join()


SCHEMA = {"schema": '"int"', "references": []}


def test_a_schema_is_asked_for_once(server):
    """What an id names never changes, also for many threads."""
    server.answers["/schemas/ids/7"] = (200, SCHEMA)
    registry = Registry(server.url)
    assert registry.schema(7) == Registered(7, "AVRO", '"int"')
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(registry.schema, [7] * 50)) == {registry.schema(7)}
    assert server.asked["/schemas/ids/7"] == 1


def test_an_unknown_id_is_none_and_is_asked_for_again_later(server, monkeypatch):
    """It may be registered after a moment, but not between two events."""
    registry = Registry(server.url)
    assert registry.schema(7) is None
    assert registry.schema(7) is None
    assert server.asked["/schemas/ids/7"] == 1
    monkeypatch.setattr(client, "UNKNOWN_KEPT_S", 0)
    assert registry.schema(8) is None
    server.answers["/schemas/ids/8"] = (200, SCHEMA)
    assert registry.schema(8) is not None


def test_a_registry_that_is_busy_is_asked_again(server):
    """Two failures in a row are not told to anybody."""
    server.answers["/schemas/ids/7"] = (200, SCHEMA)
    server.failing = 2
    assert Registry(server.url).schema(7) is not None


def test_a_registry_that_stays_busy_is_unavailable(server):
    """After the last try it is a matter of waiting."""
    server.failing = 99
    with pytest.raises(Unavailable, match="HTTP 503"):
        Registry(server.url).schema(7)


def test_a_registry_that_is_not_there_is_unavailable(server):
    """Nobody listens: a matter of waiting, too."""
    url = server.url
    server.shutdown()
    server.server_close()
    with pytest.raises(Unavailable, match="does not answer"):
        Registry(url).schema(7)


@pytest.mark.parametrize("code", [401, 403])
def test_missing_rights_are_told(server, code):
    """Waiting would not help; the message says where credentials go."""
    server.answers["/schemas/ids/7"] = (code, {"error_code": code, "message": "x"})
    with pytest.raises(Refused, match=r"profiles\.NAME\.registry"):
        Registry(server.url, token="secret").schema(7)


def test_another_kind_of_server_is_told(server):
    """A page that is no answer of a registry means a wrong URL."""
    server.answers["/schemas/ids/7"] = (404, b"<html>")
    with pytest.raises(Refused, match="ccompat"):
        Registry(server.url).schema(7)


def test_references_come_in_the_order_of_need(server):
    """A schema follows those that it uses."""
    for number, needs in ((1, []), (2, [("a", "A", 1)])):
        references = [{"name": n, "subject": s, "version": v} for n, s, v in needs]
        server.answers[f"/subjects/{'AB'[number - 1]}/versions/1"] = (
            200,
            {"id": number, "schema": "x", "references": references},
        )
    schema = Registered(3, "AVRO", "y", (Reference("b", "B", 1),))
    assert list(Registry(server.url).references(schema)) == ["a", "b"]


def test_a_missing_reference_is_told(server):
    """It names the subject and the version."""
    schema = Registered(3, "AVRO", "y", (Reference("b", "B", 4),))
    with pytest.raises(Refused, match="version 4 of subject 'B'"):
        Registry(server.url).references(schema)


def test_a_subject_may_have_any_name(server):
    """Slashes and spaces are escaped in the path."""
    server.answers["/subjects/a%2Fb%20c/versions/latest"] = (
        200,
        {"id": 5, "version": 2, "subject": "a/b c", **SCHEMA},
    )
    assert Registry(server.url).latest("a/b c").version == 2


@pytest.fixture
def profile(server, tmp_path, monkeypatch):
    """Return a function that writes the registry's options into the settings."""
    monkeypatch.chdir(tmp_path)

    def write(**options):
        given = {"url": server.url, **options}
        lines = [f"{name} = {json.dumps(value)}" for name, value in given.items()]
        text = "\n".join(['default_profile = "t"', "[profiles.t.registry]", *lines])
        (tmp_path / "streamlab.toml").write_text(text)

    return write


def test_a_profile_gives_user_and_password(server, profile, monkeypatch):
    """References are resolved on connecting."""
    monkeypatch.setenv("REGISTRY_PASSWORD", "pw")
    profile(username="me", password="${env:REGISTRY_PASSWORD}")
    connect().schema(7)
    assert server.headers[0]["Authorization"] == "Basic bWU6cHc="


def test_a_profile_gives_a_token(server, profile):
    """It is sent as a bearer token."""
    profile(token="abc")
    connect().schema(7)
    assert server.headers[0]["Authorization"] == "Bearer abc"


def test_a_password_alone_is_a_mistake(profile):
    """Half of the credentials are told, not sent."""
    profile(password="pw")
    with pytest.raises(SettingsError, match="username and password"):
        connect()


def test_the_same_settings_give_the_same_registry(profile):
    """What it has learned is kept."""
    profile()
    assert connect() is connect("t")


def test_a_profile_without_registry_says_what_to_add(tmp_path, monkeypatch):
    """The hint names the section."""
    (tmp_path / "streamlab.toml").write_text("[profiles.local.kafka]\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError, match=r"\[profiles\.local\.registry\]"):
        connect()


def test_a_ca_that_is_no_file_is_told(profile):
    """The option is named, not the path of a secret."""
    profile(ca="nowhere.pem")
    with pytest.raises(SettingsError, match="registry's ca cannot be used"):
        connect()


@pytest.mark.parametrize("password", ["right", "wrong", None])
def test_an_encrypted_key_is_opened_by_its_password(profile, tmp_path, password):
    """A wrong or missing password is an error; nobody is asked at the terminal."""
    made = trustme.CA().issue_cert("me@example.org")
    key = serialization.load_pem_private_key(made.private_key_pem.bytes(), None)
    locked = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"right"),
    )
    (tmp_path / "key.pem").write_bytes(locked)
    (tmp_path / "me.pem").write_bytes(made.cert_chain_pems[0].bytes())
    given = {} if password is None else {"key_password": password}
    profile(certificate="me.pem", key="key.pem", **given)
    if password == "right":
        connect()
        return
    with pytest.raises(SettingsError, match="cannot be used") as refused:
        connect()
    assert "key_password" in refused.value.hint


def test_a_login_in_the_url_is_refused_and_not_told(profile):
    """The doctor and the formats take the same settings."""
    profile(url="https://me:S3cr3t@registry.example")
    with pytest.raises(SettingsError, match="login in it") as refused:
        connect()
    assert "S3cr3t" not in str(refused.value)


@pytest.mark.parametrize("url", ["", "registry:8081", "ftp://x", "http://"])
def test_what_is_no_url_is_told(url):
    """The message says what to write, and does not repeat the text."""
    with pytest.raises(SettingsError, match="is not a URL"):
        Registry(url)


GUID = "0123abcd-0000-4000-8000-000000000001"


def test_a_guid_is_asked_for_once(server):
    """What a GUID names never changes; of several contexts the default one counts."""
    path = f"/schemas/guids/{GUID}/ids"
    ids = [{"context": ".a", "id": 3}, {"context": ".", "id": 7}]
    server.answers[path] = (200, ids)
    registry = Registry(server.url)
    assert [registry.id_of(GUID), registry.id_of(GUID)] == [7, 7]
    assert server.asked[path] == 1


@pytest.mark.parametrize(
    "answer", [(404, b""), (404, {"error_code": 40403}), (200, [])]
)
def test_a_registry_without_guids_has_none(server, answer):
    """A registry that knows no GUIDs, or not that one, is asked once and has no id."""
    path = f"/schemas/guids/{GUID}/ids"
    server.answers[path] = answer
    registry = Registry(server.url)
    assert [registry.id_of(GUID), registry.id_of(GUID)] == [None, None]
    assert server.asked[path] == 1


def test_a_registry_without_guids_is_not_asked_for_each(server):
    """Of a registry that has no such path only the first GUID is asked."""
    server.answers[f"/schemas/guids/{GUID}/ids"] = (404, b"")
    registry = Registry(server.url)
    others = [registry.id_of(f"{number}{GUID[1:]}") for number in range(5)]
    assert others == [None] * 5
    assert sum(server.asked.values()) == 1


def test_a_guid_is_not_asked_for_without_rights(server):
    """A refusal is told as anywhere else."""
    server.answers[f"/schemas/guids/{GUID}/ids"] = (403, {"error_code": 40301})
    with pytest.raises(Refused, match="refuses access"):
        Registry(server.url).id_of(GUID)
