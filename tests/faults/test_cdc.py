"""Changes of a database through kills: nothing lost, doubled or out of order."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.shop_oracle import Change, Findings, compared, judged
from tests.faults.torture_cdc import Torture

SEED = 20_26
KILLS = 12


@pytest.mark.integration
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_change_arrives_once_and_in_order_through_kills(
    postgres_dsn: str, kafka_address: str, tmp_path: Path
) -> None:
    """Random transactions, three sinks, and workers that are killed at every step."""
    torture = Torture(postgres_dsn, kafka_address, tmp_path, SEED)
    report = torture.run(KILLS)
    assert (report["lost"], report["doubled"], report["out_of_order"]) == (0, 0, 0), (
        report["notes"]
    )
    assert report["equal"], report["notes"]
    assert report["kills"] >= KILLS
    assert report["snapshots_resumed"] > 0
    assert report["compared_with_the_server"] > 0


CHANGES: list[Change] = [
    (9, 0, "snapshot", (1,), ("a",)),
    (9, 1, "snapshot", (2,), ("b",)),
    (20, 0, "update", (1,), ("c",)),
    (20, 2, "delete", (2,), (None,)),
    (30, 0, "insert", (3,), ("d",)),
]
TABLE = {(1,): ("c",), (3,): ("d",)}


def test_the_oracle_finds_right_what_is_right() -> None:
    """The control's control."""
    assert judged(CHANGES, TABLE) == Findings()
    truth = [(lsn, index, op) for lsn, index, op, *_ in CHANGES]
    assert compared(CHANGES, truth, 0) == Findings()


def test_the_oracle_sees_what_is_wrong() -> None:
    """A lost, a doubled and a displaced change each make the verdict red."""
    truth = [(lsn, index, op) for lsn, index, op, *_ in CHANGES]
    without_update = [*CHANGES[:2], *CHANGES[3:]]
    assert not judged(without_update, TABLE).equal
    assert compared(without_update, truth, 0).lost == 1
    assert judged([*CHANGES, CHANGES[-1]], TABLE).doubled == 1
    assert compared([*CHANGES, CHANGES[-1]], truth, 0).doubled == 1
    swapped = [*CHANGES[:2], CHANGES[3], CHANGES[2], CHANGES[4]]
    assert judged(swapped, TABLE).out_of_order == 1
    # A row of the snapshot that the stream brings again: the overlap.
    overlap = [*CHANGES, (40, 0, "insert", (1,), ("c",))]
    assert judged(overlap, TABLE).doubled == 1
    # A change of a row that was never read: the gap.
    assert judged([*CHANGES, (40, 0, "update", (7,), ("x",))], TABLE).lost == 1
