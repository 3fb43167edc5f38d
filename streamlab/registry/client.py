"""The client of a schema registry that speaks Confluent's protocol.

What an id names never changes, so a schema is asked for once and kept for ever. All
methods may be called from several threads.

Source: https://docs.confluent.io/platform/current/schema-registry/develop/api.html
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import httpx

from streamlab.errors import Refused, SettingsError, Unavailable
from streamlab.registry.schemas import Registered

TIMEOUT_S = 5.0  # for one request
TRIES = 3
WAIT_S = 0.2  # before the second try; twice as long before the third
MOST_UNKNOWN = 10_000  # ids that are remembered to be unknown
DEFAULT_CONTEXT = "."
ANY_GUID = ""  # is unknown to registries without GUIDs
UNKNOWN_KEPT_S = 30.0  # an id that nobody knows may be registered later

_SUBJECT_NOT_FOUND, _VERSION_NOT_FOUND, _SCHEMA_NOT_FOUND = 40401, 40402, 40403
_NOT_FOUND = {_SUBJECT_NOT_FOUND, _VERSION_NOT_FOUND, _SCHEMA_NOT_FOUND}
_MEDIA_TYPE = "application/vnd.schemaregistry.v1+json"
_FOR_NOW = {
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
}


class Registry:
    """One schema registry.

    Args:
        url: Its base URL, such as ``https://registry.example``; for Apicurio with
            its path ``/apis/ccompat/v7``.
        auth: User name and password, if it wants them.
        token: A bearer token, if it wants one.
        verify: The authorities and the client certificate for TLS.
    """

    def __init__(
        self,
        url: str,
        *,
        auth: tuple[str, str] | None = None,
        token: str = "",
        verify: ssl.SSLContext | bool = True,
    ) -> None:
        headers = {"Accept": f"{_MEDIA_TYPE}, application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        try:
            self._url = httpx.URL(url.rstrip("/") + "/")
        except httpx.InvalidURL as error:
            raise _not_a_url() from error
        if self._url.scheme not in {"http", "https"} or not self._url.host:
            raise _not_a_url()
        self._http = httpx.Client(
            base_url=self._url,
            auth=auth,
            headers=headers,
            verify=verify,
            timeout=TIMEOUT_S,
            # A schema is asked for once; an idle connection would be kept for nothing.
            limits=httpx.Limits(max_keepalive_connections=0),
            # No proxy stands between a program and its own machine.
            trust_env=self._url.host not in {"127.0.0.1", "localhost", "::1"},
        )
        self._lock = threading.Lock()
        self._by_id: dict[int, Registered] = {}
        self._by_guid: dict[str, int] = {}
        self._unknown: dict[int | str, float] = {}
        self._by_version: dict[tuple[str, int], Registered] = {}

    def __str__(self) -> str:
        """Return ``host:port``, and nothing secret."""
        port = f":{self._url.port}" if self._url.port else ""
        return f"{self._url.host}{port}"

    def schema(self, number: int) -> Registered | None:
        """Return the schema of an id; None where there is none.

        Raises:
            Unavailable: The registry does not answer.
            Refused: It does not want to talk to us.
        """
        with self._lock:
            if known := self._by_id.get(number):
                return known
            if time.monotonic() < self._unknown.get(number, 0):
                return None
        found = self._ask("GET", f"schemas/ids/{number}")
        with self._lock:
            if found is None:
                self._note_unknown(number)
                return None
            return self._by_id.setdefault(number, Registered.of(found, number=number))

    def id_of(self, guid: str) -> int | None:
        """Return the id of the schema that has a GUID; None where there is none.

        Registries that know no GUIDs have none.

        Raises:
            Unavailable: The registry does not answer.
            Refused: It does not want to talk to us.
        """
        with self._lock:
            if known := self._by_guid.get(guid):
                return known
            now = time.monotonic()
            if any(now < self._unknown.get(name, 0) for name in (guid, ANY_GUID)):
                return None
        ids = self._ids(guid)
        with self._lock:
            if not ids:
                self._note_unknown(guid)
                return None
            number = ids.get(DEFAULT_CONTEXT, next(iter(ids.values())))
            return self._by_guid.setdefault(guid, number)

    def _ids(self, guid: str) -> Mapping[str, int]:
        """Return context of the registry → the id that a schema has in it.

        Source: https://docs.redpanda.com/api/doc/schema-registry/operation/operation-get_schemas_guids_guid_ids
        """
        answer = self._answer("GET", f"schemas/guids/{guid}/ids")
        found = _json(answer)
        if answer.is_success and isinstance(found, list):
            known = [each for each in found if isinstance(each, dict) and "id" in each]
            return {str(each.get("context")): int(each["id"]) for each in known}
        code = found.get("error_code") if isinstance(found, dict) else None
        if answer.status_code == HTTPStatus.NOT_FOUND and code not in _NOT_FOUND:
            with self._lock:  # it does not even know what a GUID is
                self._note_unknown(ANY_GUID)
            return {}
        self._read(answer)
        return {}

    def latest(self, subject: str) -> Registered | None:
        """Return the newest version of a subject; None where there is no subject."""
        return self._version(subject, "latest")

    def version(self, subject: str, number: int) -> Registered | None:
        """Return one version of a subject; None where there is none."""
        with self._lock:
            known = self._by_version.get((subject, number))
        if known is None:
            known = self._version(subject, str(number))
            if known is not None:
                with self._lock:
                    self._by_version[subject, number] = known
        return known

    def registered(self, subject: str, schema: Registered) -> Registered | None:
        """Return the schema as the subject has it; None where it has no such."""
        path = f"subjects/{quote(subject, safe='')}"
        found = self._ask("POST", path, json=schema.body())
        return None if found is None else Registered.of(found)

    def register(self, subject: str, schema: Registered) -> int:
        """Add a schema to a subject, and return its id; one it has keeps its id.

        Raises:
            Refused: It is no schema, or it breaks the subject's rule of compatibility.
            Unavailable: The registry does not answer.
        """
        path = f"subjects/{quote(subject, safe='')}/versions"
        found = self._ask("POST", path, json=schema.body())
        if found is None:
            raise Refused(f"the registry {self} took no schema for subject {subject!r}")
        return int(found["id"])

    def compatible(self, subject: str, schema: Registered) -> bool:
        """Return whether a schema may follow the newest of a subject."""
        path = f"compatibility/subjects/{quote(subject, safe='')}/versions/latest"
        found = self._ask("POST", path, json=schema.body())
        return True if found is None else bool(found.get("is_compatible"))

    def references(self, schema: Registered) -> dict[str, Registered]:
        """Return all schemas that a schema needs, by name, those needed first.

        Raises:
            Refused: One of them is not there.
            Unavailable: The registry does not answer.
        """
        found: dict[str, Registered] = {}
        self._collect(schema, found, set())
        return found

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _collect(
        self, schema: Registered, found: dict[str, Registered], seen: set[str]
    ) -> None:
        for reference in schema.references:
            if reference.name in seen:
                continue
            seen.add(reference.name)
            needed = self.version(reference.subject, reference.version)
            if needed is None:
                raise Refused(
                    f"the registry {self} has no version {reference.version} of "
                    f"subject {reference.subject!r}, which schema {schema.id} uses"
                )
            self._collect(needed, found, seen)
            found[reference.name] = needed

    def _version(self, subject: str, version: str) -> Registered | None:
        path = f"subjects/{quote(subject, safe='')}/versions/{version}"
        found = self._ask("GET", path)
        return None if found is None else Registered.of(found)

    def _note_unknown(self, name: int | str) -> None:
        """Remember an id or GUID that is not there; the lock is held."""
        if len(self._unknown) >= MOST_UNKNOWN:
            self._unknown.clear()
        self._unknown[name] = time.monotonic() + UNKNOWN_KEPT_S

    def _ask(self, method: str, path: str, **body: Any) -> dict[str, Any] | None:
        """Return the answer; None where what was asked for is not there.

        Raises:
            Unavailable: There is no answer, also not on another try.
            Refused: The answer is a refusal.
        """
        return self._read(self._answer(method, path, **body))

    def _answer(self, method: str, path: str, **body: Any) -> httpx.Response:
        """Return the answer, whatever it says.

        Raises:
            Unavailable: There is none, also not on another try.
        """
        for left in reversed(range(TRIES)):
            try:
                answer = self._http.request(method, path, **body)
            except httpx.TransportError as error:
                if not left:
                    raise self._away("does not answer", error) from error
            else:
                if answer.status_code not in _FOR_NOW:
                    return answer
                if not left:
                    raise self._away(f"answers with HTTP {answer.status_code}")
            time.sleep(WAIT_S * (TRIES - left))
        raise AssertionError  # the loop returns or raises

    def _away(self, what: str, error: Exception | None = None) -> Unavailable:
        cause = f" ({type(error).__name__})" if error else ""
        return Unavailable(f"the schema registry {self} {what}{cause}")

    def _read(self, answer: httpx.Response) -> dict[str, Any] | None:
        found = _json(answer)
        if answer.is_success and isinstance(found, dict):
            return found
        code = found.get("error_code") if isinstance(found, dict) else None
        if answer.status_code == HTTPStatus.NOT_FOUND and code in _NOT_FOUND:
            return None
        if answer.is_server_error:
            raise self._away(f"answers with HTTP {answer.status_code}")
        if answer.status_code in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            raise Refused(
                f"the schema registry {self} refuses access "
                f"(HTTP {answer.status_code})",
                hint="set username and password, or token, in "
                "[profiles.NAME.registry] of streamlab.toml",
            )
        if not isinstance(found, dict) or code is None:
            raise Refused(
                f"the schema registry {self} does not speak Confluent's protocol at "
                f"this URL (HTTP {answer.status_code})",
                hint="check its path: Apicurio's is /apis/ccompat/v7",
            )
        message = str(found.get("message", "")).partition("\n")[0]
        raise Refused(f"the schema registry {self} refuses: {message} ({code})")


def _json(answer: httpx.Response) -> Any:
    try:
        return answer.json()
    except ValueError:
        return None


def _not_a_url() -> SettingsError:
    return SettingsError(
        "the registry's url is not a URL",
        hint='write url = "https://host:port" into [profiles.NAME.registry]',
    )
