"""Draw the pictures of the tutorial pages: `python docs/pictures/make.py`.

What they show is what the operators do: each runs on a few events here.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import altair as alt
import polars as pl

import streamlab as sl
from streamlab.contracts import Schema
from streamlab.notebook.pictures import COLORS, INK, LATE_COLOR, course, svg
from streamlab.operators.chain import Chain
from streamlab.operators.driving import Drive

FOLDER = Path(__file__).parent
BEGIN = datetime(2013, 1, 1, 6, tzinfo=UTC)
BLUE, ORANGE, GREEN = COLORS[:3]
WIDTH = 620


def at(minutes: float) -> datetime:
    """Return a time that many minutes behind the beginning."""
    return BEGIN + timedelta(minutes=minutes)


def windows() -> Any:
    """Return events as they came, the watermark, and where each window closes."""

    @sl.transform(window=sl.tumbling("1h", on=sl.event_time("at", bound="15m")))
    def hourly(flights: pl.LazyFrame) -> pl.LazyFrame:
        return flights.group_by("window_start").agg(flights=pl.len())

    chance = random.Random(7)  # noqa: S311 -- a picture
    times = [at(2.2 * n - chance.uniform(0, 14)) for n in range(1, 110)]
    times[58], times[95] = at(40), at(100)
    evaluated = sl.evaluate(hourly, pl.DataFrame({"at": times}))
    evaluation = cast(sl.StreamEvaluation, evaluated)
    ends = [at(60 * hour) for hour in range(1, 4)]
    seen = evaluation.course
    closes = pl.DataFrame(
        {
            "time": ends,
            "order": [seen.filter(pl.col("watermark") >= e)["order"][0] for e in ends],
            "told": [f"{e - timedelta(hours=1):%H:%M}–{e:%H:%M} closes" for e in ends],
        }
    )
    base = alt.Chart(closes).encode(x="order:Q", y="time:T")
    diamonds = base.mark_point(shape="diamond", filled=True, size=80, color=ORANGE)
    told = base.mark_text(align="left", dx=9, dy=9, color=INK).encode(text="told:N")
    return (course(evaluation) + diamonds + told).properties(width=WIDTH, height=260)


def state() -> Any:
    """Return the state of three keys over four epochs, as a fold keeps it."""

    @sl.transform(keys="plane", state={"flights": pl.Int64})
    def counted(
        flights: pl.LazyFrame, state: pl.LazyFrame
    ) -> tuple[pl.LazyFrame, pl.LazyFrame]:
        known = flights.join(state, on="plane", how="left", maintain_order="left")
        number = pl.int_range(1, pl.len() + 1).over("plane")
        before = pl.col("flights").fill_null(0)
        output = known.select("plane", flights=number + before)
        return output, output.group_by("plane").agg(pl.col("flights").last())

    epochs = ["AAB", "BB", "C", "ABC"]
    planes = {"A": "N102", "B": "N387", "C": "N725"}
    schema = Schema.of({"plane": pl.String()})
    drive = Drive.of(Chain.of([counted], {"flights": schema}, Path()))
    cells = []
    for number, keys in enumerate(epochs, 1):
        drive.epoch({"flights": pl.DataFrame({"plane": [planes[k] for k in keys]})})
        held = dict(pl.concat(drive.tables["counted.state"].scan()).rows())
        for key, plane in planes.items():
            cells.append(
                {
                    "epoch": f"epoch {number}",
                    "plane": plane,
                    "events": "●" * keys.count(key),
                    "state": str(held.get(plane, "–")),
                    "touched": key in keys,
                }
            )
    base = alt.Chart(pl.DataFrame(cells)).encode(
        x=alt.X("epoch:N", title=None, axis=alt.Axis(orient="top", labelAngle=0)),
        y=alt.Y("plane:N", title="key"),
    )
    boxes = base.mark_rect(stroke=INK, strokeOpacity=0.3, cornerRadius=4).encode(
        color=alt.condition("datum.touched", alt.value(BLUE), alt.value("transparent")),
        fillOpacity=alt.value(0.25),
    )
    events = base.mark_text(dx=-36, fontSize=15, color=ORANGE).encode(text="events:N")
    states = base.mark_text(dx=30, fontSize=17).encode(
        text="state:N",
        color=alt.condition("datum.touched", alt.value(BLUE), alt.value(INK)),
    )
    return (boxes + events + states).properties(width=WIDTH, height=170)


def joins() -> Any:
    """Return the intervals of three auctions, the bids, and what is held."""

    @sl.transform(
        join=sl.interval_join(
            "auctions", "bids", keys="id", times="at", upper="expires"
        )
    )
    def in_time(pairs: pl.LazyFrame) -> pl.LazyFrame:
        return pairs.select("id", at="at_right")

    names = [f"auction {number}" for number in (1, 2, 3, 4)]
    opened, expire = (0, 8, 22, 28), (18, 34, 44, 40)
    auctions = pl.DataFrame(
        {"id": names, "at": map(at, opened), "expires": map(at, expire)}
    )
    offers = [(1, 5), (1, 12), (2, 14), (1, 24), (3, 26), (2, 28), (4, 33), (2, 38)]
    bids = pl.DataFrame(
        {"id": [names[n - 1] for n, _ in offers], "at": [at(m) for _, m in offers]}
    )
    frames = {"auctions": auctions, "bids": bids}
    schemas = {name: Schema.of(frame.schema) for name, frame in frames.items()}
    chain = Chain.of([in_time], schemas, Path())
    drive = Drive.of(chain)
    until = pl.col("at") <= at(28)
    drive.epoch({name: frame.filter(until) for name, frame in frames.items()})
    held = pl.concat(drive.tables["in_time.left"].scan())["_join_key0"]
    drive.epoch({name: frame.filter(~until) for name, frame in frames.items()})
    met = drive.output.with_columns(met=pl.lit(value=True))
    return _auctions(
        auctions.with_columns(held=pl.col("id").is_in(held.implode())),
        bids.join(met, on=["id", "at"], how="left").fill_null(value=False),
        at(28),
    )


def _auctions(auctions: pl.DataFrame, bids: pl.DataFrame, mark: datetime) -> Any:
    y = alt.Y("id:N", title=None)
    axis = alt.Axis(format="%H:%M")
    bars = (
        alt.Chart(auctions)
        .mark_bar(height=22, color=BLUE, cornerRadius=3)
        .encode(
            x=alt.X(
                "at:T", title="event time (UTC)", axis=axis, scale=alt.Scale(type="utc")
            ),
            x2="expires:T",
            y=y,
            opacity=alt.condition("datum.held", alt.value(0.75), alt.value(0.2)),
        )
    )
    kinds = bids.with_columns(
        kind=pl.when("met")
        .then(pl.lit("bid that met"))
        .otherwise(pl.lit("bid that did not"))
    )
    points = (
        alt.Chart(kinds)
        .mark_circle(size=110, opacity=1)
        .encode(
            x="at:T",
            y=y,
            color=alt.Color(
                "kind:N",
                title=None,
                scale=alt.Scale(
                    domain=["bid that met", "bid that did not"],
                    range=[ORANGE, LATE_COLOR],
                ),
            ),
        )
    )
    rule = alt.Chart(pl.DataFrame({"at": [mark], "told": ["watermark"]}))
    line = rule.mark_rule(color=INK, strokeWidth=1.4).encode(x="at:T")
    told = rule.mark_text(color=INK, align="left", dx=5, y=8).encode(
        x="at:T", text="told:N"
    )
    return (bars + points + line + told).properties(width=WIDTH, height=190)


PICTURES = {"windows": windows, "state": state, "joins": joins}


def drawn(name: str) -> str:
    """Return a picture as SVG."""
    return svg(PICTURES[name]().properties(background="transparent")) + "\n"


if __name__ == "__main__":
    for name in PICTURES:
        (FOLDER / f"{name}.svg").write_text(drawn(name), encoding="utf-8")
