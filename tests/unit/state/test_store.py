"""The durable tables do what those in memory do, through saves and compactions."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from streamlab.state import compaction, merging, store
from tests.unit.state.random_tables import Pair


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compact after few versions, in small blocks and ranges."""
    monkeypatch.setattr(store, "MOST_LOGS", 3)
    monkeypatch.setattr(compaction, "BLOCK_ROWS", 16)
    monkeypatch.setattr(merging, "SLICE_ROWS", 16)


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.usefixtures("small")
def test_random_calls_give_what_the_tables_in_memory_give(
    seed: int, tmp_path: Path
) -> None:
    """Whatever is saved, compacted, reopened and at which version."""
    rng = random.Random(seed)
    pair = Pair(tmp_path, rng)
    for _ in range(150):
        pair.step()
        chance = rng.random()
        if chance < 0.2:
            pair.save()
        elif chance < 0.25:
            pair.state.compact()
        elif chance < 0.3 and pair.saved:
            pair.state.close()
            pair.open(rng.choice(list(pair.saved)[-6:]))
            pair.compare()
    pair.compare()
    last = pair.save()
    pair.state.close()
    pair.open(last)
    pair.compare()
    pair.state.close()
