"""The pipelines that are measured: files as a user would write them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FLOWS = '''\
"""The transforms of the benchmark."""

import polars as pl

import streamlab as sl


@sl.transform
def delayed(flights: pl.LazyFrame) -> pl.LazyFrame:
    """Keep the delayed flights, and five of their columns."""
    return flights.filter(pl.col("arr_delay") > 15).select(
        "carrier", "flight", "origin", "dest", "arr_delay"
    )
'''

INTEGERS = (
    "year month day dep_time sched_dep_time dep_delay arr_time sched_arr_time "
    "arr_delay flight air_time distance hour minute"
)
STRINGS = "carrier tailnum origin dest time_hour"
PADDING = {"sent_us": "integer", "note": "string"}
"""What the events of the latency runs have beside a flight's columns."""


@dataclass(frozen=True, slots=True)
class Case:
    """One pipeline to measure.

    Attributes:
        name: Name of the pipeline.
        topic: Topic to read.
        sink: Lines of the ``[sink]`` section.
        transform: ``module:function``, or empty to pass events through.
        padded: Whether the events are those of the latency runs.
    """

    name: str
    topic: str
    sink: str
    transform: str = ""
    padded: bool = False

    @property
    def dead_letters(self) -> str:
        """Return the topic of the dead letters."""
        return f"{self.name}.dead"

    @property
    def group(self) -> str:
        """Return the consumer group of the pipeline."""
        return f"streamlab.{self.name}"

    def write(self, folder: Path) -> Path:
        """Write the pipeline's files and return its ``pipeline.toml``."""
        home = folder / self.name
        home.mkdir(parents=True, exist_ok=True)
        (home / "flows.py").write_text(FLOWS, encoding="utf-8")
        (home / "schema.yaml").write_text(schema(padded=self.padded), encoding="utf-8")
        path = home / "pipeline.toml"
        path.write_text(self._toml(), encoding="utf-8")
        return path

    def _toml(self) -> str:
        transform = f'transform = "{self.transform}"\n' if self.transform else ""
        return (
            f'[pipeline]\nname = "{self.name}"\n{transform}\n'
            f'[source]\ntype = "kafka"\ntopic = "{self.topic}"\n'
            f'format = "json"\nschema = "schema.yaml"\n\n'
            f"[sink]\n{self.sink}\n\n"
            f'[dead_letters]\ntopic = "{self.dead_letters}"\n'
        )


def schema(*, padded: bool) -> str:
    """Return a schema file with the columns of a flight, all of them optional."""
    columns = dict.fromkeys(INTEGERS.split(), "integer")
    columns |= dict.fromkeys(STRINGS.split(), "string")
    columns |= PADDING if padded else {}
    properties = "".join(
        f"      - name: {name}\n        logicalType: {kind}\n"
        for name, kind in columns.items()
    )
    return (
        "apiVersion: v3.1.0\nkind: DataContract\nschema:\n"
        f"  - name: flights\n    properties:\n{properties}"
    )
