"""An export from a real notebook, in an environment that has only what it declares."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nbformat
import orjson
import papermill
import polars as pl
import pytest
import yaml
from traitlets.config import Config

from streamlab.contracts import Schema
from streamlab.positions import Span, TopicPartition
from streamlab.taps.sample import Sample
from tests.integration.environment import Environment

ROOT = Path(__file__).parents[2]
EVENTS = 400
TRANSFORM = '''\
import polars as pl

LATE = 15


@sl.transform
def late_flights(flights: pl.LazyFrame) -> pl.LazyFrame:
    """Keep the late flights."""
    return flights.filter(pl.col("arr_delay") > LATE)
'''
CELLS = [
    "%load_ext streamlab",
    'import streamlab as sl\nflights = sl.Sample.load("flights.parquet")',
    TRANSFORM,
    "%export late_flights --to folder:rows",
]


def saved_sample(path: Path) -> None:
    """Write a sample of some flights, without a broker."""
    rows = pl.DataFrame(
        {"flight": range(EVENTS), "arr_delay": [n % 40 for n in range(EVENTS)]}
    )
    numbers = pl.int_range(EVENTS, eager=True)
    metadata = pl.DataFrame(
        {
            "_topic": ["flights"] * EVENTS,
            "_partition": pl.zeros(EVENTS, pl.Int32, eager=True),
            "_offset": numbers,
            "_timestamp": numbers.cast(pl.Datetime("ms", "UTC")),
            "_key": pl.Series([None] * EVENTS, dtype=pl.Binary),
        }
    )
    Sample(
        name="flights",
        topic="flights",
        frame=pl.concat([metadata, rows], how="horizontal"),
        spans=(Span(TopicPartition("flights", 0), 0, EVENTS),),
        schema=Schema.of(rows.schema, "flights"),
        format="json",
        cut={"last": EVENTS},
        values=pl.Series([orjson.dumps(row) for row in rows.iter_rows(named=True)]),
    ).save(path)


def built(source: Path, wheels: Path) -> Path:
    """Build the wheel of a project, and return it."""
    wheels.mkdir()
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation"]
    options = ["--outdir", str(wheels), str(source)]
    subprocess.run([*command, *options], check=True, capture_output=True)
    (wheel,) = wheels.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run a notebook by papermill that exports its transform; return the package."""
    folder = tmp_path_factory.mktemp("notebook")
    saved_sample(folder / "flights.parquet")
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(text) for text in CELLS],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
    )
    notebook.metadata.kernelspec.language = "python"
    path = folder / "flights.ipynb"
    nbformat.write(notebook, path)
    papermill.execute_notebook(
        str(path),
        str(path),
        cwd=str(folder),
        progress_bar=False,
        config=Config({"KernelManager": {"transport": "ipc"}}),
    )
    return folder / "pipelines/late_flights"


@pytest.fixture(scope="module")
def fresh(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """Install streamlab's wheel and the package into an environment of its own."""
    home = tmp_path_factory.mktemp("fresh")
    environment = Environment.made(home / "environment")
    wheels = built(ROOT, home / "own"), built(package, home / "exported")
    environment.install(*wheels)
    environment.link("late-flights[test]")
    return environment


@pytest.mark.slow
@pytest.mark.notebook
def test_the_package_passes_its_own_workflow(fresh: Environment, package: Path) -> None:
    """What it declares is enough: its tests and its report run as its workflow does."""
    workflow = yaml.safe_load((package / "ci/verify.yml").read_text())
    steps = workflow["jobs"]["verify"]["steps"]
    commands = [step["run"].split() for step in steps if "run" in step]
    said = {
        words[0]: fresh.run(*_command(words), folder=package)
        for words in commands
        if words[0] != "pip"
    }

    assert said.keys() == {"pytest", "streamlab"}
    assert "2 passed" in said["pytest"]
    assert "400 events gave 240 rows, each as expected" in said["streamlab"]
    assert (package / "report/verify.ipynb").exists()


@pytest.mark.slow
@pytest.mark.notebook
def test_the_environment_sees_no_other(
    fresh: Environment, tmp_path: Path, package: Path
) -> None:
    """The control: streamlab is the wheel's, and what is not declared is missing."""
    where = "import streamlab; print(streamlab.__file__)"
    assert str(fresh.packages) in fresh.run("python", "-c", where, folder=tmp_path)
    with pytest.raises(AssertionError, match="No module named 'psycopg'"):
        fresh.run("python", "-c", "import psycopg", folder=tmp_path)


def _command(words: list[str]) -> list[str]:
    """Return a command; linked distributions bring no scripts."""
    return ["python", "-m", *words] if words[0] == "pytest" else words
