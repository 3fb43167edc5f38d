"""Taps on a real broker: what they return, and that nobody notices them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest
from confluent_kafka import Producer
from confluent_kafka import TopicPartition as KafkaPartition
from confluent_kafka.admin import AdminClient

import streamlab as sl
from streamlab.cli import main
from streamlab.connectors.kafka.source import KafkaSource
from streamlab.errors import SchemaError, UnknownName, UsageError
from streamlab.positions import Span, TopicPartition
from streamlab.taps import reading
from streamlab.taps.reading import TapProgress
from tests.integration.kafka_readers import PATIENCE_S, Listening, produce, read

pytestmark = pytest.mark.integration

FIRST_MS = 1356998400000


@pytest.fixture(autouse=True)
def settings(
    kafka_address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Make the shared broker the default profile of the working directory."""
    (tmp_path / "streamlab.toml").write_text(
        f'[profiles.local.kafka]\n"bootstrap.servers" = "{kafka_address}"\n'
    )
    monkeypatch.delenv("STREAMLAB_PROFILE", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def numbers(make_topic, kafka_address: str) -> str:
    """Return a topic with 100 events, one a second, over two partitions."""
    topic: str = make_topic(partitions=2)
    producer = Producer({"bootstrap.servers": kafka_address})
    for n in range(100):
        producer.produce(
            topic,
            b'{"n": %d, "text": "t%d"}' % (n, n),
            key=b"k%d" % (n % 10),
            partition=n % 2,
            timestamp=FIRST_MS + 1000 * n,
        )
    assert producer.flush(PATIENCE_S) == 0
    return topic


def spans(topic: str, *ranges: tuple[int, int]) -> tuple[Span, ...]:
    return tuple(
        Span(TopicPartition(topic, number), start, end)
        for number, (start, end) in enumerate(ranges)
        if end > start
    )


def test_last_is_the_latest_of_all_partitions_in_order_of_time(numbers):
    """The last N by time come from all partitions, with their metadata."""
    sample = sl.tap(numbers, last=5)
    assert sample.frame["n"].to_list() == [95, 96, 97, 98, 99]
    assert sample.spans == spans(numbers, (48, 50), (47, 50))
    assert dict(sample.frame.schema) == {
        "_topic": pl.String,
        "_partition": pl.Int32,
        "_offset": pl.Int64,
        "_timestamp": pl.Datetime("ms", "UTC"),
        "_key": pl.Binary,
        "n": pl.Int64,
        "text": pl.String,
    }
    assert sample.frame.row(0)[:3] == (numbers, 1, 47)
    assert sample.frame["_key"][0] == b"k5"
    assert sample.values[0] == b'{"n": 95, "text": "t95"}'
    assert sample.cut == {"last": 5, "stopped_by": "end"}


def test_last_reaches_back_over_gaps(make_topic, kafka_address):
    """Offsets without a message, as transactions leave, do not make it fewer."""
    topic = make_topic()
    producer = Producer({"bootstrap.servers": kafka_address, "transactional.id": topic})
    producer.init_transactions(PATIENCE_S)
    for number in range(20):
        producer.begin_transaction()
        producer.produce(topic, b'{"n": %d}' % number)
        producer.commit_transaction(PATIENCE_S)
    assert sl.tap(topic, last=15).frame["n"].to_list() == list(range(5, 20))


def test_since_begins_at_a_time(numbers):
    """Events from a time on are read, from every partition."""
    sample = sl.tap(numbers, since="2013-01-01T00:01:35Z")
    assert sorted(sample.frame["n"]) == [95, 96, 97, 98, 99]
    assert sl.tap(numbers, since="1h").frame.height == 0


def test_offsets_choose_partitions_and_rows_stop_it(numbers):
    """The spans end where the rows did, so the sample has no holes."""
    sample = sl.tap(numbers, from_offsets={1: 10}, max_rows=3)
    assert sample.frame["_offset"].to_list() == [10, 11, 12]
    assert sample.spans == (Span(TopicPartition(numbers, 1), 10, 13),)
    assert sample.cut["stopped_by"] == "rows"


def test_bytes_stop_it(numbers):
    """Reading stops before the bytes are more than asked for."""
    sample = sl.tap(numbers, from_offsets={0: 0}, max_bytes=70)
    assert sample.frame.height == 3
    assert sample.spans[0].end == 3
    assert sample.cut["stopped_by"] == "bytes"


def test_seconds_stop_it(numbers, monkeypatch):
    """Reading stops when the time is over, with what was read by then."""
    monkeypatch.setattr(reading.Follower, "read", lambda *_: time.sleep(0.01))
    sample = sl.tap(numbers, since="2000-01-01", max_seconds=0.1)
    assert sample.cut["stopped_by"] == "seconds"


def test_an_interrupt_returns_what_was_read(numbers, monkeypatch):
    """Ctrl-C ends a tap early and loses nothing that was read."""
    read_on = reading.Follower.read
    given: list[object] = []

    def interrupted(follower, timeout_s):
        if given:
            raise KeyboardInterrupt
        found = read_on(follower, timeout_s)
        given.extend([found] if found else [])
        return found.head(7) if found else None

    monkeypatch.setattr(reading.Follower, "read", interrupted)
    monkeypatch.setattr(reading.Follower, "finished", property(lambda _: False))
    sample = sl.tap(numbers, from_offsets={0: 0, 1: 0})
    assert sample.frame.height == 7
    assert sum(span.end - span.start for span in sample.spans) == 7
    assert sample.cut["stopped_by"] == "interrupted"


def test_key_and_where_choose_while_reading(numbers):
    """Filters leave events out; the spans count them as read."""
    by_key = sl.tap(numbers, key="k3")
    assert by_key.frame["n"].to_list() == list(range(3, 100, 10))
    both = sl.tap(
        numbers,
        since="2000-01-01",
        where=(pl.col("n") > 50) & (pl.col("_partition") == 1),
    )
    assert both.frame["n"].to_list() == list(range(51, 100, 2))
    assert both.spans == spans(numbers, (0, 50), (0, 50))
    first = sl.tap(numbers, from_offsets={1: 0}, where=pl.col("n") > 50, max_rows=2)
    assert first.frame["n"].to_list() == [51, 53]
    assert first.spans[0].end == 27


def test_what_does_not_decode_is_kept_with_its_reason(make_topic, kafka_address):
    """Poison is counted by code, with its bytes; its neighbours are there."""
    topic = make_topic()
    produce(kafka_address, topic, [b'{"n": 1}', b"{", b'{"n": 2}'])
    sample = sl.tap(topic, schema=sl.Schema.of({"n": pl.Int64()}))
    assert sample.frame["n"].to_list() == [1, 2]
    assert sample.frame["_offset"].to_list() == [0, 2]
    assert [one.row for one in sample.rejected] == [1]
    assert sample.rejected_values == (b"{",)
    assert sum(sample.counts_by_code().values()) == 1


def test_an_empty_topic_gives_an_empty_sample(make_topic):
    """Nothing is there yet: no rows, no schema, no error, and it saves."""
    sample = sl.tap(make_topic())
    assert sample.frame.height == 0
    assert sample.spans == ()
    assert sl.Sample.load(sample.save("empty.parquet")) == sample


def test_a_sample_loads_as_it_was_saved(make_topic, kafka_address):
    """Frame, spans, schema, cut, bytes and rejected values survive the file."""
    topic = make_topic()
    produce(kafka_address, topic, [b'{"n": 1, "s": {"a": [1, 2]}}', b"{", b'{"n": 2}'])
    schema = sl.Schema(
        (
            sl.Field("n", pl.Int64(), required=True),
            sl.Field("s", pl.Struct({"a": pl.List(pl.Int64())})),
        ),
        "things",
    )
    sample = sl.tap(topic, schema=schema)
    loaded = sl.Sample.load(sample.save("sample.parquet"))
    assert loaded == sample
    assert loaded.schema == schema
    assert loaded.frame.schema == sample.frame.schema


@pytest.mark.parametrize(
    ("options", "kind", "text"),
    [
        ({"last": 1, "since": "1h"}, UsageError, "not at last and since"),
        ({"last": 0}, UsageError, "at least 1"),
        ({"since": "yesterday"}, UsageError, "neither a time nor an age"),
        ({"from_offsets": {7: 0}}, UsageError, "no partition 7"),
        ({"from_offsets": {0: 999}}, UsageError, "offset 999"),
        ({"max_rows": 0}, UsageError, "reads nothing"),
        ({"where": pl.col("m") > 1}, UnknownName, "no column 'm'"),
        ({"where": pl.col("n")}, UsageError, "not true or false"),
        ({"where": pl.col("n") > "x"}, UsageError, "`where` fails"),
        ({"format": "jsn"}, UnknownName, "did you mean 'json'"),
        ({"schema": sl.Schema.of({"_key": pl.String()})}, SchemaError, "metadata"),
    ],
    ids=str,
)
def test_a_mistake_is_one_clear_message(numbers, options, kind, text):
    """Each mistake in the arguments is named, with what to do."""
    with pytest.raises(kind) as caught:
        sl.tap(numbers, **options)
    assert text in str(caught.value)


def test_progress_is_told(numbers, monkeypatch):
    """A function that is given hears how far the tap is, up to the end."""
    heard: list[TapProgress] = []
    sl.tap(numbers, progress=heard.append)
    assert heard[-1].fraction == 1.0
    assert heard[-1].rows == 100


def broker_state(address: str) -> object:
    """Return what a tap could change on a broker: topics and groups."""
    admin = AdminClient({"bootstrap.servers": address})
    groups = admin.list_consumer_groups(request_timeout=PATIENCE_S).result().valid
    listed = admin.list_topics(timeout=PATIENCE_S).topics
    return (
        sorted(group.group_id for group in groups),
        {name: len(one.partitions) for name, one in listed.items()},
    )


def test_a_tap_leaves_no_trace(numbers, kafka_address):
    """Groups, offsets and topics are the same before, while and after a tap."""
    listening = Listening()
    reader = KafkaSource(numbers).open(numbers, listening)
    read(reader, 100)
    before = (broker_state(kafka_address), reader_offsets(reader, numbers))
    sl.tap(numbers)
    live = sl.live_tap(numbers)
    wait_for(lambda: live.read == 100)
    with pytest.raises(UnknownName):
        sl.tap(f"{numbers}-not-there")
    during = (broker_state(kafka_address), reader_offsets(reader, numbers))
    live.stop()
    after = (broker_state(kafka_address), reader_offsets(reader, numbers))
    reader.close()
    assert before == during == after


def test_a_tap_that_is_killed_leaves_no_trace(numbers, kafka_address):
    """SIGKILL in the middle of a tap changes nothing on the broker either."""
    before = broker_state(kafka_address)
    code = (
        "import streamlab as sl, time\n"
        f"live = sl.live_tap({numbers!r})\n"
        "while not live.read: time.sleep(0.01)\n"
        "print('reading', flush=True)\n"
        "time.sleep(60)\n"
    )
    tapping = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    with tapping:
        assert tapping.stdout.readline() == b"reading\n"
        during = broker_state(kafka_address)
        os.kill(tapping.pid, signal.SIGKILL)
    assert before == during == broker_state(kafka_address)


def test_a_reader_with_a_group_is_noticed(numbers, kafka_address):
    """The comparison sees a group where there is one (negative control)."""
    before = broker_state(kafka_address)
    reader = KafkaSource(numbers).open(numbers, Listening())
    read(reader, 100)
    assert broker_state(kafka_address) != before
    reader.close()


def reader_offsets(reader, topic: str) -> list[int]:
    asked = [KafkaPartition(topic, number) for number in range(2)]
    return [one.offset for one in reader._consumer.committed(asked, timeout=PATIENCE_S)]


def wait_for(done) -> None:
    until = time.monotonic() + PATIENCE_S
    while not done():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.02)


def test_a_live_tap_keeps_the_newest_and_counts_what_it_skips(numbers, kafka_address):
    """The ring is bounded; what did not fit is counted; views hear of changes."""
    changes: list[int] = []
    live = sl.live_tap(numbers, keep_rows=10)
    live.changed.append(lambda: changes.append(1))
    wait_for(lambda: live.read == 10)
    produce(
        kafka_address, numbers, [b'{"n": %d}' % n for n in range(200, 250)], partition=0
    )
    wait_for(lambda: live.read == 60)
    wait_for(lambda: live.frame["n"].to_list() == list(range(240, 250)))
    assert live.frame.height == 10
    assert changes
    assert live.skipped + live.frame.height <= live.read
    live.stop()
    assert not live.running


def test_a_live_tap_survives_a_listener_that_fails(numbers, caplog):
    """A broken view is logged and does not end the tap."""
    live = sl.live_tap(numbers, keep_rows=10)
    live.changed.append(lambda: 1 / 0)
    wait_for(lambda: live.read == 10)
    assert live.running
    live.stop()


def test_the_commands_show_topics_and_samples(numbers, capsys, tmp_path):
    """`streamlab topics` and `streamlab tap` print what the API returns."""
    assert main(["topics"]) == 0
    assert numbers in capsys.readouterr().out
    assert main(["tap", numbers, "--last", "2", "--ndjson", "--save", "s.parquet"]) == 0
    shown = capsys.readouterr()
    assert shown.out.splitlines() == [
        '{"n":98,"text":"t98"}',
        '{"n":99,"text":"t99"}',
    ]
    assert "2 events" in shown.err
    assert sl.Sample.load(tmp_path / "s.parquet").frame.height == 2
    assert main(["tap", f"{numbers}x"]) == 1
    assert "no topic" in capsys.readouterr().err


PEOPLE = sl.Schema(
    (sl.Field("id", pl.Int64()), sl.Field("email", pl.String(), personal=True))
)


@pytest.fixture
def people(make_topic, kafka_address: str) -> str:
    """Return a topic with personal data: 20 events, a broken one, a tombstone."""
    topic: str = make_topic(partitions=2)
    producer = Producer({"bootstrap.servers": kafka_address})
    values = [b'{"id": %d, "email": "PII-canary-%d"}' % (n, n) for n in range(20)]
    for number, value in enumerate([*values, b"PII-canary", None]):
        producer.produce(
            topic,
            value,
            key=b"PII-canary-%d" % number,
            partition=number % 2,
            timestamp=FIRST_MS + number,
            headers=[("trace", b"PII-canary")],
        )
    assert producer.flush(PATIENCE_S) == 0
    return topic


def test_a_sample_is_the_log(people, tmp_path):
    """Rejected values keep their places, and all events their headers."""
    sample = sl.tap(people, schema=sl.Schema.of(PEOPLE.dtypes))
    assert sample.rejected_places.select("_partition", "_offset", "_key").rows() == [
        (0, 10, b"PII-canary-20"),
        (1, 10, b"PII-canary-21"),
    ]
    assert len(sample.headers) == 22
    assert list(sample.headers[0, 10]) == [("trace", b"PII-canary")]
    loaded = sl.Sample.load(sample.save(tmp_path / "s.parquet"))
    assert loaded == sample
    dead = sl.replay([], loaded).dead_letters
    assert [one.code for one in dead] == ["not-json", "tombstone"]
    assert list(dead[0].headers) == [("trace", b"PII-canary")]


@pytest.mark.parametrize("how", [{"schema": PEOPLE}, {"personal": ["email"]}])
def test_a_tap_holds_no_personal_value(people, tmp_path, how):
    """Masked by the contract or by name; ``key`` and ``where`` see what is there."""
    sample = sl.tap(people, **how)
    assert sample.is_masked
    assert (sample.frame.height, len(sample.rejected), sample.withheld) == (20, 1, 1)
    held = repr([sample, sample.frame.rows(), sample.values.to_list(), sample.headers])
    assert "PII-canary" not in held
    assert b"PII-canary" not in sample.save(tmp_path / "s.parquet").read_bytes()
    one = sl.tap(people, key="PII-canary-7", **how)
    assert one.frame["id"].to_list() == [7]
    assert one.frame["email"][0] == sample.frame.filter(id=7)["email"][0]
    where = pl.col("email") == "PII-canary-3"
    assert sl.tap(people, where=where, **how).frame["id"].to_list() == [3]


def test_an_unmasked_tap_is_logged_and_not_saved(people, tmp_path, caplog):
    """Seeing the values is a decision, and they stay in memory."""
    sample = sl.tap(people, schema=PEOPLE, unmask=True)
    assert sample.frame["email"][0].startswith("PII-canary")
    assert [r.getMessage() for r in caplog.records if r.name == "streamlab.taps"] == [
        f"{people} is tapped without a mask: email"
    ]
    with pytest.raises(UsageError, match="personal data"):
        sample.save(tmp_path / "s.parquet")
    assert sample.masked().save(tmp_path / "s.parquet").exists()


def test_a_live_tap_holds_no_personal_value(people):
    """Its frame, its sample and what is picked of it are masked."""
    live = sl.live_tap(people, schema=PEOPLE)
    try:
        deadline = time.monotonic() + PATIENCE_S
        while live.frame.height < 20 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert "PII-canary" not in repr(live.frame.rows())
        sample = live.sample()
        assert (sample.frame.height, len(sample.rejected)) == (20, 1)
        assert "PII-canary" not in repr([sample.frame.rows(), sample.values.to_list()])
        picked = live.pick(f"{people}/1@10", f"{people}/0@3")
        assert picked.frame["id"].to_list() == [6]
        assert [one.code for one in picked.rejected] == ["tombstone"]
        with pytest.raises(UnknownName, match="/0@99"):
            live.pick(f"{people}/0@99")
    finally:
        live.stop()


def test_a_live_tap_with_a_wrong_field_says_so_and_ends(people):
    """No event is kept that could not be masked."""
    live = sl.live_tap(people, personal=["e-mail"])
    try:
        deadline = time.monotonic() + PATIENCE_S
        while live.error is None and time.monotonic() < deadline:
            time.sleep(0.05)
        assert "e-mail" in str(live.error)
        assert live.frame.height == 0
    finally:
        live.stop()


def test_broken_values_do_not_pile_up_in_a_live_tap(make_topic, kafka_address):
    """Of values that do not decode no more are kept than of others."""
    topic = make_topic()
    producer = Producer({"bootstrap.servers": kafka_address})
    live = sl.live_tap(topic, keep_rows=10, schema=PEOPLE, unmask=True)
    try:
        for count in range(1, 6):
            for _ in range(10):
                producer.produce(topic, b"{")
            producer.flush(PATIENCE_S)
            deadline = time.monotonic() + PATIENCE_S
            while live.read < 10 * count and time.monotonic() < deadline:
                time.sleep(0.05)
        assert live.rejected == 50
        assert len(live.sample().rejected) <= 20
    finally:
        live.stop()


def test_the_command_masks(people, tmp_path, capsys):
    """``--personal`` masks, ``--unmask`` does not save."""
    saved = ["--personal", "email", "--save", "s.parquet"]
    assert main(["tap", people, *saved]) == 0
    said = capsys.readouterr()
    assert "PII-canary" not in said.out + said.err
    assert "masked: email" in said.err
    assert "1 left out: they could not be masked" in said.err
    assert main(["tap", people, "--unmask", *saved]) == 1
    assert "personal data" in capsys.readouterr().err
