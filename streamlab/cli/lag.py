"""``streamlab lag``: how far a pipeline is behind."""

from __future__ import annotations

import argparse
import json
import sys
import time

import polars as pl

from streamlab.observe import workers
from streamlab.observe.event_time import event_times
from streamlab.observe.lag import LagReading, LagWatch, lag

EVERY_S = 2.0


def add(_name: str, parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("group", help="name of a pipeline or of a consumer group")
    parser.add_argument("--profile", default="", help="which broker; else the default")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument(
        "--follow", action="store_true", help="go on every 2 s, with the time to drain"
    )


def run(_name: str, arguments: argparse.Namespace) -> int:
    """Show the lag of a group, once or until interrupted; it is not joined."""
    written = _as_json if arguments.json else _as_text
    if behind := _of_workers(arguments.group):
        # What reads a database has no group; its worker knows how far it is behind.
        print(behind)
        return 0
    if not arguments.follow:
        print(written(lag(arguments.group, profile=arguments.profile)))
        if not arguments.json and (times := event_times(arguments.group)) is not None:
            print(
                ", ".join(f"{label} {value}" for label, value in times.facts().items())
            )
        return 0
    watch = LagWatch(arguments.group, profile=arguments.profile)
    watch.sampler.start()
    while True:
        time.sleep(EVERY_S)
        if watch.sampler.error:
            print(watch.sampler.error, file=sys.stderr)
            continue
        print(written(watch.latest), flush=True)


def _of_workers(pipeline: str) -> str:
    """Return the lag of a pipeline that reads a database's log, while it runs."""
    lines = []
    for announced in workers.workers(pipeline):
        status = workers.status(announced)
        if "slot_lag_bytes" not in status.source:
            continue
        lines += [f"{name}: {lag:,} bytes behind" for name, lag in status.lag.items()]
        lines += [f"  {name} {value:,.0f}" for name, value in status.source.items()]
    return "\n".join(lines)


def _as_json(reading: LagReading) -> str:
    return json.dumps(
        {
            "group": reading.group,
            "at_ms": reading.at_ms,
            "lag": reading.total,
            "seconds_to_drain": reading.seconds_to_drain,
            "partitions": reading.frame.to_dicts(),
        }
    )


def _as_text(reading: LagReading) -> str:
    with pl.Config(
        tbl_rows=-1, tbl_hide_column_data_types=True, tbl_hide_dataframe_shape=True
    ):
        return f"{reading.group}: {_summary(reading)}\n{reading.frame}"


def _summary(reading: LagReading) -> str:
    parts = [f"{reading.total:,} events behind"]
    if reading.uncommitted:
        parts.append(f"{reading.uncommitted} partitions without a commit")
    if reading.seconds_to_drain is not None:
        parts.append(f"{reading.seconds_to_drain:,.0f} s to drain")
    return ", ".join(parts)
