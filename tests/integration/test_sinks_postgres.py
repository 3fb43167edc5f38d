"""The PostgreSQL sink on a real server: types, tables, upserts, refusals, faults."""

from __future__ import annotations

import math
import re
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql

from streamlab.connectors.postgres import progress
from streamlab.connectors.postgres.columns import ROWS_AT_ONCE
from streamlab.connectors.postgres.sink import MOST_REFUSED, PostgresSink
from streamlab.errors import (
    Refused,
    RowsRefused,
    SchemaError,
    SettingsError,
    StreamlabError,
    Unavailable,
)
from streamlab.positions import Progress, TopicPartition
from streamlab.sinks import SinkBatch, SinkContext, Writer
from tests.integration.cutting_proxy import CuttingProxy

pytestmark = pytest.mark.integration

CANARY = "PII-canary"
PARTITION = TopicPartition("flights", 0)
PATIENCE_S = 20


class Database:
    """The shared database, and a table name nobody else has."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.table = f"t_{uuid.uuid4().hex[:12]}"
        self.pipeline = f"p-{uuid.uuid4().hex[:12]}"
        self._connection = psycopg.connect(dsn, autocommit=True)

    def run(self, statement: str) -> list[tuple[Any, ...]]:
        """Run a statement, where ``T`` stands for the table."""
        named = re.sub(r"\bT\b", self.table, statement)
        cursor = self._connection.execute(named)
        return cursor.fetchall() if cursor.description else []

    def rows(self, order: str = "1") -> list[tuple[Any, ...]]:
        """Return the rows of the table."""
        query = sql.SQL("SELECT * FROM {} ORDER BY {}")
        return self._connection.execute(
            query.format(sql.Identifier(self.table), sql.SQL(order))
        ).fetchall()

    def sink(self, **options: Any) -> PostgresSink:
        """Return a sink into the table."""
        return PostgresSink(**{"table": self.table, "dsn": self.dsn, **options})

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class Epochs:
    """Writes frames as the epochs of one task."""

    def __init__(self, database: Database, schema: pl.Schema, **options: Any) -> None:
        context = SinkContext(database.pipeline, schema)
        self.writer: Writer = database.sink(**options).open(context)
        self.stored: Sequence[Progress] = []
        self.claim()

    def claim(self) -> Progress:
        """Return the progress that is stored."""
        initial = [Progress(str(PARTITION), 0, {PARTITION: 0})]
        self.stored = self.writer.claim(initial) or []
        return self.stored[0]

    def write(self, frame: pl.DataFrame) -> int:
        """Write one epoch."""
        after = [
            Progress(each.task, each.epoch + 1, {PARTITION: (each.epoch + 1) * 10})
            for each in self.stored
        ]
        written = self.writer.write(SinkBatch(frame, self.stored, after))
        self.stored = after
        return written


@pytest.fixture
def database(postgres_dsn: str) -> Iterator[Database]:
    """Return the shared database."""
    opened = Database(postgres_dsn)
    yield opened
    opened.close()


@pytest.fixture
def epochs(database: Database) -> Iterator[Callable[..., Epochs]]:
    """Return a function that opens a sink for frames like the given one."""
    opened: list[Epochs] = []

    def start(frame: pl.DataFrame, **options: Any) -> Epochs:
        opened.append(Epochs(database, frame.schema, **options))
        return opened[-1]

    yield start
    for each in opened:
        each.writer.close()


NAIVE = datetime(2013, 1, 1, 5, 0, 0, 1)  # noqa: DTZ001 -- the type under test
BERLIN = ZoneInfo("Europe/Berlin")
VALUES: list[tuple[pl.DataType, list[Any], list[Any] | None]] = [
    (pl.Int8(), [-128, 127], None),
    (pl.Int64(), [-(2**63), 2**63 - 1], None),
    (pl.UInt64(), [0, 2**64 - 1], [Decimal(0), Decimal(2**64 - 1)]),
    (pl.Int128(), [-(10**38), 10**38], [Decimal(-(10**38)), Decimal(10**38)]),
    (pl.Float64(), [0.1, 5e-324, 1.7976931348623157e308, math.inf, -math.inf], None),
    (pl.Float32(), [0.5, -math.inf], None),
    (pl.Boolean(), [True, False], None),
    (pl.String(), ["", " x ", "\\.", "\\N", "NULL", 'a"b,c', "a\r\nb\tc", "é😀"], None),
    (pl.Categorical(), ["a", 'b"'], None),
    (pl.Enum(["a", ""]), ["a", ""], None),
    (pl.Binary(), [b"", b"\x00\xff\\x"], None),
    (pl.Date(), [date(1, 1, 1), date(9999, 12, 31)], None),
    (pl.Time(), [time(0, 0), time(23, 59, 59, 999_999)], None),
    (pl.Duration("us"), [timedelta(-1, 0, 5), timedelta(400, 1)], None),
    (pl.Datetime("us"), [NAIVE, NAIVE.replace(year=1), NAIVE.replace(year=9999)], None),
    (pl.Datetime("ms", "UTC"), [datetime(2013, 1, 1, 5, 0, 0, 1000, UTC)], None),
    (
        pl.Datetime("us", "Europe/Berlin"),
        [datetime(1890, 1, 1, tzinfo=BERLIN), datetime(2013, 7, 1, tzinfo=BERLIN)],
        None,
    ),
    (pl.Decimal(38, 9), [Decimal("-0.000000001"), Decimal("12345.5")], None),
    (pl.List(pl.String()), [[], ['a"\\,\n', None]], None),
    (pl.Array(pl.Int16(), 2), [[1, 2]], None),
    (
        pl.Struct({"a": pl.Int64(), "b": pl.List(pl.Float64())}),
        [{"a": None, "b": [1.5]}],
        None,
    ),
]


@pytest.mark.parametrize(
    ("dtype", "values", "expected"), VALUES, ids=lambda value: str(value)[:30]
)
def test_values_of_a_type_come_back_as_they_were(
    database: Database,
    epochs: Callable[..., Epochs],
    dtype: pl.DataType,
    values: list[Any],
    expected: list[Any] | None,
) -> None:
    """Each type has a column type that gives every value back, and null as NULL."""
    frame = pl.DataFrame(
        {"n": range(len(values) + 1), "v": [*values, None]}, strict=False
    )
    frame = pl.DataFrame(
        [frame["n"], pl.Series("v", [*values, None], dtype=dtype, strict=True)]
    )
    epochs(frame).write(frame)
    found = [row[1] for row in database.rows()]
    assert found == [*(expected or values), None]


def test_nan_comes_back_as_nan(
    database: Database, epochs: Callable[..., Epochs]
) -> None:
    """NaN is a value of a float column, not a NULL."""
    frame = pl.DataFrame({"v": [math.nan]})
    epochs(frame).write(frame)
    assert math.isnan(database.rows()[0][0])


@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(st.none() | st.text(st.characters(exclude_characters="\0"))))
def test_any_text_comes_back_as_it_was(
    postgres_dsn: str, texts: list[str | None]
) -> None:
    """Whatever a text holds, COPY neither cuts nor changes it, alone in its row."""
    database = Database(postgres_dsn)
    frame = pl.DataFrame({"v": texts}, schema={"v": pl.String})
    try:
        opened = Epochs(database, frame.schema)
        opened.write(frame)
        opened.writer.close()
        assert [row[0] for row in database.rows("ctid")] == texts
    finally:
        database.run("DROP TABLE IF EXISTS T")
        database.close()


def test_odd_names_are_quoted(database: Database) -> None:
    """Names with quotes, blanks and capitals are names, not SQL."""
    database.table = f'My "table"; DROP {uuid.uuid4().hex[:6]}'
    frame = pl.DataFrame({'se"lect': [1], "A b": ["x"], "%s": [2], "{}": [3]})
    opened = Epochs(database, frame.schema, mode="upsert", key=('se"lect',))
    opened.write(frame)
    opened.writer.close()
    assert database.rows() == [(1, "x", 2, 3)]


def test_table_in_another_schema_is_found(database: Database) -> None:
    """``schema.table`` names both."""
    schema = f"s_{uuid.uuid4().hex[:8]}"
    database.run(f"CREATE SCHEMA {schema}")
    frame = pl.DataFrame({"v": [1]})
    opened = Epochs(database, frame.schema, table=f"{schema}.rows")
    opened.write(frame)
    opened.writer.close()
    assert database.run(f"SELECT v FROM {schema}.rows") == [(1,)]


def test_missing_schema_is_named_with_its_statement(database: Database) -> None:
    """A table in a schema that is not there says how to make it."""
    with pytest.raises(SchemaError, match='CREATE SCHEMA "nowhere"'):
        Epochs(database, pl.Schema({"v": pl.Int64}), table="nowhere.rows")


def test_missing_table_is_not_created_unasked(database: Database) -> None:
    """With ``create=False`` the error has the statement, and it works."""
    schema = pl.Schema({"v": pl.Int64, "at": pl.Datetime("us", "UTC")})
    with pytest.raises(SchemaError) as caught:
        Epochs(database, schema, create=False)
    database.run(caught.value.hint.removeprefix("create it: "))
    Epochs(database, schema, create=False).writer.close()


def test_misfits_are_all_named_and_the_hint_mends_them(database: Database) -> None:
    """Missing, mistyped and required columns are named; the ALTER makes it fit."""
    database.run('CREATE TABLE T (a integer, b numeric(10,2), "Z z" text NOT NULL)')
    schema = pl.Schema({"a": pl.Int64, "b": pl.Float64, "c": pl.String, "d": pl.Date})
    with pytest.raises(SchemaError) as caught:
        Epochs(database, schema)
    for problem in ("'b' is numeric(10,2)", "'c' is missing", "'d' is", "'Z z' must"):
        assert problem in caught.value.message
    assert "'a'" not in caught.value.message
    database.run(caught.value.hint)
    Epochs(database, schema).writer.close()


def test_columns_that_fill_themselves_may_stay(
    database: Database, epochs: Callable[..., Epochs]
) -> None:
    """Extra columns with a default, an identity or an expression do no harm."""
    database.run(
        "CREATE TABLE T (v bigint, at timestamptz NOT NULL DEFAULT now(), "
        "id bigint GENERATED ALWAYS AS IDENTITY, "
        "twice bigint GENERATED ALWAYS AS (v * 2) STORED)"
    )
    frame = pl.DataFrame({"v": [4]})
    epochs(frame).write(frame)
    assert database.run("SELECT v, id, twice FROM T") == [(4, 1, 8)]


def test_upsert_into_a_table_with_defaults_works(
    database: Database, epochs: Callable[..., Epochs]
) -> None:
    """A required column with a default is left to the server in an upsert too."""
    database.run(
        "CREATE TABLE T (id bigint PRIMARY KEY, at timestamptz NOT NULL DEFAULT now())"
    )
    frame = pl.DataFrame({"id": [1, 2]})
    epochs(frame, mode="upsert", key=("id",)).write(frame)
    assert database.run("SELECT count(at) FROM T") == [(2,)]


def test_view_is_not_a_table(database: Database) -> None:
    """A view is refused when the sink is opened, not at the first epoch."""
    database.run("CREATE VIEW T AS SELECT 1 AS v")
    with pytest.raises(SchemaError, match="is not a table"):
        Epochs(database, pl.Schema({"v": pl.Int64}))


def test_upsert_needs_a_unique_key(database: Database) -> None:
    """A table without the key says how to add it, and then takes the rows."""
    database.run(
        "CREATE TABLE T (id bigint, v bigint); "
        "CREATE UNIQUE INDEX ON T (id) WHERE v > 0; "
        "CREATE UNIQUE INDEX ON T (id, v)"
    )
    schema = pl.Schema({"id": pl.Int64, "v": pl.Int64})
    with pytest.raises(SchemaError, match="no unique key on") as caught:
        Epochs(database, schema, mode="upsert", key=("id",))
    database.run(caught.value.hint)
    Epochs(database, schema, mode="upsert", key=("id",)).writer.close()


def test_upsert_keeps_the_last_row_of_each_key(
    database: Database, epochs: Callable[..., Epochs]
) -> None:
    """The last row wins, within an epoch and across epochs."""
    frame = pl.DataFrame({"id": [1, 2, 1], "v": ["a", "b", "c"]})
    opened = epochs(frame, mode="upsert", key=("id",))
    assert opened.write(frame) == 3
    assert database.rows() == [(1, "c"), (2, "b")]
    opened.write(pl.DataFrame({"id": [2, 3], "v": ["d", None]}))
    assert database.rows() == [(1, "c"), (2, "d"), (3, None)]


def test_rows_of_a_snapshot_are_copied_unless_a_key_is_there(
    database: Database, epochs: Callable[..., Epochs]
) -> None:
    """Of a key that comes twice, or that the table has already, the last row stays."""

    def rows(ids: list[int], values: list[str]) -> pl.DataFrame:
        return pl.DataFrame({"id": ids, "v": values}).with_columns(
            pl.lit("snapshot").alias("_op"),
            pl.lit([], pl.List(pl.String)).alias("_unavailable"),
        )

    frame = rows([2, 1], ["a", "b"])
    opened = epochs(frame, mode="changes", key=("id",))
    assert opened.write(frame) == 2
    opened.write(rows([3, 3], ["c", "d"]))
    opened.write(rows([1, 4], ["e", "f"]))
    assert database.rows() == [(1, "e"), (2, "a"), (3, "d"), (4, "f")]


def test_inserts_are_copied_unless_a_key_is_there(
    database: Database, epochs: Callable[..., Epochs]
) -> None:
    """Rows that were there are replaced, then and later, and new ones come beside."""

    def rows(op: str, ids: list[int], values: list[str]) -> pl.DataFrame:
        return pl.DataFrame({"id": ids, "v": values}).with_columns(
            pl.lit(op).alias("_op"),
            pl.lit(None, pl.List(pl.String)).alias("_unavailable"),
        )

    frame = rows("insert", [2, 1], ["a", "b"])
    opened = epochs(frame, mode="changes", key=("id",))
    opened.write(frame)
    assert database.rows() == [(1, "b"), (2, "a")]
    opened.write(rows("insert", [3, 1, 3], ["c", "d", "e"]))
    assert database.rows() == [(1, "d"), (2, "a"), (3, "e")]
    opened.write(rows("insert", [4, 2], ["f", "g"]))
    opened.write(rows("delete", [1], ["d"]))
    opened.write(rows("insert", [1, 5], ["h", "i"]))
    opened.write(rows("update", [5], ["j"]))
    assert database.rows() == [(1, "h"), (2, "g"), (3, "e"), (4, "f"), (5, "j")]


def test_more_rows_than_are_made_at_once_arrive_whole(
    database: Database, epochs: Callable[..., Epochs]
) -> None:
    """A COPY is written in parts, and none is left out."""
    frame = pl.DataFrame({"id": range(ROWS_AT_ONCE * 2 + 1)})
    epochs(frame).write(frame)
    assert database.run("SELECT count(*), max(id) FROM T") == [
        (frame.height, frame.height - 1)
    ]


def test_upsert_by_version_keeps_the_newest_row(
    database: Database, epochs: Callable[..., Epochs]
) -> None:
    """An older version replaces nothing, whatever order it comes in."""
    frame = pl.DataFrame({"id": [1, 1, 1], "n": [5, 7, 6], "v": ["a", "b", "c"]})
    opened = epochs(frame, mode="upsert", key=("id",), version="n")
    opened.write(frame)
    assert database.rows() == [(1, 7, "b")]
    opened.write(pl.DataFrame({"id": [1], "n": [6], "v": ["late"]}))
    assert database.rows() == [(1, 7, "b")]
    opened.write(pl.DataFrame({"id": [1], "n": [7], "v": ["again"]}))
    assert database.rows() == [(1, 7, "again")]


def test_upsert_of_nothing_but_the_key_adds_it_once(
    database: Database, epochs: Callable[..., Epochs]
) -> None:
    """A table of keys is a set."""
    frame = pl.DataFrame({"a": [1, 1, 2], "b": ["x", "x", "x"]})
    opened = epochs(frame, mode="upsert", key=("a", "b"))
    opened.write(frame)
    opened.write(frame)
    assert database.rows() == [(1, "x"), (2, "x")]


REFUSALS = [
    ("v bigint NOT NULL", [1, None], 'not null violation (23502), column "v"'),
    ("v smallint", [1, 70_000], "numeric value out of range (22003)"),
    ("v bigint PRIMARY KEY", [1, 1], "unique violation (23505)"),
    ("v bigint CHECK (v < 5)", [1, 7], "check violation (23514)"),
    ("v bigint UNIQUE DEFERRABLE INITIALLY DEFERRED", [1, 1], "unique violation"),
    ("v varchar(3)", ["abc", CANARY], "string data right truncation (22001)"),
    ("v text", ["a", f"{CANARY}\0"], "character not in repertoire (22021)"),
    ("v uuid", [str(uuid.UUID(int=1)), CANARY], "invalid text representation (22P02)"),
    ("v jsonb", ["{}", f'{{"{CANARY}": '], "invalid text representation (22P02)"),
]


@pytest.mark.parametrize(("column", "values", "reason"), REFUSALS)
def test_refused_row_is_found_and_named_without_its_value(
    database: Database,
    epochs: Callable[..., Epochs],
    column: str,
    values: list[Any],
    reason: str,
) -> None:
    """The second row is at fault: it is named, and nothing of the epoch is there."""
    database.run(f"CREATE TABLE T ({column})")
    frame = pl.DataFrame({"v": values})
    opened = epochs(frame)
    with pytest.raises(RowsRefused) as caught:
        opened.write(frame)
    assert set(caught.value.reasons) == {1}
    assert reason in caught.value.reasons[1]
    assert_hides(CANARY, caught.value)
    assert database.rows() == []
    assert opened.claim().epoch == 0
    opened.write(frame.head(1))
    assert len(database.rows()) == 1


def test_row_refused_by_a_trigger_is_found(
    database: Database, epochs: Callable[..., Epochs]
) -> None:
    """What a trigger raises blames the row that it was raised for."""
    database.run(
        "CREATE TABLE T (v bigint); "
        f"CREATE FUNCTION check_{database.table}() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN IF NEW.v = 3 THEN RAISE 'no threes'; END IF; RETURN NEW; END $$; "
        "CREATE TRIGGER refuse BEFORE INSERT ON T FOR EACH ROW "
        f"EXECUTE FUNCTION check_{database.table}()"
    )
    frame = pl.DataFrame({"v": [1, 2, 3, 4]})
    with pytest.raises(RowsRefused) as caught:
        epochs(frame).write(frame)
    assert set(caught.value.reasons) == {2}


def test_null_key_is_refused_in_an_upsert(epochs: Callable[..., Epochs]) -> None:
    """A row without its key has no place in the table."""
    frame = pl.DataFrame({"id": [1, None], "v": [1, 2]})
    with pytest.raises(RowsRefused) as caught:
        epochs(frame, mode="upsert", key=("id",)).write(frame)
    assert set(caught.value.reasons) == {1}


def test_epoch_of_refused_rows_is_worked_off_in_parts(
    database: Database, epochs: Callable[..., Epochs]
) -> None:
    """So many rows are named at a time that an epoch of bad rows cannot hang."""
    database.run("CREATE TABLE T (v bigint CHECK (v < 0))")
    frame = pl.DataFrame({"v": range(MOST_REFUSED + 50)})
    opened = epochs(frame)
    with pytest.raises(RowsRefused) as caught:
        opened.write(frame)
    assert set(caught.value.reasons) == set(range(MOST_REFUSED))
    with pytest.raises(RowsRefused) as caught:
        opened.write(frame.tail(50))
    assert set(caught.value.reasons) == set(range(50))


def test_missing_table_is_no_row_s_fault(
    database: Database, epochs: Callable[..., Epochs]
) -> None:
    """A table that was dropped under the writer stops it; no row is blamed."""
    frame = pl.DataFrame({"v": [1]})
    opened = epochs(frame)
    database.run("DROP TABLE T")
    with pytest.raises(Refused, match="undefined table"):
        opened.write(frame)


def test_broken_connection_is_opened_again(
    database: Database, epochs: Callable[..., Epochs]
) -> None:
    """A session that the server ends is unavailable once, and then goes on."""
    frame = pl.DataFrame({"v": [1]})
    opened = epochs(frame)
    database.run(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name "
        f"= 'streamlab {database.pipeline} worker-0'"
    )
    with pytest.raises(Unavailable):
        opened.write(frame)
    assert opened.claim().epoch == 0
    opened.write(frame)
    assert len(database.rows()) == 1


@pytest.mark.parametrize(
    ("forwarded", "rows"),
    [pytest.param(True, 1, id="behind"), pytest.param(False, 0, id="before")],
)
def test_claim_tells_whether_a_cut_commit_took_effect(
    database: Database, epochs: Callable[..., Epochs], *, forwarded: bool, rows: int
) -> None:
    """A connection that breaks at COMMIT leaves a doubt, and claim resolves it."""
    with CuttingProxy(database.dsn) as proxy:
        frame = pl.DataFrame({"v": [1]})
        opened = epochs(frame, dsn=proxy.dsn)
        proxy.cut_at(b"COMMIT\0", forward=forwarded)
        with pytest.raises(Unavailable):
            opened.write(frame)
        proxy.mend()
        assert opened.claim().epoch == rows
        assert len(database.rows()) == rows


def test_locked_progress_is_not_waited_for_without_end(
    database: Database, epochs: Callable[..., Epochs], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that hangs with the row locked makes the next one try again later."""
    hasty = progress._BEGIN_SINCE_17.replace(
        "lock_timeout = '10s'", "lock_timeout = 99"
    )
    monkeypatch.setattr(progress, "_BEGIN_SINCE_17", hasty)
    frame = pl.DataFrame({"v": [1]})
    opened = epochs(frame)
    with psycopg.connect(database.dsn) as hanging:
        hanging.execute("SELECT 1 FROM streamlab.progress FOR UPDATE")
        with pytest.raises(Unavailable, match="lock not available"):
            opened.write(frame)
    opened.write(frame)


def test_worker_that_hangs_in_a_transaction_is_ended_by_the_server(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stopped worker gives its locks back after a while, also inside a COPY."""
    hasty = progress._BEGIN_SINCE_17.replace(
        "transaction_timeout = '120s'", "transaction_timeout = 300", 1
    )
    monkeypatch.setattr(progress, "_BEGIN_SINCE_17", hasty)
    database.run("CREATE TABLE T (v bigint)")
    with psycopg.connect(database.dsn, autocommit=True) as stopped:
        with pytest.raises(psycopg.errors.TransactionTimeout):
            copy_slowly(stopped, database.table)
        assert stopped.broken


def copy_slowly(stopped: psycopg.Connection[Any], name: str) -> None:
    """Hang in the middle of a COPY, in a transaction as the sink begins it."""
    with stopped.transaction():
        progress.begin(stopped)
        with stopped.cursor().copy(f"COPY {name} FROM STDIN") as copy:
            copy.write(b"1\n")
            threading.Event().wait(0.8)


def test_commit_is_durable_whatever_the_role_s_default(
    database: Database, epochs: Callable[..., Epochs]
) -> None:
    """A role that does not wait for the disk does so for our commits."""
    database.run(
        "CREATE TABLE T (v bigint, mode text DEFAULT "
        "current_setting('synchronous_commit'))"
    )
    frame = pl.DataFrame({"v": [1]})
    dsn = psycopg.conninfo.make_conninfo(
        database.dsn, options="-c synchronous_commit=off"
    )
    epochs(frame, dsn=dsn).write(frame)
    assert database.rows() == [(1, "on")]


def test_workers_that_start_together_create_one_table(database: Database) -> None:
    """Eight workers that open the same new table all succeed."""
    schema = pl.Schema({"v": pl.Int64})
    ready = threading.Barrier(8)

    def start() -> None:
        ready.wait(PATIENCE_S)
        Epochs(database, schema).writer.close()

    with ThreadPoolExecutor(8) as pool:
        for started in [pool.submit(start) for _ in range(8)]:
            started.result(PATIENCE_S)
    assert database.rows() == []


def test_wrong_password_is_a_mistake_and_not_shown(database: Database) -> None:
    """A login that the server refuses stops with a hint, without the password."""
    user = f"u_{uuid.uuid4().hex[:8]}"
    database.run(f"CREATE ROLE {user} LOGIN PASSWORD 'right'")
    dsn = psycopg.conninfo.make_conninfo(database.dsn, user=user, password=CANARY)
    with pytest.raises(StreamlabError) as caught:
        Epochs(database, pl.Schema({"v": pl.Int64}), dsn=dsn)
    assert isinstance(caught.value, SettingsError)
    assert_hides(CANARY, caught.value)


def test_role_without_rights_is_told_which(database: Database) -> None:
    """A role that may not write is refused with the rights it needs."""
    database.run("CREATE TABLE T (v bigint)")
    role = f"u_{uuid.uuid4().hex[:8]}"
    database.run(f"CREATE ROLE {role}")
    dsn = psycopg.conninfo.make_conninfo(database.dsn, options=f"-c role={role}")
    with pytest.raises(Refused, match="grant the role"):
        Epochs(database, pl.Schema({"v": pl.Int64}), dsn=dsn).write(
            pl.DataFrame({"v": [1]})
        )


def assert_hides(secret: str, error: BaseException | None) -> None:
    """Look for a secret in an error and everything that a traceback would show."""
    while error is not None:
        assert secret not in f"{error!s} {error!r} {vars(error)}"
        error = error.__cause__ or (
            None if error.__suppress_context__ else error.__context__
        )


@pytest.mark.parametrize(
    ("unsent", "found"),
    [({"_unavailable": pl.String()}, "String"), ({}, "missing")],
)
def test_names_of_unsent_values_must_be_a_list(
    database: Database, unsent: dict[str, pl.DataType], found: str
) -> None:
    """Without the list long values would be lost: the sink says so before it writes."""
    schema = {"id": pl.Int64(), "_op": pl.String(), **unsent}
    sink = PostgresSink(database.table, mode="changes", key="id", dsn=database.dsn)
    with pytest.raises(SchemaError, match=rf"'_unavailable' as List.* is {found}"):
        sink.open(SinkContext(database.pipeline, schema))
