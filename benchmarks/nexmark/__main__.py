"""The Nexmark queries beside their oracle: ``python -m benchmarks.nexmark [QUERY …]``.

Each query runs through the real worker twice, with epochs of two sizes: once killed by
SIGKILL in the middle and started again, once undisturbed and measured.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from benchmarks.nexmark.generator import generate
from benchmarks.nexmark.queries import QUERIES
from benchmarks.nexmark.running import Run, Suite
from benchmarks.results import FOLDER
from demo import project

HOME = Path(".streamlab/bench/nexmark")
EVENTS = 500_000
EPOCHS = 12  # at least, of a run that is killed in the third of them
LARGE = 50_000  # most events of an epoch of the other run


def main() -> int:
    """Run the named queries, all without names, and write what they gave."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("query", nargs="*", help=", ".join(QUERIES))
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    unknown = sorted(set(chosen.query) - set(QUERIES))
    if unknown:
        parser.error(f"there is no {unknown[0]!r}; there are {', '.join(QUERIES)}")
    rows = []
    with project.fresh(HOME.resolve(), print) as servers:
        suite = Suite(servers, generate(chosen.events, chosen.seed), HOME.resolve())
        suite.send()
        for query in chosen.query or QUERIES:
            events = suite.messages(query)
            killed = suite.run(Run(query, events // EPOCHS, killed=True))
            whole = suite.run(Run(query, LARGE))
            wrong = killed.difference or whole.difference
            rows.append(
                {
                    "query": query,
                    "events": events,
                    "rows": whole.rows,
                    "equal": killed.equal and whole.equal,
                    "messages_per_s": round(events / whole.seconds),
                    "peak_rss_mb": round(whole.peak_rss_mb),
                }
            )
            print(*rows[-1].values(), wrong, sep="\t", flush=True)
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / "nexmark.json"
    path.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    print(f"written to {path}")
    return 0 if all(row["equal"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
