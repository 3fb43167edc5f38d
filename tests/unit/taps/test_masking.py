"""What is masked before it is kept or written: a canary that must be found nowhere."""

from __future__ import annotations

import logging
import re
import traceback
from dataclasses import replace

import polars as pl
import pytest

from streamlab.contracts import Field, Schema
from streamlab.contracts.mask import Masker
from streamlab.errors import UnknownName, UsageError
from streamlab.formats import named
from streamlab.notebook import displays
from streamlab.taps.decoding import Decoder
from streamlab.taps.growing import GivenEvents
from streamlab.taps.masking import Masking
from streamlab.taps.sample import Sample
from tests.unit.taps.made import PEOPLE, person, read

CANARY = "PII-canary"
KEYS = (CANARY.encode(), b"2", b'{"email": "PII-canary"}', CANARY.encode())
pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Work in an empty folder, which is the project then."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def canaries() -> Sample:
    """Return events with the canary wherever an event can hold it."""
    nested = [{"phone": CANARY, "kind": "home"}, {"phone": None, "kind": "x"}]
    return read(
        PEOPLE,
        [
            person(1, email=CANARY),
            person(2, email=f"{CANARY}@x.org", contacts=nested),
            b'{"id": 3, "email": "PII-canary", "unknown": "PII-canary"}',
            b'{"id": "PII-canary"}',
            b"PII-canary",
            None,
        ],
        keys=[*KEYS, None, CANARY.encode()],
        headers={row: (("who", CANARY.encode()),) for row in range(6)},
    )


def test_the_canary_is_there_without_a_mask(caplog):
    """What the other tests look for would be found."""
    shown = displays.sample_plain(canaries())
    assert CANARY in shown
    assert any(CANARY.encode() in value for value in canaries().rejected_values[:2])


def test_no_byte_of_a_saved_sample_is_personal(home):
    """Values, keys, nested lists, rejected bytes, headers: none is in the file."""
    path = canaries().masked().save(home / "s.parquet")
    written = path.read_bytes()
    stored = pl.read_parquet(path)
    everything = written + str(stored.rows()).encode()
    everything += str(pl.read_parquet_metadata(path)).encode()
    assert CANARY.encode() not in everything
    # The same look at the unmasked one finds it.
    raw = replace(canaries(), schema=Schema.of(PEOPLE.dtypes)).save(
        home / "raw.parquet"
    )
    assert CANARY.encode() in b"".join(pl.read_parquet(raw)["_value"])


def test_nothing_that_is_shown_is_personal():
    """Neither repr nor display shows a masked value."""
    sample = canaries().masked()
    shown = [repr(sample), str(sample), repr(sample.values), repr(sample.headers)]
    shown += [displays.sample_html(sample), displays.sample_plain(sample)]
    assert CANARY not in "".join(shown)


def test_what_cannot_be_masked_is_left_out_and_counted():
    """Of rejected values only tombstones stay, in their places, with masked keys."""
    sample = canaries().masked()
    assert sample.withheld == 2
    assert [one.code for one in sample.rejected] == ["tombstone"]
    assert sample.rejected_values == (None,)
    key = Masker.of_project().text(CANARY).encode()
    assert sample.rejected_places.select("_offset", "_key").rows() == [(5, key)]
    assert sample.headers == {}


def test_the_bytes_decode_to_the_masked_frame():
    """A replay of a masked sample sees just what its frame shows."""
    sample = canaries().masked()
    decoded = named("json").decode(sample.values.to_list(), sample.schema)
    assert decoded.frame.equals(sample.events)
    assert decoded.rejected == ()


def test_a_key_that_is_to_be_seen_anyway_stays():
    """A key that is the text of a public column is none more than that column."""
    sample = canaries().masked()
    assert sample.frame["_key"][1] == b"2"
    assert sample.frame["_key"][0] == sample.frame["email"][0].encode()
    assert sample.frame["_key"][2].startswith(b"masked-")


def test_masking_twice_is_masking_once():
    """A masked sample knows that it is, also after it was loaded."""
    sample = canaries().masked()
    assert sample.is_masked
    assert sample.masked() is sample
    assert Sample.load(sample.save("s.parquet")).masked() == sample


def test_more_can_be_masked_later():
    """A second field is masked on top of the first as if both had been at once."""
    schema = Schema.of({"id": pl.Int64(), "email": pl.String(), "phone": pl.String()})
    events = [{"id": 1, "email": "a@x.org", "phone": "123"}, {"id": 2, "email": "b"}]
    sample = read(schema, events, keys=[b"123", b"b"])
    twice = sample.masked(["email"]).masked(["phone"])
    assert twice == sample.masked(["email", "phone"])
    assert sample.masked(["email"]).frame["_key"][0] == b"123"


def test_a_sample_with_personal_data_is_not_saved():
    """It says which fields, and what to do."""
    sample = canaries()
    with pytest.raises(UsageError, match=r"email, contacts\.phone") as refused:
        sample.save("s.parquet")
    assert "masked()" in refused.value.hint


def test_a_sample_without_personal_fields_is_left_alone():
    """Nothing to mask: not a byte changes, and no key is made."""
    sample = read(Schema.of({"n": pl.Int64()}), [{"n": 1}, b"{"], keys=[b"k", b"l"])
    assert sample.masked() is sample


def test_a_field_to_mask_that_is_not_there_is_named():
    """A typing mistake leaves nothing unmasked."""
    with pytest.raises(UnknownName, match="emial"):
        canaries().masked(["emial"])


@pytest.mark.parametrize(
    ("form", "dtype", "values"),
    [
        ("string", pl.String(), [CANARY.encode(), b"\xff"]),
        ("bytes", pl.Binary(), [CANARY.encode(), b"\xff" + CANARY.encode()]),
    ],
)
def test_values_without_structure_are_masked_whole(form, dtype, values):
    """Text and bytes have one column, which may be personal."""
    schema = Schema((Field("value", dtype, required=True, personal=True),))
    sample = read(schema, values, format=form).masked()
    assert CANARY.encode() not in b"".join(sample.values)
    decoded = named(form).decode(sample.values.to_list(), schema)
    assert decoded.frame.equals(sample.events)


def given(count: int = 3) -> GivenEvents:
    values = [b'{"id": %d, "email": "PII-canary%d"}' % (n, n) for n in range(count)]
    keys = [b"PII-canary%d" % n for n in range(count)]
    return GivenEvents(values, keys, [0] * count, range(count), [0] * count)


def test_a_tap_masks_before_it_keeps():
    """``where`` and ``key`` see the values; what is kept of them is masked."""
    part = Decoder(
        "t",
        "json",
        schema=PEOPLE,
        key=b"PII-canary1",
        where=pl.col("email") == "PII-canary1",
        masking=Masking(),
    ).part(given())
    assert part.frame["id"].to_list() == [1]
    assert CANARY not in str(part.frame.rows()) + str(part.values.to_list())


def test_an_inferred_schema_is_masked_where_it_is_said():
    """Without a contract the fields are named."""
    decoder = Decoder("t", "json", masking=Masking(("email",)))
    assert CANARY not in str(decoder.part(given()).frame.rows())
    assert decoder.schema.personal == (("email",),)


def test_a_named_field_that_no_event_has_ends_the_tap():
    """Rather no sample than one whose mask does not fit."""
    decoder = Decoder("t", "json", masking=Masking(("e-mail",)))
    with pytest.raises(UnknownName, match="e-mail"):
        decoder.part(given())


def test_unmasked_taps_are_logged_without_values(caplog):
    """One line says which fields are shown."""
    with caplog.at_level(logging.WARNING, "streamlab.taps"):
        Masking(unmask=True).tell("people", PEOPLE)
    assert re.fullmatch(r"people .* mask: email, contacts\.phone", caplog.messages[0])


def test_masks_are_the_same_in_each_sample():
    """Samples of two topics can be joined on a masked column."""
    one = read(PEOPLE, [person(1)]).masked()
    two = read(PEOPLE, [person(2, email="p1@x.org")], topic="u").masked()
    assert one.events.join(two.events, on="email").height == 1


def test_no_error_has_a_personal_value():
    """A filter that fails on a value names its kind of failure, and not the value."""
    number = pl.col("email").str.to_integer(strict=True) > 3
    plain = Decoder("t", "json", schema=PEOPLE, where=number)
    with pytest.raises(UsageError, match=CANARY):
        plain.part(given())  # it would be there
    masking = Decoder("t", "json", schema=PEOPLE, where=number, masking=Masking())
    with pytest.raises(UsageError, match="`where` fails with") as refused:
        masking.part(given())
    assert CANARY not in "".join(traceback.format_exception(refused.value))
    with pytest.raises(UsageError, match="fails with") as refused:
        canaries().only(number)
    assert CANARY not in "".join(traceback.format_exception(refused.value))
