"""Pictures: charts drawn in this process, as images that need no script, no network."""

from __future__ import annotations

import base64
import re
from typing import Any

import polars as pl

from streamlab.notebook import markup
from streamlab.notebook.markup import Html
from streamlab.operators.evaluation import StreamEvaluation

CHART_WIDTH, CHART_HEIGHT = 560, 130
COURSE_HEIGHT = 220
COLORS = ("#4c78a8", "#f58518", "#54a24b", "#e45756", "#72b7b2", "#b279a2", "#eeca3b")
LATE_COLOR = "#e45756"
INK = "#808080"  # legible on white and on black
MOST_POINTS = 350  # of a picture; each takes 100 bytes of a notebook
CLOCK = {
    **dict.fromkeys(("milliseconds", "seconds"), "%H:%M:%S"),
    **dict.fromkeys(("minutes", "hours"), "%H:%M"),
    **dict.fromkeys(("date", "day", "week", "month", "quarter", "year"), "%b %e"),
}
"""How times are written on an axis: no AM and PM, and of midnight the day."""
MOST_WINDOWS = 60  # more of them would only be stripes

_UNREAD = re.compile(r' (?:aria-[a-z]+|role)="[^"]*"')
_LONG = re.compile(r"(\d\.\d)\d+")


def picture(chart: Any, title: str) -> Html:
    """Return a chart as an image. As an image, an SVG can run nothing."""
    drawn = base64.b64encode(svg(chart).encode()).decode()
    return Html(
        f'<img width="{CHART_WIDTH}" alt="{markup.text(title)}" '
        f'src="data:image/svg+xml;base64,{drawn}">'
    )


def svg(chart: Any) -> str:
    """Return a chart as SVG."""
    import vl_convert

    drawn = str(vl_convert.vegalite_to_svg(_styled(chart).to_dict()))
    # What a screen reader cannot reach in an image is two thirds of its bytes.
    return _UNREAD.sub("", _LONG.sub(r"\1", drawn))


def _styled(chart: Any) -> Any:
    return (
        chart.configure_axis(
            gridColor=INK,
            gridOpacity=0.2,
            labelColor=INK,
            titleColor=INK,
            titleFontWeight="normal",
            domainColor=INK,
            tickColor=INK,
        )
        .configure_legend(labelColor=INK)
        .configure_view(stroke=None)
    )


def course(evaluation: StreamEvaluation) -> Any:
    """Return a chart of event times as they came: watermark, late events, windows."""
    import altair as alt

    every = -(-evaluation.course.height // MOST_POINTS)
    thinned = (pl.int_range(pl.len()) % every == 0) | pl.col("late")
    seen = evaluation.course.filter(thinned).with_columns(
        pl.when("late")
        .then(pl.lit("late"))
        .otherwise(pl.col("stream").map_elements(markup.visible, pl.String))
        .alias("kind")
    )
    streams = [markup.visible(name) for name in dict.fromkeys(seen["stream"])]
    colors = alt.Scale(
        domain=[*streams, "late"],
        range=[*(COLORS[i % 3] for i in range(len(streams))), LATE_COLOR],
    )
    base = alt.Chart(seen)
    # The SVG says UTC, so the axis must not take the machine's own zone.
    time = alt.Y(
        "time:T",
        title="event time (UTC)",
        scale=alt.Scale(type="utc"),
        axis=alt.Axis(format=CLOCK),
    )
    events = base.mark_square(opacity=0.8).encode(
        x=alt.X("order:Q", title="events, as they were read"),
        y=time,
        color=alt.Color("kind:N", title=None, scale=colors),
        size=alt.condition("datum.late", alt.value(50), alt.value(16)),
    )
    # Else Vega takes the time for the axis that the line goes along, and sorts by it.
    marks = base.mark_line(
        strokeWidth=1.4, interpolate="step-after", orient="vertical"
    ).encode(
        x="order:Q", y=alt.Y("watermark:T"), detail="stream:N", color=alt.value(INK)
    )
    layers = [_borders(evaluation), events, marks]
    return alt.layer(*(layer for layer in layers if layer is not None)).properties(
        width=CHART_WIDTH - 90, height=COURSE_HEIGHT, background="transparent"
    )


def _borders(evaluation: StreamEvaluation) -> Any:
    """Return the borders of the windows in the result, if it has any."""
    import altair as alt

    rows = [
        frame.select(time=pl.col("window_start").dt.convert_time_zone("UTC"))
        for frame in (evaluation.output, evaluation.incomplete)
        if isinstance(frame.schema.get("window_start"), pl.Datetime)
    ]
    if not rows:
        return None
    times = evaluation.course["time"]
    borders = pl.concat(rows).unique()
    borders = borders.filter(pl.col("time").is_between(times.min(), times.max()))
    if borders.is_empty() or borders.height > MOST_WINDOWS:
        return None
    return (
        alt.Chart(borders)
        .mark_rule(color=INK, opacity=0.35, strokeDash=[3, 3])
        .encode(y="time:T")
    )
