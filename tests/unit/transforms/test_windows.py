"""How windows are declared."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

import streamlab as sl
from streamlab.errors import UsageError
from streamlab.operators.windows.slicing import Slicing


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: sl.tumbling("0s", on="t"), "size is 0s, and must be longer"),
        (lambda: sl.tumbling("0d", on="t"), "size is 0d, and must be longer"),
        (lambda: sl.tumbling("1 hour", on="t"), "'1 hour', which is not a duration"),
        (lambda: sl.tumbling("1mo2d", on="t"), "'1mo2d', which is not a duration"),
        (lambda: sl.tumbling("-1h", on="t"), "size must not be negative"),
        (lambda: sl.tumbling(timedelta(-1), on="t"), "size"),
        (lambda: sl.hopping("1h", "0s", on="t"), "every is 0s"),
        (lambda: sl.tumbling("1h", on="t", zone="Mars/X"), "no time zone 'Mars/X'"),
        (lambda: sl.tumbling("1h", on="t", lateness="x"), "lateness is 'x'"),
        (lambda: sl.tumbling("1h", on="t", offset="x"), "offset is 'x'"),
        (lambda: sl.session("0s", on="t"), "gap is 0s"),
        (lambda: sl.session("5m", on="t", longest="0s"), "longest is 0s"),
        (lambda: sl.count_window(0), "has 0 rows"),
        (lambda: sl.count_window(True), "has True rows"),
        (lambda: sl.count_window(3, lateness="5m"), "has no lateness"),
    ],
)
def test_nonsense_is_refused_with_the_argument(
    make: Callable[[], Any], message: str
) -> None:
    """And its value."""
    with pytest.raises(UsageError, match=message):
        make()


@pytest.mark.parametrize(
    ("window", "overlap", "exact", "gaps"),
    [
        (sl.tumbling("1h", on="t"), False, True, False),
        (sl.tumbling("1mo", on="t", zone="Asia/Kolkata"), False, True, False),
        (sl.hopping("1h", "10m", on="t"), True, True, False),
        (sl.hopping("10m", "4m", on="t"), True, True, False),
        (sl.hopping("5m", "1h", on="t"), False, True, True),
        (sl.hopping("1w", "1d", on="t", zone="Europe/Berlin"), True, True, False),
        (sl.hopping("1mo", "1d", on="t"), True, True, False),
        (sl.hopping("1mo", "1w", on="t"), True, False, True),
        (sl.hopping("24h", "1d", on="t", zone="Europe/Berlin"), True, False, True),
        (sl.hopping("2h", "1h", on="t", zone="Europe/Berlin"), True, False, True),
        (sl.hopping(timedelta(days=1), "24h", on="t"), False, True, True),
    ],
    ids=str,
)
def test_windows_are_whole_panes_where_they_can_be(
    window: Any, overlap: bool, exact: bool, gaps: bool
) -> None:
    """Else rows are told apart by their time; and some rows may be in no window."""
    slicing = Slicing.of(window)
    found = (slicing.overlap, slicing.exact, slicing.gaps)
    assert found == (overlap, exact, gaps)
