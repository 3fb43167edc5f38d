"""HTML for displays. Whatever comes from outside is text here, never markup.

A message can hold anything: tags, escape sequences of a terminal, characters that turn
the direction of the text around. :func:`visible` makes what does not print
visible, and everything that :class:`Html` is built of passes through :func:`text`.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import polars as pl

MAX_CELL = 120  # characters
SHOWN_ROWS = 10
SHOWN_COLUMNS = 24

NO_MATH = "mathjax_ignore tex2jax_ignore"
"""Classes that keep front ends from setting ``$…$`` in our displays as a formula.

Source: ``ignoreHtmlClass`` of MathJax 3 and 2,
https://docs.mathjax.org/en/v3.2/options/document.html.
"""

# Controls (C0, C1), marks that reorder text, and characters without a width.
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff"
    "\ud800-\udfff]"
)
_LINE_BREAKS = str.maketrans({"\n": "⏎", "\t": "⇥"})


class Html(str):
    """Text that is markup already, made by this module."""

    __slots__ = ()


def visible(value: str) -> str:
    r"""Return the text with what does not print written as ``\x1b`` or ``\u202e``."""
    return _UNPRINTABLE.sub(_escaped, value)


def _escaped(match: re.Match[str]) -> str:
    return match.group().encode("unicode_escape", "surrogatepass").decode()


def text(value: object) -> Html:
    """Return a value as HTML text."""
    if isinstance(value, Html):
        return value
    return Html(html.escape(visible(str(value)), quote=True))


def element(tag: str, *children: object, css: str = "", **attributes: str) -> Html:
    """Return an element; children that are not :class:`Html` become text."""
    if css:
        attributes["class"] = css
    written = "".join(f' {name}="{text(each)}"' for name, each in attributes.items())
    inside = "".join(text(child) for child in children)
    return Html(f"<{tag}{written}>{inside}</{tag}>")


def joined(parts: Iterable[Html]) -> Html:
    """Return several pieces of HTML, one after another."""
    return Html("".join(parts))


def cell(value: object) -> str:
    """Return a value as one line of text, cut where it is long.

    Nested values are JSON with their field names; bytes are text where they are
    UTF-8, and hexadecimal otherwise.
    """
    if value is None:
        return ""
    if isinstance(value, bytes):
        value = _bytes(value)
    elif isinstance(value, datetime):
        value = _time(value)
    elif isinstance(value, dict | list):
        value = json.dumps(value, ensure_ascii=False, default=_plain)
    elif isinstance(value, float):
        value = f"{value:.6g}"
    shown = visible(str(value).translate(_LINE_BREAKS))
    return shown if len(shown) <= MAX_CELL else shown[: MAX_CELL - 1] + "…"


def _bytes(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return "0x" + value[: MAX_CELL // 2].hex()


def _time(value: datetime) -> str:
    shown = value.isoformat(sep=" ", timespec="milliseconds")
    return shown.replace("+00:00", "Z")


def _plain(value: object) -> str:
    return _bytes(value) if isinstance(value, bytes) else str(value)


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    right: Iterable[int] = (),
) -> Html:
    """Return a table.

    Args:
        columns: The headings.
        rows: Values, or :class:`Html`, in the order of the columns.
        right: Numbers of the columns that are set to the right, as figures are.
    """
    to_right = frozenset(right)
    sides = ["n" if number in to_right else "" for number in range(len(columns))]
    head = joined(
        element("th", name, css=side) for name, side in zip(columns, sides, strict=True)
    )
    body = joined(
        element(
            "tr",
            *(
                element("td", _shown(value), css=_side(value, side))
                for value, side in zip(row, sides, strict=True)
            ),
        )
        for row in rows
    )
    inside = element("thead", element("tr", head)), element("tbody", body)
    return element("div", element("table", *inside), css="sl-scroll")


def _shown(value: object) -> object:
    return value if isinstance(value, Html) else cell(value)


def _side(value: object, side: str) -> str:
    return f"{side} sl-null".strip() if value is None else side


def frame(shown: pl.DataFrame, *, rows: int = SHOWN_ROWS) -> Html:
    """Return the first rows of a frame as a table, with the types of its columns."""
    columns = shown.columns[:SHOWN_COLUMNS]
    numbers = [i for i, name in enumerate(columns) if shown.schema[name].is_numeric()]
    listed = table(columns, shown.select(columns).head(rows).iter_rows(), right=numbers)
    notes = []
    if shown.height > rows:
        notes.append(f"{rows} of {count(shown.height)} rows")
    if shown.width > len(columns):
        notes.append(f"{len(columns)} of {shown.width} columns")
    if not shown.height:
        notes.append("no rows")
    return joined([listed, note(", ".join(notes))]) if notes else listed


def note(message: object) -> Html:
    """Return a line in small print."""
    return element("div", message, css="sl-note")


def facts(pairs: Iterable[tuple[str, object]]) -> Html:
    """Return a line of figures, each with what it is.

    A code host shows it without its style: so there are dots between them.
    """
    listed = [
        element("span", element("b", value), " ", label, css="sl-fact")
        for label, value in pairs
    ]
    dot = element("span", " · ", css="sl-between")
    return element("div", Html(dot.join(listed)), css="sl-facts")


def card(title: object, *parts: object, kind: str = "") -> Html:
    """Return a whole display: a title, its parts and the style they need."""
    return joined(
        [
            Html(f"<style>{STYLE}</style>"),
            element(
                "div",
                element("div", title, css="sl-title"),
                *parts,
                css=f"streamlab {NO_MATH} {kind}".strip(),
            ),
        ]
    )


def count(value: float) -> str:
    """Return a number of things with thousands apart: ``336,776``."""
    return f"{value:,.0f}"


def rate(per_s: float) -> str:
    """Return events per second in three figures: ``1.2 k/s``."""
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if abs(per_s) >= size:
            return f"{per_s / size:.3g} {unit}/s"
    return f"{per_s:.3g}/s"


def duration(seconds: float | None) -> str:
    """Return a time as a person says it: ``2 min 5 s``."""
    if seconds is None:
        return "unknown"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms" if seconds else "0 s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def plain_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return a table in plain text, for a terminal."""
    lines = [[cell(name) for name in columns]]
    lines += [[cell(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            word.ljust(width) for word, width in zip(line, widths, strict=True)
        ).rstrip()
        for line in lines
    )


# JupyterLab sets tables in outputs to the right and stripes them, hence !important.
STYLE = """
.streamlab { font: 13px/1.45 var(--jp-ui-font-family, system-ui, sans-serif);
  color: var(--jp-content-font-color1, inherit); margin: 4px 0 8px;
  border-left: 3px solid #4c78a8; padding: 2px 0 2px 12px; }
.streamlab.sl-bad { border-left-color: #d1495b; }
.streamlab .sl-title { font-weight: 600; font-size: 14px; }
.streamlab .sl-note { opacity: .7; font-size: 12px; margin: 3px 0; }
.streamlab .sl-facts { margin: 3px 0; font-variant-numeric: tabular-nums; }
.streamlab .sl-fact { display: inline-block; margin-right: 18px; }
.streamlab .sl-between { display: none; }
.streamlab .sl-fact b { font-weight: 600; font-size: 14px; }
.streamlab .sl-scroll { overflow-x: auto; margin: 5px 0; max-width: 100%; }
.streamlab table { border-collapse: collapse; margin: 0; border: none;
  font-size: 12px; font-variant-numeric: tabular-nums; }
.streamlab tr { background: none !important; }
.streamlab th, .streamlab td { text-align: left !important; padding: 3px 12px 3px 0;
  border: none; border-bottom: 1px solid rgba(128,128,128,.22); background: none;
  white-space: pre; max-width: 640px; overflow: hidden; text-overflow: ellipsis;
  vertical-align: top; }
.streamlab th { font-weight: 600; opacity: .75; }
.streamlab th.n, .streamlab td.n { text-align: right !important; }
.streamlab td.sl-null::after { content: "∅"; opacity: .35; }
.streamlab pre { white-space: pre-wrap; font-size: 12px; margin: 4px 0;
  word-break: normal !important; overflow-wrap: anywhere; }
.streamlab .sl-verdict { display: flex; gap: 8px; }
.streamlab .sl-mark { flex: none; width: 5.4em; font-weight: 600; }
.streamlab .sl-good { color: #2e8b57; } .streamlab .sl-soft { color: #b7791f; }
.streamlab .sl-ill { color: #d1495b; } .streamlab .sl-faint { opacity: .5; }
.streamlab .sl-steps { display: grid; grid-template-columns: auto auto 1fr;
  gap: 2px 10px; margin: 4px 0; }
.streamlab .sl-step { font-weight: 600; max-width: 24em; overflow-wrap: anywhere; }
.streamlab img { max-width: 100%; height: auto; display: block; margin: 6px 0; }
"""
