"""What an export writes passes the checks that this project holds itself to."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jupytext
import polars as pl
import pytest

from streamlab import export
from streamlab.connectors.console import ConsoleSink
from streamlab.contracts import Schema
from streamlab.taps.sample import Sample

Cells = Callable[..., dict[str, Any]]

ROOT = Path(__file__).parents[3]
NOTEBOOKS = "verify.*"  # read as prose, like those of the project

# Everything that the generator itself puts into words: imports of all forms,
# constants of all forms, a comment, tables, metadata, pandas.
HELPERS = '''\
import math
from collections import defaultdict as groups
from datetime import UTC, datetime, timedelta

import polars as pl
from polars import col

import streamlab as sl

LATE = 15
NAMES = {"UA": "United", "AA": "American"}
NAMES |= {"B6": "JetBlue", "DL": "Delta", "WN": "Southwest", "EV": "ExpressJet"}
SINCE = ("2013", "2014")
QUOTED = 'it is "late"'
carriers = pl.DataFrame({"carrier": ["UA"], "airline": ["United"]})


# As people say it.
def spoken(minutes: pl.Expr) -> pl.Expr:
    """Return minutes in words."""
    return pl.format("{} minutes", minutes)


@sl.transform(
    tables={"carriers": sl.table(carriers, key="carrier")}, metadata=["_offset"]
)
def late(flights: pl.LazyFrame, carriers: pl.LazyFrame) -> pl.LazyFrame:
    """Keep the late flights and say how late they are."""
    start = datetime(2013, 1, 1, tzinfo=UTC) + timedelta(minutes=math.floor(1.5))
    return (
        flights.filter(col("arr_delay") > LATE)
        .join(carriers, on="carrier", how="left", maintain_order="left")
        .with_columns(
            said=spoken(col("arr_delay")),
            name=col("carrier").replace(NAMES),
            start=pl.lit(start),
            since=pl.lit(len(groups(int)) + len(SINCE)),
            quoted=pl.lit(QUOTED),
        )
    )
'''
PANDAS = '''\
import pandas as pd

import streamlab as sl


@sl.transform(pandas=True)
def late(flights: pd.DataFrame) -> pd.DataFrame:
    """Keep the late flights."""
    return flights[flights["arr_delay"] > 15]  # noqa: PLR2004 -- minutes
'''


def complaints(folder: Path) -> str:
    """Return what ruff says of a package, by the rules of this project."""
    said = ""
    for command in (["check", f"--extend-exclude={NOTEBOOKS}"], ["format", "--check"]):
        options = ["--no-cache", "--quiet", "--config", str(ROOT / "pyproject.toml")]
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, *options, "."],
            cwd=folder,
            check=False,
            capture_output=True,
            text=True,
        )
        said += done.stdout + done.stderr
    return said


def written(namespace: dict[str, Any], name: str, sample: Sample, folder: Path) -> Path:
    """Export a transform and return the package's folder."""
    return export.write(
        namespace[name], sample=sample, sink=ConsoleSink(), folder=folder
    ).folder


@pytest.mark.parametrize("text", [HELPERS, PANDAS], ids=["polars", "pandas"])
def test_a_package_passes_the_projects_ruff(
    cells: Cells, sample: Sample, tmp_path: Path, text: str
) -> None:
    """Check and format, over transforms, worker and test: nothing to say."""
    assert complaints(written(cells(text), "late", sample, tmp_path)) == ""


def test_the_tutorials_package_passes_the_projects_ruff(
    cells: Cells, sample: Sample, tmp_path: Path
) -> None:
    """The transform that the demo ships is exported clean."""
    tutorial = jupytext.read(ROOT / "notebooks/01_delayed_flights.py")
    defining = [
        cell.source
        for cell in tutorial.cells
        if "parameters" in cell.metadata.get("tags", ())
        or "def delayed_flights" in cell.source
    ]
    texts = ["tailnum", "origin", "dest", "time_hour"]
    extra = {"flight": pl.lit(1), "dep_delay": pl.lit(1)}
    extra |= {name: pl.lit("x") for name in texts}
    rows = sample.events.with_columns(**extra)
    values = pl.Series([one.encode() for one in rows.write_ndjson().splitlines()])
    flights = Sample(
        name="flights",
        topic="flights",
        frame=sample.frame.with_columns(**extra),
        spans=sample.spans,
        schema=Schema.of(rows.schema),
        format="json",
        cut={},
        values=values,
    )

    folder = written(cells(*defining), "delayed_flights", flights, tmp_path)

    assert complaints(folder) == ""


def test_the_check_sees_an_unused_import(
    cells: Cells, sample: Sample, tmp_path: Path
) -> None:
    """The negative control: what the generator must not write is found."""
    folder = written(cells(HELPERS), "late", sample, tmp_path)
    path = folder / "late/transform.py"
    path.write_text(path.read_text().replace("import math", "import math\nimport os"))

    assert "F401" in complaints(folder)
