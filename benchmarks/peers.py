"""Quix Streams on the same work, in turn with ours: ``make bench-peers``.

It is given the interpreter of an environment that has the peer, because the peer pins
an older Kafka client.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.results import show, write
from benchmarks.throughput import Bench, Job, Runner, count
from demo import project
from demo.commits import Connection

HOME = Path(".streamlab/bench/servers")
PROGRAM = Path(__file__).with_name("quix_peer.py")
MESSAGES = 300_000
"""Enough for a steady rate; the peer takes some seconds for them."""


@dataclass(frozen=True)
class Quix(Runner):
    """Quix Streams.

    Attributes:
        python: Interpreter of its environment.
    """

    label: str = "quix-"
    python: str = ""

    def command(self, job: Job) -> list[str]:
        """Return the command that works until SIGTERM."""
        servers = (job.servers.kafka, job.servers.postgres)
        return [self.python, str(PROGRAM), str(job.file), *servers, self.group(job)]

    def committed(self, connection: Connection, job: Job) -> int:
        """Return the number of rows: the peer keeps no position beside them."""
        return count(connection, job.table)


def main(python: str) -> None:
    """Measure both on the same servers, one after the other, and compare."""
    with project.fresh(HOME.resolve(), print) as servers:
        bench = Bench.on(servers, HOME.resolve(), MESSAGES)
        results = []
        for runner in (Runner(), Quix(python=str(Path(python).absolute()))):
            print(f"{runner.label or 'streamlab-'}… ", flush=True)
            turn = bench.by(runner)
            results += [turn.kafka_kafka(1), turn.kafka_postgres()]
    path = write("peers", results)
    print(f"\n{show(results)}\n\nwritten to {path}")


if __name__ == "__main__":
    main(sys.argv[1])
