"""Nexmark: events are those of their seed, the page is what runs, queries are short."""

from __future__ import annotations

import pytest

from benchmarks.nexmark import page
from benchmarks.nexmark.generator import generate
from benchmarks.nexmark.queries import QUERIES

LONGEST = 25  # lines of a query


def test_the_same_seed_gives_the_same_events() -> None:
    """In the documented proportions; another seed gives others."""
    first, again, other = generate(5_000, 7), generate(5_000, 7), generate(5_000, 8)
    assert first.count == 5_000
    for name, share in {"persons": 1, "auctions": 3, "bids": 46}.items():
        assert first.frames[name].height == 5_000 * share // 50
        assert first.sent(name).equals(again.sent(name))
    assert not first.frames["bids"].equals(other.frames["bids"])


def test_the_page_shows_the_code_that_runs() -> None:
    """``python -m benchmarks.nexmark.page`` writes it anew."""
    assert page.PAGE.read_text(encoding="utf-8") == page.page()


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_is_short(name: str) -> None:
    """What it takes to write one is the point of the suite."""
    lines = [line for line in page.code(QUERIES[name]).splitlines() if line.strip()]
    assert len(lines) <= LONGEST
