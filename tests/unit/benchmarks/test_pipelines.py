"""The measured pipelines are files that streamlab loads."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.pipelines import Case
from demo import flights
from streamlab.pipelines import file


@pytest.mark.parametrize("padded", [False, True])
def test_pipeline_loads_with_the_columns_of_a_flight(
    tmp_path: Path, *, padded: bool
) -> None:
    """The file is valid and its schema has every column of the flights."""
    sink = 'type = "kafka"\ntopic = "out"'
    case = Case("bench-case", "in", sink, padded=padded)
    pipeline = file.load(case.write(tmp_path))
    columns = set(pipeline.input.schema.dtypes.names())
    assert columns - {"sent_us", "note"} == set(flights.flights().columns)
    assert case.group == f"streamlab.{pipeline.name}"
