"""Values of every type, through a COPY and through the stream, against psycopg's."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

import polars as pl
import psycopg
import pytest

from streamlab.connectors.postgres.changes import copying, instants
from streamlab.connectors.postgres.changes.catalog import Catalog
from streamlab.connectors.postgres.changes.frames import ChangeTable, Rows
from streamlab.connectors.postgres.changes.pgoutput import Changes, Decoder
from streamlab.connectors.postgres.changes.session import startup_options
from streamlab.connectors.postgres.changes.types import column_type
from tests.integration.change_stream import change_stream
from tests.integration.postgres_types import CASES, DEFINITIONS, Case

pytestmark = pytest.mark.integration


@dataclass(frozen=True)
class World:
    """A schema with one table a case, and what the stream said of each."""

    connection: psycopg.Connection[Any]
    schema: str
    catalog: Catalog
    changes: Mapping[str, Changes]

    def table(self, case: Case) -> str:
        return f"case_{CASES.index(case)}"

    def streamed(self, case: Case, **options: Any) -> Rows:
        changes = self.changes[self.table(case)]
        table = ChangeTable(changes.relation, self.catalog, **options)
        return table.rows(changes)

    def copied(self, case: Case) -> Rows:
        changes = self.changes[self.table(case)]
        query = f"SELECT id, c FROM {self.schema}.{self.table(case)} ORDER BY id"
        command = f"COPY ({query}) TO STDOUT ({copying.OPTIONS})"
        with self.connection.cursor().copy(command) as copy:
            text = copying.read_relation(copy, changes.relation)
        table = ChangeTable(changes.relation, self.catalog)
        return table.snapshot_rows(text, lsn=0, time_us=0)

    def texts(self, case: Case) -> list[str | None]:
        """Return the values as the server sends them, before psycopg reads them."""
        table = f"{self.schema}.{self.table(case)}"
        cursor = self.connection.execute(f"SELECT c FROM {table} ORDER BY id")
        result = cursor.pgresult
        assert result is not None
        sent = [result.get_value(row, 0) for row in range(result.ntuples)]
        return [None if raw is None else bytes(raw).decode() for raw in sent]

    def read(self, case: Case, expression: str) -> list[Any]:
        """Return what psycopg reads of the rows that fit, in order."""
        fitting = len(case.values)
        return [
            value
            for (value,) in self.connection.execute(
                f"SELECT {expression} FROM {self.schema}.{self.table(case)} "
                f"WHERE id < {fitting} OR id = -1 ORDER BY id"
            )
        ]


@pytest.fixture(scope="module")
def world(postgres_dsn: str) -> Iterator[World]:
    """Write every value of every case, and record the stream."""
    schema = f"test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(
        postgres_dsn, autocommit=True, options=startup_options()
    ) as connection:
        connection.execute(DEFINITIONS.replace("{schema}", schema))
        for number, case in enumerate(CASES):
            sql_type = case.type.replace("{schema}", schema)
            connection.execute(
                f"CREATE TABLE {schema}.case_{number} "
                f"(id int PRIMARY KEY, c {sql_type})"
            )
        try:
            with change_stream(postgres_dsn, f"TABLES IN SCHEMA {schema}") as stream:
                for number, case in enumerate(CASES):
                    values = ["NULL", *case.values, *case.misfits]
                    rows = ", ".join(f"({n - 1}, {v})" for n, v in enumerate(values))
                    connection.execute(
                        f"INSERT INTO {schema}.case_{number} VALUES {rows}"
                    )
                batch = Decoder().feed(stream.read())
            yield World(
                connection,
                schema,
                Catalog.read(connection),
                {one.relation.table: one for one in batch.changes},
            )
        finally:
            connection.execute(f"DROP SCHEMA {schema} CASCADE")


def physical(values: pl.Series) -> list[Any]:
    """Return values that compare with the server's: numbers where Python has none."""
    if isinstance(values.dtype, pl.Date | pl.Datetime):
        return values.to_physical().to_list()
    return [comparable(value) for value in values.to_list()]


def comparable(value: Any) -> Any:
    """Return a value that equals itself, which NaN does not, nor 0.0 only itself."""
    if isinstance(value, list):
        return [comparable(item) for item in value]
    return str(value) if isinstance(value, float) else value


def expected(world: World, case: Case) -> list[Any]:
    """Return what the server has, in the form of :func:`physical`."""
    if case.as_text:
        return world.texts(case)
    if case.dtype == pl.Date:
        return world.read(case, "c - date '1970-01-01'")
    if isinstance(case.dtype, pl.Datetime):
        seconds = world.read(case, "extract(epoch FROM c)")
        return [None if s is None else int(s * 1_000_000) for s in seconds]
    if case.dtype == pl.Float32:
        # psycopg reads a real's text as a double; rounded to a real it is the same.
        read = pl.Series(world.read(case, "c"), dtype=pl.Float64).cast(pl.Float32)
        return [None if v is None else str(v) for v in read.to_list()]
    return [comparable(value) for value in world.read(case, case.check)]


@pytest.mark.parametrize("case", CASES, ids=[case.type for case in CASES])
def test_values_are_what_psycopg_reads(world, case):
    """Each value that fits, and NULL, comes out equal, by COPY and by the stream."""
    streamed = world.streamed(case).frame
    assert streamed["c"].dtype == case.dtype
    assert physical(streamed["c"]) == expected(world, case)
    assert streamed["id"].to_list() == list(range(-1, len(case.values)))
    copied = world.copied(case).frame
    assert copied["c"].equals(streamed["c"], null_equal=True)
    assert copied["id"].equals(streamed["id"])


@pytest.mark.parametrize("case", CASES, ids=[case.type for case in CASES])
def test_misfits_are_rejected_by_name(world, case):
    """A value that the type cannot hold rejects its row and names the column."""
    first = 1 + len(case.values)
    rows = list(range(first, first + len(case.misfits)))
    for read in (world.streamed(case), world.copied(case)):
        assert [one.row for one in read.rejected] == rows
        assert all("column 'c'" in one.reason for one in read.rejected)


@pytest.mark.parametrize("case", CASES, ids=[case.type for case in CASES])
def test_every_column_can_be_read_as_text(world, case):
    """As text, a column has the server's own words, for misfits too."""
    read = world.streamed(case, as_text=["c"])
    assert read.rejected == ()
    assert read.frame["c"].to_list() == world.texts(case)


def test_random_arrays_of_texts_come_back(world):
    """Arrays as the server quotes them, of any texts, are read as they were."""
    random = Random(20)
    letters = [
        '"',
        "\\",
        ",",
        "{",
        "}",
        " ",
        "\n",
        "\t",
        "'",
        "N",
        "NULL",
        "ż",
        "🐘",
        "a",
    ]
    lists = [
        [
            None
            if random.random() < 0.1
            else "".join(random.choices(letters, k=random.randint(0, 6)))
            for _ in range(random.randint(0, 5))
        ]
        for _ in range(2000)
    ]
    query = "SELECT v::text[]::text FROM unnest(%s::jsonb[]) WITH ORDINALITY u(j, n), "
    query += (
        "LATERAL (SELECT array(SELECT e #>> '{}' FROM jsonb_array_elements(j) e)) l(v)"
    )
    query += " ORDER BY n"
    sent = world.connection.execute(query, [[json.dumps(one) for one in lists]])
    texts = pl.Series([text for (text,) in sent], dtype=pl.String)
    read = column_type(1009, -1, world.catalog).parse(texts)
    assert read.to_list() == lists


def test_random_days_of_all_years_are_the_servers(world):
    """Days and instants of any year that fits have the server's own number."""
    random = Random(20)
    days = [random.randint(-2_440_000, 95_000_000) for _ in range(3000)]
    seconds = [random.randint(-210_000_000_000, 8_100_000_000_000) for _ in days]
    parts = [random.randint(0, 999_999) for _ in days]
    sent = world.connection.execute(
        "SELECT (date '1970-01-01' + d)::text, t::text, (t AT TIME ZONE 'UTC')::text, "
        "extract(epoch FROM t) "
        "FROM unnest(%s::int[], %s::int8[], %s::int[]) u(d, s, p), "
        "LATERAL (SELECT timestamp '1970-01-01' + s * interval '1 s' "
        "+ p * interval '1 us') i(t)",
        [days, seconds, parts],
    ).fetchall()
    day, local, zoned, epoch = zip(*sent, strict=True)
    assert instants.dates(pl.Series(day)).to_physical().to_list() == days
    expected_numbers = [int(second * 1_000_000) for second in epoch]
    for texts, parse in (
        (local, instants.timestamps),
        (zoned, instants.zoned_timestamps),
    ):
        assert parse(pl.Series(texts)).to_physical().to_list() == expected_numbers
