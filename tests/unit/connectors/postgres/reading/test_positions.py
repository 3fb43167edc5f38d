"""Positions in a database's log: as people write them, and as they are kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamlab.connectors.postgres.reading import lsn
from streamlab.connectors.postgres.reading.kept import KeptFile, KeptProgress
from streamlab.connectors.postgres.reading.snapshot import Cut, SnapshotState
from streamlab.connectors.postgres.source import PostgresSource
from streamlab.errors import UsageError
from streamlab.positions import Progress, TopicPartition


def test_a_position_is_written_as_postgresql_does() -> None:
    """And read back."""
    assert lsn.spelled((0x16B3748, 3)) == "0/16B3748:3"
    assert lsn.parsed("0/16B3748:3") == (0x16B3748, 3)
    assert lsn.parsed("1/0") == (1 << 32, 0)
    assert lsn.spelled(lsn.NOT_BEGUN) == "not begun"
    assert lsn.spelled((8, -1, 1200, "{}")) == "snapshot at 0/8, 1,200 rows read"


@pytest.mark.parametrize("text", ["", "16B3748", "0/xyz", "0/1:", "100"])
def test_what_is_no_position_is_refused(text: str) -> None:
    """With an example of one."""
    with pytest.raises(UsageError, match="is not a position"):
        lsn.parsed(text)


def test_positions_of_snapshot_and_stream_follow_each_other() -> None:
    """Not begun, rows, the point of the snapshot, changes, the end of a commit."""
    rising = [
        lsn.NOT_BEGUN,
        (100, -1, 0, "a"),
        (100, -1, 7, "b"),
        (100, 0),
        (120, 0),
        (120, 4),
        (160, 0),
    ]
    assert rising == sorted(rising)


def test_the_state_of_a_snapshot_travels_as_text() -> None:
    """Keys, cuts and the place in the stream come back as they were."""
    state = SnapshotState(
        tables=("public.a", 'public."B c"'),
        table=1,
        after=("1", "x\"'y"),
        cuts=(Cut("public.a", None, 5), Cut("public.a", ("9", "z"), 7)),
        then=(3, 2),
    )
    assert SnapshotState.from_text(state.to_text()) == state
    assert state.last_cut == 7


def test_progress_is_kept_over_restarts(tmp_path: Path) -> None:
    """Replaced as a whole, never half."""
    kept = KeptProgress(KeptFile(tmp_path / "slots" / "s.json"))
    assert kept.read() is None
    place = TopicPartition("s", 0)
    for position in ((1, 0), (5, 2, "state")):
        progress = Progress("s/0", 3, {place: position}, {"s": "1/db"})
        kept.write(progress)
        assert kept.read() == progress
    assert [path.name for path in kept.file.path.parent.iterdir()] == ["s.json"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "needs tables"),
        ({"tables": ("a",), "slot": "No"}, "cannot name a replication slot"),
        ({"tables": ("a", "b"), "shape": "rows"}, "no columns in common"),
    ],
)
def test_settings_that_cannot_work_are_refused(
    settings: dict[str, object], message: str
) -> None:
    """Without a connection."""
    with pytest.raises(UsageError, match=message):
        PostgresSource(**settings)  # type: ignore[arg-type]
