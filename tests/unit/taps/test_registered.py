"""Samples of values with registered schemas: masked and grown without a registry."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

import streamlab as sl
from streamlab.connectors.memory import MemorySink, MemorySource, MemoryTarget
from streamlab.contracts import Schema
from streamlab.engines.local.replaying import Kept
from streamlab.engines.local.worker import Worker
from streamlab.formats import Context, named
from streamlab.pipelines import DeadLetters, Input, Pipeline
from streamlab.registry.recorded import recorded
from streamlab.registry.schemas import Registered
from streamlab.sinks import DeadLetter
from streamlab.taps.decoding import Decoder
from streamlab.taps.gathering import sample_of
from streamlab.taps.growing import GivenEvents, _decoded
from streamlab.taps.masking import Masking
from streamlab.taps.sample import Sample

CANARY = "PII-canary"
AVRO = json.dumps(
    {
        "type": "record",
        "name": "Person",
        "fields": [
            {"name": "id", "type": "long"},
            {"name": "email", "type": "string"},
            {"name": "kind", "type": {"type": "enum", "name": "K", "symbols": ["A"]}},
            {"name": "card", "type": {"type": "fixed", "name": "C", "size": 10}},
            {
                "name": "contacts",
                "type": {
                    "type": "array",
                    "items": {
                        "type": "record",
                        "name": "Contact",
                        "fields": [{"name": "phone", "type": ["null", "string"]}],
                    },
                },
            },
        ],
    }
)
PROTO = """
syntax = "proto3";
message Person {
  message Contact { optional string phone = 1; }
  enum K { A = 0; B = 1; }
  int64 id = 1;
  string email = 2;
  K kind = 3;
  bytes card = 4;
  repeated Contact contacts = 5;
}
"""
DOCUMENT = json.dumps(
    {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "id": {"type": "integer"},
            "email": {"type": "string", "maxLength": 12},
            "kind": {"type": "string"},
            "card": {"type": "string", "contentEncoding": "base64"},
            "contacts": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {"phone": {"type": ["string", "null"]}},
                },
            },
        },
    }
)
REGISTERED = {
    "avro": Registered(7, "AVRO", AVRO, (), "people-value", 1),
    "protobuf": Registered(7, "PROTOBUF", PROTO, (), "people-value", 1),
    "json-schema": Registered(7, "JSON", DOCUMENT, (), "people-value", 1),
}
EVENTS = {
    "id": [1, 2],
    "email": [CANARY, "a@x.org"],
    "kind": ["A", "A"],
    "card": [CANARY.encode(), b"0123456789"],
    "contacts": [[{"phone": CANARY}, {"phone": None}], []],
}
PERSONAL = ("email", "card", "contacts.phone")
LATEST = {"use.latest.version": "true"}


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """Work in an empty folder: no settings name a registry."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(params=[*REGISTERED, "avro-read-by-the-latest"])
def sample(request) -> Sample:
    """Return two events of one format, nothing masked."""
    name = request.param.removesuffix("-read-by-the-latest")
    return written(name, **({} if name == request.param else LATEST))


@sl.transform
def same(people: pl.LazyFrame) -> pl.LazyFrame:
    """Return all events with all columns."""
    return people


def piped(stream: Input, sink: MemorySink, *transforms) -> Pipeline:
    return Pipeline(
        name="people",
        inputs=(stream,),
        transforms=transforms,
        sink=sink,
        dead_letters=DeadLetters(file=Path("dead.jsonl")),
    )


def given(values) -> GivenEvents:
    count = len(values)
    zeros, numbers = [0] * count, list(range(count))
    return GivenEvents(values, [None] * count, zeros, numbers, zeros)


def written(name: str, **options: str) -> Sample:
    """Return the events as if tapped: written and read with a registered schema."""
    known = REGISTERED[name]
    with recorded({known.id: known}):
        reader, writer = (
            named(name, Context("people", options=each)) for each in (options, LATEST)
        )
    dtypes = writer.infer([b"\0\0\0\0\7"]) if name != "json-schema" else None
    dtypes = dtypes or writer.infer([b"\0\0\0\0\7{}"])
    values = writer.encode(pl.DataFrame(EVENTS, schema=dtypes.dtypes))
    empty = replace(
        Sample.empty("people", reader.infer(values), format=name),
        schemas=(known.as_json(),),
        format_options=options,
    )
    return _decoded(empty, given(values))


def test_a_masked_sample_holds_nothing_personal_and_replays(sample, home):
    """It is written anew with a schema of its own, which goes with it."""
    assert CANARY.encode() in sample.values[0]
    masked = sample.masked(PERSONAL)
    assert masked.frame["id"].to_list() == [1, 2]
    path = masked.save(home / "s.parquet")
    stored = pl.read_parquet(path)
    assert CANARY not in repr(stored.rows()) + repr(pl.read_parquet_metadata(path))
    loaded = Sample.load(path)
    assert loaded == masked
    replayed = sl.replay(same, loaded)
    assert replayed.dead_letters == ()
    assert replayed.output.select(sample.events.columns).equals(masked.events)


def test_a_pipeline_runs_on_a_masked_sample(sample):
    """The source brings the schemas, whoever runs it; no registry is asked."""
    masked = sample.masked(PERSONAL)
    stream = Input(MemorySource(), sample.format, masked.schema, format_options=LATEST)
    target = MemoryTarget()
    pipeline = piped(stream, MemorySink(target=target), same)
    done = Worker(pipeline.on(masked.replay())).run()
    assert done.counts["dead_lettered"] == 0
    assert target.frame().select(masked.events.columns).equals(masked.events)


def test_what_a_tap_masks_is_the_same(sample):
    """Masking while it is read gives what masking afterwards does."""
    with recorded({7: REGISTERED[sample.format]}) as registry:
        decoder = Decoder(
            "people",
            sample.format,
            masking=Masking(PERSONAL),
            context=Context("people", options=sample.format_options),
        )
        part = decoder.part(given(sample.values.to_list()))
    tapped = sample_of([part], decoder, spans=sample.spans, cut={})
    masked = sample.masked(PERSONAL)
    assert tapped.values.to_list() == masked.values.to_list()
    assert tapped.events.equals(masked.events)
    assert sl.replay(same, tapped).output.height == 2
    assert registry.schema(7) is not None


def test_masked_samples_grow(sample):
    """Two of one topic are written with one schema, and can be one sample."""
    first, second = sample.only([0]).masked(PERSONAL), sample.only([1])
    both = first.with_events(second)
    assert both.values.to_list() == sample.masked(PERSONAL).values.to_list()
    assert len(both.schemas) == len(sample.schemas) + 1


def test_a_masked_sample_is_read_anew(sample):
    """Another schema reads what the mask has written."""
    masked = sample.masked(PERSONAL)
    less = Schema(masked.schema.fields[:2], masked.schema.name)
    anew = masked.with_schema(less)
    assert anew.events.equals(masked.events.select("id", "email"))
    assert anew.rejected == ()


def test_a_value_of_an_unknown_schema_needs_no_registry_either():
    """It was rejected when it was tapped, and is when the sample is read anew."""
    with recorded({7: REGISTERED["avro"]}):
        sample = written("avro")
        letter = DeadLetter(
            "people", 0, 9, 0, None, b"\0\0\0\1\1x", (), "decode", "x", "unknown"
        )
        grown = sample.with_letters([letter])
    less = Schema(grown.schema.fields[:2], grown.schema.name)
    anew = grown.with_schema(less)
    assert [one.code for one in anew.rejected] == ["unknown-schema-id"]
    assert anew.frame.height == 2


def test_a_dead_letter_of_a_newer_schema_brings_it(home):
    """The registry is asked for what a sample does not know, and asked no more then."""
    one = written("avro").only([0])
    newer = replace(REGISTERED["avro"], id=8, version=2)
    with recorded({7: REGISTERED["avro"], 8: newer}):
        value = b"\0\0\0\0\x08" + one.values[0][5:]
        letter = DeadLetter(
            "people", 0, 9, 0, None, value, (), "decode", "x", "it was not known"
        )
        grown = one.with_letters([letter])
    assert [each["id"] for each in grown.schemas] == [7, 8]
    assert grown.rejected == ()
    assert sl.replay(same, grown).output.height == 2


@pytest.mark.parametrize("name", ["avro", "csv"])
def test_dead_letters_become_a_sample_of_their_pipelines_format(name):
    """The new sample has the options and the schemas of the pipeline's format."""
    kinds = {"id": pl.Int64(), "email": pl.String()}
    options = {"avro": LATEST, "csv": {"separator": ";"}}[name]
    value = written("avro").values[0] if name == "avro" else b"1;a,b"
    stream = Input(MemorySource(), name, Schema.of(kinds), format_options=options)
    pipeline = piped(stream, MemorySink())
    letter = DeadLetter(
        "people", 0, 1, 0, None, value, (), "decode", "x", "the schema was wrong"
    )
    with recorded({7: REGISTERED["avro"]}):
        kept = Kept(pipeline, [letter], frozenset()).sample([letter])
    assert kept.rejected == ()
    assert kept.frame["id"].to_list() == [1]
    assert kept.format_options == options
    assert sl.replay(same, kept).output.height == 1
