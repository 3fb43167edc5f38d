"""Frames of changes: which row is shown, and what is not known of it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamlab.connectors.postgres.changes import tuples
from streamlab.connectors.postgres.changes.catalog import Catalog
from streamlab.connectors.postgres.changes.frames import ChangeTable
from streamlab.connectors.postgres.changes.messages import read_relation
from streamlab.connectors.postgres.changes.pgoutput import Decoder
from streamlab.errors import SchemaError, UnknownName
from tests.unit.connectors.postgres.changes.stream_bytes import (
    UNCHANGED,
    begin,
    commit,
    delete,
    insert,
    numbered,
    relation,
    truncate,
    update,
)

COLUMNS = (("id", 23), ("big", 25), ("at", 1184))
ORDERS = relation(*COLUMNS)
FULL = relation(*COLUMNS, identity="f")
NOW = "2024-01-01 00:00:00+00"


def read(*messages, described=ORDERS, **options):
    """Return the rows of changes of one table."""
    batch = Decoder().feed(numbered(begin(), described, *messages, commit()))
    (changes,) = batch.changes
    return ChangeTable(changes.relation, Catalog(), **options).rows(changes)


def shown(rows, *names):
    return rows.frame.select("_op", *names).rows()


def test_columns_and_types_are_as_promised():
    """Every frame has exactly the schema, whatever changes it holds."""
    table = ChangeTable(read_relation(ORDERS), Catalog())
    for messages in (
        [insert("1", "a", NOW)],
        [delete(key=("1", None, None))],
        [truncate()],
        [update("2", UNCHANGED, None, key=("1", None, None))],
    ):
        assert read(*messages).frame.schema == table.schema


def test_an_unchanged_value_is_named_and_not_taken_for_null():
    """A value that was not sent is null in the frame, and listed; NULL is not."""
    rows = read(update("1", UNCHANGED, None), update("1", None, NOW))
    assert shown(rows, "big", "_unavailable") == [
        ("update", None, ["big"]),
        ("update", None, None),
    ]


def test_a_whole_old_row_gives_the_unchanged_value():
    """With the identity FULL nothing is unavailable: the old row has the value."""
    rows = read(
        update("1", UNCHANGED, NOW, old=("1", "long", None)),
        insert("2", "a", None),
        described=FULL,
        key=["id"],
    )
    assert shown(rows, "big", "_unavailable") == [
        ("update", "long", None),
        ("insert", "a", None),
    ]
    assert rows.frame["_before"].to_list() == [
        {"id": 1, "big": "long", "at": None},
        None,
    ]


def test_a_deleted_row_names_what_is_not_known_of_it():
    """Of a deleted row the key is known; the other columns are not, and say so."""
    rows = read(delete(key=("7", None, None)))
    assert shown(rows, "id", "_unavailable", "_before") == [
        ("delete", 7, ["big", "at"], {"id": 7})
    ]


def test_a_deleted_row_is_whole_with_the_identity_full():
    """With the identity FULL every column of a deleted row is known."""
    rows = read(delete(old=("7", None, NOW)), described=FULL)
    assert shown(rows, "id", "big", "_unavailable") == [("delete", 7, None, None)]
    assert rows.frame["at"].null_count() == 0


def test_a_changed_key_becomes_a_delete_and_an_insert():
    """The delete has the old key and the change's place, the insert the one after."""
    rows = read(
        insert("1", "a", None),
        update("2", "b", None, key=("1", None, None)),
        insert("3", "c", None),
    )
    assert shown(rows, "id", "big", "_index", "_unavailable") == [
        ("insert", 1, "a", 0, None),
        ("delete", 1, None, 2, ["big", "at"]),
        ("insert", 2, "b", 3, None),
        ("insert", 3, "c", 4, None),
    ]
    assert rows.frame["_before"].to_list() == [None, {"id": 1}, {"id": 1}, None]


def test_a_changed_key_keeps_unavailable_values_apart():
    """The insert under the new key may lack a value: it stands under the old key."""
    rows = read(update("2", UNCHANGED, None, key=("1", None, None)))
    assert shown(rows, "id", "_unavailable") == [
        ("delete", 1, ["big", "at"]),
        ("insert", 2, ["big"]),
    ]


def test_an_old_key_that_did_not_change_is_an_update():
    """The server also sends the key where it stands out of line; that is no move."""
    rows = read(update("1", "b", None, key=("1", None, None)))
    assert shown(rows, "id") == [("update", 1)]


def test_with_full_identity_the_key_must_be_told_to_see_it_change():
    """FULL marks every column, so only the given key makes a delete and an insert."""
    change = update("2", "a", None, old=("1", "a", None))
    assert shown(read(change, described=FULL, key=["id"]), "id") == [
        ("delete", 1),
        ("insert", 2),
    ]
    assert shown(read(change, described=FULL), "id") == [("update", 2)]


def test_a_row_that_does_not_fit_is_rejected_whole():
    """Neither half of a changed key passes when a value of it does not fit."""
    rows = read(
        insert("1", "a", NOW),
        update("2", "b", "infinity", key=("1", None, None)),
        insert("3", "c", NOW),
    )
    assert shown(rows, "id") == [("insert", 1), ("insert", 3)]
    (rejected,) = rows.rejected
    assert (rejected.row, rejected.code) == (1, "unrepresentable")
    assert "column 'at' of public.orders" in rejected.reason


def test_a_row_that_does_not_fit_can_be_read_as_text():
    """The option that the reason names lets the row pass."""
    rows = read(insert("1", "a", "infinity"), as_text=["at"])
    assert shown(rows, "at") == [("insert", "infinity")]


def test_a_truncation_has_no_values():
    """A truncation is a row without values, and without unavailable ones."""
    rows = read(truncate())
    assert shown(rows, "id", "_unavailable", "_before") == [
        ("truncate", None, None, None)
    ]


@pytest.mark.parametrize("name", ["_op", "_before"])
def test_a_column_like_a_metadata_column_is_refused(name):
    """A table's own column cannot hide behind a metadata column."""
    clashing = read_relation(relation(("id", 23), (name, 25)))
    with pytest.raises(SchemaError, match="name of a metadata column"):
        ChangeTable(clashing, Catalog())


def test_a_key_that_updates_do_not_carry_is_refused():
    """A replica identity without the key would leave updates without their row."""
    by_index = read_relation(relation(*COLUMNS, identity="i", keys=("big",)))
    with pytest.raises(SchemaError, match="does not have the key column 'id'"):
        ChangeTable(by_index, Catalog(), key=["id"])


def test_names_that_are_not_there_are_refused():
    """A key or a text column that is not published is named, with near names."""
    table = read_relation(ORDERS)
    with pytest.raises(SchemaError, match="is not published"):
        ChangeTable(table, Catalog(), key=["idd"])
    with pytest.raises(UnknownName, match="'bigg'"):
        ChangeTable(table, Catalog(), as_text=["bigg"])


def test_values_are_not_in_what_is_said_of_them():
    """A reason names column and type, and never a value."""
    rows = read(insert("12345678901", "a", NOW))
    assert "12345678901" not in rows.rejected[0].reason


def _change(operation: str, number: int, *, is_full: bool) -> bytes:
    """Return one of the messages that a stream may hold."""
    new = (str(number), UNCHANGED if number % 3 else None, NOW if number % 2 else None)
    old = (str(number - number % 2), "long", None)
    images = {"old": old} if is_full else {"key": (old[0], None, None)}
    if operation == "insert":
        return insert(str(number), f"text {number}", NOW)
    if operation == "update":
        return update(*new, **images)
    if operation == "update of another column":
        return update(*new, **(images if is_full else {}))
    return delete(**images) if operation == "delete" else truncate()


OPERATIONS = ["insert", "update", "update of another column", "delete", "truncate"]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(OPERATIONS), min_size=1, max_size=40), st.booleans())
def test_rows_do_not_depend_on_how_messages_are_walked(operations, is_full):
    """Whatever is mixed with what, walking together gives the rows of one by one."""
    described = FULL if is_full else ORDERS
    messages = [
        _change(operation, number, is_full=is_full)
        for number, operation in enumerate(operations)
    ]
    plain = read(*messages, described=described, key=["id"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tuples, "FEW_ROWS", 0)
        patch.setattr(tuples, "ROWS_AT_ONCE", 7)
        together = read(*messages, described=described, key=["id"])
    assert together.frame.equals(plain.frame, null_equal=True)
