"""Which rights this user has, as the broker tells it: nothing is tried out.

Source: KIP-430, https://cwiki.apache.org/confluence/x/QYNEBg: descriptions of topics,
groups and the cluster can hold what the one who asks may do with them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from streamlab.connectors.diagnosis import Finding
from streamlab.connectors.kafka import rights, topics
from streamlab.connectors.kafka.failures import UNKNOWN_TOPIC, kafka_error, translated
from streamlab.connectors.kafka.rights import ANYBODY, DENIALS, Right
from streamlab.errors import Refused, Unavailable
from streamlab.references import is_reference
from streamlab.settings import Profile

ASK_S = 6.0
ASK_AGAIN_S = 0.2
OWN_PREFIX = "streamlab."
"""How the groups and transactional ids of pipelines begin."""


class Entitlements:
    """Asks the broker once for each resource, and judges rights by the answers."""

    def __init__(self, client: Callable[[], AdminClient], profile: Profile) -> None:
        """Prepare; nothing is asked yet."""
        self._client = client
        self._principal = _principal(profile)
        self._told: dict[tuple[str, str], frozenset[str] | None] = {}

    def wanted(self, topic: str, group: str, write: str) -> list[Right]:
        """Return the rights that reading, a group and writing take; empty for none."""
        found = []
        if topic:
            found += [rights.describe(topic), rights.read(topic)]
        if group:
            found += [rights.group(group)]
        if write:
            found += [
                rights.describe(write),
                Right("DESCRIBE_CONFIGS", "topic", write),
                rights.write(write),
                rights.IDEMPOTENT_WRITE,
                Right("WRITE", "transactional-id", OWN_PREFIX),
            ]
        return list(dict.fromkeys(found))

    def test(self, right: Right) -> Finding:
        """Say whether this user has a right.

        Raises:
            Refused: It has not; the hint is the command that gives it.
            UnknownName: There is no such topic.
            Unavailable: The broker does not answer.
        """
        if right.kind == "transactional-id":
            return Finding(
                "cannot be tested without a transaction; only a transactional sink "
                "needs it",
                f"{right.command(self._principal)} --resource-pattern-type prefixed",
                "skipped",
            )
        told = self._told_of(right)
        if told is None:
            return self._untold(right)
        if right.operation in told:
            return Finding("allowed")
        message = f"{right} is missing"
        raise Refused(message, hint=right.command(self._principal))

    def _untold(self, right: Right) -> Finding:
        if right == rights.IDEMPOTENT_WRITE:
            what = "not told; brokers since Kafka 3.0 need only WRITE on the topic"
            return Finding(what, state="skipped")
        return Finding("the broker does not tell which rights there are", "", "skipped")

    def _told_of(self, right: Right) -> frozenset[str] | None:
        """Return the operations that are allowed; None if that is not told."""
        resource = (right.kind, right.name)
        if resource not in self._told:
            self._told[resource] = self._ask(right)
        return self._told[resource]

    def _ask(self, right: Right) -> frozenset[str] | None:
        """Ask once; again while the broker is busy, as with its first group it is."""
        until = time.monotonic() + ASK_S
        while True:
            try:
                return self._answer(right)
            except Unavailable:
                if time.monotonic() > until:
                    raise
            time.sleep(ASK_AGAIN_S)

    def _answer(self, right: Right) -> frozenset[str] | None:
        doing = f"asking for rights on {right.kind} {right.name!r}"
        try:
            found = self._description(right)
        except KafkaException as error:
            code = kafka_error(error).code()
            if code in DENIALS:
                return frozenset()
            if code in UNKNOWN_TOPIC:
                raise topics.unknown(self._client(), right.name) from error
            raise translated(kafka_error(error), doing) from error
        told = found.authorized_operations
        return None if told is None else frozenset(each.name for each in told)

    def _description(self, right: Right) -> Any:
        client = self._client()
        if right.kind == "topic":
            named = client.describe_topics(
                TopicCollection([right.name]),
                include_authorized_operations=True,
                request_timeout=ASK_S,
            )
            return named[right.name].result()
        if right.kind == "group":
            named = client.describe_consumer_groups(
                [right.name],
                include_authorized_operations=True,
                request_timeout=ASK_S,
            )
            return named[right.name].result()
        return client.describe_cluster(
            include_authorized_operations=True, request_timeout=ASK_S
        ).result()


def _principal(profile: Profile) -> str:
    """Return under which name the broker knows this user, if the file says it."""
    user = profile.kafka.get("sasl.username", "")
    return f"User:{user}" if user and not is_reference(user) else ANYBODY
