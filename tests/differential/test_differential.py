"""Random transforms on random streams give what SQL over all events gives.

A failing case prints its seed; ``CASE=seed pytest tests/differential`` runs it alone.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from streamlab.operators.joins.interval import IntervalOperator
from streamlab.operators.windows.windowed import WindowOperator
from tests.differential.driven import driven
from tests.differential.grammar import Case, case
from tests.differential.oracle import difference, expected
from tests.differential.streams import Stream, stream
from tests.differential.worked import worked

DRIVEN, WORKED = 200, 500  # cases
BLOCK = 25  # cases of one test
FIRST_SEED = 20_261_125


def made(seed: int) -> tuple[Case, dict[str, Stream], random.Random]:
    """Return the case of a seed, its streams, and where its cuts come from."""
    chance = random.Random(seed)
    streams = {
        name: stream(name, chance, chance.choice([0, 30, 200]))
        for name in ("left", "right")
    }
    bounds = {name: one.bound_ms for name, one in streams.items()}
    return case(chance, bounds), streams, chance


def seeds(block: int) -> list[int]:
    """Return the seeds of a block, or the one that is asked for."""
    if asked := os.environ.get("CASE"):
        return [int(asked)]
    return list(range(FIRST_SEED + block * BLOCK, FIRST_SEED + (block + 1) * BLOCK))


@pytest.mark.parametrize("block", range(DRIVEN // BLOCK))
def test_a_driven_chain_gives_what_sql_gives(block: int) -> None:
    """However the events are cut into epochs."""
    for seed in seeds(block):
        one, streams, chance = made(seed)
        found = driven(one, streams, chance)
        wrong = difference(one, found, expected(one, streams))
        assert not wrong, f"case {seed}, {one.text}: {wrong}"


@pytest.mark.parametrize("block", range(WORKED // BLOCK))
def test_a_worker_gives_what_sql_gives(
    block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through bytes, durable state, epochs of random size, and random kills."""
    for seed in seeds(block):
        home = tmp_path / str(seed)
        home.mkdir()
        monkeypatch.chdir(home)
        one, streams, chance = made(seed)
        found = worked(one, streams, chance, monkeypatch)
        wrong = difference(one, found, expected(one, streams))
        assert not wrong, f"case {seed}, {one.text}: {wrong}"


@pytest.mark.parametrize("operator", [WindowOperator, IntervalOperator])
def test_the_oracle_sees_late_events_that_are_taken(
    operator: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: without the check for late events some cases turn out wrong."""
    monkeypatch.setattr(operator, "floors", lambda *_: None)
    for seed in range(FIRST_SEED, FIRST_SEED + 200):
        one, streams, chance = made(seed)
        try:
            found = driven(one, streams, chance)
        except Exception:  # noqa: BLE001 -- a broken operator may fail as it likes
            return
        if difference(one, found, expected(one, streams)):
            return
    pytest.fail("taking late events was not noticed")
