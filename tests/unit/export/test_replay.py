"""What a verification takes for a surprise."""

from __future__ import annotations

from dataclasses import replace

import polars as pl

import streamlab as sl
from streamlab.connectors.console import ConsoleSink
from streamlab.export.replay import replay
from streamlab.pipelines import DeadLetters, Input, Pipeline
from tests.unit.taps.made import read

SCHEMA = sl.Schema.of({"n": pl.Int64()})


def test_rejected_values_are_expected_with_their_codes(tmp_path):
    """Another code at the same place, and any other dead letter, is a surprise."""
    sample = read(SCHEMA, [{"n": 1}, b"{", None])
    pipeline = Pipeline(
        name="p",
        inputs=(Input(sample.replay(), "json", SCHEMA),),
        sink=ConsoleSink(),
        dead_letters=DeadLetters(file=tmp_path / "never.jsonl"),
    )
    assert replay(pipeline, sample).dead_lettered == 0
    first, second = sample.rejected
    other = replace(sample, rejected=(replace(first, code="other"), second))
    [letter] = replay(pipeline, other).dead_letters
    assert letter.position == 1
