"""When events became visible in PostgreSQL, as another reader of it sees."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeAlias

import polars as pl
import psycopg

POLL_S = 0.004

Connection: TypeAlias = psycopg.Connection[tuple[object, ...]]


def positions(connection: Connection, pipeline: str) -> dict[int, int]:
    """Return the next offset of each partition, as the table's transactions say.

    A worker stores it in the transaction that writes the rows, so whoever sees the
    position sees the rows. A pipeline that has not run has none.
    """
    try:
        found = connection.execute(
            "SELECT key, value FROM streamlab.progress, jsonb_each_text(positions) "
            "WHERE pipeline = %s",
            [pipeline],
        ).fetchall()
    except psycopg.errors.UndefinedTable:
        return {}
    return {int(str(key).rpartition("/")[2]): int(str(at)) for key, at in found}


class CommitWatch:
    """Reads the positions all the time and notes when they moved. Use ``with``."""

    def __init__(self, postgres: str, pipeline: str) -> None:
        """Keep what to watch; the watching starts with the block."""
        self._postgres, self._pipeline = postgres, pipeline
        self._moves: list[tuple[int, int, int]] = []
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def moves(self) -> pl.DataFrame:
        """Return ``partition``, ``position`` and ``seen_us`` of each move seen."""
        return pl.DataFrame(
            self._moves,
            schema={"partition": pl.Int32, "position": pl.Int64, "seen_us": pl.Int64},
            orient="row",
        )

    def __enter__(self) -> Self:
        """Start watching."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop watching."""
        self._stopped.set()
        self._thread.join()

    def _watch(self) -> None:
        known: dict[int, int] = {}
        with psycopg.connect(self._postgres, autocommit=True) as connection:
            while not self._stopped.wait(POLL_S):
                found = positions(connection, self._pipeline)
                now = time.time_ns() // 1_000
                self._moves += [
                    (partition, position, now)
                    for partition, position in found.items()
                    if known.get(partition) != position
                ]
                known = found


@dataclass(frozen=True, slots=True)
class Latency:
    """Latency from sending an event to seeing its result committed.

    Attributes:
        events: How many events were measured.
        p50_ms: The median.
        p99_ms: The 99th percentile.
    """

    events: int
    p50_ms: float
    p99_ms: float

    @classmethod
    def of(cls, seen: pl.DataFrame, *, warm_up_s: float = 0.0) -> Latency:
        """Return the percentiles.

        Args:
            seen: ``sent_us`` and ``seen_us`` of each event.
            warm_up_s: Events sent in this time after the first one do not count.
        """
        first = pl.col("sent_us").min()
        taken_us = (
            seen.filter(pl.col("sent_us") >= first + int(warm_up_s * 1e6))
            .select(pl.col("seen_us") - pl.col("sent_us"))
            .to_series()
        )
        p50, p99 = (float(taken_us.quantile(q, "linear") or 0) for q in (0.5, 0.99))
        return cls(taken_us.len(), p50 / 1e3, p99 / 1e3)


def seen_at(sent: pl.DataFrame, moves: pl.DataFrame) -> pl.DataFrame:
    """Return ``sent_us`` and ``seen_us``, when a committed position had passed it.

    Args:
        sent: ``partition``, ``offset``, ``sent_us`` of each event.
        moves: What :meth:`CommitWatch.moves` returned.

    Raises:
        RuntimeError: Some events were never seen committed.
    """
    seen = sent.sort("offset").join_asof(
        moves.with_columns(offset=pl.col("position") - 1).sort("offset"),
        on="offset",
        by="partition",
        strategy="forward",
        check_sortedness=False,  # it cannot be checked with "by"; sorted just above
    )
    missing = seen.get_column("seen_us").null_count()
    if missing:
        message = f"{missing} of {sent.height} events were never seen committed"
        raise RuntimeError(message)
    return seen.select("sent_us", "seen_us")
