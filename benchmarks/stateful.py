"""Windows, folds, joins and their state: ``python -m benchmarks.stateful [CASE …]``.

Messages from Kafka through the real worker, with durable state, into PostgreSQL, beside
the same worker without state and the bare client; and what an epoch costs with
little and with much state. What was counted is compared with polars on all messages.
"""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean

import polars as pl
import psycopg

from benchmarks.bare import limit
from benchmarks.gate import Gate
from benchmarks.results import Result, show, write
from benchmarks.throughput import COMMAND
from demo import flights, project
from demo.broker import wait_until
from demo.process import Measured
from demo.project import Servers

HOME = Path(".streamlab/bench/stateful")
MESSAGES = 1_000_000
KEYS = 1_000_000
YEAR_MS = 365 * 86_400_000
STATE_KEYS = {"10k": 10**4, "100k": 10**5, "1m": 10**6, "10m": 10**7}
TOUCHED = 5_000  # keys of an epoch; see benchmarks.state

FLOWS = '''\
"""The transforms of the benchmark."""

import polars as pl

import streamlab as sl

AT = sl.event_time("at", unit="ms")


@sl.transform
def stateless(flights: pl.LazyFrame) -> pl.LazyFrame:
    """Keep few flights, so that the sink has as little to do as with windows."""
    return flights.filter(pl.col("arr_delay") > 100).select("carrier", "arr_delay")


@sl.transform(window=sl.tumbling("1h", on="_timestamp"), keys=["carrier"])
def window(flights: pl.LazyFrame) -> pl.LazyFrame:
    """Flights and their mean delay, of each carrier and hour."""
    return flights.group_by("window_start", "carrier").agg(
        n=pl.len(), delay=pl.col("arr_delay").mean()
    )


@sl.transform(keys=["key"], state={"n": pl.Int64, "total": pl.Int64}, on=AT)
def fold(
    events: pl.LazyFrame, state: pl.LazyFrame
) -> tuple[pl.LazyFrame, pl.LazyFrame]:
    """How often each key has come, and its sum."""
    new = events.select("key", pl.lit(1, pl.Int64).alias("n"), total="v")
    sums = pl.concat([state.select("key", "n", "total"), new]).group_by("key").sum()
    return sums.filter(pl.col("key") % 100 == 0), sums


@sl.transform(
    join=sl.interval_join(
        "orders", "payments", keys="key", times=(AT, AT), lower="0s", upper="1m"
    )
)
def joined(pairs: pl.LazyFrame) -> pl.LazyFrame:
    """Orders with the payments of the minute behind them."""
    return pairs.select("key", "v", paid="v_right")
'''

SCHEMA = """\
apiVersion: v3.1.0
kind: DataContract
schema:
  - name: events
    properties:
"""


@dataclass(frozen=True)
class Topic:
    """A topic of the benchmark.

    Attributes:
        name: Its name.
        columns: Column → logical type, of its schema.
        batch: Its messages.
    """

    name: str
    columns: Mapping[str, str]
    batch: flights.Messages


def flown(name: str = "bench-flights") -> Topic:
    """Return one million flights, one year after the other."""
    frame = flights.repeated(flights.flights(), MESSAGES)
    batch = flights.messages(frame)
    year = flights.flights().height
    moved = [at + n // year * YEAR_MS for n, at in enumerate(batch.timestamps_ms)]
    columns = {
        name: "string" if dtype == pl.String else "integer"
        for name, dtype in frame.schema.items()
    }
    return Topic(name, columns, replace(batch, timestamps_ms=moved))


def keyed(name: str, messages: int, keys: int, *, step_ms: int, seed: int) -> Topic:
    """Return messages of random keys at a steady pace of event time.

    Args:
        name: Name of the topic.
        messages: How many.
        keys: How many different keys, each as often as the others.
        step_ms: Event time between two of them, in ms.
        seed: Of the order of the keys.
    """
    frame = pl.DataFrame(
        {
            "key": pl.int_range(messages, eager=True).sample(
                messages, shuffle=True, seed=seed
            )
            % keys,
            "v": pl.int_range(messages, eager=True) % 1_000,
            "at": pl.int_range(messages, eager=True) * step_ms,
        }
    )
    text = io.BytesIO()
    frame.write_ndjson(text)
    batch = flights.Messages(
        text.getvalue().splitlines(),
        [str(key).encode() for key in frame["key"]],
        frame["at"].to_list(),
    )
    return Topic(name, dict.fromkeys(frame.columns, "integer"), batch)


@dataclass(frozen=True)
class Stateful:
    """The cases.

    Attributes:
        servers: The servers to measure on.
        folder: Where pipelines and logs are written; its settings name the servers.
    """

    servers: Servers
    folder: Path

    def window(self) -> Result:
        """Measure hourly windows of each carrier."""
        result = self._run("window", {"flights": flown()})
        self._require_counted("window", MESSAGES)
        return result

    def stateless(self) -> Result:
        """Measure the same messages without state."""
        return self._run("stateless", {"flights": flown("bench-flights-2")})

    def fold(self) -> Result:
        """Measure a count and a sum of each of a million keys, twice each."""
        topic = keyed("bench-events", 2 * KEYS, KEYS, step_ms=1, seed=1)
        return self._run("fold", {"events": topic}, case="fold-1m-keys")

    def join(self) -> Result:
        """Measure two streams of half a million messages each."""
        half = MESSAGES // 2
        orders = keyed("bench-orders", half, 50_000, step_ms=20, seed=1)
        payments = keyed("bench-payments", half, 50_000, step_ms=20, seed=2)
        streams = {"orders": orders, "payments": payments}
        return self._run("joined", streams, case="interval-join")

    def _run(
        self, function: str, streams: Mapping[str, Topic], *, case: str = ""
    ) -> Result:
        """Let the messages through to a waiting worker until it has committed all."""
        kafka, pipeline = self.servers.kafka, f"bench-{function}"
        gates = [Gate(kafka, topic.name, topic.batch) for topic in streams.values()]
        total = sum(gate.messages for gate in gates)
        home = self._written(pipeline, function, streams)
        with ExitStack() as stack:
            connection = stack.enter_context(
                psycopg.connect(self.servers.postgres, autocommit=True)
            )
            child = stack.enter_context(
                Measured([COMMAND, "run", str(home)], folder=self.folder, name=pipeline)
            )
            waiting = "SELECT count(*) FROM streamlab.progress WHERE pipeline = %s"
            wait_until(
                lambda: _number(connection, waiting, pipeline) > 0,
                "the worker",
                check=child.check,
                every_s=0.2,
            )
            cpu_s = child.cpu_s()
            started = min(gate.open() for gate in gates)
            read = (
                "SELECT coalesce(sum(value::bigint), 0) FROM streamlab.progress, "
                "jsonb_each_text(positions) WHERE pipeline = %s"
            )
            ended = wait_until(
                lambda: _number(connection, read, pipeline) >= total,
                "the last message",
                check=child.check,
            )
            cpu_s = child.cpu_s() - cpu_s
        bare = mean(limit(kafka, gate.topic, gate.messages) for gate in gates)
        rate = total / (ended - started)
        return Result(
            case=case or function,
            messages_per_s=rate,
            limit_messages_per_s=bare,
            ratio=rate / bare,
            peak_rss_mb=child.peak_rss_mb,
            cpu_s_per_million=cpu_s * 1e6 / total,
        )

    def _written(
        self, pipeline: str, function: str, streams: Mapping[str, Topic]
    ) -> Path:
        home = self.folder / pipeline
        home.mkdir(parents=True, exist_ok=True)
        (home / "flows.py").write_text(FLOWS, encoding="utf-8")
        sources = ""
        for name, topic in streams.items():
            fields = "".join(
                f"      - {{name: {column}, logicalType: {kind}}}\n"
                for column, kind in topic.columns.items()
            )
            (home / f"{name}.yaml").write_text(SCHEMA + fields, encoding="utf-8")
            section = f"sources.{name}" if len(streams) > 1 else "source"
            sources += (
                f'[{section}]\ntype = "kafka"\ntopic = "{topic.name}"\n'
                f'format = "json"\nschema = "{name}.yaml"\n'
            )
        (home / "pipeline.toml").write_text(
            f'[pipeline]\nname = "{pipeline}"\ntransform = "flows:{function}"\n'
            f"{sources}"
            f'[sink]\ntype = "postgres"\ntable = "bench_{function}"\n'
            f'[dead_letters]\nfile = "dead.jsonl"\n',
            encoding="utf-8",
        )
        return home

    def _require_counted(self, function: str, most: int) -> None:
        """Compare the closed windows with polars on all messages.

        Raises:
            RuntimeError: They differ.
        """
        with psycopg.connect(self.servers.postgres) as connection:
            found = connection.execute(
                f"SELECT window_start, carrier, n FROM bench_{function}"
            ).fetchall()
        table = pl.DataFrame(found, schema=["at", "carrier", "n"], orient="row")
        topic = flown()
        sent = pl.DataFrame(
            {
                "at": pl.Series(topic.batch.timestamps_ms).cast(
                    pl.Datetime("ms", "UTC")
                ),
                "carrier": [key.decode() for key in topic.batch.keys if key],
            }
        )
        right = sent.group_by(pl.col("at").dt.truncate("1h"), "carrier").agg(n=pl.len())
        both = table.with_columns(pl.col("at").dt.convert_time_zone("UTC")).join(
            right.with_columns(pl.col("at").dt.cast_time_unit("us")),
            on=["at", "carrier"],
            how="left",
        )
        wrong = both.filter(pl.col("n").ne_missing(pl.col("n_right").cast(pl.Int64)))
        if not wrong.is_empty() or not 0.99 * most <= table["n"].sum() <= most:
            message = f"{function}: {wrong.height} of {table.height} windows are wrong"
            raise RuntimeError(message)


def state(size: str) -> Result:
    """Measure epochs on a state of some size, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.state", str(STATE_KEYS[size])],
        check=True,
        capture_output=True,
        text=True,
    )
    cost = json.loads(done.stdout)
    return Result(
        case=f"state-{size}",
        messages_per_s=TOUCHED * 1_000 / cost["mean_ms"],
        peak_rss_mb=cost["peak_rss_mb"],
        p50_ms=cost["p50_ms"],
        p99_ms=cost["p99_ms"],
    )


def _number(connection: psycopg.Connection, query: str, pipeline: str) -> int:
    try:
        row = connection.execute(query, [pipeline]).fetchone()
    except psycopg.errors.UndefinedTable:
        return 0
    return int(str(row[0])) if row else 0


def main() -> None:
    """Run the named cases, all without names, and write and print the results."""
    names = ["stateless", "window", "fold-1m-keys", "interval-join"]
    sizes = [f"state-{size}" for size in STATE_KEYS]
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("case", nargs="*", choices=[*names, *sizes, []])
    chosen = parser.parse_args().case or [*names, *sizes]
    results: list[Result] = []
    with ExitStack() as stack:
        if set(chosen) & set(names):
            servers = stack.enter_context(project.fresh(HOME.resolve(), print))
            bench = Stateful(servers, HOME.resolve())
            cases: dict[str, Callable[[], Result]] = dict(
                zip(
                    names,
                    [bench.stateless, bench.window, bench.fold, bench.join],
                    strict=True,
                )
            )
        for name in chosen:
            print(f"{name} …", flush=True)
            size = name.removeprefix("state-")
            results.append(state(size) if name in sizes else cases[name]())
            print(show(results), flush=True)
    print(f"written to {write('state', results)}")


if __name__ == "__main__":
    main()
