"""``%%transform``: sugar over the decorator."""

import polars as pl
import pytest

BODY = """%%transform --on sample
import polars as pl

def delayed(flights):
    return flights.filter(pl.col("n") > 1)
"""


@pytest.fixture(autouse=True)
def sample(shell):
    """Give the shell a frame that is not named like the parameter."""
    shell.user_ns["sample"] = pl.DataFrame({"n": [1, 2, 3]})


def run(shell, capsys, code):
    """Run a cell, and return what is shown below it."""
    shell.run_cell(code)
    return capsys.readouterr().out


def test_the_last_function_becomes_a_transform(shell, session, capsys):
    """The cell's function is bound, as a transform, and shown on the sample."""
    assert "2 rows" in run(shell, capsys, BODY)
    assert set(session.transforms()) == {"delayed"}


def test_its_source_can_be_found(shell, capsys):
    """An export reads the function's source, so it must be there."""
    run(shell, capsys, BODY)
    shown = run(shell, capsys, "import inspect; print(inspect.getsource(delayed))")
    assert shown.startswith("def delayed(flights):")


def test_lines_of_errors_are_those_of_the_cell(shell, capsys):
    """The magic's own line counts."""
    shown = run(shell, capsys, BODY.replace('col("n")', 'col("m")'))
    assert "line 5" in shown


def test_the_decorator_may_stand_there_too(shell, capsys):
    """A function that is a transform already stays the one it is."""
    decorated = "import streamlab as sl\n@sl.transform(metadata=())\ndef delayed"
    run(shell, capsys, BODY.replace("def delayed", decorated))
    assert shell.user_ns["delayed"].metadata == ()


def test_a_cell_without_a_function_is_refused(shell, capsys):
    """The message says what to write."""
    shown = run(shell, capsys, "%%transform\nx = 1")
    assert "defines no function" in shown
    assert "def NAME" in shown


def test_an_unknown_sample_is_refused(shell, capsys):
    """Nothing is defined if the sample it should be shown on is not there."""
    assert "'nope'" in run(shell, capsys, BODY.replace("sample", "nope"))
    assert "delayed" not in shell.user_ns
