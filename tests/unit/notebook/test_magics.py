"""The magics that need no server, through a real shell."""

from dataclasses import dataclass

import polars as pl
import pytest

from streamlab.errors import UsageError
from streamlab.notebook.magics import MAGICS, named
from streamlab.notebook.magics.tap import _expression, _offsets, identifier


@dataclass
class Thing:
    """Something that runs until it is stopped."""

    name: str
    kind: str = "view"
    running: bool = True

    def describe(self):
        return "painting"

    def stop(self):
        self.running = False


def run(shell, capsys, code):
    """Run a cell, and return what is shown below it."""
    shell.run_cell(code)
    return capsys.readouterr().out


def test_streamlab_lists_the_magics(shell, capsys):
    """Bare, it is the table of contents."""
    shown = run(shell, capsys, "%streamlab")
    assert all(f"%{name}" in shown for name in MAGICS if name != "streamlab")


def test_streamlab_runs_a_cell_magic(shell, capsys):
    """``%%streamlab transform`` is ``%%transform``."""
    shell.user_ns["flights"] = pl.DataFrame({"n": [1]})
    code = "%%streamlab transform\ndef f(flights):\n    return flights"
    assert "1 events" in run(shell, capsys, code)


def test_an_unknown_command_names_near_ones(shell, capsys):
    """A slip is answered with the name that was meant."""
    assert "'topics'" in run(shell, capsys, "%streamlab topcis")


def test_a_bare_stop_lists_what_runs(shell, session, capsys):
    """Automagic turns a bare ``stop`` into the magic: it must not stop anything."""
    thing = Thing("lag delays")
    session.add(thing)
    assert "painting" in run(shell, capsys, "stop")
    assert thing.running


def test_stop_takes_quoted_names(shell, session, capsys):
    """A name with a space goes in quotes."""
    thing = Thing("lag delays")
    session.add(thing)
    assert "stopped lag delays" in run(shell, capsys, "%stop 'lag delays'")
    assert not thing.running


def test_stop_all_ends_everything(shell, session, capsys):
    """One word ends all that runs from here."""
    things = [Thing("a"), Thing("b")]
    for thing in things:
        session.add(thing)
    run(shell, capsys, "%stop --all")
    assert not any(thing.running for thing in things)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("%lag x --profil y", "did you mean '--profile'"),
        ("%lag 'x", "a quotation mark is not closed"),
        ("%tap x --last many", "invalid int value"),
        ("%tap x --format jsn", "invalid choice"),
        ("%tap x --live --key k", "--key does not go with --live"),
        ("%tap x --into cases", "--into goes with --live"),
        ("%tap x --live --into 2x", "'2x' cannot name a variable"),
        ("%start nothing", "there is no transform 'nothing'"),
        ("%export nothing --to table:x", "there is no transform 'nothing'"),
        ("%connect nowhere", "there is no profile 'nowhere'"),
        ("%topics", "streamlab up"),
    ],
)
def test_a_mistake_is_one_readable_message(shell, capsys, line, said):
    """What failed and what to do, without a traceback."""
    shown = run(shell, capsys, line)
    assert said in shown
    assert "Traceback" not in shown


@pytest.mark.parametrize("name", sorted(MAGICS))
def test_the_parser_knows_its_magic(name):
    """Help and messages call the magic as it is written."""
    assert named(name).parser.prog.lstrip("%") == name


@pytest.mark.parametrize(
    ("topic", "name"),
    [
        ("orders", "orders"),
        ("order-items.v2", "order_items_v2"),
        ("2024-flights", "_2024_flights"),
        ("class", "class_"),
        ("list", "list_"),
    ],
)
def test_a_topic_becomes_a_variable(topic, name):
    """The name is valid, and hides neither a keyword nor a builtin."""
    assert identifier(topic) == name


def test_offsets_are_partition_and_offset():
    """``0:100,1:250`` is partition 0 from 100 and partition 1 from 250."""
    assert _offsets("0:100,1:250") == {0: 100, 1: 250}


@pytest.mark.parametrize("written", ["100", "0:", "a:b", ""])
def test_other_offsets_are_refused(written):
    """The message shows the form."""
    with pytest.raises(UsageError, match="offsets"):
        _offsets(written)


def test_where_is_an_expression_over_the_users_variables(session):
    """A condition may use what the notebook holds."""
    session.namespace["least"] = 15
    frame = pl.DataFrame({"n": [10, 20]})
    assert frame.filter(_expression("pl.col('n') > least", session)).height == 1


@pytest.mark.parametrize(("written", "said"), [("1 +", "fails"), ("15", "int")])
def test_where_must_be_an_expression(session, written, said):
    """Anything else is refused with what it was."""
    with pytest.raises(UsageError, match=said):
        _expression(written, session)
