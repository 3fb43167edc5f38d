"""``streamlab sample``: show, add, mask."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamlab.cli import main
from streamlab.contracts import Schema
from streamlab.taps.sample import Sample
from tests.unit.taps.made import PEOPLE, person, read


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder, which is the project then."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def saved(name: str, numbers, *, masked: bool = True) -> Sample:
    """Save events of people, and one value that is none."""
    sample = read(PEOPLE, [*map(person, numbers), None], offsets=[*numbers, 9])
    if not masked:
        sample = read(Schema.of(PEOPLE.dtypes), [*map(person, numbers)])
    sample = sample.masked()
    sample.save(name)
    return sample


def test_show_says_what_is_there(capsys):
    """Counts, spans, events with their origins, what does not decode."""
    saved("s.parquet", [1, 2])
    assert main(["sample", "show", "s.parquet"]) == 0
    shown = capsys.readouterr().out
    assert "2 events of t, 1 that do not decode, masked: email, contacts.phone" in shown
    assert "_offset" in shown
    assert "t/0@9  tombstone" in shown


def test_add_takes_chosen_events(capsys):
    """By origin; a sample that is not there begins with them."""
    other = saved("other.parquet", [1, 2, 3])
    words = ["sample", "add", "cases.parquet", "--from", "other.parquet"]
    assert main([*words, "--at", "t/0@2"]) == 0
    assert main([*words, "--at", "t/0@3", "--at", "t/0@9"]) == 0
    cases = Sample.load("cases.parquet")
    assert cases.frame.equals(other.frame[1:])
    assert len(cases.rejected) == 1
    assert "saved to cases.parquet: 2 events of t" in capsys.readouterr().out
    assert main([*words]) == 0
    assert Sample.load("cases.parquet").frame.height == 3


def test_add_needs_a_sample_to_take_from(capsys):
    """The message says which option is missing, or which event."""
    saved("s.parquet", [1])
    assert main(["sample", "add", "s.parquet"]) == 1
    assert "--from FILE" in capsys.readouterr().err
    assert (
        main(["sample", "add", "c.parquet", "--from", "s.parquet", "--at", "t/0@7"])
        == 1
    )
    assert "there is no event 't/0@7'" in capsys.readouterr().err
    assert not Path("c.parquet").exists()


def test_mask_rewrites_a_file(capsys):
    """A sample of before a contract is masked by the names of its fields."""
    saved("s.parquet", [1], masked=False)
    words = ["sample", "mask", "s.parquet", "--personal", "email, contacts.phone"]
    assert main(words) == 0
    assert "masked: email, contacts.phone" in capsys.readouterr().out
    assert "p1@x.org" not in str(Sample.load("s.parquet").frame.rows())
