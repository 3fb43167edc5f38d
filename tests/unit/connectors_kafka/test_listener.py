"""What the options of a profile say of the listener that they are for."""

from __future__ import annotations

import pytest

from streamlab.connectors.kafka import listener


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("broker.example:9093", ["broker.example:9093"]),
        ("a:1, b:2,", ["a:1", "b:2"]),
        ("broker.example", ["broker.example:9092"]),
        ("SASL_SSL://broker.example:9093", ["broker.example:9093"]),
        ("[::1]:9093", ["::1:9093"]),
        ("::1", ["::1:9092"]),
    ],
)
def test_bootstrap_servers_are_read_as_librdkafka_reads_them(text, shown):
    """Several, without a port, with a protocol in front, of IPv6."""
    found = listener.listed({"bootstrap.servers": text})
    assert [str(each) for each in found] == shown


def test_nothing_said_is_plain_text_without_a_login():
    """librdkafka's own defaults count."""
    assert not listener.encrypts({})
    assert not listener.logs_in({})
    assert listener.verifies({})
    assert listener.checks_names({})


def test_protocols_are_read_in_any_case():
    """librdkafka takes sasl_ssl and SASL_SSL."""
    options = {"security.protocol": "sasl_ssl", "sasl.mechanisms": "plain"}
    assert listener.encrypts(options)
    assert listener.logs_in(options)
    assert listener.mechanism(options) == "PLAIN"


def test_the_systems_authorities_count_where_none_are_named():
    """`probe` is librdkafka's word for it."""
    assert listener.trust({"ssl.ca.location": "probe"}).authorities == ""
    assert listener.trust({"ssl.ca.location": "ca.pem"}).authorities == "ca.pem"
