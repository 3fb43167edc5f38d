"""``%%transform``: sugar over the decorator."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

import streamlab as sl

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


WINDOWED = """%%transform --window 1h --on at --keys carrier --bound 10m --sample sample
def hourly(flights):
    return flights.group_by("window_start", "carrier").agg(n=pl.len())
"""


@pytest.fixture
def timed(shell):
    """Give the shell a sample of three hours, with an event that is late."""
    shell.run_cell("import polars as pl")
    begin = datetime(2024, 1, 1, tzinfo=UTC)
    times = [begin + timedelta(minutes=m) for m in (0, 30, 80, 150, 5)]
    shell.user_ns["sample"] = pl.DataFrame({"at": times, "carrier": ["UA"] * 5})


def test_a_window_is_declared_and_shown(shell, timed, capsys):
    """Two hours closed, one is open, and one event came too late."""
    shown = run(shell, capsys, WINDOWED)
    assert "out    2 rows" in shown
    assert "late   1 events" in shown
    assert "open   1 rows" in shown
    assert "incomplete when the sample ends" in shown
    on = sl.event_time("at", bound="10m")
    declared = sl.transform(window=sl.tumbling("1h", on=on), keys="carrier")
    assert shell.user_ns["hourly"].needs == declared(lambda flights: flights).needs


@pytest.mark.parametrize(
    ("short", "window"),
    [
        ("24h/5m", lambda on: sl.hopping("24h", "5m", on=on, lateness="1m")),
        ("session:30m", lambda on: sl.session("30m", on=on, lateness="1m")),
        ("count:2", lambda on: sl.count_window(2, on=on, lateness="1m")),
    ],
)
def test_each_kind_of_window_has_a_short_form(shell, timed, capsys, short, window):
    """The same as in the decorator."""
    code = WINDOWED.replace("1h", short).replace("--bound 10m", "--lateness 1m")
    run(shell, capsys, code)
    assert shell.user_ns["hourly"].needs.window == window(sl.event_time("at"))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("--on at ", "", "--window needs --on"),
        ("--window 1h --on at ", "", "go with --window"),
        ("--on at", "--on time", "no column 'time' for the event time"),
        ("--keys carrier", "--keys carier", "did you mean 'carrier'?"),
        ("1h", "every:1h", "write 1h, 1h/5m, session:30m or count:100"),
        ("1h", "often", "size is 'often', which is not a duration"),
    ],
)
def test_wrong_options_are_one_message(shell, timed, capsys, old, new, message):
    """It says what to write, and has no traceback."""
    shown = run(shell, capsys, WINDOWED.replace(old, new, 1))
    assert message in shown
    assert "Traceback" not in shown


JOINED = """import polars as pl, streamlab as sl

@sl.transform(join=sl.interval_join(
    "flights", "weather", keys="carrier", times="at", upper="1h"))
def joined(pairs: pl.LazyFrame) -> pl.LazyFrame:
    return pairs
"""


def test_the_streams_that_are_missing_are_named(shell, timed, capsys):
    """First both, then the other one; with both the join is shown."""
    shown = run(shell, capsys, JOINED)
    assert "%tap TOPIC --as flights and %tap TOPIC --as weather" in shown
    shell.user_ns["flights"] = shell.user_ns["sample"].head(4)
    shown = run(shell, capsys, JOINED)
    assert "--as weather" in shown
    assert "--as flights" not in shown
    shell.user_ns["weather"] = shell.user_ns["sample"].head(1)
    assert "in     5 events" in run(shell, capsys, JOINED)


def test_no_preview_follows_two_topics(shell, timed, capsys):
    """It says so before anything is read."""
    run(shell, capsys, JOINED)
    shown = run(shell, capsys, "%start joined")
    assert "a preview follows one topic" in shown
