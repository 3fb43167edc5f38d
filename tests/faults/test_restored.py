"""A server that was restored from a backup, or promoted, is told by its timeline."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from streamlab.connectors.memory import MemoryTarget
from streamlab.connectors.postgres.reading import timelines
from streamlab.errors import SlotLost
from streamlab.stack import Stack
from streamlab.stack.account import hand_over, unprivileged
from streamlab.stack.server import Server
from tests.integration.test_postgres_slots import wait_for
from tests.integration.test_postgres_source import Shop, replayed, there

pytestmark = [pytest.mark.integration, pytest.mark.slow]


@pytest.fixture
def server_and_shop(
    own_stack: Callable[..., Stack], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Server, Shop]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "streamlab.toml").write_text("")
    servers = own_stack("postgres")
    name = f"cdc_{uuid.uuid4().hex[:8]}"
    shop = Shop(servers.postgres, tmp_path, f"t_{name}", name)
    shop.run(
        "create table {t} (id int primary key, name text, price numeric(10, 2))",
        "insert into {t} select i, 'n' || i, i from generate_series(1, 10) i",
    )
    return servers.server("postgres"), shop


def recover(server: Server, shop: Shop) -> None:
    """Let a stopped server start as one that was restored: on a new timeline."""
    data = server.folder / "data"
    (data / "recovery.signal").touch()
    with (data / "postgresql.auto.conf").open("a") as settings:
        settings.write("restore_command = 'false'\n")
    for path in (data, *data.rglob("*")):  # a copy belongs to who made it
        hand_over(path, unprivileged())
    server.start()
    wait_for(lambda: has_recovered(shop))


def has_recovered(shop: Shop) -> bool:
    with psycopg.connect(shop.dsn) as connection:
        return connection.execute("select pg_is_in_recovery()").fetchone() == (False,)


def restored(server: Server, shop: Shop, target: MemoryTarget) -> None:
    """Read more than a backup has, restore that, and write further than before."""
    shop.catch_up(target)
    server.stop()
    data, backup = server.folder / "data", server.folder / "backup"
    shutil.copytree(data, backup)
    server.start()
    shop.run("insert into {t} select i, 'lost', 1 from generate_series(11, 20) i")
    shop.catch_up(target)
    server.stop()
    shutil.rmtree(data)
    backup.rename(data)
    recover(server, shop)
    shop.run(
        "insert into {t} select i, 'other', 1 from generate_series(11, 20) i",
        "select pg_logical_emit_message(false, 'x', repeat('x', 1000000))",
        "insert into {t} values (21, 'other', 1)",
    )


def test_an_older_backup_that_has_written_further_stops(
    server_and_shop: tuple[Server, Shop],
) -> None:
    """Its log has passed our position, but on another timeline."""
    server, shop = server_and_shop
    target = MemoryTarget()
    restored(server, shop, target)
    for _ in range(2):
        with pytest.raises(SlotLost, match="timeline 2 of the server, which left"):
            shop.catch_up(target)
    assert target.frame().height == 20


def test_without_the_timeline_the_loss_would_be_silent(
    server_and_shop: tuple[Server, Shop], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: the target has rows that the server never had."""
    server, shop = server_and_shop
    target = MemoryTarget()
    restored(server, shop, target)
    monkeypatch.setattr(timelines, "require_common", lambda *_: None)
    changes = shop.catch_up(target)
    # Either a key is inserted twice on the way, or rows are left that are not there.
    with pytest.raises(AssertionError):
        assert replayed(changes) == there(shop)


def test_a_server_that_took_over_where_we_were_is_read_on_from(
    server_and_shop: tuple[Server, Shop],
) -> None:
    """A new timeline that has everything that was read loses nothing."""
    server, shop = server_and_shop
    target = MemoryTarget()
    shop.catch_up(target)
    server.stop()
    recover(server, shop)
    shop.run("insert into {t} values (11, 'more', 1)")
    assert shop.catch_up(target).height == 11
    shop.run("insert into {t} values (12, 'more', 1)")
    assert replayed(shop.catch_up(target)) == there(shop)
