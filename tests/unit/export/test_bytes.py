"""The bytes of a package: the same from every process, and none of this machine's."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from streamlab.taps.sample import Sample

CANARY = "canary7391"
"""In the environment, the settings, the working directory and the cells' outputs."""

NAME = "late_flights"
FLOWS = '''\
import math
from collections import defaultdict
from datetime import UTC, datetime

import polars as pl

import streamlab as sl

LATE = 15
CODES = {"UA", "B6", "AA", "DL"}
CODES |= {"WN", "EV", "MQ", "US"}
NAMES = {"UA": "United", "B6": "JetBlue"}
airlines = pl.DataFrame({"carrier": ["UA", "B6"], "airline": ["United", "JetBlue"]})


@sl.transform(tables={"airlines": sl.table(airlines, key="carrier")})
def late(flights: pl.LazyFrame, airlines: pl.LazyFrame) -> pl.LazyFrame:
    """Keep the late flights; the join promises no order."""
    known = flights.filter(pl.col("carrier").is_in(CODES))
    return (
        known.filter(pl.col("arr_delay") > math.floor(LATE))
        .join(airlines, on="carrier", how="left")
        .with_columns(
            name=pl.col("carrier").replace(NAMES),
            since=pl.lit(datetime(2013, 1, 1, tzinfo=UTC)),
            seen=pl.lit(len(defaultdict(int))),
        )
    )
'''
IN_A_NOTEBOOK = f"""\
from pathlib import Path
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

config = Config()
config.HistoryManager.enabled = False
shell = InteractiveShell.instance(config=config)
for cell in (
    "%load_ext streamlab",
    "import os\\nprint(os.environ['CANARY'])\\nos.environ['CANARY']",
    "import streamlab as sl\\nflights = sl.Sample.load('flights.parquet')\\nflights",
    Path("flows.py").read_text(),
    "%export late --as {NAME} --to folder:rows",
):
    shell.run_cell(cell, store_history=True).raise_error()
"""
BY_COMMAND = (
    *("-m", "streamlab.cli", "export", "flows:late", "--name", NAME),
    *("--sample", "flights.parquet", "--to", "folder:rows"),
)
SETTINGS = f"""\
default_profile = "work"
[profiles.work.kafka]
"bootstrap.servers" = "{CANARY}.example:9092"
"sasl.password" = "{CANARY}"
[profiles.work.postgres]
dsn = "${{env:CANARY}}"
"""


def exported(home: Path, sample: Sample, arguments: list[str], seed: int) -> Path:
    """Export in a process of its own, from a folder of its own; return the package."""
    folder = home / f"{CANARY}-{seed}"
    folder.mkdir()
    (folder / "flows.py").write_text(FLOWS)
    (folder / "streamlab.toml").write_text(SETTINGS)
    (folder / ".env").write_text(f"CANARY={CANARY}")
    sample.save(folder / "flights.parquet")
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONHASHSEED": str(seed),
            "CANARY": CANARY,
            CANARY: "a name may tell something too",
            "IPYTHONDIR": str(home / "ipython"),
        },
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "pipelines" / NAME


@pytest.fixture
def packages(tmp_path: Path, sample: Sample) -> dict[str, Path]:
    """Return the same transform exported twice from cells and twice by the command."""
    cells, command = ["-c", IN_A_NOTEBOOK], list(BY_COMMAND)
    return {
        "notebook": exported(tmp_path, sample, cells, 1),
        "notebook again": exported(tmp_path, sample, cells, 2),
        "command": exported(tmp_path, sample, command, 3),
        "command again": exported(tmp_path, sample, command, 4),
    }


def contents(folder: Path) -> dict[str, bytes]:
    """Return relative path → bytes of all files of a folder."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def laid_open(name: str, content: bytes) -> bytes:
    """Return a file with what is compressed or encoded in it beside it."""
    if not name.endswith(".parquet"):
        return content
    notes = pl.read_parquet_metadata(content)
    rows = repr(pl.read_parquet(content).to_dict(as_series=False))
    schema = base64.b64decode(notes.get("ARROW:schema", ""))
    return b"\n".join([content, repr(notes).encode(), rows.encode(), schema])


def test_every_export_has_the_same_bytes_and_none_of_this_machines(
    packages: dict[str, Path], tmp_path: Path
) -> None:
    """From cells or by command, whatever the hash seed and the folder."""
    first, *others = (contents(folder) for folder in packages.values())
    for other in others:
        assert {n for n in {*first, *other} if first.get(n) != other.get(n)} == set()

    of_this_machine = [CANARY, str(tmp_path), sys.prefix, f"{Path.home()}/"]
    for name, content in first.items():
        opened = laid_open(name, content)
        assert [each for each in of_this_machine if each.encode() in opened] == [], name


def test_the_search_finds_a_canary_in_any_place(tmp_path: Path) -> None:
    """The negative control: values, column names and notes of a file are searched."""
    for number, (frame, notes) in enumerate(
        [
            (pl.DataFrame({"a": [CANARY]}), {}),
            (pl.DataFrame({"a": [{"b": [CANARY.encode()]}]}), {}),
            (pl.DataFrame({CANARY: [1]}), {}),
            (pl.DataFrame({"a": [1]}), {"note": CANARY}),
        ]
    ):
        path = tmp_path / f"{number}.parquet"
        frame.write_parquet(path, metadata=notes)

        assert CANARY.encode() in laid_open(path.name, path.read_bytes())
