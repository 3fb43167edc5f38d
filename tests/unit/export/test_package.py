from __future__ import annotations

import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from streamlab import export
from streamlab.connectors.console import ConsoleSink
from streamlab.connectors.kafka.sink import KafkaSink
from streamlab.connectors.kafka.source import KafkaSource
from streamlab.connectors.postgres.sink import PostgresSink
from streamlab.connectors.postgres.source import PostgresSource
from streamlab.errors import ExportRefused, UsageError
from streamlab.export.package import MAX_SAMPLE_BYTES
from streamlab.export.replay import replay
from streamlab.pipelines.file import load
from streamlab.taps.sample import Sample

Cells = Callable[..., dict[str, Any]]

DELAYED = """\
import polars as pl
import streamlab as sl
LATE = 15
airlines = pl.DataFrame({"carrier": ["UA"], "airline": ["United"]})

@sl.transform(tables={"airlines": sl.table(airlines, key="carrier")})
def delayed(flights, airlines):
    late = flights.filter(pl.col("arr_delay") > LATE)
    return late.join(airlines, on="carrier", how="left", maintain_order="left")
"""


def contents(folder: Path) -> dict[str, bytes]:
    """Return relative path → bytes of all files of a folder."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_a_package_has_all_its_files(
    cells: Cells, sample: Sample, tmp_path: Path
) -> None:
    """Project, pipeline, schema, module, tables, test, sample and report are there."""
    exported = export.write(
        cells(DELAYED)["delayed"],
        "late-flights",
        sample=sample,
        sink=PostgresSink("delayed"),
        folder=tmp_path,
    )

    assert exported.files == (
        ".dockerignore",
        "Dockerfile",
        "README.md",
        "ci/verify.yml",
        "late_flights/__init__.py",
        "late_flights/tables/airlines.parquet",
        "late_flights/transform.py",
        "late_flights/worker.py",
        "pipeline.toml",
        "pyproject.toml",
        "sample/expected.parquet",
        "sample/sample.parquet",
        "schema.yaml",
        "tests/test_late_flights.py",
        "verify.ipynb",
        "verify.py",
    )
    assert (exported.rows_in, exported.rows_out) == (3, 2)


def test_the_project_pins_streamlab_with_the_extras_it_needs(
    cells: Cells, sample: Sample, tmp_path: Path
) -> None:
    """Source and sink decide the extras; the command is the pipeline's name."""
    exported = export.write(
        cells(DELAYED)["delayed"],
        sample=sample,
        sink=PostgresSink("delayed"),
        folder=tmp_path,
    )

    project = tomllib.loads((exported.folder / "pyproject.toml").read_text())["project"]
    own, polars = project["dependencies"]
    assert own.startswith("streamlab-data[kafka,postgres]==")
    assert polars.startswith("polars~=")
    assert project["scripts"] == {"delayed": "delayed.worker:main"}


def test_twice_the_same_bytes(cells: Cells, sample: Sample, tmp_path: Path) -> None:
    """An export that changed nothing shows nothing in version control."""
    delayed = cells(DELAYED)["delayed"]
    for folder in ("one", "two"):
        export.write(
            delayed, sample=sample, sink=ConsoleSink(), folder=tmp_path / folder
        )

    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_the_written_pipeline_gives_the_expected_rows(
    cells: Cells, sample: Sample, tmp_path: Path
) -> None:
    """The file loads, and the engine makes of the sample what the notebook made."""
    exported = export.write(
        cells(DELAYED)["delayed"],
        "replayed-flights",
        sample=sample,
        sink=ConsoleSink(),
        folder=tmp_path,
    )

    replayed = replay(load(exported.pipeline_file), sample)

    expected = pl.read_parquet(exported.folder / "sample/expected.parquet")
    assert replayed.rows_in == 3
    assert replayed.dead_lettered == 0
    assert replayed.output.sort("carrier").equals(expected.sort("carrier"))


def test_no_file_holds_a_path_of_this_machine(
    cells: Cells, sample: Sample, tmp_path: Path
) -> None:
    """A package says nothing about where it was made, even from absolute tables."""
    table = tmp_path / "airlines.parquet"
    pl.DataFrame({"carrier": ["UA"], "airline": ["United"]}).write_parquet(table)
    namespace = cells(
        DELAYED.replace("sl.table(airlines,", f"sl.table({str(table)!r},")
    )
    export.write(
        namespace["delayed"],
        sample=sample,
        sink=ConsoleSink(),
        folder=tmp_path / "made",
    )

    for name, content in contents(tmp_path / "made").items():
        assert str(tmp_path).encode() not in content, name


@pytest.mark.parametrize(
    ("sink", "says"),
    [
        (PostgresSink("t", dsn="postgres://me:hunter2@host/db"), r"\[sink\] dsn"),
        (KafkaSink("t", options={"sasl.password": "hunter2"}), "sasl.password"),
    ],
)
def test_a_secret_of_a_connector_is_refused_without_its_value(
    cells: Cells, sample: Sample, tmp_path: Path, sink: Any, says: str
) -> None:
    """Connections belong into streamlab.toml; the refusal does not show them."""
    with pytest.raises(ExportRefused, match=says) as caught:
        export.write(
            cells(DELAYED)["delayed"], sample=sample, sink=sink, folder=tmp_path
        )

    assert "hunter2" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_an_edited_transform_is_not_lost(
    cells: Cells, sample: Sample, tmp_path: Path
) -> None:
    """A second export does not replace what somebody changed by hand."""
    delayed = cells(DELAYED)["delayed"]
    exported = export.write(delayed, sample=sample, sink=ConsoleSink(), folder=tmp_path)
    path = exported.folder / "delayed" / "transform.py"
    path.write_text(path.read_text() + "# by hand\n")

    with pytest.raises(ExportRefused, match=r"edited .*delayed/transform.py"):
        export.write(delayed, sample=sample, sink=KafkaSink("late"), folder=tmp_path)


@pytest.mark.parametrize("name", ["json", "polars", "class", "9lives", "Ünlaut", "a b"])
def test_a_name_that_is_taken_or_malformed_is_refused(
    cells: Cells, sample: Sample, tmp_path: Path, name: str
) -> None:
    """The module of a package hides no other module."""
    with pytest.raises(UsageError):
        export.write(
            cells(DELAYED)["delayed"],
            name,
            sample=sample,
            sink=ConsoleSink(),
            folder=tmp_path,
        )


def test_a_transform_needs_a_sink(cells: Cells, sample: Sample, tmp_path: Path) -> None:
    """Without a destination there is nothing to run."""
    with pytest.raises(UsageError, match="nowhere to write"):
        export.write(cells(DELAYED)["delayed"], sample=sample, folder=tmp_path)


def test_an_empty_sample_is_refused(
    cells: Cells, sample: Sample, tmp_path: Path
) -> None:
    """A package that was tested on nothing was not tested."""
    empty = replace(sample, frame=sample.frame.clear(), values=sample.values.clear())

    with pytest.raises(ExportRefused, match="no events"):
        export.write(
            cells(DELAYED)["delayed"],
            sample=empty,
            sink=ConsoleSink(),
            folder=tmp_path,
        )


def test_a_large_table_is_refused(cells: Cells, sample: Sample, tmp_path: Path) -> None:
    """A table beyond the limit is refused by name and size."""
    rows = MAX_SAMPLE_BYTES // 8
    namespace = cells(
        DELAYED,
        "import numpy\n"
        f"noise = numpy.random.default_rng(0).integers(0, 2**62, {rows * 2})\n"
        'big = pl.DataFrame({"carrier": noise})\n'
        '@sl.transform(tables={"big": big})\n'
        "def joined(flights, big):\n"
        "    return flights",
    )

    with pytest.raises(ExportRefused, match="table big of joined: 20 MB"):
        export.write(
            namespace["joined"], sample=sample, sink=ConsoleSink(), folder=tmp_path
        )


def test_the_source_of_a_transform_is_the_samples_topic(
    cells: Cells, sample: Sample, tmp_path: Path
) -> None:
    """What was tapped is what the worker reads."""
    exported = export.write(
        cells(DELAYED)["delayed"],
        "topical-flights",
        sample=sample,
        sink=ConsoleSink(),
        folder=tmp_path,
    )

    assert load(exported.folder).input.source == KafkaSource("flights")


def test_a_transform_that_depends_on_the_cut_is_refused(
    cells: Cells, sample: Sample, tmp_path: Path
) -> None:
    """What the evaluation below the cell says is wrong does not become a worker."""
    namespace = cells(
        "import polars as pl\nimport streamlab as sl\n"
        "@sl.transform\n"
        "def centred(flights):\n"
        '    return flights.select(pl.col("arr_delay") - pl.col("arr_delay").mean())'
    )

    with pytest.raises(ExportRefused, match="not ready for a stream: looks across"):
        export.write(
            namespace["centred"], sample=sample, sink=ConsoleSink(), folder=tmp_path
        )


def test_a_source_that_gives_rows_is_refused_with_what_runs_instead(
    cells: Cells, sample: Sample, tmp_path: Path
) -> None:
    """A sample has events of a topic: it cannot stand for a database."""
    with pytest.raises(ExportRefused, match="reads postgres table") as e:
        export.write(
            cells(DELAYED)["delayed"],
            "late-flights",
            sample=sample,
            source=PostgresSource(tables=("shop.orders",)),
            sink=ConsoleSink(),
            folder=tmp_path,
        )
    assert "streamlab run" in e.value.hint
    assert list(tmp_path.iterdir()) == []
