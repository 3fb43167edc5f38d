"""A schema registry, reached and logged in to, to say which step fails.

Plain HTTP by the standard library: one request is made, and none is ever sent on to
another host, which would hand it the login.

Source: ``GET /subjects`` at
https://docs.confluent.io/platform/current/schema-registry/develop/api.html.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from socket import socket
from urllib.parse import SplitResult, urlsplit

from streamlab.connectors import endpoints, tls
from streamlab.connectors.diagnosis import Finding
from streamlab.connectors.endpoints import Endpoint
from streamlab.connectors.tls import Trust
from streamlab.errors import ConnectorError, Refused, Unavailable
from streamlab.registry.access import Access
from streamlab.settings import Profile

PORTS = {"http": 80, "https": 443}


def test(profile: Profile, home: Path) -> Finding:
    """Ask the registry of a profile for its subjects; the answer is not read.

    Raises:
        SettingsError: The options do not fit each other, or the registry.
        Unavailable: It does not answer.
        Refused: It does not let us in, or is no registry.
    """
    access = Access.of(profile, home)
    section = f"[profiles.{profile.name}.registry]"
    address = urlsplit(access.url)
    headers = {"Accept": "application/vnd.schemaregistry.v1+json", **_login(access)}
    with _channel(address, _trust(access)) as channel:
        status = _status(address, headers, channel)
    if status == HTTPStatus.OK:
        return Finding(f"{address.scheme}://{address.netloc} answers")
    raise _refusal(status, address.netloc, section)


def _login(access: Access) -> dict[str, str]:
    if access.token:
        return {"Authorization": f"Bearer {access.token}"}
    if access.login:
        pair = base64.b64encode(":".join(access.login).encode()).decode()
        return {"Authorization": f"Basic {pair}"}
    return {}


def _trust(access: Access) -> Trust:
    return Trust(
        authorities=access.ca,
        certificate=access.certificate,
        key=access.key,
        password=access.key_password,
    )


@contextlib.contextmanager
def _channel(address: SplitResult, trust: Trust) -> Iterator[socket]:
    host = address.hostname or ""
    endpoint = Endpoint(host, address.port or PORTS[address.scheme])
    if address.scheme == "http":
        with endpoints.connected(endpoint) as plain:
            yield plain
        return
    try:
        with tls.secured(lambda: endpoints.connected(endpoint), host, trust) as channel:
            yield channel
    except tls.NotTls as error:
        message = f"{endpoint} does not answer a TLS handshake"
        raise Refused(message, hint="is the url to begin with http://?") from error


def _status(address: SplitResult, headers: Mapping[str, str], channel: socket) -> int:
    asking = http.client.HTTPConnection(address.netloc)
    asking.sock = channel
    try:
        asking.request("GET", f"{address.path.rstrip('/')}/subjects", headers=headers)
        return asking.getresponse().status
    except (OSError, http.client.HTTPException, ValueError) as error:
        # Not its text: the standard library quotes a header that it cannot send.
        kind = type(error).__name__
        raise Unavailable(f"{address.netloc} does not answer: {kind}") from None


def _refusal(status: int, where: str, section: str) -> ConnectorError:
    if status == HTTPStatus.UNAUTHORIZED:
        hint = f"check username and password, or token, in {section}"
        return Refused(f"{where} does not accept the login", hint=hint)
    if status == HTTPStatus.FORBIDDEN:
        hint = "ask for the right to read subjects"
        return Refused(f"{where} does not let this user list subjects", hint=hint)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Unavailable(f"{where} answers with status {status}")
    hint = f"check the url in {section}, its path included"
    message = f"{where} answers with status {status}, not as a registry"
    return Refused(message, hint=hint)
