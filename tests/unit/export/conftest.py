from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import polars as pl
import pytest
from IPython.core.interactiveshell import InteractiveShell

from streamlab.contracts import Schema
from streamlab.positions import Span, TopicPartition
from streamlab.taps.sample import Sample
from tests import shells

Cells = Callable[..., dict[str, Any]]

ROWS = pl.DataFrame({"carrier": ["UA", "AA", "B6"], "arr_delay": [20, 3, 99]})


@pytest.fixture(scope="session")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InteractiveShell]:
    """Return a real IPython shell that shares nothing with others of the same user."""
    folder = tmp_path_factory.mktemp("ipython")
    made = InteractiveShell(config=shells.without_history(), ipython_dir=str(folder))
    yield made
    shells.ended(made)


@pytest.fixture
def cells(shell: InteractiveShell) -> Cells:
    """Return a function that runs cells in an empty namespace and returns it."""
    shells.emptied(shell)

    def run(*texts: str) -> dict[str, Any]:
        for text in texts:
            shell.run_cell(text, store_history=True).raise_error()
        return shell.user_ns

    return run


@pytest.fixture(scope="session")
def sample() -> Sample:
    """Return three events of two partitions."""
    metadata = pl.DataFrame(
        {
            "_topic": ["flights"] * 3,
            "_partition": [0, 1, 0],
            "_offset": [5, 7, 6],
            "_timestamp": [0, 1, 2],
            "_key": [b"UA", None, b"B6"],
        },
        schema_overrides={
            "_partition": pl.Int32(),
            "_timestamp": pl.Datetime("ms", "UTC"),
        },
    )
    return Sample(
        name="flights",
        topic="flights",
        frame=pl.concat([metadata, ROWS], how="horizontal"),
        spans=(
            Span(TopicPartition("flights", 0), 5, 7),
            Span(TopicPartition("flights", 1), 7, 8),
        ),
        schema=Schema.of(ROWS.schema, "flights"),
        format="json",
        cut={"last": 3},
        values=pl.Series(
            [
                b'{"carrier": "UA", "arr_delay": 20}',
                b'{"carrier": "AA", "arr_delay": 3}',
                b'{"carrier": "B6", "arr_delay": 99}',
            ]
        ),
    )
