from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from streamlab import cli
from streamlab.connectors.kafka.sink import KafkaSink
from streamlab.connectors.kafka.source import KafkaSource
from streamlab.connectors.parquet import ParquetSink
from streamlab.contracts import Schema, odcs
from streamlab.pipelines.file import load
from streamlab.positions import Span, TopicPartition
from streamlab.taps.sample import Sample

FLOWS = """\
import polars as pl
import streamlab as sl


@sl.transform
def late(flights: pl.LazyFrame) -> pl.LazyFrame:
    return flights.filter(pl.col("delay") > 15)
"""
PIPELINE = """\
[pipeline]
name = "late_flights"
transform = "exported_by_command:late"

[source]
type = "kafka"
topic = "flights"
format = "json"
schema = "schema.yaml"

[sink]
type = "console"

[dead_letters]
file = "dead.jsonl"
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with a pipeline file, its module and a sample."""
    rows = pl.DataFrame({"delay": [3, 20]})
    metadata = pl.DataFrame(
        {"_topic": ["f", "f"], "_partition": [0, 0], "_offset": [0, 1]}
    ).with_columns(
        pl.col("_partition").cast(pl.Int32),
        _timestamp=pl.lit(0).cast(pl.Datetime("ms", "UTC")),
        _key=pl.lit(None, pl.Binary),
    )
    Sample(
        name="flights",
        topic="flights",
        frame=pl.concat([metadata, rows], how="horizontal"),
        spans=(Span(TopicPartition("flights", 0), 0, 2),),
        schema=Schema.of(rows.schema),
        format="json",
        cut={"last": 2},
        values=pl.Series([b'{"delay":3}', b'{"delay":20}']),
    ).save(tmp_path / "sample.parquet")
    odcs.save(Schema.of(rows.schema), tmp_path / "schema.yaml")
    (tmp_path / "exported_by_command.py").write_text(FLOWS)
    (tmp_path / "pipeline.toml").write_text(PIPELINE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_pipeline_file_becomes_a_package(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command writes the package and says how to install and verify it."""
    code = cli.main(["export", "pipeline.toml", "--sample", "sample.parquet"])

    assert code == 0
    assert "2 sample events of topic flights give 1 row" in capsys.readouterr().out
    text = (project / "pipelines/late_flights/late_flights/transform.py").read_text()
    assert text.endswith(FLOWS.partition("\n\n\n")[2])


TO = ["--sample", "sample.parquet", "--to", "folder:rows"]


def test_a_transform_of_a_module_becomes_a_package(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """MODULE:FUNCTION and a destination are enough, without a pipeline file."""
    code = cli.main(["export", "exported_by_command:late", *TO, "--name", "by-name"])

    pipeline = load(project / "pipelines/by-name")
    assert code == 0
    assert "1 row equal the live ones" in capsys.readouterr().out
    assert pipeline.input.source == KafkaSource("flights")
    assert pipeline.sink == ParquetSink(project / "pipelines/by-name/rows")


def test_where_a_transform_begins_and_by_which_profile_is_written(
    project: Path,
) -> None:
    """--from, --key and --profile mean what they mean in the notebook."""
    words = ["--from", "latest", "--profile", "work", "--name", "keyed"]
    to = ["--sample", "sample.parquet", "--to", "topic:late", "--key", "delay"]

    cli.main(["export", "exported_by_command:late", *to, *words])

    pipeline = load(project / "pipelines/keyed")
    assert pipeline.input.source == KafkaSource(
        "flights", profile="work", start="latest"
    )
    assert pipeline.sink == KafkaSink("late", key="delay", profile="work")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["exported_by_command:late"], "has nowhere to write to"),
        (["exported_by_command:lat", "--to", "folder:x"], "did you mean 'late'"),
        (["exported_by_nobody:late", "--to", "folder:x"], "there is no module"),
        (["exported_by_command:late", "--to", "tabel:x"], "did you mean 'table'"),
        (["pipeline.toml", "--to", "folder:x"], "--to is for a transform"),
        (["pipeline.toml", "--from", "latest"], "--from is for a transform"),
        (["nowhere.toml"], "there is no pipeline file nowhere.toml"),
    ],
)
def test_a_mistake_is_one_message(
    project: Path, capsys: pytest.CaptureFixture[str], words: list[str], says: str
) -> None:
    """What failed and what to do; nothing is written."""
    code = cli.main(["export", *words, "--sample", "sample.parquet"])

    assert code == 1
    assert says in capsys.readouterr().err
    assert not (project / "pipelines").exists()


def test_the_packages_command_replays_a_sample(project: Path) -> None:
    """The console script's own mode writes the rows that the sample gives."""
    from streamlab.cli import package

    cli.main(["export", "pipeline.toml", "--sample", "sample.parquet"])
    folder = project / "pipelines" / "late_flights"

    code = package.main(
        folder / "late_flights",
        ["--sample", str(folder / "sample/sample.parquet"), "--output", "rows.parquet"],
    )

    assert code == 0
    assert pl.read_parquet("rows.parquet")["delay"].to_list() == [20]


def test_a_folder_without_a_package_cannot_be_verified(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message says what is missing; there is no traceback."""
    code = cli.main(["verify", str(tmp_path)])

    assert code == 1
    assert "does not hold an exported package" in capsys.readouterr().err
