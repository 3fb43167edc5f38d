"""A private JupyterLab on the shared broker, and a browser."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from tests.notebook import lab as labs

SETTINGS = """default_profile = "test"
[profiles.test.kafka]
"bootstrap.servers" = "{address}"
"""


@pytest.fixture(scope="session")
def chromium() -> str:
    """Return a Chromium; without one the test is skipped, but fails under CI."""
    found = labs.find_chromium()
    if found is None:
        reason = "no Chromium: make browser"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@pytest.fixture(scope="session")
def notebooks(kafka_address, tmp_path_factory) -> Path:
    """Return a folder for notebooks whose default profile is the shared broker."""
    folder = tmp_path_factory.mktemp("notebooks")
    settings = SETTINGS.format(address=kafka_address)
    (folder / "streamlab.toml").write_text(settings, encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def lab(notebooks, tmp_path_factory, chromium) -> Iterator[labs.Lab]:
    """Run JupyterLab for all browser tests."""
    with labs.running(notebooks, tmp_path_factory.mktemp("home"), {}) as running:
        yield running


@pytest.fixture
def front(chromium) -> Iterator[labs.Front]:
    """Open a page; a script error on it fails the test."""
    with labs.browser(chromium) as opened:
        yield opened
        assert opened.problems == []


@pytest.fixture
def produced(kafka_address, make_topic) -> Callable[..., str]:
    """Return a function that fills a topic and lets a group read half of it.

    ``produced(values, keys=…, group=…)`` returns the topic's name.
    """

    def fill(values, *, keys=None, group="") -> str:
        topic = make_topic(partitions=2)
        producer = Producer({"bootstrap.servers": kafka_address})
        for number, value in enumerate(values):
            key = keys[number] if keys else None
            producer.produce(topic, value, key=key, partition=number % 2)
        producer.flush(10)
        if group:
            commit(group, topic, len(values) // 4)
        return topic

    def commit(group, topic, offset) -> None:
        options = {"bootstrap.servers": kafka_address, "group.id": group}
        consumer = Consumer(options)
        offsets = [TopicPartition(topic, number, offset) for number in (0, 1)]
        consumer.commit(offsets=offsets, asynchronous=False)
        consumer.close()

    return fill
