"""Latencies by class: what adds up, and what is read off."""

from __future__ import annotations

import pytest

from streamlab.observe.histogram import EDGES_MS, Histogram


def test_values_are_in_the_class_that_ends_at_or_above_them() -> None:
    """An edge belongs to the class below it, and nothing is too large to count."""
    counted = Histogram.of([0.4, 1.0, 1.1, 2.0, 90_000.0])
    assert counted.counts[:2] == (2, 2)
    assert counted.counts[-1] == 1
    assert counted.total == 5


def test_two_workers_add_up_and_a_moment_is_taken_off() -> None:
    """Sums and differences are those of the counts."""
    one, other = Histogram.of([4.0]), Histogram.of([4.0, 400.0])
    assert (one + other).total == 3
    assert other.since(one) == Histogram.of([400.0])


def test_a_worker_that_was_started_again_begins_anew() -> None:
    """Fewer than before means another run: all of it counts."""
    assert Histogram.of([4.0]).since(Histogram.of([4.0, 4.0])) == Histogram.of([4.0])


def test_quantiles_lie_in_their_class() -> None:
    """The class is right, and inside of it values count as spread evenly."""
    counted = Histogram.of([4.0] * 90 + [40.0] * 10)
    assert counted.quantile_ms(0.45) == pytest.approx(4.0)
    assert 30 < (counted.quantile_ms(0.99) or 0) <= 50


def test_what_is_not_known_is_no_number() -> None:
    """Nothing counted, or only above the last edge, has no quantile."""
    assert Histogram().quantile_ms(0.5) is None
    assert Histogram.of([EDGES_MS[-1] + 1]).quantile_ms(0.5) is None


def test_bars_go_from_the_first_to_the_last_that_has_one() -> None:
    """Empty classes in between are shown, those at both ends are not."""
    assert Histogram.of([4.0, 12.0]).bars() == {
        "3–5 ms": 1,
        "5–7 ms": 0,
        "7–10 ms": 0,
        "10–15 ms": 1,
    }
    assert list(Histogram.of([0.1, 900.0, 99_999.0]).bars())[:1] == ["< 1 ms"]
    assert Histogram().bars() == {}


def test_counts_of_other_classes_are_left_out() -> None:
    """A worker of another version is not misread."""
    assert Histogram.parsed([1, 2, 3]) == Histogram()
