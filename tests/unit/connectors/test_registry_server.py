"""A schema registry, on a real HTTP server with and without TLS."""

from __future__ import annotations

import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import trustme

from streamlab.connectors import registry
from streamlab.errors import Refused, SettingsError, StreamlabError, Unavailable
from streamlab.settings import Profile

SECRET = "S3cr3tPw"
LOGINS = {"Bearer S3cr3tPw", "Basic bWU6UzNjcjN0UHc="}  # me:S3cr3tPw


class Registry(BaseHTTPRequestHandler):
    """Answers as a registry does, under /api only."""

    def do_GET(self):
        status = 200
        if self.headers.get("Authorization") not in LOGINS:
            status = 401
        elif self.path == "/moved/subjects":
            status = 302
        elif self.path == "/broken/subjects":
            status = 503
        elif self.path == "/closed/subjects":
            status = 403
        elif self.path != "/api/subjects":
            status = 404
        self.send_response(status)
        self.send_header("Location", "http://elsewhere.invalid/")
        self.end_headers()
        self.wfile.write(b"[]")

    def log_message(self, *_):
        """Say nothing."""


def serving(context=None):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Registry)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@pytest.fixture
def url():
    """Return the address of a registry over plain HTTP."""
    server = serving()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def secure_url(tmp_path):
    """Return the address of a registry over TLS; its authority is in ca.pem."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server = serving(context)
    yield f"https://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def asked(folder, **options):
    return registry.test(Profile("work", registry=options), folder)


@pytest.mark.parametrize(
    "login", [{"token": SECRET}, {"username": "me", "password": SECRET}]
)
def test_both_logins_work(url, tmp_path, login):
    """A bearer token, or user name and password."""
    assert asked(tmp_path, url=f"{url}/api", **login).state == "ok"


def test_tls_counts_the_authority_from_the_home(secure_url, tmp_path):
    """A relative path of `ca` lies beside the settings file."""
    found = asked(tmp_path, url=f"{secure_url}/api/", token=SECRET, ca="ca.pem")
    assert found.state == "ok"


def test_an_authority_that_is_not_trusted_is_told(secure_url, tmp_path):
    """The same sentence as for a broker."""
    with pytest.raises(Refused, match="signed by an authority that this system does"):
        asked(tmp_path, url=secure_url, token=SECRET)


@pytest.mark.parametrize(
    ("path", "token", "kind", "said"),
    [
        ("/api", "wrong-token", Refused, "does not accept the login"),
        ("/closed", SECRET, Refused, "does not let this user"),
        ("/nowhere", SECRET, Refused, "status 404, not as a registry"),
        ("/moved", SECRET, Refused, "status 302"),
        ("/broken", SECRET, Unavailable, "status 503"),
    ],
)
def test_each_answer_has_its_sentence(url, tmp_path, path, token, kind, said):
    """A login, a right, a wrong path, and no following to another host."""
    with pytest.raises(kind, match=said):
        asked(tmp_path, url=url + path, token=token)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "does not say where"),
        ({"url": "registry.example"}, "does not say where"),
        ({"url": f"https://me:{SECRET}@registry.example"}, "has a login in it"),
        (
            {"url": "https://r", "token": "a", "username": "b"},
            "has a token, and a username",
        ),
        ({"url": "https://127.0.0.1:1", "ca": "nothing.pem"}, "ca cannot be read"),
    ],
)
def test_options_that_do_not_fit_are_told(tmp_path, options, said):
    """Before anything is sent."""
    with pytest.raises(SettingsError, match=said):
        asked(tmp_path, **options)


def test_tls_to_plain_text_is_told(url, tmp_path):
    """https:// to a server that speaks http:// has its own sentence."""
    with pytest.raises(Refused, match="does not answer a TLS handshake"):
        asked(tmp_path, url=url.replace("http:", "https:"), token=SECRET)


def test_no_error_tells_a_secret(url, tmp_path, monkeypatch):
    """A token that no header can hold is not quoted either."""
    monkeypatch.setenv("TOKEN", f"{SECRET}\n{SECRET}")
    with pytest.raises(StreamlabError) as caught:
        asked(tmp_path, url=url, token="${env:TOKEN}")
    assert SECRET not in str(caught.value)
    assert caught.value.__suppress_context__
