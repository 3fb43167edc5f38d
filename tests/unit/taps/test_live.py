"""Live taps: what is picked of the events that are kept."""

from __future__ import annotations

import pytest

from streamlab.errors import UnknownName
from streamlab.taps.masking import Masking
from tests.unit.taps.made import PEOPLE, live, person, read


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """Work in an empty folder, which is the project then."""
    monkeypatch.chdir(tmp_path)


def test_what_is_kept_is_a_sample():
    """Events, and values that did not decode, with their places."""
    source = read(PEOPLE, [person(1), b"{", person(2)])
    tap = live(source)
    sample = tap.sample()
    assert sample.frame["_offset"].to_list() == [0, 2]
    assert sample.rejected_places["_offset"].to_list() == [1]
    assert sample.values.to_list() == source.values.to_list()
    tap.stop()


def test_an_event_is_picked_by_its_origin():
    """One that is not kept is named."""
    tap = live(read(PEOPLE, [person(1), b"{", person(2)]))
    assert tap.pick("t/0@2").frame["id"].to_list() == [2]
    assert len(tap.pick("t/0@1").rejected) == 1
    with pytest.raises(UnknownName, match="t/0@7"):
        tap.pick("t/0@7")
    tap.stop()


def test_what_is_picked_of_a_masked_tap_is_masked():
    """A live tap masks before it keeps."""
    tap = live(read(PEOPLE, [person(1)]), masking=Masking())
    assert tap.pick("t/0@0").is_masked
    assert "p1@x.org" not in repr(tap.frame.rows())
    tap.stop()
