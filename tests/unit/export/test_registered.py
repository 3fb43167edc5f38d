"""The export of a pipeline whose events have registered schemas."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from streamlab import export
from streamlab.connectors.console import ConsoleSink
from streamlab.export.replay import replay
from streamlab.export.verification import EXPECTED, SAMPLE
from streamlab.pipelines import file
from streamlab.taps.sample import Sample
from tests.unit.taps.test_registered import PERSONAL, REGISTERED, same, written


@pytest.mark.parametrize("name", sorted(REGISTERED))
def test_a_package_replays_its_masked_sample_without_a_registry(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its pipeline gives the expected rows where no settings name a registry."""
    monkeypatch.chdir(tmp_path)
    sample = written(name).masked(PERSONAL)
    made = export.write(same, "people", sample=sample, sink=ConsoleSink())
    kept = Sample.load(made.folder / SAMPLE)
    replayed = replay(file.load(made.folder), kept)
    assert replayed.dead_letters == ()
    assert replayed.output.equals(pl.read_parquet(made.folder / EXPECTED))
    assert ",registry]==" in (made.folder / "pyproject.toml").read_text()
