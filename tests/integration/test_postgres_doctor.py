"""The doctor says what a database lacks to be read as changes, and the SQL for it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from streamlab import doctor
from streamlab.cli import main
from streamlab.stack import Stack
from tests.integration.test_postgres_source import Shop, shop

pytestmark = pytest.mark.integration
assert shop  # a fixture


def step(found: doctor.Diagnosis, name: str) -> doctor.Step:
    return next(step for step in found.steps if step.name == name)


def test_a_ready_database_is_well(
    shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every step is fine, and the command says so by its exit code."""
    found = doctor.postgres(dsn=shop.dsn, tables=[f"public.{shop.table}"])
    assert found.ok, str(found)
    assert step(found, "wal_level").what == "logical"
    assert step(found, "WAL budget").state == "ok"
    code = main(["doctor", "postgres", shop.dsn, "--table", f"public.{shop.table}"])
    shown = capsys.readouterr().out
    assert code == 0
    assert "may replicate" in shown
    assert "passfile" not in shown


def test_a_table_without_a_key_is_named_with_the_sql(shop: Shop) -> None:
    """Before it is published, because afterwards its owner's updates would fail."""
    shop.run("alter table {t} drop constraint {t}_pkey")
    found = doctor.postgres(dsn=shop.dsn, tables=[f"public.{shop.table}"])
    assert not found.ok
    tables = step(found, "tables")
    assert "no primary key" in tables.what
    assert f'ALTER TABLE "public"."{shop.table}" ADD PRIMARY KEY' in tables.hint


@pytest.fixture
def few_rights(shop: Shop) -> Iterator[str]:
    """Return the DSN of a role that may only log in."""
    name = f"few_{uuid.uuid4().hex[:8]}"
    shop.run(f"create role {name} login password 'pw'")
    yield make_conninfo(shop.dsn, user=name, password="pw", passfile=None)
    shop.run(f"drop role {name}")


def test_each_missing_right_is_named_with_the_sql(shop: Shop, few_rights: str) -> None:
    """Following the SQL makes each step well."""
    found = doctor.postgres(dsn=few_rights, tables=[f"public.{shop.table}"])
    assert "REPLICATION" in step(found, "role").hint
    assert step(found, "replication").state == "failed"
    assert "GRANT CREATE ON DATABASE" in step(found, "publication").hint
    assert "GRANT SELECT ON" in step(found, "tables").hint
    shop.run(step(found, "role").hint)
    again = doctor.postgres(dsn=few_rights, tables=[f"public.{shop.table}"])
    assert step(again, "role").state == "ok"
    assert step(again, "replication").state == "ok"


def test_a_slot_that_nobody_reads_is_shown(shop: Shop) -> None:
    """With what it holds back."""
    shop.run(f"select pg_create_logical_replication_slot('{shop.slot}', 'pgoutput')")
    shown = step(doctor.postgres(dsn=shop.dsn), "slots").what
    assert f"{shop.slot}: reserved" in shown
    assert "nobody reads it" in shown


@pytest.mark.slow
def test_a_log_without_a_limit_is_a_warning(own_stack: Callable[..., Stack]) -> None:
    """A slot that nobody reads fills the disk."""
    dsn = own_stack("postgres").postgres
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("alter system set max_slot_wal_keep_size = -1")
        connection.execute("select pg_reload_conf()")
        connection.execute("select pg_sleep(0.3)")
    budget = step(doctor.postgres(dsn=dsn), "WAL budget")
    assert budget.state == "warn"
    assert "max_slot_wal_keep_size" in budget.hint
