"""Tutorials that need no data of the demo, run as ``make notebooks`` runs them."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

import streamlab as sl

pytestmark = [pytest.mark.notebook, pytest.mark.integration, pytest.mark.slow]

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
SETTINGS = """default_profile = "local"
[profiles.local.kafka]
"bootstrap.servers" = "{kafka}"
[profiles.local.postgres]
dsn = "{postgres}"
"""
SMALL = {"RATE": 100, "CUSTOMERS": 200, "ORDERS": 2_000}


@pytest.fixture
def project(kafka_address: str, postgres_dsn: str, tmp_path: Path) -> Path:
    """Return a folder whose default profile has both shared servers."""
    settings = SETTINGS.format(kafka=kafka_address, postgres=postgres_dsn)
    (tmp_path / "streamlab.toml").write_text(settings, encoding="utf-8")
    return tmp_path


def test_the_shop_is_mirrored_and_leaves_no_slot(
    project: Path, postgres_dsn: str
) -> None:
    """Each cell runs, twice over: a second run finds what the first one left."""
    path = NOTEBOOKS / "03_shop_changes.py"
    for turn in ("first", "second"):
        ran = sl.headless.run([path], SMALL, output=project / turn, folder=project)
        assert ran.passed, str(ran)
    with psycopg.connect(postgres_dsn) as connection:
        left = connection.execute(
            "select slot_name from pg_replication_slots where database = 'shop'"
        ).fetchall()
    assert left == []
    assert sl.workers(state_folder=project / ".streamlab") == []
