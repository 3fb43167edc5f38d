"""The local stack on real servers."""

from __future__ import annotations

import psycopg
import pytest
from confluent_kafka import Producer

pytestmark = pytest.mark.integration


def test_both_servers_serve(stack, make_topic):
    """A fresh stack takes an event and answers a query."""
    topic = make_topic(partitions=2)
    producer = Producer({"bootstrap.servers": stack.kafka})
    producer.produce(topic, b"event")
    assert producer.flush(10) == 0
    with psycopg.connect(stack.postgres) as connection:
        row = connection.execute("show wal_level").fetchone()
    assert row == ("logical",)
