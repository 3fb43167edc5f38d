"""Missing rights, named in the broker's own words."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError

from streamlab.connectors.kafka import rights
from streamlab.connectors.kafka.failures import translated
from streamlab.connectors.kafka.rights import DENIALS, Right
from streamlab.errors import Refused

NEEDED = {
    "topic": rights.write("flights"),
    "group": rights.group("streamlab.delays"),
    "cluster": rights.IDEMPOTENT_WRITE,
    "transactional-id": Right("WRITE", "transactional-id", "streamlab.delays.w"),
}


@pytest.mark.parametrize("code", DENIALS)
def test_the_code_chooses_the_right_that_is_named(code):
    """Of several rights that are needed, the one of the refused resource."""
    failure = translated(KafkaError(code), "writing", *NEEDED.values())
    right = NEEDED[DENIALS[code]]
    assert isinstance(failure, Refused)
    assert f"{right} is missing" in failure.message
    assert failure.hint == right.command()


def test_a_right_that_nobody_named_leads_to_the_doctor():
    """Where it is not known what was needed, the hint is who finds it out."""
    failure = translated(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED), "asking")
    assert "streamlab doctor kafka" in failure.hint


def test_a_login_that_fails_leads_to_the_doctor():
    """A wrong password is no missing right."""
    failure = translated(KafkaError(KafkaError._AUTHENTICATION), "asking")
    assert isinstance(failure, Refused)
    assert "login" in failure.hint


def test_the_command_is_safe_to_paste():
    """Names with blanks or quotes stay one word of the shell."""
    command = Right("READ", "group", "a b; c").command("User:o'hara")
    assert "--group 'a b; c'" in command
    assert command.startswith("kafka-acls --bootstrap-server BROKER --add")


def test_a_cluster_has_no_name():
    """Its right is told and given without one."""
    assert str(rights.IDEMPOTENT_WRITE) == "IDEMPOTENT_WRITE on cluster"
    assert rights.IDEMPOTENT_WRITE.command().endswith("--cluster")
