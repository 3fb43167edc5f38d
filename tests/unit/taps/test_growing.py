"""How a sample grows, and what it refuses."""

from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest

from streamlab.contracts import Field, Schema
from streamlab.errors import UnknownName, UsageError
from streamlab.positions import Span, TopicPartition
from streamlab.sinks import DeadLetter
from streamlab.taps.origin import Origin
from streamlab.taps.sample import Sample
from tests.unit.taps.made import PEOPLE, person, read

NUMBERS = Schema((Field("n", pl.Int64(), required=True),))


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """Work in an empty folder, which is the project then."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def small() -> Sample:
    """Return two events, 5 and 7 of partition 1."""
    return read(NUMBERS, [{"n": 5}, {"n": 7}], partitions=[1, 1], offsets=[5, 7])


@pytest.fixture
def other() -> Sample:
    """Return six events of two partitions, one of which does not decode."""
    values = [{"n": 3}, {"n": 4}, {"n": 5}, b"{", {"n": 7}, {"n": 8}]
    return read(
        NUMBERS, values, partitions=[0, 1, 1, 1, 1, 1], offsets=[9, 4, 5, 6, 7, 8]
    )


def letter(position: int, value: bytes | None, **changes: object) -> DeadLetter:
    """Return a dead letter of partition 0."""
    fields = {
        "topic": "t",
        "partition": 0,
        "position": position,
        "timestamp_ms": 99,
        "key": b"k",
        "value": value,
        "headers": (("h", b"1"),),
        "stage": "decode",
        "code": "not-json",
        "reason": "the value is not JSON",
    }
    return DeadLetter(**{**fields, **changes})


def offsets(sample: Sample) -> list[tuple[int, int]]:
    return sample.frame.select("_partition", "_offset").rows()


@pytest.mark.parametrize(
    "choice",
    [
        {"rows": pl.col("n") == 8},
        {"rows": [4]},
        {"at": ["t/1@8"]},
        {"at": [Origin("t", 1, 8)]},
    ],
)
def test_an_event_is_picked(small, other, choice):
    """By what is true of it, by its row, by its origin."""
    grown = small.with_events(other, **choice)
    assert offsets(grown) == [(1, 5), (1, 7), (1, 8)]
    assert grown.values.to_list() == [b'{"n": 5}', b'{"n": 7}', b'{"n": 8}']
    assert grown.spans[-1] == Span(TopicPartition("t", 1), 7, 9)
    assert grown.cut["added"] == 1


def test_all_events_come_in_order_and_none_twice(small, other):
    """Order is by partition and offset, whatever was added when."""
    grown = small.with_events(other)
    assert offsets(grown) == [(0, 9), (1, 4), (1, 5), (1, 7), (1, 8)]
    assert [one.row for one in grown.rejected] == [3]
    assert grown.rejected_places["_offset"].to_list() == [6]
    assert grown.rejected_values == (b"{",)
    assert grown.spans == (
        Span(TopicPartition("t", 0), 9, 10),
        Span(TopicPartition("t", 1), 4, 9),
    )
    assert grown.with_events(other) == grown


def test_a_rejected_value_is_picked_by_its_origin(small, other):
    """What does not decode can be a test case, too."""
    grown = small.with_events(other, at=["t/1@6"])
    assert offsets(grown) == [(1, 5), (1, 7)]
    assert [(one.row, one.code) for one in grown.rejected] == [(1, "not-json")]


def test_a_grown_sample_goes_through_a_file(small, other, tmp_path):
    """Nothing of it is lost on the way."""
    grown = small.with_events(other).with_letters([letter(1, b"{")])
    assert Sample.load(grown.save(tmp_path / "s.parquet")) == grown


def test_what_is_not_there_cannot_be_picked(small, other):
    """The message has the origins that come near."""
    with pytest.raises(UnknownName, match="t/1@88"):
        small.with_events(other, at=["t/1@88"])
    with pytest.raises(UsageError, match="no row 9"):
        small.with_events(other, [9])
    with pytest.raises(UsageError, match="fails"):
        small.with_events(other, pl.col("m") == 1)
    with pytest.raises(UsageError, match="not where"):
        small.with_events(other, at=["t/1"])


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"topic": "u"}, "topic 't' and 'u'"),
        ({"format": "bytes"}, "format 'json' and 'bytes'"),
        ({"schema": Schema.of({"n": pl.Int32()})}, "column 'n' is Int64 and Int32"),
        ({"schema": Schema.of({"m": pl.Int64()})}, "column 'n' is Int64 and missing"),
        ({"schema": Schema.of({"n": pl.Int64()})}, "'n' is required in one"),
    ],
)
def test_samples_that_do_not_fit_are_refused(small, other, changes, named):
    """The message names the difference."""
    with pytest.raises(UsageError, match=named):
        small.with_events(replace(other, **changes))


def test_two_events_of_one_origin_are_refused(small):
    """A topic that was made again has other events at the same offsets."""
    changed = read(NUMBERS, [{"n": 6}], partitions=[1], offsets=[5])
    with pytest.raises(UsageError, match=r"two events at t/1@5"):
        small.with_events(changed)


def test_a_mended_letter_is_an_event(small):
    """What decodes now has its bytes, key, time and headers."""
    grown = small.with_letters([letter(2, b'{"n": 2}'), letter(3, b"{")])
    assert offsets(grown) == [(0, 2), (1, 5), (1, 7)]
    assert grown.frame["_key"][0] == b"k"
    assert grown.headers == {(0, 2): (("h", b"1"),), (0, 3): (("h", b"1"),)}
    assert [(one.row, one.code) for one in grown.rejected] == [(1, "not-json")]


def test_a_corrected_value_takes_the_place_of_the_broken_one(small):
    """The broken value is not there beside it."""
    broken = small.with_letters([letter(3, b"{")])
    mended = broken.with_letters([letter(3, b"{")], {"t/0@3": b'{"n": 1}'})
    assert offsets(mended) == [(0, 3), (1, 5), (1, 7)]
    assert mended.rejected == ()
    with pytest.raises(UnknownName, match="t/0@4"):
        broken.with_letters([letter(3, b"{")], {"t/0@4": b""})


def test_letters_of_another_topic_are_refused(small):
    """A sample is of one topic, and of Kafka's offsets."""
    with pytest.raises(UsageError, match="topic 'u'"):
        small.with_letters([letter(1, b"", topic="u")])
    with pytest.raises(UsageError, match="not an offset"):
        small.with_letters([letter((1, 2), b"")])


def test_events_made_by_hand_are_where_no_broker_has_any(small):
    """Their partition is -1; offsets count on."""
    grown = small.with_values([b'{"n": 1}'], [b"k"]).with_values([b'{"n": 2}', b"{"])
    assert offsets(grown) == [(-1, 0), (-1, 1), (1, 5), (1, 7)]
    assert grown.frame["_key"][0] == b"k"
    assert grown.frame["_timestamp"].n_unique() == 2
    assert str(grown.origins[-1]) == "t/-1@2"
    assert Origin.parse("t/-1@2") == grown.origins[-1]
    with pytest.raises(UsageError, match="2 values and 1 keys"):
        small.with_values([b"", b""], [b"k"])


def test_a_sample_without_events_can_be_grown_by_hand():
    """A test case needs no topic."""
    grown = Sample.empty("t", NUMBERS).with_values([b'{"n": 1}'])
    assert grown.frame["_timestamp"].to_list() == [None]
    assert grown.events.rows() == [(1,)]


def test_another_schema_reads_the_bytes_anew(other):
    """What did not decode may do so now, in its place; spans stay."""
    strict = other.with_schema(Schema((Field("n", pl.Int8()), Field("m", pl.Int8()))))
    assert strict.schema.dtypes.names() == ["n", "m"]
    assert strict.spans == other.spans
    texts = read(NUMBERS, [{"n": "1"}, {"n": 2}])
    assert len(texts.rejected) == 1
    mended = texts.with_schema(Schema.of({"n": pl.String()}))
    assert [one.row for one in mended.rejected] == [1]
    assert mended.events.rows() == [("1",)]
    assert other.with_schema(NUMBERS) is other


def test_what_is_added_to_a_masked_sample_is_masked():
    """By hand, from a letter, from a sample: no way in leaves a value as it is."""
    masked = read(PEOPLE, [person(1)]).masked()
    fresh = read(PEOPLE, [person(2, email="PII-canary")], offsets=[2])
    dead = letter(3, b'{"id": 3, "email": "PII-canary"}', topic="t")
    broken = letter(4, b"PII-canary")
    grown = masked.with_events(fresh).with_letters([dead, broken])
    grown = grown.with_values([b'{"id": 4, "email": "PII-canary"}'])
    assert grown.is_masked
    assert grown.frame.height == 4
    assert grown.withheld == 1
    assert "PII-canary" not in str(grown.frame.rows()) + str(grown.values.to_list())
    assert grown.frame["email"].drop_nulls().n_unique() == 2


def test_a_masked_event_masks_what_it_is_added_to():
    """A sample is masked as a whole or not at all."""
    plain = read(PEOPLE, [person(1)])
    grown = plain.with_events(read(PEOPLE, [person(2)], offsets=[2]).masked())
    assert grown.is_masked
    assert "p1@x.org" not in str(grown.frame.rows())


def test_a_masked_sample_stays_masked_under_another_schema():
    """Fields keep their marks, and new ones are null: their bytes are gone."""
    masked = read(PEOPLE, [person(1, extra=1)]).masked()
    wider = masked.with_schema(
        Schema((*Schema.of(PEOPLE.dtypes).fields, Field("extra", pl.Int64())))
    )
    assert wider.is_masked
    assert wider.schema.personal == PEOPLE.personal
    assert wider.frame["email"][0] == masked.frame["email"][0]
    assert wider.frame["extra"].to_list() == [None]


def test_letters_leave_the_spans_and_what_is_here_as_they_are(other):
    """Keeping letters again neither doubles nor undoes anything."""
    tapped = replace(other, spans=(Span(TopicPartition("t", 0), 0, 50),))
    grown = tapped.with_letters([letter(60, b"{")])
    assert grown.spans[0] == Span(TopicPartition("t", 0), 0, 50)
    mended = grown.with_letters([letter(60, b"{")], {"t/0@60": b'{"n": 1}'})
    assert mended.spans == grown.spans
    assert mended.with_letters([letter(60, b"{")]) == mended


def test_a_schema_without_a_personal_field_lets_no_value_through():
    """The bytes hold what the new schema does not know; so they are masked before."""
    sample = read(PEOPLE, [person(1, email="PII-canary"), b"PII-canary"])
    narrow = sample.with_schema(Schema((Field("id", pl.Int64()),)))
    assert narrow.is_masked
    assert b"PII-canary" not in b"".join([*narrow.values, *narrow.rejected_values])
    assert (narrow.events.rows(), narrow.withheld) == ([(1,)], 1)
