"""A headless run: static forms, no waiting, errors that fail the run."""

import time

import nbformat
import papermill
import pytest
from papermill.exceptions import PapermillExecutionError

from tests.notebook.lab import write_notebook
from tests.notebook.test_lab import DELAYED, LOAD, flights

pytestmark = [pytest.mark.notebook, pytest.mark.integration]


def executed(folder, cells):
    """Run cells by papermill, and return the outputs of each."""
    path = folder / "headless.ipynb"
    write_notebook(path, cells)
    papermill.execute_notebook(
        str(path), str(path), cwd=str(folder), progress_bar=False, kernel_name="python3"
    )
    return [cell.outputs for cell in nbformat.read(path, as_version=4).cells]


def html(outputs):
    """Return the HTML of a cell's outputs."""
    return "".join(each.get("data", {}).get("text/html", "") for each in outputs)


def test_every_view_has_a_static_form(notebooks, produced):
    """Tables and pictures instead of widgets, and nothing hangs."""
    topic = produced(flights(), group="streamlab.headless")
    started = time.monotonic()
    outputs = executed(
        notebooks,
        [
            LOAD,
            f"%tap {topic} --as flights",
            DELAYED,
            "%lag headless",
            f"%throughput {topic}",
            "%start delayed",
            "%stop",
        ],
    )
    assert time.monotonic() - started < 60
    assert "40</b> events" in html(outputs[1])
    assert "24</b> rows out" in html(outputs[2])
    assert "20</b> events behind" in html(outputs[3])
    assert "data:image/svg+xml" in html(outputs[4])
    assert "preview of delayed()" in html(outputs[5])
    assert "0</b> running" in html(outputs[6])
    assert "widget-view" not in str(outputs)


def test_an_error_fails_the_run_with_its_message(notebooks):
    """A headless run ends at an error of ours, with one readable message."""
    with pytest.raises(PapermillExecutionError, match="no-such-topic") as raised:
        executed(notebooks, [LOAD, "%tap no-such-topic"])
    assert raised.value.ename == "UnknownName"
    assert len(raised.value.traceback) == 1
