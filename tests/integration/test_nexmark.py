"""The Nexmark queries through workers that are killed, on real servers."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from benchmarks.nexmark.generator import generate
from benchmarks.nexmark.queries import QUERIES
from benchmarks.nexmark.running import Run, Suite
from demo.project import Servers

pytestmark = pytest.mark.integration

EVENTS = 20_000
EPOCHS = 8


@pytest.fixture(scope="module")
def suite(
    kafka_address: str, postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory
) -> Suite:
    """Return the events, sent."""
    folder: Path = tmp_path_factory.mktemp("nexmark")
    (folder / "streamlab.toml").write_text(
        'default_profile = "here"\n[profiles.here.kafka]\n'
        f'"bootstrap.servers" = "{kafka_address}"\n'
        f'[profiles.here.postgres]\ndsn = "{postgres_dsn}"\n'
    )
    servers = Servers(kafka_address, postgres_dsn)
    made = Suite(servers, generate(EVENTS), folder, f"nx{uuid.uuid4().hex[:6]}-")
    made.send()
    return made


@pytest.mark.parametrize("query", QUERIES)
def test_a_killed_query_gives_what_sql_gives(query: str, suite: Suite) -> None:
    """Killed by SIGKILL in its third epoch, started again, finished."""
    run = Run(query, suite.messages(query) // EPOCHS, killed=True)
    assert suite.run(run).difference == ""
