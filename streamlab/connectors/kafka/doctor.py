"""The doctor for Kafka: each step from a name to a right, tested by itself.

Nothing is created, committed or read: rights are what the broker says that this user
may do (KIP-430), which it tells with the description of a topic or group.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from streamlab.connectors import endpoints, registry
from streamlab.connectors.diagnosis import Diagnosis, Examination, Finding
from streamlab.connectors.endpoints import Endpoint
from streamlab.connectors.kafka import connection, listener
from streamlab.connectors.kafka.entitlements import Entitlements
from streamlab.connectors.kafka.failures import kafka_error
from streamlab.errors import SettingsError, Unavailable
from streamlab.settings import Profile, Settings

LOGIN_S = 8.0
ASK_S = 0.25
MOST_BROKERS = 12
KERBEROS = (
    "the wheels of confluent-kafka have no Kerberos; build it from source against a "
    "librdkafka with libsasl2"
)


def diagnose(
    profile: str = "", *, topic: str = "", group: str = "", write: str = ""
) -> Diagnosis:
    """Test the connection to a profile's Kafka, step by step.

    Bounded in time: about 20 s where nothing answers. It creates nothing, commits
    nothing and reads no event.

    Args:
        profile: Name of the profile; empty for the default one.
        topic: A topic that should be readable, as for a tap or a source.
        group: A consumer group that should be usable, ``streamlab.<pipeline>``.
        write: A topic that should be writable, as for a sink.

    Raises:
        UnknownName: There is no such profile.
    """
    settings = Settings.load()
    doctor = _Doctor(settings, settings.profile(profile))
    doctor.connect()
    doctor.rights(topic, group, write)
    if doctor.profile.registry:
        doctor.registry()
    steps = tuple(doctor.exam.steps)
    return Diagnosis("kafka", doctor.profile.name, steps, doctor.facts)


class _Doctor:
    """One examination."""

    def __init__(self, settings: Settings, profile: Profile) -> None:
        self.exam = Examination()
        self.facts: dict[str, str] = {}
        self.profile = profile
        self._settings = settings
        self._options: Mapping[str, str] = {}
        self._errors: list[KafkaError] = []
        self._client: AdminClient
        self._reached: Endpoint
        self._brokers: list[Endpoint] = []

    def connect(self) -> None:
        """Test all that comes before rights."""
        self.exam.take("settings", self._read_settings)
        self.exam.take("name", self._find)
        self.exam.take("reach", self._reach)
        self.exam.take("TLS", self._secure)
        self.exam.take("login", self._log_in)
        self.exam.take("brokers", self._reach_brokers)

    def rights(self, topic: str, group: str, write: str) -> None:
        """Test rights one by one; one that is missing does not hide the others."""
        if not (topic or group or write):
            return
        rights = Entitlements(lambda: self._client, self.profile)
        for right in rights.wanted(topic, group, write):
            name = f"{right.operation} {right.kind}"
            self.exam.take(
                f"{name} {right.name}".strip(),
                functools.partial(rights.test, right),
                vital=False,
            )

    def registry(self) -> None:
        """Test the schema registry, which is a server of its own."""
        exam = Examination()
        exam.take(
            "registry",
            lambda: registry.test(self.profile, self._settings.home),
            vital=False,
        )
        self.exam.steps += exam.steps

    def _read_settings(self) -> Finding:
        name = self.profile.name
        self._options = connection.client_options(name)
        if listener.encrypts(self._options):
            listener.trust(self._options).context()  # says which file is not there
        try:
            self._client = connection.admin(name, on_error=self._errors.append)
        except SettingsError as error:
            if listener.mechanism(self._options) == "GSSAPI":
                error.hint = KERBEROS
            raise
        warnings = listener.warnings(self._options)
        open_ = ", ".join(self.profile.open_secrets)
        if open_:
            warnings[f"written out in the settings file: {open_}"] = (
                "refer to it instead: ${env:NAME} or ${file:PATH}"
            )
        if warnings:
            return Finding("; ".join(warnings), "; ".join(warnings.values()), "warn")
        servers = self._options["bootstrap.servers"]
        return Finding(f"{listener.protocol(self._options)} to {servers}")

    def _find(self) -> Finding:
        asked = listener.listed(self._options)
        wrong = endpoints.failures(endpoints.find, asked, endpoints.NAME_S)
        if len(wrong) == len(asked):
            hint = 'check "bootstrap.servers"; is a VPN or a name server missing?'
            raise Unavailable("; ".join(wrong.values()), hint=hint)
        if wrong:
            return Finding("; ".join(wrong.values()), state="warn")
        return Finding(", ".join(each.host for each in asked))

    def _reach(self) -> Finding:
        asked = listener.listed(self._options)
        wrong = endpoints.failures(endpoints.reach, asked, endpoints.REACH_S + 1)
        there = [each for each in asked if each not in wrong]
        if not there:
            hint = "is the broker running, the port right, and no firewall in between?"
            raise Unavailable("; ".join(wrong.values()), hint=hint)
        self._reached = there[0]
        if wrong:
            return Finding("; ".join(wrong.values()), state="warn")
        return Finding(", ".join(map(str, there)))

    def _secure(self) -> Finding:
        return listener.test_encryption(self._reached, self._options)

    def _log_in(self) -> Finding:
        listener.check_mechanism(self._reached, self._options)
        found = self._metadata()
        self._brokers = [Endpoint(b.host, b.port) for b in found.brokers.values()]
        visible = [name for name in found.topics if not name.startswith("__")]
        self.facts = {
            "cluster": str(found.cluster_id),
            "topics": str(len(visible)),
        }
        if not listener.logs_in(self._options):
            return Finding("none is asked for")
        return Finding(f"by {listener.mechanism(self._options)}")

    def _metadata(self) -> Any:
        """Return what the cluster says of itself to this user."""
        until = time.monotonic() + LOGIN_S
        while True:
            try:
                return self._client.list_topics(timeout=ASK_S)
            except KafkaException as error:
                failed = kafka_error(error)
            self._client.poll(0)  # hears what happened meanwhile
            for heard in self._errors:
                if heard.code() == KafkaError._AUTHENTICATION:
                    raise listener.not_let_in(self._options, heard)
            if time.monotonic() > until:
                raise self._silent(failed)

    def _silent(self, failed: KafkaError) -> Unavailable:
        """Return the error of a broker that does not answer, with what was heard."""
        down = KafkaError._ALL_BROKERS_DOWN
        said = next((heard for heard in self._errors if heard.code() != down), failed)
        why = connection.without_values(said.str(), self._options)
        return Unavailable(f"the broker does not answer: {why}")

    def _reach_brokers(self) -> Finding:
        asked = self._brokers[:MOST_BROKERS]
        patience_s = endpoints.REACH_S + 1
        wrong = endpoints.failures(endpoints.find, asked, endpoints.NAME_S)
        named = [each for each in asked if each not in wrong]
        wrong |= endpoints.failures(endpoints.reach, named, patience_s)
        if wrong:
            raise Unavailable(
                f"the cluster sends its clients on to {', '.join(map(str, wrong))}: "
                + "; ".join(wrong.values()),
                hint="the broker's advertised.listeners must name an address that can "
                "be reached from here",
            )
        return Finding(", ".join(map(str, asked)))
