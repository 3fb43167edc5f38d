"""Tables without a primary key: the choices there are, and what each is worth."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg
import pytest

from streamlab.connectors.memory import MemoryTarget
from streamlab.connectors.postgres.source import PostgresSource
from streamlab.errors import Refused, UsageError
from streamlab.pipelines import sections
from streamlab.pipelines.document import Document
from tests.integration.test_postgres_source import Shop, replayed, shop, there

pytestmark = pytest.mark.integration
assert shop  # a fixture


@pytest.fixture
def keyless(shop: Shop) -> Shop:
    shop.run("alter table {t} drop constraint {t}_pkey")
    return shop


def declared(shop: Shop) -> dict[str, list[str]]:
    return {f"public.{shop.table}": ["id"]}


def test_the_error_has_every_choice(keyless: Shop) -> None:
    """With the SQL of each, ready to be run."""
    with pytest.raises(UsageError, match="no primary key") as caught:
        keyless.source().schema()
    name = f'"public"."{keyless.table}"'
    for choice in (
        f"ALTER TABLE {name} ADD PRIMARY KEY",
        f"ALTER TABLE {name} REPLICA IDENTITY USING INDEX",
        f"ALTER TABLE {name} REPLICA IDENTITY FULL",
        f'keys = {{ "public.{keyless.table}" = ["…"] }}',
        'publish = "inserts"',
    ):
        assert choice in caught.value.hint


def test_a_declared_key_with_whole_rows(keyless: Shop) -> None:
    """The application's updates work, and each change says which row it is about."""
    keyless.run("alter table {t} replica identity full")
    target = MemoryTarget()
    keys = declared(keyless)
    assert keyless.catch_up(target, keys=keys).height == 10
    keyless.run(
        "update {t} set name = 'changed' where id = 2",
        "delete from {t} where id = 3",
        "update {t} set id = 40 where id = 4",
    )
    rows = keyless.catch_up(target, keys=keys)
    assert rows["_op"].to_list()[10:] == ["update", "delete", "delete", "insert"]
    assert replayed(rows) == there(keyless)


def test_a_declared_key_needs_whole_rows_without_nulls(keyless: Shop) -> None:
    """Otherwise a change would not say which row it is about."""
    keys = declared(keyless)
    with pytest.raises(UsageError, match="not FULL") as caught:
        keyless.source(keys=keys).schema()
    keyless.run(caught.value.hint)
    keyless.source(keys=keys).schema()
    keyless.run("alter table {t} alter column id drop not null")
    with pytest.raises(UsageError, match="may be null") as caught:
        keyless.source(keys=keys).schema()
    keyless.run(caught.value.hint)
    keyless.source(keys=keys).schema()


def test_a_declared_key_that_is_not_unique_stops_the_snapshot(keyless: Shop) -> None:
    """A row beside its double would be left out of a snapshot that is read on."""
    keyless.run(
        "alter table {t} replica identity full",
        "insert into {t} values (3, 'double', 1)",
    )
    target = MemoryTarget()
    with pytest.raises(Refused, match="not unique"):
        keyless.catch_up(target, keys=declared(keyless))
    assert target.frame().is_empty()


@pytest.mark.parametrize("shape", ["rows", "flat", "debezium"])
def test_inserts_alone_need_no_key(shape: str, keyless: Shop) -> None:
    """The application goes on updating; the stream has what was inserted."""
    target = MemoryTarget()
    wish = {"publish": "inserts", "snapshot": "never", "shape": shape}
    assert keyless.catch_up(target, **wish).is_empty()
    keyless.run(
        "insert into {t} values (11, 'new', 1), (12, 'new', 1)",
        "update {t} set name = 'changed'",
        "delete from {t} where id = 3",
        "truncate {t}",
        "insert into {t} values (13, 'new', 1)",
    )
    rows = keyless.catch_up(target, **wish)
    assert rows["_op"].to_list() == ["insert"] * 3
    if shape != "rows":
        assert rows["_key"].null_count() == 3
        assert b"13" in rows["value"][2]


def test_a_snapshot_of_inserts_alone_needs_a_key(keyless: Shop) -> None:
    """It could not be read on where it was interrupted."""
    with pytest.raises(UsageError, match="interrupted"):
        keyless.source(publish="inserts").schema()
    target = MemoryTarget()
    wish = {"publish": "inserts", "keys": declared(keyless), "shape": "flat"}
    keyless.catch_up(target, **wish)
    keyless.run("insert into {t} values (11, 'new', 1)", "update {t} set name = 'x'")
    rows = keyless.catch_up(target, **wish)
    assert rows["_op"].to_list() == ["snapshot"] * 10 + ["insert"]
    assert json.loads(rows["_key"][10]) == {"id": 11}


def test_a_file_has_keys_as_a_table_of_lists(tmp_path: Path) -> None:
    """One column alone may be a text."""
    text = 'tables = ["a.log"]\n[source.keys]\n"a.log" = ["id", "at"]\nb = "id"\n'
    (tmp_path / "pipeline.toml").write_text(f"[source]\n{text}")
    document = Document.read(tmp_path / "pipeline.toml")
    values = document.section("source", hint="")
    source = document.build("source", PostgresSource, values, tmp_path)
    assert source.keys == {"a.log": ("id", "at"), "b": ("id",)}
    settings = sections.settings_of(source, tmp_path)
    assert settings["keys"] == source.keys


def test_a_publication_must_publish_what_the_settings_say(shop: Shop) -> None:
    """Fewer kinds of changes would be missing without a word."""
    shop.run(f"create publication {shop.slot} for table {{t}} with (publish = insert)")
    with pytest.raises(UsageError, match="leaves out some kinds") as caught:
        shop.source().schema()
    shop.run(caught.value.hint.partition(";")[0])
    shop.source().schema()
    with pytest.raises(UsageError, match="inserts alone"):
        shop.source(publish="inserts").schema()
    with psycopg.connect(shop.dsn) as connection:
        row = connection.execute(
            "select pubinsert and pubupdate and pubdelete and pubtruncate "
            "from pg_publication where pubname = %s",
            [shop.slot],
        ).fetchone()
    assert row == (True,)
