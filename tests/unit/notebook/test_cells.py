"""Below a cell that defines a transform: its evaluation, once."""

import polars as pl
import pytest

DELAYED = """import polars as pl, streamlab as sl

@sl.transform
def delayed(flights: pl.LazyFrame) -> pl.LazyFrame:
    return flights.filter(pl.col("arr_delay") > 15)
"""


@pytest.fixture
def flights(shell):
    """Give the shell a frame of three flights."""
    shell.user_ns["flights"] = pl.DataFrame({"arr_delay": [11.0, 33.0, 20.0]})


def run(shell, capsys, code):
    """Run a cell, and return what is shown below it."""
    shell.run_cell(code)
    return capsys.readouterr().out


def test_a_new_transform_is_evaluated(shell, flights, capsys):
    """The cell that defines it shows rows in and out."""
    shown = run(shell, capsys, DELAYED)
    assert "3 events" in shown
    assert "2 rows" in shown


def test_a_transform_defined_again_is_evaluated_again(shell, flights, capsys):
    """Editing and running the cell again shows the new result."""
    run(shell, capsys, DELAYED)
    assert "1 rows" in run(shell, capsys, DELAYED.replace("15", "25"))


def test_other_cells_show_no_evaluation(shell, flights, capsys):
    """A cell that only uses the transform shows what it would show anyway."""
    run(shell, capsys, DELAYED)
    assert "events" not in run(shell, capsys, "also = delayed")


def test_the_transform_itself_shows_the_stored_result(shell, session, flights, capsys):
    """Displaying the object computes nothing: the sample may have gone."""
    run(shell, capsys, DELAYED)
    del shell.user_ns["flights"]
    assert "2 rows" in run(shell, capsys, "delayed")


def test_an_error_in_the_function_points_at_the_line(shell, flights, capsys):
    """The message names the user's line and near columns, without a traceback."""
    shown = run(shell, capsys, DELAYED.replace('col("arr_delay")', 'col("arr_dela")'))
    assert "line 5" in shown
    assert "'arr_delay'" in shown
    assert "Traceback" not in shown


def test_without_a_sample_it_says_how_to_get_one(shell, capsys):
    """A definition without a sample is not silent."""
    assert "%tap TOPIC --as flights" in run(shell, capsys, DELAYED)


def test_a_failing_cell_evaluates_nothing(shell, flights, capsys):
    """After an error the error is what counts."""
    assert "2 rows" not in run(shell, capsys, DELAYED + "\n1 / 0")


def test_a_lazy_or_pandas_frame_serves_as_sample(shell, capsys):
    """Whatever frame has the parameter's name can be tried on."""
    frame = pl.DataFrame({"arr_delay": [11.0, 33.0]})
    for held in (frame.lazy(), frame.to_pandas()):
        shell.user_ns["flights"] = held
        assert "2 events" in run(shell, capsys, DELAYED)


def test_an_imported_transform_is_not_evaluated(
    shell, flights, capsys, monkeypatch, tmp_path
):
    """Only what the cell itself defines is shown."""
    (tmp_path / "defined_elsewhere.py").write_text(DELAYED)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert not run(shell, capsys, "from defined_elsewhere import delayed")


def test_the_events_that_a_transform_fails_on_are_named(shell, capsys):
    """Origins stand below the cell, and no value."""
    shell.user_ns["flights"] = pl.DataFrame(
        {
            "_topic": ["flights", "flights"],
            "_partition": [0, 1],
            "_offset": [5, 77],
            "arr_delay": ["11", "Jane Doe"],
        }
    )
    shown = run(shell, capsys, DELAYED.replace(") > 15", ").cast(pl.Int64) > 15"))
    assert "Events: flights/1@77" in shown
    assert "Jane Doe" not in shown
