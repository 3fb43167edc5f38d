"""Destinations as they are written on a command line or in a magic."""

from pathlib import Path

import pytest

from streamlab.errors import UsageError
from streamlab.pipelines import endpoints


def test_a_table_is_appended_to():
    """``table:NAME`` is a PostgreSQL table."""
    sink = endpoints.sink("table:delays")
    assert (sink.table, sink.mode) == ("delays", "append")


def test_a_key_makes_an_upsert():
    """With a key, rows are updated by it."""
    sink = endpoints.sink("table:delays", key="carrier, flight")
    assert (sink.mode, sink.key) == ("upsert", ("carrier", "flight"))


def test_a_folder_is_parquet():
    """``folder:PATH`` is a folder of Parquet files."""
    assert endpoints.sink("folder:out").folder == Path("out")


@pytest.mark.parametrize(
    ("written", "said"),
    [("tabel:x", "table"), ("delays", "table:NAME"), ("table:", "table:delays")],
)
def test_a_slip_is_answered_with_the_form(written, said):
    """The message shows how a destination is written."""
    with pytest.raises(UsageError) as raised:
        endpoints.sink(written)
    assert said in str(raised.value)


def test_parquet_takes_no_key():
    """A key that would be ignored is refused."""
    with pytest.raises(UsageError, match="no key"):
        endpoints.sink("folder:out", key="a")
