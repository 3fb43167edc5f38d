"""Inputs in a pipeline file: one ``[source]``, or ``[sources.NAME]`` for several."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

import streamlab as sl
from streamlab.connectors.kafka.source import KafkaSource
from streamlab.contracts import Schema, odcs
from streamlab.errors import PipelineError
from streamlab.pipelines import Input, Keyed, Pipeline, StateSettings
from streamlab.pipelines.file import load, save
from streamlab.transforms.event_time import event_time

MODULE = """\
import polars as pl
import streamlab as sl
from streamlab.transforms.declarations import Joined
from streamlab.transforms.joins import Join
from streamlab.transforms.transform import Transform

def matched(pairs):
    return pairs

matched = Transform(matched, needs=Joined(Join("flights", "weather")))
"""

PIPELINE = """\
[pipeline]
name = "delays-by-weather"
transform = "{module}:matched"

[sources.weather]
type = "kafka"
topic = "weather"
format = "json"
schema = "weather.schema.yaml"
event_time = {{column = "at", bound = "5m", idle_after = "30s"}}

[sources.flights]
type = "kafka"
topic = "flights"
format = "json"
schema = "flights.schema.yaml"
event_time = "at"
keyed_by = ["origin"]
partitioner = "crc32"

[sink]
type = "console"

[dead_letters]
file = "dead.jsonl"

[state]
url = "s3://bucket/state"
limit_mb = 100
"""

SCHEMA = Schema.of({"origin": pl.String(), "at": pl.Datetime("us", "UTC")})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a pipeline file with two inputs."""
    module = f"joins_{tmp_path.name}".replace("-", "_").lower()
    (tmp_path / f"{module}.py").write_text(MODULE)
    for name in ("flights", "weather"):
        odcs.save(SCHEMA, tmp_path / f"{name}.schema.yaml")
    path = tmp_path / "pipeline.toml"
    path.write_text(PIPELINE.format(module=module))
    return path


def test_each_section_is_the_input_of_its_name(path: Path) -> None:
    """Inputs come in the order of the transform's parameters, with their settings."""
    pipeline = load(path)

    assert list(pipeline.inputs) == ["flights", "weather"]
    assert pipeline.inputs["flights"].source == KafkaSource("flights")
    assert pipeline.inputs["flights"].event_time == event_time("at")
    assert pipeline.inputs["flights"].keyed_by == Keyed(("origin",), "crc32")
    assert pipeline.inputs["weather"].event_time == event_time(
        "at", bound="5m", idle_after="30s"
    )
    assert pipeline.state == StateSettings("s3://bucket/state", limit_mb=100)


def test_several_inputs_are_saved_as_they_are_loaded(path: Path) -> None:
    """A saved file describes the same inputs, each with a schema of its own."""
    pipeline = load(path)
    function = path.read_text().split('transform = "')[1].split('"')[0]

    save(pipeline, path, transforms=[function])

    anew = load(path)
    assert anew.inputs == pipeline.inputs
    assert anew.state == pipeline.state


def test_one_input_keeps_what_it_says_of_time_and_keys(path: Path) -> None:
    """The settings of one input are saved in its section, durations as texts."""
    stream = Input(
        KafkaSource("flights"),
        "json",
        SCHEMA,
        event_time("at", bound="90m", idle_after="1500ms"),
        keyed_by=Keyed(("origin", "at"), key_format="json"),
    )
    pipeline = replace(load(path), transforms=(), inputs=(stream,))

    save(pipeline, path, transforms=[])

    assert load(path).input == stream
    assert '"bound" = "90m"' in path.read_text()


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("sources.weather]", "sources.wether]", 5, "reads flights, weather"),
        ('topic = "weather"', "", 5, "[sources.weather] needs 'topic'"),
        ('type = "kafka"', 'type = "kafak"', 6, "did you mean 'kafka'"),
        ('bound = "5m"', 'bond = "5m"', 10, "did you mean 'bound'"),
        ('bound = "5m"', "bound = 5", 10, "must be a text"),
        ('bound = "5m"', 'bound = "5x"', 10, "not a duration"),
        ('column = "at", ', "", 10, "needs a column"),
        ('event_time = "at"', 'event_time = "ta"', 17, "no column 'ta'"),
        ('keyed_by = ["origin"]', "", 19, "keyed_by is not there"),
        ('["origin"]', '["orign"]', 18, "did you mean 'origin'"),
        ('["origin"]', '["origin", "at"]', 18, 'key_format = "json"'),
        ('"crc32"', '"md5"', 18, "murmur2, crc32"),
        ("limit_mb = 100", "limit_mb = 0", 27, "at least 1"),
        ("[sink]", '[source]\ntype = "memory"\n[sink]', 5, "not both"),
    ],
)
def test_a_mistake_in_an_input_is_told_with_its_line(
    path: Path, old: str, new: str, line: int, says: str
) -> None:
    """A mistake names file and line, and what was probably meant."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))

    with pytest.raises(PipelineError) as caught:
        load(path)

    assert str(caught.value).startswith(f"{path}:{line}: "), caught.value
    assert says in str(caught.value)


def test_one_input_is_named_as_the_parameter_that_it_is_for() -> None:
    """A sequence of one needs no name: the function has it."""

    @sl.transform
    def delayed(flights: pl.LazyFrame) -> pl.LazyFrame:
        return flights

    stream = Input(KafkaSource("flights"), "json", SCHEMA)
    pipeline = Pipeline(
        name="delayed",
        inputs=(stream,),
        transforms=(delayed,),
        sink=sl.ConsoleSink(),
        dead_letters=sl.DeadLetters(file=Path("dead.jsonl")),
    )

    assert pipeline.inputs == {"flights": stream}
    assert pipeline.input is stream
    with pytest.raises(PipelineError, match="nothing they meet in"):
        replace(pipeline, inputs={"flights": stream, "weather": stream})
