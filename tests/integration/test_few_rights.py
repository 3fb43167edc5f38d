"""Working with a company's Kafka by a user who may do little, over TLS and a login."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import polars as pl
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import NewTopic

import streamlab as sl
from streamlab.cli import main
from streamlab.errors import Refused, UnknownName
from streamlab.observe.lag import LagWatch
from streamlab.sinks import SinkBatch, SinkContext
from tests.secured_kafka import PASSWORD

pytestmark = pytest.mark.integration

EVENTS = 40


@pytest.fixture
def make(secured):
    """Return a function that makes a topic with events."""

    def filled(name: str, *, values=None) -> str:
        secured.admin.create_topics([NewTopic(name, 2)])[name].result(20)
        producer = Producer({"bootstrap.servers": secured.server.address})
        for value in values or [b'{"n": %d}' % n for n in range(EVENTS)]:
            producer.produce(name, value)
        producer.flush(20)
        return name

    return filled


@pytest.fixture
def log_in(secured, tmp_path, monkeypatch):
    """Return a function that makes a user with rights the default profile's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STREAMLAB_PROFILE", "work")
    monkeypatch.setenv("KAFKA_PASSWORD", PASSWORD)

    def write(*rights: tuple[str, str, str]) -> str:
        user = secured.user(*rights)
        options = secured.options(sasl_username=user)
        lines = "".join(f'"{key}" = "{value}"\n' for key, value in options.items())
        text = f"[profiles.work.kafka]\n{lines}"
        (tmp_path / "streamlab.toml").write_text(text, encoding="utf-8")
        return user

    return write


def test_a_tap_needs_read_and_nothing_else(make, log_in, topic_name):
    """READ on the topic, which implies DESCRIBE, is all that a sample takes."""
    log_in(("READ", "topic", make(topic_name)))
    assert sl.tap(topic_name).frame.height == EVENTS
    since = sl.tap(topic_name, since="1h", progress=False)
    assert since.frame.height == EVENTS


def test_a_live_tap_needs_read_and_nothing_else(make, log_in, topic_name):
    """Following a topic takes the same right."""
    log_in(("READ", "topic", make(topic_name)))
    following = sl.live_tap(topic_name)
    until = time.monotonic() + 20
    while following.frame.height < EVENTS and time.monotonic() < until:
        time.sleep(0.05)
    following.stop()
    assert following.error is None
    assert following.frame.height == EVENTS


def test_the_list_has_the_topics_that_may_be_seen(make, log_in, topic_name):
    """Other topics are no error and no row."""
    make(topic_name + "-secret")
    log_in(("READ", "topic", make(topic_name)))
    assert sl.topics()["topic"].to_list() == [topic_name]


def test_a_topic_that_may_be_described_only_is_listed(make, log_in, topic_name):
    """The list takes DESCRIBE, not READ."""
    log_in(("DESCRIBE", "topic", make(topic_name)))
    assert sl.topics()["messages"].to_list() == [EVENTS]


def test_the_command_taps(make, log_in, topic_name, capsys):
    """`streamlab tap` works with the same rights."""
    log_in(("READ", "topic", make(topic_name)))
    assert main(["tap", topic_name, "--ndjson"]) == 0
    assert capsys.readouterr().out.count("\n") == EVENTS


def test_a_tap_without_read_names_it(make, log_in, topic_name):
    """Who may only describe a topic is told which right is missing, and the command."""
    log_in(("DESCRIBE", "topic", make(topic_name)))
    with pytest.raises(Refused) as caught:
        sl.tap(topic_name, max_seconds=10)
    assert f"READ on topic {topic_name!r} is missing" in str(caught.value)
    assert f"--operation READ --topic {topic_name}" in caught.value.hint


def test_a_tap_of_another_topic_names_the_right(make, log_in, topic_name):
    """A topic that may not even be seen names READ, so that nobody asks twice."""
    make(topic_name)
    log_in()
    with pytest.raises(Refused, match=f"READ on topic '{topic_name}' is missing"):
        sl.tap(topic_name)


def test_a_live_tap_without_read_says_so(make, log_in, topic_name):
    """The error stands in the tap, and it ends."""
    log_in(("DESCRIBE", "topic", make(topic_name)))
    following = sl.live_tap(topic_name)
    until = time.monotonic() + 20
    while following.running and time.monotonic() < until:
        time.sleep(0.05)
    following.stop()
    assert "READ on topic" in str(following.error)


def test_an_avro_topic_says_what_it_is(make, log_in, topic_name):
    """A tap of values in the Confluent wire format names the schema id at once."""
    values = [b"\x00\x00\x00\x00\x07\x02\x0cAA0042"] * EVENTS
    log_in(("READ", "topic", make(topic_name, values=values)))
    with pytest.raises(sl.StreamlabError, match=r"wire format \(schema id 7\)"):
        sl.tap(topic_name)
    assert sl.tap(topic_name, format="bytes").frame.height == EVENTS


@sl.transform
def all_of(events: pl.LazyFrame) -> pl.LazyFrame:
    """Keep every event."""
    return events


def pipeline(topic: str, sink) -> sl.Pipeline:
    schema = sl.Schema.of({"n": pl.Int64()})
    return sl.Pipeline(
        name="few",
        inputs=[sl.Input(sl.KafkaSource(topic), "json", schema)],
        transforms=[all_of],
        sink=sink,
        dead_letters=sl.DeadLetters(file=Path("dead.jsonl")),
    )


def test_a_worker_without_its_group_names_the_right(make, log_in, topic_name):
    """A worker stops with the right on the group that it lacks."""
    log_in(("READ", "topic", make(topic_name)))
    with pytest.raises(Refused) as caught:
        sl.run(pipeline(topic_name, sl.ConsoleSink()), until_caught_up=True)
    assert "READ on group 'streamlab.few' is missing" in str(caught.value)
    assert "--operation READ --group streamlab.few" in caught.value.hint


def test_a_worker_with_topic_and_group_runs(make, log_in, topic_name, capsys):
    """READ on the topic and on the group is all that a pipeline's source takes."""
    make(topic_name)
    log_in(("READ", "topic", topic_name), ("READ", "group", "streamlab.few"))
    done = sl.run(pipeline(topic_name, sl.ConsoleSink()), until_caught_up=True)
    assert done.counts["read"] == EVENTS


def context(**changed):
    return SinkContext(
        pipeline="few", worker="w", schema=pl.Schema({"n": pl.Int64()}), **changed
    )


def test_a_sink_without_write_names_it(make, log_in, topic_name):
    """A topic that may be described and not written is told with the first epoch."""
    make(topic_name)
    log_in(("DESCRIBE", "topic", topic_name), ("DESCRIBE_CONFIGS", "topic", topic_name))
    writer = sl.KafkaSink(topic_name).open(context())
    batch = SinkBatch(frame=pl.DataFrame({"n": [1]}), before=(), after=())
    with contextlib.closing(writer), pytest.raises(Refused) as caught:
        writer.write(batch)
    assert any(
        f"{right} is missing" in str(caught.value)
        for right in (f"WRITE on topic {topic_name!r}", "IDEMPOTENT_WRITE on cluster")
    )


def test_a_transactional_sink_without_its_id_names_it(make, log_in, topic_name):
    """The transactional id is a resource of its own."""
    make(topic_name)
    log_in(
        ("WRITE", "topic", topic_name),
        ("DESCRIBE_CONFIGS", "topic", topic_name),
    )
    with pytest.raises(Refused) as caught:
        sl.KafkaSink(topic_name, transactional=True).open(context())
    assert "WRITE on transactional-id 'streamlab.few.w' is missing" in str(caught.value)


def test_lag_of_a_group_that_may_not_be_seen(make, log_in, topic_name):
    """It is unknown to this user; the hint says why that can be."""
    log_in(("READ", "topic", make(topic_name)))
    with pytest.raises(UnknownName, match="DESCRIBE"):
        LagWatch("few")
