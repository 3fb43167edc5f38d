"""One tap of a whole topic, in a process of its own."""

from __future__ import annotations

import sys
import time

import streamlab as sl
from demo import flights


def main(topic: str, messages: int) -> None:
    """Tap everything, with metadata columns; print the seconds and CPU seconds."""
    started, cpu_before = time.perf_counter(), time.process_time()
    sample = sl.tap(
        topic,
        from_offsets=dict.fromkeys(range(flights.PARTITIONS), 0),
        max_rows=messages,
        max_bytes=10**10,
        max_seconds=120,
        progress=False,
    )
    seconds = time.perf_counter() - started
    cpu_s = time.process_time() - cpu_before
    if sample.frame.height != messages:
        message = f"the tap returned {sample.frame.height} of {messages} events"
        raise SystemExit(message)
    print(seconds, cpu_s)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
