"""The decoder on messages written by hand: order, pieces, positions, violations."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamlab.connectors.postgres.changes.pgoutput import (
    Decoder,
    Position,
    lsn_number,
    lsn_text,
)
from streamlab.connectors.postgres.changes.relation import Difference, differences
from streamlab.errors import Refused
from tests.unit.connectors.postgres.changes.stream_bytes import (
    OID,
    begin,
    commit,
    delete,
    emitted,
    insert,
    numbered,
    relation,
    truncate,
    update,
)

ORDERS = relation(("id", 23), ("note", 25))
ITEMS = relation(("id", 23), oid=OID + 1, table="items")


def places(batch) -> list[tuple[int, int]]:
    """Return (LSN, index) of every change, table by table."""
    return [
        place
        for one in batch.changes
        for place in zip(one.lsn.to_list(), one.index.to_list(), strict=True)
    ]


def test_changes_of_several_tables_share_one_order():
    """Indexes count all changes of a transaction, whatever table they are of."""
    batch = Decoder().feed(
        numbered(
            begin(), ORDERS, insert("1", "a"), ITEMS, insert("5", oid=OID + 1),
            insert("2", None), delete(key=("1", None)), commit(),
        )
    )  # fmt: skip
    orders, items = batch.changes
    assert orders.index.to_list() == [0, 4, 6]
    assert items.index.to_list() == [2]
    assert orders.op.to_list() == ["insert", "insert", "delete"]
    assert orders.new.columns[1].to_list() == ["a", None, None]
    assert batch.position == Position(1000, 6)


def test_a_transaction_passes_in_pieces_that_say_so():
    """Pieces before the commit are marked, and nothing of them is confirmable."""
    decoder = Decoder()
    first = decoder.feed(numbered(begin(), ORDERS, insert("1", "a")))
    middle = decoder.feed(numbered(insert("2", "b"), insert("3", "c")))
    last = decoder.feed(numbered(insert("4", "d"), commit()))
    assert [one.in_transaction for one in (first, middle, last)] == [True, True, False]
    assert [one.confirmable_lsn for one in (first, middle, last)] == [None, None, 1050]
    assert places(first) + places(middle) + places(last) == [
        (1000, 0),
        (1000, 2),
        (1000, 4),
        (1000, 6),
    ]


def test_a_transaction_in_progress_does_not_move_what_is_confirmable():
    """Behind a complete transaction, the piece of the next one confirms nothing."""
    batch = Decoder().feed(
        numbered(
            begin(), ORDERS, insert("1", "a"), commit(), begin(2000), insert("2", "b")
        )
    )
    assert batch.confirmable_lsn == 1050
    assert batch.in_transaction
    assert batch.transactions == 1


@pytest.mark.parametrize("cut", range(1, 10))
def test_any_cut_into_batches_gives_the_same_changes(cut):
    """How the messages are cut into batches does not change what they say."""
    messages = numbered(
        begin(), ORDERS, insert("1", "a"), update("1", "b"), commit(),
        begin(2000), truncate(), insert("9", None), delete(key=("9", None)),
        commit(2000, 2050),
    )  # fmt: skip
    whole = Decoder().feed(messages)
    decoder = Decoder()
    parts = [decoder.feed(messages[:cut]), decoder.feed(messages[cut:])]
    assert [p for part in parts for p in places(part)] == places(whole)


@pytest.mark.parametrize("durable", range(5))
def test_after_a_reconnect_only_what_is_not_durable_comes(durable):
    """The server sends whole transactions again; the durable part is left out."""
    messages = numbered(
        begin(), ORDERS, insert("1", "a"), insert("2", "b"), commit(),
        begin(2000), insert("3", "c"), insert("4", "d"), insert("5", "e"),
        commit(2000, 2050),
    )  # fmt: skip
    everything = places(Decoder().feed(messages))
    again = Decoder(after=Position(*everything[durable])).feed(messages)
    assert places(again) == everything[durable + 1 :]
    assert again.confirmable_lsn == 2050


def test_a_new_description_begins_a_new_version():
    """Rows before and after a change of columns are kept apart, even in one commit."""
    wider = relation(("id", 23), ("note", 25), ("price", 1700))
    batch = Decoder().feed(
        numbered(
            begin(), ORDERS, insert("1", "a"), wider, insert("2", "b", "1.5"), commit()
        )
    )
    assert [len(one.relation.columns) for one in batch.changes] == [2, 3]
    assert len(batch.relations) == 2
    assert differences(*batch.relations) == (Difference("added", "price"),)


def test_the_same_description_again_changes_nothing():
    """The server repeats itself when its cache was emptied; that is no new version."""
    batch = Decoder().feed(
        numbered(begin(), ORDERS, insert("1", "a"), ORDERS, insert("2", "b"), commit())
    )
    assert [len(one) for one in batch.changes] == [2]
    assert len(batch.relations) == 1


def test_a_truncation_is_a_change_of_each_table():
    """Each table that was emptied has a change of its own, with a place of its own."""
    batch = Decoder().feed(
        numbered(begin(), ORDERS, ITEMS, truncate(OID, OID + 1), commit())
    )
    assert [one.op.to_list() for one in batch.changes] == [["truncate"], ["truncate"]]
    assert places(batch) == [(1000, 0), (1000, 2)]


def test_emitted_messages_are_kept_apart():
    """What an application emitted is no change, in a transaction or outside of one."""
    batch = Decoder().feed(numbered(emitted("beat", b"\x00x"), begin(), commit()))
    (message,) = batch.messages
    assert (message.prefix, message.content, message.transactional) == (
        "beat",
        b"\0x",
        False,
    )
    assert batch.changes == ()
    assert batch.position is None
    assert batch.confirmable_lsn == 1050


def test_commit_time_and_number_are_those_of_the_transaction():
    """Time and xid come from the transaction's Begin, for each of its changes."""
    batch = Decoder().feed(
        numbered(
            begin(time_us=1_500_000, xid=11), ORDERS, insert("1", "a"), commit(),
            begin(2000, xid=12), insert("2", "b"), insert("3", "c"), commit(2000, 2050),
        )
    )  # fmt: skip
    (orders,) = batch.changes
    assert orders.xid.to_list() == [11, 12, 12]
    assert str(orders.commit_time[0]) == "2000-01-01 00:00:01.500000+00:00"


BROKEN = {
    "unknown tag": (begin(), b"Zxx"),
    "empty": (begin(), b""),
    "streaming": (b"S\0\0\0\1\1",),
    "change outside": (ORDERS, insert("1", "a")),
    "begin inside": (begin(), begin(2000)),
    "commit alone": (commit(),),
    "commit of another": (begin(), commit(999)),
    "not described": (begin(), insert("1")),
    "too few columns": (begin(), ORDERS, insert("1")),
    "too many columns": (begin(), ORDERS, insert("1", "a", "b")),
    "cut in a value": (begin(), ORDERS, insert("1", "abc")[:-1]),
    "cut in a length": (begin(), ORDERS, insert("1", "")[:-2]),
    "cut behind the id": (begin(), ORDERS, insert("1", "a")[:5]),
    "cut in the id": (begin(), ORDERS, b"I\0\0"),
    "goes on": (begin(), ORDERS, insert("1", "a") + b"n"),
    "binary value": (begin(), ORDERS, insert("1", None)[:-1] + b"b\0\0\0\0"),
    "negative length": (begin(), ORDERS, insert("1", "")[:-4] + b"\xff\xff\xff\xff"),
    "not UTF-8": (begin(), ORDERS, insert("1", "ab")[:-1] + b"\xff"),
    "update without a new row": (
        begin(),
        ORDERS,
        update("1", "a", key=("2", None))[:25],
    ),
    "insert of an old row": (begin(), ORDERS, insert("1", "a").replace(b"N", b"K", 1)),
    "short begin": (begin()[:-1],),
    "short relation": (ORDERS[:-1],),
    "long relation": (ORDERS + b"\0",),
    "truncation of many": (begin(), ORDERS, b"T\xff\xff\xff\xff\0"),
    "short emitted": (emitted("p", b"abc")[:-1],),
}


@pytest.mark.parametrize("filler", [0, 3000], ids=["few", "many"])
@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_a_broken_message_stops_with_its_place(broken, filler):
    """A message that is not as the protocol says is an error with the right LSN."""
    decoder = Decoder()
    if filler:
        decoder.feed(numbered(begin(1), ORDERS, commit(1)))
    *before, bad = broken
    if filler and before[:2] == [begin(), ORDERS]:
        before += [insert(str(n), "x") for n in range(filler)]
    messages = numbered(*before, bad, first=0x1_0000_0000)
    with pytest.raises(Refused) as caught:
        decoder.feed(messages)
    assert f"at LSN {lsn_text(messages[-1][0])}:" in str(caught.value)


GOOD = numbered(
    begin(), ORDERS, insert("1", "a"), update("2", None, key=("1", None)),
    update("2", "x", old=("2", "y")), delete(old=("2", "x")), truncate(),
    emitted("beat", b"abc", transactional=True), commit(),
)  # fmt: skip

GOOD_CHANGES = [raw for _, raw in GOOD if raw[:1] in {b"I", b"U", b"D", b"T"}]


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_corrupted_messages_are_refused_or_read_but_never_lost(data):
    """A corrupted byte or a cut gives one clear error, or a change in its place."""
    messages = list(GOOD)
    number = data.draw(st.integers(0, len(messages) - 1))
    lsn, raw = messages[number]
    if data.draw(st.booleans()):
        changed = raw[: data.draw(st.integers(0, len(raw) - 1))]
    else:
        place = data.draw(st.integers(0, len(raw) - 1))
        changed = (
            raw[:place] + bytes([data.draw(st.integers(0, 255))]) + raw[place + 1 :]
        )
    messages[number] = (lsn, changed)
    try:
        batch = Decoder().feed(messages)
    except Refused as error:
        assert "LSN" in str(error)  # noqa: PT017 -- either outcome is right
    else:
        # Nothing but a tag that became one of these could make a change vanish.
        assert len(batch) == len(GOOD_CHANGES) or changed[:1] in {b"M", b"O", b"Y"}


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=8))
def test_arbitrary_bytes_are_refused(blobs):
    """Bytes that are no messages are refused, whatever they are."""
    decoder = Decoder()
    decoder.feed(numbered(begin(), ORDERS))
    try:
        batch = decoder.feed(numbered(*blobs))
    except Refused:
        return
    assert len(batch) <= len(blobs) * 8


@given(st.integers(0, (1 << 64) - 1))
def test_lsns_are_written_as_postgresql_writes_them(lsn):
    """An LSN's text reads back to its number."""
    assert lsn_number(lsn_text(lsn)) == lsn
    assert lsn_text(0x16_B374_D848) == "16/B374D848"


def test_series_are_plain():
    """Places have the types that frames promise."""
    batch = Decoder().feed(numbered(begin(), ORDERS, insert("1", "a"), commit()))
    (one,) = batch.changes
    assert (one.lsn.dtype, one.index.dtype, one.xid.dtype) == (
        pl.Int64,
        pl.Int64,
        pl.UInt32,
    )
