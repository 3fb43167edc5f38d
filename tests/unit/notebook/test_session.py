"""The session: names of samples and transforms, and what runs."""

from dataclasses import dataclass, field

import polars as pl
import pytest

import streamlab as sl
from streamlab.contracts import Schema
from streamlab.errors import UnknownName
from streamlab.notebook.session import Session
from streamlab.taps.sample import Sample


@dataclass
class Thing:
    """Something that runs until it is stopped."""

    name: str
    kind: str = "view"
    running: bool = True
    detached: bool = False
    failed: bool = False
    stops: list = field(default_factory=list)

    def describe(self):
        return "running"

    def stop(self):
        self.running = False
        self.stops.append(1)


def sample(name="flights"):
    frame = pl.DataFrame({"n": [1]})
    return Sample(
        name, name, frame, (), Schema.of(frame.schema), "json", {}, pl.Series([b"{}"])
    )


@sl.transform
def delayed(flights: pl.LazyFrame) -> pl.LazyFrame:
    """Return the events as they are."""
    return flights


def test_samples_and_transforms_are_the_users_variables():
    """No registry: what the variables hold is what there is."""
    session = Session({"flights": sample(), "delayed": delayed, "_hidden": sample()})
    assert set(session.samples()) == {"flights"}
    assert set(session.transforms()) == {"delayed"}


def test_an_unknown_sample_names_near_ones():
    """A misspelt sample is answered with the one that is there."""
    with pytest.raises(UnknownName, match="flights"):
        Session({"flights": sample()}).sample("flihgts")


def test_a_transform_goes_with_the_sample_named_like_its_parameter():
    """The parameter's name is the link between transform and sample."""
    flights = sample()
    assert Session({"flights": flights}).sample_for(delayed) is flights


def test_a_chosen_sample_goes_first():
    """``%%transform --on`` overrules the parameter's name."""
    other = sample("other")
    session = Session({"flights": sample(), "other": other})
    session.chosen[delayed] = "other"
    assert session.sample_for(delayed) is other


def test_the_same_name_again_ends_the_first():
    """Watching the same thing twice does not leave two watches behind."""
    session, first, second = Session({}), Thing("lag x"), Thing("lag x")
    session.add(first)
    session.add(second)
    assert (first.running, second.running) == (False, True)
    assert session.running() == {"lag x": second}


def test_running_a_cell_again_ends_its_views_but_not_its_workers():
    """A view belongs to its cell; a worker only ends when asked."""
    session, view, worker = Session({}), Thing("v"), Thing("w", kind="worker")
    session.cell_begins("cell-1")
    session.add(view)
    session.add(worker)
    session.cell_begins("cell-2")
    assert view.running
    session.cell_begins("cell-1")
    assert (view.running, worker.running) == (False, True)


def test_what_has_ended_is_forgotten():
    """The list of what runs holds nothing that has ended by itself."""
    session, thing = Session({}), Thing("v")
    session.add(thing)
    thing.running = False
    assert session.running() == {}


def test_stopping_an_unknown_name_lists_what_runs():
    """The message has the names that can be stopped."""
    session = Session({})
    session.add(Thing("lag delays"))
    with pytest.raises(UnknownName, match="lag delays"):
        session.stop("lag delay")


def test_the_end_of_the_kernel_ends_all_but_detached_workers():
    """What was detached on purpose outlives the kernel."""
    session, view, kept = Session({}), Thing("v"), Thing("w", detached=True)
    session.add(view)
    session.add(kept)
    session.close()
    assert (view.running, kept.running) == (False, True)


def test_what_failed_stays_until_it_is_stopped():
    """A worker that died can still be asked why; what has just ended is forgotten."""
    session = Session({})
    session.add(Thing("died", running=False, failed=True))
    session.add(Thing("ended", running=False))
    assert list(session.running()) == ["died"]
    session.stop("died")
    assert session.running() == {}
