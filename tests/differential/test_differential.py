"""Random transforms on random streams give what SQL over all events gives.

A failing case prints its seed; ``CASE=seed pytest tests/differential -k driven`` runs
it alone.
"""

from __future__ import annotations

import os
import random

import pytest

from tests.differential.driven import driven
from tests.differential.grammar import Case, case
from tests.differential.oracle import difference, expected
from tests.differential.streams import Stream, stream

CASES = 600
BLOCK = 50  # cases of one test
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


@pytest.mark.parametrize("block", range(CASES // BLOCK))
def test_a_driven_chain_gives_what_sql_gives(block: int) -> None:
    """However the events are cut into epochs."""
    for seed in seeds(block):
        one, streams, chance = made(seed)
        found = driven(one, streams, chance)
        wrong = difference(found, expected(one, streams))
        assert not wrong, f"case {seed}, {one.text}: {wrong}"
