"""Protobuf topics of other people's serializers, and theirs of ours."""

from __future__ import annotations

import datetime as dt
import functools
import random

import polars as pl
import pytest
from confluent_kafka.schema_registry import Schema as TheirSchema
from confluent_kafka.schema_registry import (
    SchemaReference,
    record_subject_name_strategy,
    topic_record_subject_name_strategy,
    topic_subject_name_strategy,
)
from confluent_kafka.schema_registry.protobuf import (
    ProtobufDeserializer,
    ProtobufSerializer,
)
from confluent_kafka.serialization import MessageField, SerializationContext
from google.protobuf.json_format import MessageToDict
from google.protobuf.message_factory import GetMessageClass
from polars.testing import assert_frame_equal

from streamlab.contracts import Schema
from streamlab.errors import RowsRefused, SchemaError
from streamlab.formats import wire
from streamlab.formats.protobuf.compiling import NotProto, compiled

pytestmark = pytest.mark.integration

PROTO = """\
syntax = "proto3";
package {package};
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";
message First {{ int64 id = 1; }}
message Everything {{
  enum Colour {{ RED = 0; BLUE = 5; }}
  message Part {{ string name = 1; optional int32 n = 2; repeated Part parts = 3; }}
  bool flag = 1;
  int32 small = 2; sint32 signed = 3; sfixed32 fixed = 4;
  int64 large = 5; sint64 large_signed = 6; sfixed64 large_fixed = 7;
  uint32 u = 8; fixed32 uf = 9; uint64 ul = 10; fixed64 ufl = 11;
  float half = 12; double whole = 13;
  string text = 14; bytes raw = 15;
  Colour colour = 16; optional Colour maybe_colour = 17;
  optional string maybe = 18; optional int64 maybe_zero = 19;
  repeated int32 numbers = 20; repeated string words = 21;
  repeated Colour colours = 22;
  map<string, int64> counts = 23; map<int32, Small> smalls = 24;
  Small small_part = 25; repeated Small many = 26;
  google.protobuf.Timestamp at = 27; repeated google.protobuf.Timestamp times = 28;
  google.protobuf.StringValue wrapped = 29;
  oneof choice {{ string left = 30; int32 right = 31; }}
  int32 from = 32;
  message Small {{ int32 x = 1; optional string y = 2; Colour c = 3; }}
}}
"""
AT = dt.datetime(2026, 11, 25, 10, 0, 0, 123456, dt.UTC)


def rows(kind):
    """Return two messages, one with everything and one with nothing."""
    full = kind(
        flag=True, small=-(2**31), signed=-1, fixed=7, large=2**63 - 1,
        large_signed=-(2**63), large_fixed=1, u=2**32 - 1, uf=1, ul=2**64 - 1, ufl=2,
        half=1.5, whole=0.1, text="ä\0€", raw=b"\0\xff", colour="BLUE",
        maybe_colour="RED", maybe="", maybe_zero=0, numbers=[1, -2], words=["a", ""],
        colours=["BLUE", "RED"], counts={"b": 2, "a": 1}, small_part={"x": 3},
        many=[{"x": 1, "y": "z"}, {"c": "BLUE"}], left="l",
    )  # fmt: skip
    full.smalls[4].x = 5
    full.at.FromDatetime(AT)
    full.times.add().FromDatetime(dt.datetime(1960, 1, 1, tzinfo=dt.UTC))
    full.wrapped.value = "w"
    setattr(full, "from", 9)
    return [full, kind()]


EXPECTED = {
    "flag": True, "small": -(2**31), "signed": -1, "fixed": 7, "large": 2**63 - 1,
    "large_signed": -(2**63), "large_fixed": 1, "u": 2**32 - 1, "uf": 1,
    "ul": 2**64 - 1, "ufl": 2, "half": 1.5, "whole": 0.1, "text": "ä\0€",
    "raw": b"\0\xff", "colour": "BLUE", "maybe_colour": "RED", "maybe": "",
    "maybe_zero": 0, "numbers": [1, -2], "words": ["a", ""],
    "colours": ["BLUE", "RED"],
    "counts": [{"key": "a", "value": 1}, {"key": "b", "value": 2}],
    "smalls": [{"key": 4, "value": {"x": 5, "y": None, "c": "RED"}}],
    "small_part": {"x": 3, "y": None, "c": "RED"},
    "many": [{"x": 1, "y": "z", "c": "RED"}, {"x": 0, "y": None, "c": "BLUE"}],
    "at": AT, "times": [dt.datetime(1960, 1, 1, tzinfo=dt.UTC)],
    "wrapped": "w", "left": "l", "right": None, "from": 9,
}  # fmt: skip
NULLS = ("maybe_colour", "maybe", "maybe_zero", "small_part", "at", "wrapped", "left")

STRATEGIES = [
    (topic_subject_name_strategy, "topic"),
    (record_subject_name_strategy, "record"),
    (topic_record_subject_name_strategy, "topic-record"),
]


@pytest.fixture
def ours(format_on_registry):
    """Return a function that makes our format on the real registry."""
    return functools.partial(format_on_registry, "protobuf")


@pytest.fixture
def package(topic_name):
    """Return a package of the test's own."""
    return topic_name.replace("-", "_")


def value_context(topic):
    return SerializationContext(topic, MessageField.VALUE)


def kind_of(package, name):
    """Return the class of a message."""
    file = compiled(PROTO.format(package=package), {})
    return GetMessageClass(file.message_types_by_name[name])


def serialized(theirs, messages, topic, strategy=topic_subject_name_strategy):
    """Return what Confluent's serializer makes of messages."""
    serializer = ProtobufSerializer(
        type(messages[0]), theirs, {"subject.name.strategy": strategy}
    )
    return [serializer(one, value_context(topic)) for one in messages]


@pytest.mark.parametrize(("strategy", "name"), STRATEGIES)
def test_all_types_of_their_serializer_are_read_equal(
    theirs, ours, topic_name, package, strategy, name
):
    """Each value comes out as it went in; the message is the second of its file."""
    kind = kind_of(package, "Everything")
    values = serialized(theirs, rows(kind), topic_name, strategy)
    format_ = ours(topic_name, subject_name_strategy=name)
    schema = format_.infer(values)
    decoded = format_.decode(values * 3, schema)
    assert decoded.rejected == ()
    full, empty = decoded.frame.to_dicts()[:2]
    assert full == EXPECTED
    assert [empty[name] for name in NULLS] == [None] * len(NULLS)
    assert (empty["small"], empty["text"], empty["numbers"]) == (0, "", [])
    assert empty["colour"] == "RED"


@pytest.mark.parametrize("registered", ["compiled", "text"])
@pytest.mark.parametrize(("strategy", "name"), STRATEGIES)
def test_their_deserializer_reads_what_is_written_with_their_schema(
    theirs, ours, topic_name, package, strategy, name, registered
):
    """Messages of the newest file of a subject mean the same, compiled or as text."""
    kind = kind_of(package, "Everything")
    record = f"{package}.Everything"
    subject = {
        "topic": f"{topic_name}-value",
        "record": record,
        "topic-record": f"{topic_name}-{record}",
    }[name]
    if registered == "text":
        text = PROTO.format(package=package)
        theirs.register_schema(subject, TheirSchema(text, "PROTOBUF"))
    values = serialized(theirs, rows(kind), topic_name, strategy)
    format_ = ours(
        topic_name,
        subject_name_strategy=name,
        use_latest_version="true",
        record_name=record,
    )
    written = format_.encode(format_.decode(values, format_.infer(values)).frame)
    reader = ProtobufDeserializer(kind, {"use.deprecated.format": False})
    assert [
        MessageToDict(reader(one, value_context(topic_name))) for one in written
    ] == [MessageToDict(one) for one in rows(kind)]


def test_a_file_made_from_columns_is_read_by_theirs(theirs, ours, topic_name):
    """With auto.register.schemas the columns become a file that they can read."""
    frame = pl.DataFrame(
        {
            "n": pl.Series([1, None], dtype=pl.Int16),
            "at": pl.Series([AT, None], dtype=pl.Datetime("us", "UTC")),
            "words": [["a", ""], []],
            "part": [{"x": 1, "deep": {"y": "z"}}, None],
            "parts": [[{"q": 0.5}], []],
            "raw": [b"", None],
        }
    )
    format_ = ours(topic_name, auto_register_schemas="true", record_name="shop.Order")
    values = format_.encode(frame)
    assert_frame_equal(format_.decode(values, Schema.of(frame.schema)).frame, frame)
    text = theirs.get_schema(wire.schema_id(values[0])).schema_str
    kind = GetMessageClass(compiled(text, {}).message_types_by_name["Order"])
    reader = ProtobufDeserializer(kind, {"use.deprecated.format": False})
    first, second = (reader(one, value_context(topic_name)) for one in values)
    assert (first.n, first.part.deep.y, list(first.words)) == (1, "z", ["a", ""])
    assert not second.HasField("n")
    assert not second.HasField("part")


def test_an_older_value_is_read_by_the_newest_file(theirs, ours, topic_name):
    """Fields are told by number, so a renamed one keeps its values."""
    old = 'syntax = "proto3"; message A { int32 id = 1; string note = 2; }'
    new = (
        'syntax = "proto3"; message A { int64 id = 1; string remark = 2; bool b = 3; }'
    )
    kind = GetMessageClass(compiled(old, {}).message_types_by_name["A"])
    values = serialized(theirs, [kind(id=1, note="x")], f"{topic_name}-old")
    theirs.register_schema(f"{topic_name}-value", TheirSchema(new, "PROTOBUF"))
    schema = Schema.of({"id": pl.Int64(), "remark": pl.String(), "b": pl.Boolean()})
    assert ours(topic_name).decode(values, schema).frame.row(0) == (1, None, None)
    newest = ours(topic_name, use_latest_version="true")
    assert newest.decode(values, schema).frame.row(0) == (1, "x", False)


def test_an_imported_file_is_found(theirs, ours, topic_name):
    """A file that imports another subject's is compiled with it."""
    item = 'syntax = "proto3"; package shop; message Item { string sku = 1; }'
    subject = f"{topic_name}-item"
    theirs.register_schema(subject, TheirSchema(item, "PROTOBUF"))
    order = (
        'syntax = "proto3"; package shop; import "shop/item.proto"; '
        "message Order { repeated Item items = 1; }"
    )
    reference = SchemaReference("shop/item.proto", subject, 1)
    schema = TheirSchema(order, "PROTOBUF", [reference])
    theirs.register_schema(f"{topic_name}-value", schema)
    format_ = ours(topic_name, use_latest_version="true")
    frame = pl.DataFrame({"items": [[{"sku": "a"}], []]})
    values = format_.encode(frame)
    decoded = format_.decode(values, format_.infer(values))
    assert_frame_equal(decoded.frame, frame)


def test_a_recursive_message_is_refused_clearly(theirs, ours, topic_name):
    """A tap says so; the fields beside it can be declared and read."""
    tree = 'syntax = "proto3"; message Tree { int32 id = 1; Tree next = 2; }'
    kind = GetMessageClass(compiled(tree, {}).message_types_by_name["Tree"])
    values = serialized(theirs, [kind(id=1, next={"id": 2})], topic_name)
    with pytest.raises(SchemaError, match="'next' is a message that contains itself"):
        ours(topic_name).infer(values)
    declared = Schema.of({"id": pl.Int32(), "next": pl.Struct({"id": pl.Int32()})})
    decoded = ours(topic_name).decode(values, declared)
    assert decoded.frame.row(0) == (1, {"id": 2})


@pytest.mark.parametrize(
    ("field", "dtype", "good", "bad"),
    [
        ("int64 a = 1;", pl.Int8(), 127, 128),
        ("int64 a = 1;", pl.Float64(), 2**53, 2**53 + 1),
        ("string a = 1;", pl.Enum(["x", ""]), "x", "y"),
        ("E a = 1; enum E { Z = 0; }", pl.Enum(["Z"]), 0, 7),
        ("repeated int64 a = 1;", pl.List(pl.Int8), [1], [1, 200]),
    ],
)
def test_a_value_that_would_change_is_rejected(
    theirs, ours, topic_name, field, dtype, good, bad
):
    """Nothing is cast silently: the row is set aside, those beside it pass."""
    text = f'syntax = "proto3"; message A {{ {field} }}'
    kind = GetMessageClass(compiled(text, {}).message_types_by_name["A"])
    messages = [kind(a=good), kind(a=bad), kind(a=good)]
    values = serialized(theirs, messages, topic_name)
    decoded = ours(topic_name).decode(values, Schema.of({"a": dtype}))
    assert [(one.row, one.code) for one in decoded.rejected] == [(1, "type-mismatch")]
    assert decoded.frame.height == 2


def test_any_bytes_are_a_rejection_or_a_value_and_never_a_crash(
    theirs, ours, topic_name, package
):
    """Truncated, flipped and random bodies: every good value beside them is intact."""
    kind = kind_of(package, "Everything")
    good = serialized(theirs, rows(kind), topic_name)
    format_ = ours(topic_name)
    schema = format_.infer(good)
    wanted = format_.decode(good, schema).frame
    chance = random.Random(1)
    for _ in range(200):
        values, kept = [], []
        for _ in range(8):
            at = chance.randrange(2)
            value = bytearray(good[at])
            how = chance.randrange(4)
            if how == 1:
                del value[chance.randrange(5, len(value)) :]
            elif how == 2:
                value[chance.randrange(5, len(value))] ^= 1 << chance.randrange(8)
            elif how == 3:
                value[5:] = chance.randbytes(chance.randrange(40))
            kept.append(at if how == 0 else None)
            values.append(bytes(value))
        decoded = format_.decode(values, schema)
        assert decoded.frame.height + len(decoded.rejected) == len(values)
        rows_of = decoded.kept(len(values)) or list(range(len(values)))
        for place, row in enumerate(rows_of):
            if kept[row] is not None:
                assert decoded.frame.row(place) == wanted.row(kept[row])
        codes = {one.code for one in decoded.rejected}
        assert codes <= {"not-protobuf", "type-mismatch", "incompatible-schema"}


def test_a_null_that_protobuf_has_not_refuses_its_row(theirs, ours, topic_name):
    """Null is not zero: a field without presence takes none."""
    text = 'syntax = "proto3"; message A { int32 id = 1; optional int32 n = 2; }'
    theirs.register_schema(f"{topic_name}-value", TheirSchema(text, "PROTOBUF"))
    format_ = ours(topic_name, use_latest_version="true")
    frame = pl.DataFrame({"id": [1, None, 2**40], "n": [None, 1, 1]})
    with pytest.raises(RowsRefused) as refused:
        format_.encode(frame)
    assert list(refused.value.reasons) == [1, 2]
    assert "column 'id' is null" in refused.value.reasons[1]


def test_a_file_that_does_not_compile_says_why():
    """The first complaint of the compiler, without a path of ours."""
    with pytest.raises(NotProto, match="does not compile: 1:"):
        compiled("syntax = 5;", {})
    with pytest.raises(NotProto, match="leads elsewhere"):
        compiled('syntax = "proto3";', {"../x.proto": 'syntax = "proto3";'})
