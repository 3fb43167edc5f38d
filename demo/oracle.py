"""The proof: what the pipeline should have done, by polars and the plain clients.

Nothing here imports streamlab. The expected rows come from the original frame, the
table is read by psycopg, the topic by the bare consumer.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import psycopg
from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, TopicPartition
from psycopg import sql

from demo import flights
from demo.broker import Broker

DELAYED_MINUTES = 15
BATCH = 10_000

Origin = tuple[int, int]
"""Partition and offset of an event in the topic of the flights."""


def expected(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the rows that delayed flights make, with their airline and plane."""
    airlines = flights.table("airlines").rename({"name": "airline"})
    planes = flights.table("planes").select(
        "tailnum", "manufacturer", "model", built="year"
    )
    return (
        frame.filter(pl.col("arr_delay") > DELAYED_MINUTES)
        .join(airlines, on="carrier", how="left")
        .join(planes, on="tailnum", how="left")
        .select(
            *("carrier", "flight", "tailnum", "origin", "dest", "time_hour"),
            *("dep_delay", "arr_delay", "airline", "manufacturer", "model", "built"),
        )
    )


def stored(postgres: str, table: str, like: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of a table in the columns of another frame."""
    query = sql.SQL("SELECT {} FROM {}").format(
        sql.SQL(", ").join(map(sql.Identifier, like.columns)), sql.Identifier(table)
    )
    with psycopg.connect(postgres) as connection:
        rows = connection.execute(query).fetchall()
    return pl.DataFrame(rows, schema=like.schema, orient="row")


@dataclass(frozen=True, slots=True)
class Difference:
    """How two frames differ, as multisets of rows.

    Attributes:
        lost: Rows that should be there and are not.
        doubled: Rows that are there more often than they should, or not at all.
    """

    lost: int
    doubled: int

    @classmethod
    def between(cls, wanted: pl.DataFrame, found: pl.DataFrame) -> Difference:
        """Compare every row by all its columns; null equals null."""
        columns = wanted.columns
        both = (
            wanted.group_by(columns)
            .len("wanted")
            .join(
                found.group_by(columns).len("found"),
                on=columns,
                how="full",
                coalesce=True,
                nulls_equal=True,
            )
        )
        surplus = (
            both.select(
                pl.col("found").fill_null(0).cast(pl.Int64)
                - pl.col("wanted").fill_null(0).cast(pl.Int64)
            )
            .to_series()
            .to_list()
        )
        return cls(
            lost=-sum(each for each in surplus if each < 0),
            doubled=sum(each for each in surplus if each > 0),
        )


def messages(kafka: str, topic: str) -> list[Message]:
    """Return everything that a topic holds."""
    broker = Broker(kafka)
    partitions = broker.topics()[topic]
    total = broker.messages(topic, partitions)
    consumer = Consumer(
        {
            "bootstrap.servers": kafka,
            "group.id": "oracle",  # required, never joined
            "enable.auto.commit": False,
            "log_level": flights.QUIET,
            "fetch.queue.backoff.ms": 5,
        }
    )
    consumer.assign(
        [TopicPartition(topic, p, OFFSET_BEGINNING) for p in range(partitions)]
    )
    found: list[Message] = []
    try:
        while len(found) < total:
            batch = consumer.consume(min(BATCH, total - len(found)), flights.SECONDS)
            if not batch:
                message = f"{topic} gave {len(found)} of {total} messages"
                raise RuntimeError(message)
            found += batch
    finally:
        consumer.close()
    return found


def foreign(
    kafka: str, topic: str, good: Collection[bytes]
) -> dict[Origin, bytes | None]:
    """Return the origin and value of each message that is not one of the good ones."""
    known = set(good)
    return {
        (message.partition() or 0, message.offset() or 0): message.value()
        for message in messages(kafka, topic)
        if message.value() not in known
    }


def dead_letters(file: Path) -> dict[Origin, bytes | None]:
    """Return the value of each distinct origin in a file of dead letters.

    One JSON object a line, bytes in base64.
    """
    found = {}
    for line in file.read_bytes().splitlines():
        letter = json.loads(line)
        value = letter["value"]
        found[letter["partition"], letter["position"]] = (
            None if value is None else base64.b64decode(value)
        )
    return found
