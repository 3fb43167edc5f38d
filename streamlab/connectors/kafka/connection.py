"""Kafka clients from a profile: checked options, quiet logs, our errors.

Everything that opens a connection to a broker comes through here, so that the rules
hold everywhere: references are resolved on connecting and not before, options that
run code are denied, and librdkafka's own messages go to ``logging``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient

from streamlab.connectors.kafka.failures import kafka_error, translated
from streamlab.errors import SettingsError, Unavailable, UsageError
from streamlab.settings import Settings, resolved

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
    return {
        name: resolved(str(value), base=settings.home) for name, value in merged.items()
    }


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


def admin(profile: str = "", extra: Options | None = None) -> AdminClient:
    """Return an administration client; it asks questions and changes nothing here."""
    options = client_options(profile, extra)
    # Consumer and producer options are no business of this client, and
    # librdkafka would warn of each.
    kept = {name: value for name, value in options.items() if _is_connection(name)}
    made: AdminClient = _made(AdminClient, kept, None)
    return made


def _is_connection(name: str) -> bool:
    prefixes = ("bootstrap.", "security.", "sasl.", "ssl.", "socket.", "broker.")
    return name.startswith((*prefixes, "client.", "enable.ssl", "enable.sasl", "https"))


def _made(
    kind: Callable[..., Any], options: Mapping[str, Any], on_error: ErrorListener | None
) -> Any:
    def listen(error: KafkaError) -> None:
        LOGGER.debug("%s", error)
        if on_error is not None:
            on_error(error)

    try:
        return kind({**options, "error_cb": listen}, logger=LOGGER)
    except KafkaException as error:
        reason = kafka_error(error).str()
        raise SettingsError(f"Kafka does not take an option: {reason}") from error
    except (TypeError, ValueError) as error:
        raise UsageError(f"Kafka does not take an option: {error}") from error


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
            "is it running? For the local servers: streamlab up; "
            f"else check [profiles.{name}.kafka]"
        )
    return failure
