"""What an epoch costs with little and with much state, and the memory that takes.

``python -m benchmarks.state 10000 1000000`` builds a table of that many int64 keys with
16 bytes of state each, touches the same 5,000 keys in every epoch (get, put, save,
confirm), and prints one line of JSON for each size.
"""

from __future__ import annotations

import json
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean

import polars as pl
import psutil

from streamlab.state.home import StateHome
from streamlab.state.store import TaskState
from streamlab.state.table import TableLayout

TOUCHED = 5_000
EPOCHS = 600
BUILD_ROWS = 50_000
LAYOUT = TableLayout(
    "fold.state",
    pl.Schema({"key": pl.Int64(), "n": pl.Int64(), "total": pl.Float64()}),
    ("key",),
    unique=True,
)


@dataclass(frozen=True)
class Cost:
    """What was measured, at one size of the state."""

    keys: int
    build_s: float
    mean_ms: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    size_mb: float
    peak_rss_mb: float


def rows(keys: pl.Series, n: int) -> pl.DataFrame:
    """Return the state of some keys."""
    return pl.DataFrame({"key": keys}).with_columns(
        pl.lit(n, pl.Int64).alias("n"), pl.col("key").cast(pl.Float64).alias("total")
    )


def epoch(state: TaskState, keys: pl.DataFrame, *, save: bool = True) -> float:
    """Touch some keys, save, confirm; return the seconds it took."""
    table = state.tables[LAYOUT.name]
    started = time.perf_counter()
    held = table.get(keys)
    joined = keys.join(held, on="key", how="left", nulls_equal=True)
    table.put(
        joined.select(
            "key",
            pl.col("n").fill_null(0) + 1,
            pl.col("total").fill_null(0.0) + 0.5,
        )
    )
    if save:
        state.confirm(state.save())
    return time.perf_counter() - started


class Peak(threading.Thread):
    """The highest resident memory while it runs.

    Not what the system says of a child: that begins with what its parent had.
    """

    def __init__(self) -> None:
        """Begin with what there is now."""
        super().__init__(daemon=True)
        self.bytes = 0
        self.done = threading.Event()

    def run(self) -> None:
        """Look every 20 ms."""
        process = psutil.Process()
        while not self.done.wait(0.02):
            self.bytes = max(self.bytes, process.memory_info().rss)


def measure(keys: int, folder: Path) -> Cost:
    """Build a table of so many keys, and measure epochs on it."""
    peak = Peak()
    peak.start()
    state = TaskState.open(StateHome(folder), "bench", [LAYOUT], None)
    started = time.perf_counter()
    for start in range(0, keys, BUILD_ROWS):
        part = pl.int_range(start, min(keys, start + BUILD_ROWS), eager=True)
        epoch(state, part.alias("key").to_frame())
    build_s = time.perf_counter() - started
    every = pl.int_range(keys, eager=True).alias("key")
    touched = every.sample(min(TOUCHED, keys), seed=1).to_frame()
    times = sorted(epoch(state, touched) * 1000 for _ in range(EPOCHS))
    table = state.tables[LAYOUT.name]
    assert table.height == keys
    cost = Cost(
        keys,
        round(build_s, 2),
        round(fmean(times), 2),
        round(times[EPOCHS // 2], 2),
        round(times[EPOCHS * 99 // 100], 2),
        round(times[-1], 2),
        round(state.size_bytes / 1e6, 1),
        round(peak.bytes / 1e6, 1),
    )
    state.close()
    peak.done.set()
    return cost


def main() -> None:
    """Measure the sizes of the command line, or 10 k to 10 M."""
    sizes = [int(text) for text in sys.argv[1:]] or [10**n for n in (4, 5, 6, 7)]
    for keys in sizes:
        with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
            print(json.dumps(asdict(measure(keys, Path(folder)))), flush=True)


if __name__ == "__main__":
    main()
