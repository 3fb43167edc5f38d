"""Pictures: what they show, and that those of the docs can be drawn again."""

import re
import runpy
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree as ET

import polars as pl
import pytest

import streamlab as sl
from streamlab.notebook import pictures

DOCS = Path(__file__).parents[3] / "docs/pictures"
LINE = re.compile(r'<path(?=[^>]*stroke-width="1.4")[^>]* d="M([^"]+)"')


@sl.transform(window=sl.tumbling("1h", on="at"))
def hourly(events: pl.LazyFrame) -> pl.LazyFrame:
    return events.group_by("window_start").agg(n=pl.len())


def test_the_watermark_is_drawn_along_the_events():
    """Event after event: its line never goes back to the left."""
    begin = datetime(2024, 1, 1, tzinfo=UTC)
    minutes = [0, 30, 20, 90, 80, 100, 10, 150]
    events = pl.DataFrame({"at": [begin + timedelta(minutes=m) for m in minutes]})
    drawn = pictures.svg(pictures.course(sl.evaluate(hourly, events)))
    line = LINE.search(drawn)
    across = [float(point.split(",")[0]) for point in line[1].split("L")]
    assert len(across) > len(minutes)
    assert across == sorted(across)


@pytest.mark.parametrize("name", ["windows", "state", "joins"])
def test_a_picture_of_the_docs_can_be_drawn_again(name):
    """It is an image without a script, of the size of the one that is kept."""
    drawn = runpy.run_path(str(DOCS / "make.py"))["drawn"](name)
    ET.fromstring(drawn)
    assert "<script" not in drawn
    kept = (DOCS / f"{name}.svg").read_text(encoding="utf-8")
    assert abs(len(drawn) - len(kept)) < len(kept) / 10
