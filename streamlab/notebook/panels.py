"""The panels of the live views: lag, throughput, live events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import polars as pl

from streamlab.errors import StreamlabError
from streamlab.notebook import markup
from streamlab.notebook.panel import Panel
from streamlab.notebook.preview import Preview
from streamlab.observe.delays import FROM, Latency
from streamlab.observe.event_time import event_times
from streamlab.observe.lag import SECOND_MS, LagReading, LagWatch
from streamlab.observe.throughput import Throughput
from streamlab.pipelines.plan import Plan
from streamlab.taps.live import LiveTap
from streamlab.taps.origin import Origin

MAX_LINES = 7
MAX_PARTITIONS = 40
SHOWN_EVENTS = 12
SHOWN_COLUMNS = 12

LAG_COLUMNS = ("partition", "position", "end", "lag", "to drain")
LAG_FIGURES = (1, 2, 3, 4)


def of_lag(watch: LagWatch) -> Panel:
    """Return lag per partition, with the time to drain, and its course."""
    readings = tuple(watch.sampler.readings)
    latest = readings[-1]
    problem = watch.sampler.error
    return Panel(
        title=f"lag of {latest.group}",
        facts={**lag_facts(latest), **_event_time_facts(latest.group)},
        lines=_lag_lines(readings),
        span_s=(latest.at_ms - readings[0].at_ms) / SECOND_MS,
        unit="events behind",
        columns=LAG_COLUMNS,
        rows=lag_rows(latest),
        right=LAG_FIGURES,
        note=str(problem) if problem else "",
    )


def _event_time_facts(group: str) -> Mapping[str, str]:
    """Return watermark and state of a pipeline that a worker here runs."""
    times = event_times(group)
    return {} if times is None else times.facts()


def lag_facts(reading: LagReading) -> Mapping[str, str]:
    """Return the figures of one reading."""
    facts = {"events behind": markup.count(reading.total)}
    if reading.drain_per_s is not None:
        word = "drained" if reading.drain_per_s >= 0 else "added"
        facts[word] = markup.rate(abs(reading.drain_per_s))
        facts["to drain"] = markup.duration(reading.seconds_to_drain)
    if reading.uncommitted:
        facts["partitions without a commit"] = markup.count(reading.uncommitted)
    return facts


def lag_rows(reading: LagReading) -> Sequence[Sequence[object]]:
    """Return the partitions, those furthest behind first."""
    furthest = reading.frame.sort("lag", descending=True, nulls_last=True)
    return [
        (
            f"{row['topic']}/{row['partition']}",
            None if row["position"] is None else markup.count(row["position"]),
            markup.count(row["end"]),
            None if row["lag"] is None else markup.count(row["lag"]),
            markup.duration(row["seconds_to_drain"]),
        )
        for row in furthest.head(MAX_PARTITIONS).iter_rows(named=True)
    ]


def _lag_lines(readings: Sequence[LagReading]) -> Mapping[str, Sequence[float]]:
    known = readings[-1].frame.filter(pl.col("lag").is_not_null())
    partitions = known.select("topic", "partition").rows()
    if len(partitions) > MAX_LINES:
        return {"all partitions": [float(reading.total) for reading in readings]}
    lines: dict[str, list[float]] = {
        f"{topic}/{number}": [] for topic, number in partitions
    }
    for reading in readings:
        rows = reading.frame.select("topic", "partition", "lag").iter_rows()
        lags = {f"{topic}/{number}": lag for topic, number, lag in rows}
        for name, line in lines.items():
            line.append(float(lags.get(name) or 0))
    return lines


def of_throughput(throughput: Throughput) -> Panel:
    """Return the rates of topics and workers, and their course."""
    readings = tuple(throughput.sampler.readings)
    rates = throughput.rates()
    names = list(readings[-1].counts)
    lines = {
        name: rates.filter(pl.col("series") == name)["per_s"].to_list()
        for name in names[:MAX_LINES]
    }
    longest = max((len(points) for points in lines.values()), default=0)
    now = {name: points[-1] for name, points in lines.items() if points}
    problem = throughput.sampler.error
    return Panel(
        title="throughput",
        facts={name: markup.rate(value) for name, value in now.items()},
        # A worker that came later has fewer points: it wrote nothing before.
        lines={
            name: [0.0] * (longest - len(points)) + points
            for name, points in lines.items()
        },
        span_s=(readings[-1].at_ms - readings[0].at_ms) / SECOND_MS,
        unit="events/s",
        columns=("series", "events/s", "events in all"),
        rows=[
            (
                name,
                markup.rate(now.get(name, 0.0)),
                markup.count(readings[-1].counts[name]),
            )
            for name in names
        ],
        right=(1, 2),
        note=str(problem) if problem else "" if names else "no worker runs here",
    )


def of_latency(latency: Latency) -> Panel:
    """Return how many events took how long."""
    counted = latency.histogram()
    first, latest = latency.sampler.readings[0], latency.sampler.readings[-1]
    problem = latency.sampler.error
    figures = {f"p{n}": counted.quantile_ms(n / 100) for n in (50, 95, 99)}
    nothing = "no event since this view was opened"
    return Panel(
        title=f"latency of {latency.pipeline}, from {FROM[latency.counted_from]}",
        facts={
            "events looked at": markup.count(counted.total),
            **{
                name: markup.duration(ms / SECOND_MS)
                for name, ms in figures.items()
                if ms is not None
            },
        },
        bars=counted.bars(),
        span_s=(latest.at_ms - first.at_ms) / SECOND_MS,
        unit="events",
        note=str(problem) if problem else "" if counted.total else nothing,
    )


def of_tap(tap: LiveTap) -> Panel:
    """Return the newest events of a live tap."""
    frame = tap.frame
    panel = of_events(f"live events of {tap.topic}", frame, _tap_facts(tap, frame))
    newest = frame.select("_topic", "_partition", "_offset").tail(SHOWN_EVENTS)
    picks = [str(Origin(*place)) for place in newest.reverse().iter_rows()]
    return _with_problem(replace(panel, picks=picks), tap.error)


def of_preview(name: str, preview: Preview) -> Panel:
    """Return what a transform makes of the newest events."""
    events, output = preview.output()
    facts = {
        **_tap_facts(preview.tap, events),
        "rows out": markup.count(output.height),
    }
    panel = of_events(f"preview of {name}()", output, facts)
    return _with_problem(panel, preview.error or preview.tap.error)


def _tap_facts(tap: LiveTap, kept: pl.DataFrame) -> dict[str, str]:
    facts = {"events read": markup.count(tap.read), "kept": markup.count(kept.height)}
    for word, number in (("skipped", tap.skipped), ("not decoded", tap.rejected)):
        if number:
            facts[word] = markup.count(number)
    return facts


def _with_problem(panel: Panel, problem: StreamlabError | None) -> Panel:
    return replace(panel, note=str(problem)) if problem else panel


def of_plan(plan: Plan, *, title: str, note: str = "") -> Panel:
    """Return what a pipeline would do, and what may surprise."""
    warned = [("warning", warning) for warning in plan.warnings]
    return Panel(
        title=title,
        facts={},
        columns=("part", "plan"),
        rows=[
            (subject if at == 0 else "", line)
            for subject, text in (*plan.lines, *warned)
            for at, line in enumerate(text.splitlines())
        ],
        note=note,
    )


def of_events(title: str, frame: pl.DataFrame, facts: Mapping[str, str]) -> Panel:
    """Return the newest events, newest first."""
    columns = frame.columns[:SHOWN_COLUMNS]
    newest = frame.select(columns).tail(SHOWN_EVENTS).reverse()
    more = frame.width - len(columns)
    return Panel(
        title=title,
        facts=facts,
        columns=columns,
        rows=newest.rows(),
        right=[i for i, name in enumerate(columns) if frame.schema[name].is_numeric()],
        note=f"{more} more columns" if more else "",
    )
