"""Headless runs: real kernels, without a server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import psutil
import pytest

import streamlab as sl
from streamlab.errors import WrongParameters
from streamlab.headless.execution import CellStarted
from tests.notebook import lab as labs

pytestmark = pytest.mark.notebook

BROKEN = """\
# %% [markdown]
# # Delays

# %% tags=["parameters"]
wrong: int = 1203  # 0..9_999: the row that holds no number
password: str = ""

# %%
# %load_ext streamlab
import polars as pl
import streamlab as sl

rows = pl.int_range(10_000, eager=True)
events = pl.DataFrame(
    {
        "_topic": ["flights"] * 10_000,
        "_partition": rows % 4,
        "_offset": rows // 4,
        "delay": [str(row) if row != wrong else "Jane Doe" for row in rows],
    }
)

# %%
import os, sys
print("password", password, "stdin", repr(sys.stdin.read()), os.getcwd())

# %% A widget
import ipywidgets
ipywidgets.IntSlider()

# %%
@sl.transform
def minutes(flights):
    return flights.select(pl.col("delay").cast(pl.Int64))

# %% Evaluate <b>
sl.evaluate(minutes, events)

# %%
print("not reached")
"""

WAITING = """\
# %%
import time
print("now")

# %% Wait
time.sleep(120)
"""


def notebook(folder: Path, text: str, name: str = "n.py") -> Path:
    """Write a source and return its path."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory):
    """Run the broken notebook for two rows at once; return the run and the news."""
    folder = tmp_path_factory.mktemp("ran")
    news: list[object] = []
    os.environ["STREAMLAB_TEST_SECRET"] = "hunter2"
    try:
        result = sl.headless.run(
            [notebook(folder, BROKEN)],
            [
                {"wrong": 7, "password": "${env:STREAMLAB_TEST_SECRET}"},
                {"wrong": 4001},
            ],
            output=folder / "out",
            progress=news.append,
        )
    finally:
        del os.environ["STREAMLAB_TEST_SECRET"]
    return result, news


def test_a_failed_cell_has_its_name_parameters_and_events(ran) -> None:
    """The cell's title and number, the values, and the origin of the bad event."""
    first, second = ran[0].executions
    assert (first.failure.cell, first.failure.number) == ("Evaluate <b>", 7)
    assert first.failure.kind == "TransformError"
    assert first.failure.events == ("flights/3@1",)
    assert second.failure.events == ("flights/1@1000",)
    assert second.parameters == {"wrong": "4001"}


def test_no_value_and_no_secret_is_kept(ran) -> None:
    """Neither the event's value nor the content of a reference is in what is left."""
    for path in ran[0].report.parent.iterdir():
        text = path.read_text(encoding="utf-8")
        assert "hunter2" not in text
        assert "cast" in text
        assert "Jane Doe'" not in text


def test_standard_input_is_at_its_end_and_widgets_are_text(ran) -> None:
    """Nothing waits for a person; the working directory is the notebook's."""
    executed = nbformat.read(ran[0].executions[0].notebook, as_version=4)
    shown = {cell.id: cell.get("outputs", []) for cell in executed.cells}
    text = json.dumps(list(shown.values()))
    assert "password ${env:STREAMLAB_TEST_SECRET} stdin ''" in text
    assert str(ran[0].report.parent.parent) in text
    assert "IntSlider(value=0)" in text
    assert "widget-view" not in text
    assert "not reached" not in text


def test_the_executed_notebook_has_no_notes_of_papermill(ran) -> None:
    """No path, no time and no version is in the metadata."""
    executed = nbformat.read(ran[0].executions[0].notebook, as_version=4)
    assert set(executed.metadata) <= {"kernelspec", "language_info", "jupytext"}
    assert {name for cell in executed.cells for name in cell.metadata} <= {
        "tags",
        "title",
    }


def test_each_cell_is_told_when_it_begins(ran) -> None:
    """Progress has a line for each cell of each notebook, in order."""
    mine = [n for n in ran[1] if isinstance(n, CellStarted) and n.notebook == "n-1"]
    assert [each.number for each in mine] == [1, 2, 3, 4, 5, 6, 7]
    assert str(mine[-1]) == "n-1 [7/8] Evaluate <b>"


def test_the_report_loads_nothing(ran, chromium) -> None:
    """The page opens in a browser, asks for nothing else and runs no script."""
    with labs.browser(chromium) as front:
        asked: list[str] = []
        front.page.on("request", lambda request: asked.append(request.url))
        front.page.goto(ran[0].report.as_uri())
        assert front.page.locator("table.summary tbody tr").count() == 2
        assert "flights/3@1" in front.page.locator("table.summary").inner_text()
        assert "Evaluate <b>" in front.page.locator("table.summary").inner_text()
        assert front.problems == []
    assert asked == [ran[0].report.as_uri()]


def test_a_transform_that_fails_on_its_sample_fails_the_run(tmp_path: Path) -> None:
    """What a person would see below the cell fails the cell where nobody looks."""
    text = (
        "# %%\n# %load_ext streamlab\nimport polars as pl, streamlab as sl\n"
        "events = pl.DataFrame({'n': ['1', 'x']})\n\n"
        "# %% Define it\n@sl.transform\ndef numbers(events):\n"
        "    return events.select(pl.col('n').cast(pl.Int64))\n\n"
        "# %%\nprint('goes on')\n"
    )
    path = notebook(tmp_path, text)
    (execution,) = sl.headless.run([path], output=tmp_path / "out").executions
    assert (execution.failure.cell, execution.failure.number) == ("Define it", 2)
    assert execution.failure.events == ("row 1",)


def test_input_is_refused_with_what_to_do(tmp_path: Path) -> None:
    """A cell that asks a person fails at once, and says what to do instead."""
    path = notebook(tmp_path, "# %%\nname = input('Name? ')\n")
    (execution,) = sl.headless.run([path], output=tmp_path / "out").executions
    assert execution.failure.kind == "StdinNotImplementedError"
    assert "nobody is there to answer" in execution.failure.message
    assert "parameter" in execution.failure.hint


def test_a_cell_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    """The time for a cell ends it, and the report names it."""
    path = notebook(tmp_path, WAITING)
    ran = sl.headless.run([path], output=tmp_path / "out", cell_timeout_s=2)
    (execution,) = ran.executions
    assert execution.failure.cell == "Wait"
    assert "longer than 2 s" in execution.failure.message
    assert "longer than 2 s" in ran.report.read_text(encoding="utf-8")


def test_a_kernel_that_dies_is_told(tmp_path: Path) -> None:
    """A crash of the kernel fails the notebook, with the cell."""
    path = notebook(tmp_path, "# %% Crash\nimport os\nos._exit(3)\n")
    (execution,) = sl.headless.run([path], output=tmp_path / "out").executions
    assert execution.failure.cell == "Crash"
    assert "its kernel died" in execution.failure.message


def test_parameters_are_checked_before_a_kernel_starts(tmp_path: Path) -> None:
    """Nothing is written and nothing runs where a value does not fit."""
    path = notebook(tmp_path, BROKEN)
    with pytest.raises(WrongParameters, match="did you mean 'wrong'"):
        sl.headless.run([path], {"wrnog": 5}, output=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def command(*words: str) -> list[str]:
    """Return a command line of ours."""
    return [sys.executable, "-m", "streamlab.cli", "notebook", *words]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("-p", "a=2"), 0, "passed  n"),
        (("-p", "a=0"), 1, "FAILED  n"),
        (("-p", "a=x"), 2, "a must be an int"),
        (("-p", "b=1"), 2, "there is no parameter 'b'"),
    ],
)
def test_the_exit_code_tells_what_happened(
    tmp_path: Path, words: tuple[str, ...], code: int, said: str
) -> None:
    """0 if all ran, 1 for a failed cell, 2 for wrong parameters."""
    text = '# %% tags=["parameters"]\na: int = 1\n\n# %%\n1 / a\n'
    line = command("run", str(notebook(tmp_path, text)), *words)
    done = subprocess.run(
        line, capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == code
    assert said in done.stdout + done.stderr
    reports = list(tmp_path.glob(".streamlab/notebooks/*/report.html"))
    assert len(reports) == (code != 2)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupt_leaves_no_process(tmp_path: Path, number: int) -> None:
    """However a run is ended, its kernels and their processes end with it."""
    path = notebook(tmp_path, WAITING)
    line = command("run", str(path), str(path), "--jobs", "2", "--output", "out")
    with subprocess.Popen(
        line, cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        seen: list[str] = []
        while sum("Wait" in each for each in seen) < 2:
            seen.append(process.stdout.readline())
        children = psutil.Process(process.pid).children(recursive=True)
        kernels = [c for c in children if "ipykernel_launcher" in c.cmdline()]
        assert len(kernels) == 2
        process.send_signal(number)
        process.wait(90)
    _, alive = psutil.wait_procs(children, timeout=20)
    assert alive == []
    if number != signal.SIGKILL:
        assert process.returncode == 130
        report = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
        assert "Interrupted" in report


def test_several_run_at_the_same_time(tmp_path: Path) -> None:
    """Two that wait for each other's file both end."""
    text = (
        '# %% tags=["parameters"]\nme: str = "a"\nother: str = "b"\n\n'
        "# %%\nimport pathlib, time\npathlib.Path(me).touch()\n"
        "end = time.monotonic() + 60\n"
        "while not pathlib.Path(other).exists():\n"
        "    assert time.monotonic() < end\n    time.sleep(0.05)\n"
    )
    sets = [{"me": "a", "other": "b"}, {"me": "b", "other": "a"}]
    started = time.monotonic()
    ran = sl.headless.run(
        [notebook(tmp_path, text)], sets, output=tmp_path / "out", jobs=2
    )
    assert ran.passed, str(ran)
    assert time.monotonic() - started < 60


def test_a_rendered_notebook_is_the_same_twice(tmp_path: Path) -> None:
    """A source executed two times gives the same bytes beside it."""
    path = notebook(tmp_path, "# %%\nimport polars as pl\npl.DataFrame({'a': [1]})\n")
    (first,) = sl.headless.render([path])
    before = first.read_bytes()
    sl.headless.render([path])
    assert first.read_bytes() == before
    assert b"text/html" in before
