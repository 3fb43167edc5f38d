"""Kafka clients from a profile: checked options, quiet logs, our errors.

Everything that opens a connection to a broker comes through here, so that the rules
hold everywhere: references are resolved on connecting and not before, options that
run code are denied, and librdkafka's own messages go to ``logging``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient

from streamlab.connectors.kafka.failures import DOCTOR, kafka_error, translated
from streamlab.errors import SettingsError, Unavailable, UsageError
from streamlab.settings import LOCAL, Settings, resolved

LOGGER = logging.getLogger("streamlab.kafka")
# Without a handler Python prints warnings to stderr: librdkafka's would fill a cell.
LOGGER.addHandler(logging.NullHandler())

REQUEST_TIMEOUT_S = 10.0
"""How long a question to the broker may take before it counts as unreachable."""

_RUNS_CODE = ("plugin.library.paths", "ssl.engine.location", "debug")
_OURS = {
    "auto.offset.reset": "it is the `start` of the source",
    "enable.auto.commit": "positions are committed with the rows",
    "enable.auto.offset.store": "positions are committed with the rows",
    "enable.idempotence": "it is always on",
    "acks": "it is always all",
    "group.id": "it is the `group` of the source",
    "transactional.id": "it is made of the names of pipeline and worker",
}

_TOLD = ("bootstrap.servers", "client.id", "group.id", "transactional.id")
_WORDS = frozenset(
    {"true", "false", "none", "https"}
    | {"PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"}
    | {"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "GSSAPI", "OAUTHBEARER"}
)
"""Values that are no secret, and that a message may need to be understood."""

_WORTH_HIDING = 4
"""Shorter values are hidden in quotes only: a ``1`` is a part of many words."""

Options = Mapping[str, str]
ErrorListener = Callable[[KafkaError], None]


@dataclass(frozen=True, slots=True)
class Cluster:
    """A broker that answered.

    Attributes:
        profile: Name of the profile it was reached by.
        cluster_id: What the cluster calls itself.
        brokers: ``host:port`` of each broker.
        topics: Number of topics, internal ones left out.
    """

    profile: str
    cluster_id: str
    brokers: tuple[str, ...]
    topics: int


def client_options(profile: str = "", extra: Options | None = None) -> dict[str, Any]:
    """Return librdkafka options of a profile, references resolved.

    Args:
        profile: Name of a profile; empty for the default one.
        extra: Options of one source or sink, on top of the profile's.

    Raises:
        UnknownName: There is no such profile.
        SettingsError: The profile names no broker, or an option is not allowed.
    """
    settings = Settings.load()
    chosen = settings.profile(profile)
    merged = {**chosen.kafka, **(extra or {})}
    for name in merged:
        _check_allowed(name)
    if not merged.get("bootstrap.servers"):
        raise SettingsError(
            f"the profile {chosen.name!r} does not say where its Kafka broker is",
            hint='write "bootstrap.servers" = "host:9092" under '
            f"[profiles.{chosen.name}.kafka]",
        )
    found = {
        name: resolved(str(value), base=settings.home) for name, value in merged.items()
    }
    return {name: _located(name, found[name], settings.home) for name in found}


def _located(name: str, value: str, home: Path) -> str:
    """Return the path of a certificate or key as it counts from the project's home.

    A notebook in a subfolder has the same settings as its project. What is not there
    is left to librdkafka, such as ``probe``.
    """
    is_path = name.startswith("ssl.") and name.endswith(".location")
    return str(home / value) if is_path and (home / value).exists() else value


def _check_allowed(name: str) -> None:
    if name in _RUNS_CODE or name.endswith("_cb"):
        raise SettingsError(
            f"the Kafka option {name!r} is not accepted from a file",
            hint="it loads code or prints what is sent, secrets included",
        )
    if name in _OURS:
        raise SettingsError(
            f"the Kafka option {name!r} cannot be set", hint=_OURS[name]
        )


def consumer(options: Mapping[str, Any], on_error: ErrorListener | None = None) -> Any:
    """Return a consumer with the options; ``on_error`` hears of lost connections."""
    return _made(Consumer, options, on_error)


def producer(options: Mapping[str, Any], on_error: ErrorListener | None = None) -> Any:
    """Return a producer with the options; ``on_error`` hears of lost connections."""
    return _made(Producer, options, on_error)


def admin(
    profile: str = "",
    extra: Options | None = None,
    on_error: ErrorListener | None = None,
) -> AdminClient:
    """Return an administration client; it asks questions and changes nothing here."""
    options = client_options(profile, extra)
    # Consumer and producer options are no business of this client, and
    # librdkafka would warn of each.
    kept = {name: value for name, value in options.items() if _is_connection(name)}
    made: AdminClient = _made(AdminClient, kept, on_error)
    return made


def _is_connection(name: str) -> bool:
    prefixes = ("bootstrap.", "security.", "sasl.", "ssl.", "socket.", "broker.")
    return name.startswith((*prefixes, "client.", "enable.ssl", "enable.sasl", "https"))


def _made(
    kind: Callable[..., Any], options: Mapping[str, Any], on_error: ErrorListener | None
) -> Any:
    log = ClientLog(options)

    def listen(error: KafkaError) -> None:
        log.log(logging.DEBUG, "%s", error)
        if on_error is not None:
            on_error(error)

    # Not "from error": the client's own message can quote a value.
    try:
        return kind({**options, "error_cb": listen}, logger=log)
    except KafkaException as error:
        reason = without_values(kafka_error(error).str(), options)
        raise SettingsError(f"Kafka does not take an option: {reason}") from None
    except (TypeError, ValueError) as error:
        reason = without_values(str(error), options)
        raise UsageError(f"Kafka does not take an option: {reason}") from None


class ClientLog:
    """Where a client's own messages go: the logger ``streamlab.kafka``.

    Args:
        options: The client's options, of which no value may be told.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = options

    def log(self, level: int, message: str, *arguments: object) -> None:
        """Log a message, as the client calls it."""
        if LOGGER.isEnabledFor(level):
            LOGGER.log(level, "%s", without_values(message % arguments, self._options))


def without_values(text: str, options: Mapping[str, Any]) -> str:
    """Return a message of the client without the values that options have.

    A variable that was mixed up puts a password where a protocol should stand, and
    the client quotes it. Addresses and well-known words stay.
    """
    values = {
        value
        for name, value in options.items()
        if isinstance(value, str) and name not in _TOLD
    }
    for value in sorted(values - _WORDS, key=len, reverse=True):
        text = text.replace(f'"{value}"', '"…"')
        if len(value) >= _WORTH_HIDING:
            text = text.replace(value, "…")
    return text


def connect(profile: str = "") -> Cluster:
    """Ask the broker of a profile who it is.

    Raises:
        UnknownName: There is no such profile.
        Unavailable: Nothing answers at its address.
    """
    client = admin(profile)
    try:
        found = client.list_topics(timeout=REQUEST_TIMEOUT_S)
    except KafkaException as error:
        raise unreachable(profile, error) from error
    return Cluster(
        profile=Settings.load().profile(profile).name,
        cluster_id=str(found.cluster_id),
        brokers=tuple(f"{b.host}:{b.port}" for b in found.brokers.values()),
        topics=sum(not name.startswith("__") for name in found.topics),
    )


def unreachable(profile: str, error: KafkaException) -> Exception:
    """Return the error of a first request that failed, with what to do about it."""
    name = Settings.load().profile(profile).name
    failure = translated(kafka_error(error), f"asking the broker of {name!r}")
    if isinstance(failure, Unavailable):
        failure.hint = (
            "is it running? For the local servers: streamlab up"
            if name == LOCAL
            else f"find out why: {DOCTOR} --profile {name}"
        )
    return failure
