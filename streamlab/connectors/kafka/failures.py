"""Kafka's error codes in our words: what a worker should do about each."""

from __future__ import annotations

from collections.abc import Sequence

from confluent_kafka import KafkaError, KafkaException

from streamlab.connectors.kafka.rights import DENIALS, Kind, Right
from streamlab.errors import ConnectorError, Fenced, Refused, Unavailable

UNAVAILABLE = frozenset(
    {
        KafkaError._TRANSPORT,
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._DESTROY_BROKER,  # a connection that was cut and is made again
        KafkaError._RESOLVE,
        KafkaError._TIMED_OUT,
        KafkaError._TIMED_OUT_QUEUE,
        KafkaError._MSG_TIMED_OUT,
        KafkaError._WAIT_COORD,
        KafkaError._WAIT_CACHE,
        KafkaError._NODE_UPDATE,
        KafkaError._IN_PROGRESS,
        KafkaError._RETRY,
        KafkaError.BROKER_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.CONCURRENT_TRANSACTIONS,
        KafkaError.KAFKA_STORAGE_ERROR,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NETWORK_EXCEPTION,
        KafkaError.NOT_COORDINATOR,
        KafkaError.NOT_ENOUGH_REPLICAS,
        KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.REPLICA_NOT_AVAILABLE,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.UNSTABLE_OFFSET_COMMIT,
    }
)
"""The broker is away, or busy with itself: the same request can work later."""

FENCED = frozenset(
    {
        KafkaError._ASSIGNMENT_LOST,
        KafkaError._FENCED,
        KafkaError.FENCED_INSTANCE_ID,
        KafkaError.FENCED_MEMBER_EPOCH,
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.INVALID_PRODUCER_EPOCH,
        KafkaError.PRODUCER_FENCED,
        KafkaError.REBALANCE_IN_PROGRESS,
        KafkaError.STALE_MEMBER_EPOCH,
        KafkaError.UNKNOWN_MEMBER_ID,
    }
)
"""Another member of the group, or a newer producer of the same name, took over."""

NOT_LET_IN = frozenset(
    {KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED}
)
"""The broker does not believe who asks. What somebody known is refused for a missing
right is in :data:`streamlab.connectors.kafka.rights.DENIALS`."""

UNKNOWN_TOPIC = frozenset(
    {
        KafkaError._UNKNOWN_PARTITION,
        KafkaError._UNKNOWN_TOPIC,
        KafkaError.UNKNOWN_TOPIC_ID,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
    }
)
"""The topic is not there, or not any more."""


DOCTOR = "streamlab doctor kafka"
"""The command that finds out what is wrong with a connection."""


def kafka_error(error: BaseException) -> KafkaError:
    """Return the KafkaError that a KafkaException carries."""
    inner = error.args[0] if isinstance(error, KafkaException) and error.args else None
    return inner if isinstance(inner, KafkaError) else KafkaError(KafkaError._FAIL)


def translated(error: KafkaError, doing: str, *needed: Right) -> ConnectorError:
    """Return what the worker should do about an error, as one of our errors.

    Args:
        error: What the client reported.
        doing: What was tried, such as ``"committing offsets of 'flights'"``.
        needed: The rights it takes; the one that the code tells of is named.

    Returns:
        ``Unavailable``, ``Fenced`` or ``Refused``, chosen by the code, never by the
        text.
    """
    message = f"Kafka: {doing} failed: {error.str()} ({error.name()})"
    code = error.code()
    if code in FENCED:
        return Fenced(message)
    if code in DENIALS:
        return _denied(message, DENIALS[code], needed)
    if code in NOT_LET_IN:
        return Refused(message, hint=f"check the login of the profile: {DOCTOR}")
    if code in UNAVAILABLE or error.retriable():
        return Unavailable(message, hint=f"what is wrong, step by step: {DOCTOR}")
    return Refused(message)


def _denied(message: str, kind: Kind, needed: Sequence[Right]) -> Refused:
    """Return the error of a missing right, named if it is one of those needed."""
    right = next((each for each in needed if each.kind == kind), None)
    if right is None:
        hint = f"a right on a {kind} is missing; {DOCTOR} names it"
        return Refused(message, hint=hint)
    return Refused(f"{message}: {right} is missing", hint=right.command())
