from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import polars as pl

from streamlab.connectors.kafka.source import KafkaSource
from streamlab.connectors.memory import MemorySink
from streamlab.contracts import Schema
from streamlab.pipelines import DeadLetters, Input, Pipeline
from streamlab.pipelines.picture import mermaid, svg

PIPELINE = Pipeline(
    name="delayed",
    inputs=(Input(KafkaSource("flights"), "json", Schema.of({"a": pl.Int64()})),),
    sink=MemorySink(),
    dead_letters=DeadLetters(file=Path("dead.jsonl")),
)
HOSTILE = replace(
    PIPELINE,
    inputs=(
        Input(
            KafkaSource('x"]<script>alert(1)</script>'),
            "json",
            PIPELINE.input.schema,
        ),
    ),
)


def test_mermaid_shows_every_step_in_order() -> None:
    """Source, sink and dead letters are joined by arrows."""
    text = mermaid(PIPELINE)

    assert text.startswith("flowchart LR\n")
    assert "s0 --> s1" in text
    assert "dead.jsonl" in text


def test_mermaid_holds_no_markup_of_a_name() -> None:
    """A topic's name cannot end a label or add markup."""
    label = mermaid(HOSTILE).splitlines()[1]

    assert "<script>" not in label
    assert label.count('"') == 2


def test_svg_is_well_formed_and_shows_the_name_as_text() -> None:
    """A topic's name is text of the drawing and nothing else."""
    root = ET.fromstring(svg(HOSTILE))

    texts = [node.text or "" for node in root.iter("{http://www.w3.org/2000/svg}text")]
    assert any("<script>" in text for text in texts)
    assert not list(root.iter("{http://www.w3.org/2000/svg}script"))
