"""Completion of the magics' lines."""

import time

import polars as pl
import pytest
from IPython.core.completer import provisionalcompleter

import streamlab as sl
from streamlab.notebook.broker_names import BrokerNames
from streamlab.notebook.completion import matches


@pytest.fixture
def stocked(shell, session):
    """Give the session two topics, a group and a transform."""
    session.broker = BrokerNames(
        {
            "topics": lambda _profile: ["flights", "flights.dead", "orders"],
            "groups": lambda _profile: ["delays"],
        }
    )

    @sl.transform
    def delayed(flights: pl.LazyFrame) -> pl.LazyFrame:
        """Return the events as they are."""
        return flights

    session.namespace["delayed"] = delayed
    return session


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("%tap fl", ["flights", "flights.dead"]),
        ("%%tap fl", ["flights", "flights.dead"]),
        ("x = %tap or", ["orders"]),
        ("%tap --last 10 or", ["orders"]),
        ("%streamlab tap or", ["orders"]),
        ("%streamlab to", ["topics"]),
        ("%tap orders --f", ["--format", "--from"]),
        ("%tap orders --format s", ["string"]),
        ("%throughput orders fl", ["flights", "flights.dead"]),
        ("%start de", ["delayed"]),
        ("%start delayed --to ta", ["table:"]),
        ("%lag d", ["delays"]),
        ("%stop ", []),
        ("tap fl", []),
        ("print(%tap)", []),
        ("%timeit fl", []),
    ],
)
def test_what_is_offered(stocked, line, offered):
    """Names, options and values, each where it fits; nothing on other lines."""
    found = matches(stocked, line)["completions"]
    assert [each.text for each in found] == offered


def test_the_shell_offers_them_first_and_alone(shell, stocked):
    """Pressing Tab asks our matcher, and nothing of Python's is mixed in."""
    with provisionalcompleter():
        found = list(shell.Completer.completions("%tap fl", 7))
    assert [each.text for each in found] == ["flights", "flights.dead"]


def test_it_takes_less_than_a_tenth_of_a_second(stocked):
    """Completion feels instant."""
    started = time.perf_counter()
    matches(stocked, "%tap fl")
    assert time.perf_counter() - started < 0.1
