"""A producer at a steady pace that remembers when it sent each event.

Run as a child process, so that it does not share an interpreter with what reads the
clock at the other end::

    python -m demo.paced HOST:PORT TOPIC --rate 5000 --seconds 20 --log sent.parquet
"""

from __future__ import annotations

import argparse
import itertools
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import orjson
import polars as pl
from confluent_kafka import KafkaError, Message, Producer

from demo import flights

SENT_DIGITS = 16  # of microseconds since 1970, until the year 2286

TICK_S = 0.002
"""The events of two milliseconds are sent together: a sleep is no more exact."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How events are sent.

    Attributes:
        rate: Events a second.
        seconds: For how long.
        bytes_each: Size to which each event is padded in a column ``note``, beside
            the time of sending in ``sent_us`` (microseconds since 1970 UTC); 0
            sends the flights as they are.
    """

    rate: int
    seconds: float
    bytes_each: int = 0

    @property
    def events(self) -> int:
        """Return how many events that makes."""
        return int(self.rate * self.seconds)


def start(kafka: str, topic: str, pace: Pace, log: Path) -> subprocess.Popen[bytes]:
    """Start a child process that sends the events and then writes the log.

    The log is a Parquet file: ``partition``, ``offset``, ``sent_us``.
    """
    command = [sys.executable, "-m", "demo.paced", kafka, topic, "--log", str(log)]
    for name in ("rate", "seconds", "bytes_each"):
        command += [f"--{name.replace('_', '-')}", str(getattr(pace, name))]
    return subprocess.Popen(command)


def send(to: Producer, topic: str, pace: Pace) -> pl.DataFrame:
    """Send the events at their pace and return when each was sent, and where it is."""
    batch = flights.messages(sent_flights(pace))
    # Made beforehand: what sends at a pace must not take the processor from what is
    # measured.
    tails = [_tail(value or b"", pace.bytes_each) for value in batch.values]
    sent: list[tuple[int, int, int]] = []

    def delivered(sent_us: int, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            raise RuntimeError(error.str())
        sent.append((message.partition() or 0, message.offset() or 0, sent_us))

    due = zip(tails, batch.keys, batch.timestamps_ms, strict=True)
    started = time.perf_counter()
    for tick in itertools.count(1):
        until = min(pace.events, int(tick * TICK_S * pace.rate))
        so_far = min(pace.events, int((tick - 1) * TICK_S * pace.rate))
        for tail, key, timestamp in itertools.islice(due, until - so_far):
            now = time.time_ns() // 1_000
            to.produce(
                topic,
                b'{"sent_us":%d,' % now + tail if pace.bytes_each else tail,
                key,
                timestamp=timestamp,
                on_delivery=partial(delivered, now),
            )
        to.poll(0)
        if until == pace.events:
            break
        time.sleep(max(0.0, started + tick * TICK_S - time.perf_counter()))
    to.flush(flights.SECONDS)
    return pl.DataFrame(
        sent,
        schema={"partition": pl.Int32, "offset": pl.Int64, "sent_us": pl.Int64},
        orient="row",
    )


def sent_flights(pace: Pace) -> pl.DataFrame:
    """Return the flights that are sent, in their order: shuffled, repeated if need be.

    Shuffled, because a month of flights in order has days without a delay.
    """
    frame = flights.flights().sample(fraction=1, shuffle=True, seed=2013)
    return flights.repeated(frame, pace.events)


def _tail(value: bytes, size: int) -> bytes:
    """Return what stands behind the time of sending in an event of that size."""
    if not size:
        return value
    head = len(b'{"sent_us":,') + SENT_DIGITS
    event = orjson.loads(value) | {"note": ""}
    event["note"] = "x" * max(0, size - head - len(orjson.dumps(event)) + 1)
    return orjson.dumps(event)[1:]


def main() -> None:
    """Send, and write the log."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("kafka")
    parser.add_argument("topic")
    parser.add_argument("--rate", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--bytes-each", type=int, default=0)
    parser.add_argument("--log", type=Path, required=True)
    given = parser.parse_args()
    to = flights.producer(
        given.kafka, **{"linger.ms": 1, "delivery.report.only.error": False}
    )
    sent = send(to, given.topic, Pace(given.rate, given.seconds, given.bytes_each))
    partial = given.log.with_suffix(".partial")
    sent.write_parquet(partial)
    partial.rename(given.log)


if __name__ == "__main__":
    main()
