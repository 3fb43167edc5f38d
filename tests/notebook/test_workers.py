"""A worker started from a shell: it runs apart, is watched, and ends when asked."""

import contextlib
import time

import pytest
from IPython.core.interactiveshell import InteractiveShell

import streamlab as sl
from streamlab.connectors.parquet import scan
from streamlab.errors import Unavailable, UnknownName
from streamlab.notebook import extension
from streamlab.observe.lag import group_names
from streamlab.observe.workers import status
from tests import shells
from tests.notebook.test_lab import DELAYED, flights

pytestmark = [pytest.mark.notebook, pytest.mark.integration]

PATIENCE_S = 30


@pytest.fixture
def shell(notebooks, monkeypatch):
    """Return a shell with the extension, in a folder whose broker is the shared one."""
    monkeypatch.chdir(notebooks)
    InteractiveShell.clear_instance()
    made = InteractiveShell.instance(config=shells.without_history())
    extension.load(made)
    yield made
    extension.unload(made)
    InteractiveShell.clear_instance()
    shells.ended(made)


@pytest.fixture
def delayed(shell, produced):
    """Give the shell a sample and a transform of it; return the topic."""
    topic = produced(flights())
    shell.run_cell(f"%tap {topic} --as flights")
    shell.run_cell(DELAYED)
    return topic


def status_once_read(pipeline, events):
    """Return the status of a pipeline's worker once it has read so many events."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        with contextlib.suppress(UnknownName, Unavailable):
            found = status(pipeline)
            if found.counts.get("read") == events:
                return found
        time.sleep(0.2)
    return pytest.fail("the worker did not read the topic")


def test_a_worker_writes_and_ends_when_asked(shell, delayed, notebooks, capsys):
    """``%start NAME --to`` runs the captured code apart; ``%stop NAME`` drains it."""
    shell.run_cell("%start delayed --to folder:out")
    assert "guarantee" in capsys.readouterr().out
    assert status_once_read("delayed", 40).counts["rows_out"] == 24
    shell.run_cell("%stop delayed")
    assert sl.workers("delayed") == []
    rows = scan(notebooks / ".streamlab/run/delayed/out").collect()
    assert sorted(rows["arr_delay"]) == list(range(16, 40))


def test_a_preview_leaves_no_trace(shell, delayed, capsys):
    """Without a destination no group appears."""
    before = group_names()
    shell.run_cell("%start delayed")
    assert "24 rows out" in capsys.readouterr().out
    assert group_names() == before


def test_a_worker_that_failed_says_why(shell, delayed, capsys):
    """A worker that dies after ``%start`` stays in the list, with its reason."""
    shell.run_cell("%start delayed --to topic:nowhere")
    deadline = time.monotonic() + PATIENCE_S
    said = ""
    while "failed" not in said and time.monotonic() < deadline:
        time.sleep(0.2)
        capsys.readouterr()
        shell.run_cell("%stop")
        said = capsys.readouterr().out
    assert "failed: there is no topic 'nowhere'" in said
