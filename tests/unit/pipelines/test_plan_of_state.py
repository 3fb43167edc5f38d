"""The plan and the picture of pipelines with several inputs, windows and joins."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import polars as pl
import pytest

import streamlab as sl
from streamlab.connectors.kafka.sink import KafkaSink
from streamlab.connectors.kafka.source import KafkaSource
from streamlab.connectors.memory import MemorySink, MemorySource
from streamlab.connectors.postgres.source import PostgresSource
from streamlab.contracts import Schema
from streamlab.errors import PipelineError
from streamlab.pipelines import DeadLetters, Input, Keyed, Pipeline, StateSettings
from streamlab.pipelines.grouping import Grouping, grouping_of
from streamlab.pipelines.picture import mermaid, svg
from streamlab.pipelines.plan import plan
from streamlab.pipelines.prepared import event_times, prepared_of, source_of
from streamlab.sinks import Guarantee
from streamlab.sources import Source
from streamlab.transforms.event_time import event_time

SCHEMA = Schema.of(
    {"origin": pl.String(), "at": pl.Datetime("us", "UTC"), "ms": pl.Int64()}
)
TIME = event_time("at", bound="5m", idle_after="30s")


@sl.transform(window=sl.tumbling("1h", on="at", lateness="10m"), keys="origin")
def hourly(flights: pl.LazyFrame, weather: pl.LazyFrame) -> pl.LazyFrame:
    counted = flights.group_by("origin", "window_start").len("flights")
    seen = weather.group_by("origin", "window_start").len("reports")
    return counted.join(seen, on=["origin", "window_start"])


@sl.transform(window=sl.tumbling("1h", on="at"), keys="origin", emit="updates")
def counted(flights: pl.LazyFrame) -> pl.LazyFrame:
    return flights.group_by("origin", "window_start").len()


@sl.transform
def some(flights: pl.LazyFrame) -> pl.LazyFrame:
    return flights.filter(pl.col("origin") != "JFK")


def stream(source: Source, **changed: object) -> Input:
    """Return an input of a source."""
    return replace(Input(source, "json", SCHEMA, TIME), **changed)  # type: ignore[arg-type]


PIPELINE = Pipeline(
    name="hourly",
    inputs={
        "weather": stream(KafkaSource("weather")),
        "flights": stream(KafkaSource("flights")),
    },
    transforms=(hourly,),
    sink=MemorySink(),
    dead_letters=DeadLetters(file=Path("dead.jsonl")),
    state=StateSettings("s3://bucket/state", limit_mb=500),
)


def test_a_plan_shows_each_input_and_what_is_kept() -> None:
    """Inputs with their event time, the window, the tasks and where the state is."""
    text = str(plan(PIPELINE))

    for expected in (
        "reads flights       kafka topic flights",
        "reads weather       kafka topic weather",
        "event time weather  at, up to 5m out of order; a partition without events",
        "events for 30s is set aside",
        "hourly: tumbling windows of 1h by origin; results when a window closes",
        "events are taken 10m late; keeps rows",
        "all partitions: flights does not say keyed_by; one worker at a time",
        "s3://bucket/state, up to 500 MiB a task",
        "the offsets of group streamlab.hourly",
    ):
        assert expected in text, text


def test_a_plan_of_one_input_says_the_same_without_names() -> None:
    """One input needs no name, and updates are said to be rows with _op."""
    one = replace(
        PIPELINE,
        inputs=[stream(KafkaSource("flights"), event_time=None)],
        transforms=(counted,),
    )

    text = str(plan(one))

    assert "reads         kafka topic flights" in text
    assert "event time    at, in order within a partition; a partition without" in text
    assert "updates of changed windows, as rows with _op" in text


def test_inputs_that_are_keyed_by_what_is_kept_are_a_task_for_each_partition() -> None:
    """Events of one key meet in one partition number, whatever worker has it."""
    keyed = Keyed(("origin",))
    aligned = replace(
        PIPELINE,
        inputs={n: replace(i, keyed_by=keyed) for n, i in PIPELINE.inputs.items()},
    )
    assert grouping_of(aligned).grouping is Grouping.ALIGNED
    assert "more workers share them" in str(plan(aligned))


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"flights": {"keyed_by": Keyed(("ms",))}}, "keyed by ms"),
        ({"flights": {"keyed_by": Keyed(("origin",), "crc32")}}, "in different ways"),
        ({"flights": {"keyed_by": None}}, "does not say keyed_by"),
        (
            {"flights": {"source": KafkaSource("flights", profile="x")}},
            "several system",
        ),
    ],
)
def test_anything_else_is_one_task(
    changed: dict[str, dict[str, object]], why: str
) -> None:
    """Where events of one key could be anywhere, all partitions are one task."""
    inputs = {
        name: replace(one, **{"keyed_by": Keyed(("origin",)), **changed.get(name, {})})  # type: ignore[arg-type]
        for name, one in PIPELINE.inputs.items()
    }

    grouped = grouping_of(replace(PIPELINE, inputs=inputs))

    assert grouped.grouping is Grouping.TOGETHER
    assert why in grouped.why


def test_a_stateless_transform_before_a_window_makes_one_task() -> None:
    """It could give the column of the key another meaning."""
    before = replace(
        PIPELINE,
        inputs=[stream(KafkaSource("f"), keyed_by=Keyed(("origin",)))],
        transforms=(some, counted),
    )

    assert grouping_of(before).grouping is Grouping.TOGETHER
    assert grouping_of(before).why.startswith("some() could change")
    assert plan(before).lines


def test_inputs_of_several_systems_need_a_sink_that_keeps_positions() -> None:
    """Two systems cannot move two positions at once; a sink can, with its rows."""
    inputs = {
        "flights": stream(KafkaSource("flights")),
        "weather": stream(MemorySource()),
    }
    mixed = replace(PIPELINE, inputs=inputs)

    assert "in the sink, with the rows" in str(plan(mixed))
    with pytest.raises(PipelineError, match="of several systems"):
        plan(replace(mixed, sink=MemorySink(promise=Guarantee.IDEMPOTENT)))


def test_a_transactional_sink_needs_all_inputs_on_its_broker() -> None:
    """One transaction holds the offsets of one broker."""
    sink = KafkaSink("late", transactional=True)
    assert "in the transaction of the rows" in str(plan(replace(PIPELINE, sink=sink)))
    other = {**PIPELINE.inputs, "weather": stream(KafkaSource("weather", profile="x"))}

    with pytest.raises(PipelineError, match="the broker that is read"):
        plan(replace(PIPELINE, sink=sink, inputs=other))


def test_no_input_may_be_what_is_written() -> None:
    """Also the second input is read, so rows must not go there."""
    with pytest.raises(PipelineError, match="'weather', which the pipeline reads"):
        plan(replace(PIPELINE, sink=KafkaSink("weather")))


def test_the_same_topic_twice_is_refused() -> None:
    """Positions are kept by topic."""
    inputs = dict.fromkeys(("flights", "weather"), stream(KafkaSource("flights")))

    with pytest.raises(PipelineError, match="both read 'flights'"):
        replace(PIPELINE, inputs=inputs)


def test_a_stateless_transform_takes_one_input() -> None:
    """Streams meet in a window or a join, or not at all."""
    with pytest.raises(PipelineError, match="nothing they meet in"):
        replace(PIPELINE, transforms=(some,))


def test_stateful_pipelines_need_sources_that_name_their_partitions() -> None:
    """State is kept by partition."""

    class Nameless(MemorySource):
        def topics(self, pipeline: str) -> tuple[str, ...]:
            return Source.topics(self, pipeline)

    one = replace(PIPELINE, inputs=[stream(Nameless())], transforms=(counted,))

    with pytest.raises(PipelineError, match="state is kept by partition"):
        plan(one)


@pytest.mark.parametrize(
    ("own", "declared", "taken"),
    [
        (None, event_time("at"), event_time("at")),
        (None, TIME, TIME),
        (event_time("at"), TIME, TIME),
        (TIME, event_time("at"), TIME),
        (TIME, TIME, TIME),
        (event_time("ms"), event_time("made"), event_time("ms")),
    ],
)
def test_the_event_time_is_the_inputs_or_the_transforms(
    own: object, declared: object, taken: object
) -> None:
    """What one of them leaves at its default, the other decides."""

    @sl.transform
    def timed(flights: pl.LazyFrame) -> pl.LazyFrame:
        return flights.with_columns(made=pl.from_epoch("ms", "ms"))

    @sl.transform(window=sl.tumbling("1h", on=declared), keys="origin")  # type: ignore[arg-type]
    def counted(flights: pl.LazyFrame) -> pl.LazyFrame:
        return flights.group_by("origin").len()

    one = replace(
        PIPELINE,
        inputs=[stream(KafkaSource("flights"), event_time=own)],
        transforms=(timed, counted),
    )

    assert event_times(one, prepared_of(one)) == {"flights": taken}


@pytest.mark.parametrize(
    ("own", "says"),
    [
        (event_time("ms"), "is ms, and its transform's is at"),
        (event_time("ms", bound="1s"), "is ms, and its transform's is at"),
        (event_time("at", bound="1s"), "different bounds"),
    ],
)
def test_contradicting_event_times_are_refused(own: object, says: str) -> None:
    """Which of two bounds holds would be a guess."""

    @sl.transform(window=sl.tumbling("1h", on=TIME), keys="origin")
    def counted(flights: pl.LazyFrame) -> pl.LazyFrame:
        return flights.group_by("origin").len()

    one = replace(
        PIPELINE,
        inputs=[stream(KafkaSource("flights"), event_time=own)],
        transforms=(counted,),
    )

    with pytest.raises(PipelineError, match=says):
        plan(one)


def test_the_source_of_several_inputs_reads_tables_first() -> None:
    """What is opened knows which inputs are tables to look up: none of a window."""
    source = source_of(PIPELINE, prepared_of(PIPELINE))

    assert source.topics("hourly") == ("flights", "weather")
    assert getattr(source, "first", None) == frozenset()
    assert PIPELINE.topics == {"flights": "flights", "weather": "weather"}
    assert PIPELINE.source_of("weather") == KafkaSource("weather")


@sl.transform(join=sl.table_join("flights", "weather", keys="origin"))
def with_weather(pairs: pl.LazyFrame) -> pl.LazyFrame:
    return pairs


def test_a_table_that_changes_makes_a_repeated_row_another_one() -> None:
    """Its latest version may be another the second time: only a transaction holds."""
    joined = replace(PIPELINE, transforms=(with_weather,))
    repeated = replace(joined, sink=MemorySink(promise=Guarantee.IDEMPOTENT))

    text, other = str(plan(joined)), str(plan(repeated))

    assert "atomic: each row once" in text
    assert "read to its end before the others" in text
    assert "inner table join of flights and weather by origin" in text
    assert "at-least-once: " in other
    assert "may differ, as they met another version of a table" in other
    assert "rows can be doubled" in other
    assert getattr(source_of(joined, prepared_of(joined)), "first", None) == {"weather"}


def test_pictures_show_every_input() -> None:
    """Each input has a box, and all lead to the first transform."""
    text, root = mermaid(PIPELINE), ET.fromstring(svg(PIPELINE))

    assert "s0 --> s2" in text
    assert "s1 --> s2 --> s3" in text
    assert text.count("-. rejected .-> dead") == 2
    assert "tumbling windows of 1h by origin<br>hourly" in text
    shown = [one.text for one in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "source flights" in shown
    assert "source weather" in shown


def test_a_database_can_be_an_input_beside_a_topic() -> None:
    """It is known by a name of its own, which a slot can have."""
    source = PostgresSource(tables=("planes",), slot="")
    pipeline = replace(
        PIPELINE, inputs={**PIPELINE.inputs, "weather": stream(source, format="rows")}
    )

    assert pipeline.topics == {
        "flights": "flights",
        "streamlab_hourly_weather": "weather",
    }
    assert "slot streamlab_hourly_weather" in str(plan(pipeline))
