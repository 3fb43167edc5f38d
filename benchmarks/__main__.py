"""All benchmarks on servers of their own: ``python -m benchmarks [CASE …]``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import cache
from pathlib import Path

from benchmarks.avro import AvroBench
from benchmarks.latency import Paced
from benchmarks.results import Result, show, write
from benchmarks.throughput import Bench
from demo import project

HOME = Path(".streamlab/bench/servers")


def main() -> None:
    """Run the named cases, all without names, and write and print the results."""
    with project.fresh(HOME.resolve(), print) as servers:
        bench = cache(lambda: Bench.on(servers, HOME.resolve()))
        avro = AvroBench()
        paced = Paced(servers, HOME.resolve())
        cases: dict[str, Callable[[], Result]] = {
            "tap": lambda: bench().tap(),
            "kafka-kafka": lambda: bench().kafka_kafka(1),
            "kafka-kafka-2-workers": lambda: bench().kafka_kafka(2),
            "kafka-postgres": lambda: bench().kafka_postgres(),
            "avro-decode": avro.decode,
            "avro-fastavro": avro.fastavro,
            "avro-encode": avro.encode,
            "latency-kafka": paced.kafka,
            "latency-postgres": paced.postgres,
        }
        results = []
        for name in _chosen(list(cases)):
            print(f"{name} …", flush=True)
            results.append(cases[name]())
    path = write("streamlab", results)
    print(f"\n{show(results)}\n\nwritten to {path}")


def _chosen(names: list[str]) -> list[str]:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("case", nargs="*", help=", ".join(names))
    given: list[str] = parser.parse_args().case
    unknown = sorted(set(given) - set(names))
    if unknown:
        parser.error(f"there is no case {unknown[0]!r}; there are {', '.join(names)}")
    return given or names


if __name__ == "__main__":
    main()
