"""A panel: what a live view shows at one moment, as a value without a front end.

A watch makes panels; a widget paints one after another, and :func:`static` turns the
last one into a table and a picture, which is all a headless run shows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from streamlab.notebook import markup, pictures
from streamlab.notebook.markup import Html
from streamlab.notebook.pictures import CHART_HEIGHT, CHART_WIDTH, COLORS


@dataclass(frozen=True, slots=True)
class Panel:
    """What is shown at one moment.

    Attributes:
        title: What is watched.
        facts: Label → figure, the few numbers that matter.
        lines: Name → points, oldest first, at a steady rate; all of one length.
        bars: Class → how many there are of it: a histogram, instead of lines.
        span_s: Seconds from the first to the last point.
        unit: What points or bars are, such as ``events/s``.
        columns: Headings of the table.
        rows: Values of the table.
        right: Numbers of the columns that hold figures.
        note: A line in small print.
        picks: Name of each row, where a row can be picked.
    """

    title: str
    facts: Mapping[str, str]
    lines: Mapping[str, Sequence[float]] = field(default_factory=dict)
    bars: Mapping[str, float] = field(default_factory=dict)
    span_s: float = 0.0
    unit: str = ""
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[object]] = ()
    right: Sequence[int] = ()
    note: str = ""
    picks: Sequence[str] = ()


def content(panel: Panel) -> dict[str, Any]:
    """Return the panel as JSON values for the widget, every text made visible."""
    seen = markup.visible
    return {
        "title": seen(panel.title),
        "facts": [[seen(label), seen(value)] for label, value in panel.facts.items()],
        "names": [seen(name) for name in panel.lines],
        "bars": [[seen(name), value] for name, value in panel.bars.items()],
        "span_s": panel.span_s,
        "unit": panel.unit,
        "columns": [seen(name) for name in panel.columns],
        "rows": [
            [None if value is None else markup.cell(value) for value in row]
            for row in panel.rows
        ],
        "right": list(panel.right),
        "note": seen(panel.note),
        "picks": [seen(name) for name in panel.picks],
    }


def static(panel: Panel) -> Html:
    """Return the panel as a table and a picture."""
    parts = [markup.facts(panel.facts.items())] if panel.facts else []
    if panel.bars or any(len(points) > 1 for points in panel.lines.values()):
        parts.append(pictures.picture(chart(panel), panel.title))
    if panel.columns:
        parts.append(markup.table(panel.columns, panel.rows, right=panel.right))
    if panel.note:
        parts.append(markup.note(panel.note))
    return markup.card(panel.title, *parts)


def plain(panel: Panel) -> str:
    """Return the panel for a terminal."""
    figures = ", ".join(f"{value} {label}" for label, value in panel.facts.items())
    parts = [f"{panel.title}: {figures}" if figures else panel.title]
    if panel.columns:
        parts.append(markup.plain_table(panel.columns, panel.rows))
    return "\n".join(map(markup.visible, [*parts, panel.note] if panel.note else parts))


def chart(panel: Panel) -> Any:
    """Return the lines or bars of a panel as a chart."""
    return _bars(panel) if panel.bars else _lines(panel)


def _bars(panel: Panel) -> Any:
    import altair as alt

    bars = pl.DataFrame(
        {
            "class": [markup.visible(name) for name in panel.bars],
            "n": list(panel.bars.values()),
        }
    )
    return (
        alt.Chart(bars)
        .mark_bar(color=COLORS[0])
        .encode(
            x=alt.X("class:N", sort=None, title=None, axis=alt.Axis(labelAngle=-45)),
            y=alt.Y("n:Q", title=panel.unit, axis=alt.Axis(tickCount=4, format="~s")),
        )
        .properties(
            width=CHART_WIDTH - 60, height=CHART_HEIGHT, background="transparent"
        )
    )


def _lines(panel: Panel) -> Any:
    import altair as alt

    longest = max(len(points) for points in panel.lines.values())
    step_s = panel.span_s / max(longest - 1, 1)
    points = pl.DataFrame(
        [
            {"name": markup.visible(name), "s": i * step_s - panel.span_s, "y": value}
            for name, values in panel.lines.items()
            for i, value in enumerate(values)
        ]
    )
    names = list(dict.fromkeys(points["name"]))
    return (
        alt.Chart(points)
        .mark_line(strokeWidth=1.6)
        .encode(
            x=alt.X("s:Q", title="seconds before now"),
            y=alt.Y("y:Q", title=panel.unit, axis=alt.Axis(tickCount=4, format="~s")),
            color=alt.Color(
                "name:N",
                title=None,
                scale=alt.Scale(
                    domain=names,
                    range=[COLORS[i % len(COLORS)] for i in range(len(names))],
                ),
            ),
        )
        .properties(
            width=CHART_WIDTH - 160, height=CHART_HEIGHT, background="transparent"
        )
    )
