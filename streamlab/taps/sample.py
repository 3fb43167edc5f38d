"""A sample: what a tap returned, kept whole so that it can be a test fixture."""

from __future__ import annotations

import base64
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from streamlab.contracts import Field, Schema
from streamlab.errors import MissingExtra, UsageError, first_line
from streamlab.formats import Rejection
from streamlab.positions import Span, TopicPartition, joined
from streamlab.sources import ListedOrigins, RawBatch

if TYPE_CHECKING:
    import pandas as pd

_VALUE = "_value"
"""Column of a saved sample with the original bytes."""

_NOTES = "streamlab.sample"
"""Entry of a saved sample's file metadata with everything that is no column."""


@dataclass(frozen=True, eq=False)
class Sample:
    """Events of one topic, as a frame.

    Attributes:
        name: Name of the variable or topic it came from.
        topic: The topic.
        frame: Metadata columns, then the schema's. ``_topic`` String, ``_partition``
            Int32, ``_offset`` Int64, ``_timestamp`` Datetime(ms, UTC), ``_key`` Binary.
        spans: What was read, per partition; events outside of ``where`` count as read.
        schema: Schema of the event's own columns.
        format: Name of the format of the values.
        cut: How it was cut, for people: ``{"last": 1000, "stopped_by": "rows"}``.
        values: The original bytes of the frame's rows, Binary; a replay uses them.
        rejected: Values that did not decode; ``row`` counts in reading order.
        rejected_values: Their bytes, in the same order.
        schemas: The registered schemas of the values, as the registry's JSON; with
            them a replay needs no registry.
    """

    name: str
    topic: str
    frame: pl.DataFrame
    spans: tuple[Span, ...]
    schema: Schema
    format: str
    cut: Mapping[str, object]
    values: pl.Series = field(repr=False)
    rejected: Sequence[Rejection] = field(default_factory=tuple)
    rejected_values: Sequence[bytes | None] = field(default_factory=tuple, repr=False)
    schemas: Sequence[Mapping[str, object]] = field(default_factory=tuple, repr=False)

    @property
    def events(self) -> pl.DataFrame:
        """Return the frame without the metadata columns."""
        return self.frame.select(self.schema.dtypes.names())

    def __eq__(self, other: object) -> bool:
        """Return whether everything is equal: columns, types, rows and their order."""
        if not isinstance(other, Sample):
            return NotImplemented
        return (
            self.schema == other.schema
            and self.frame.schema == other.frame.schema
            and self.frame.equals(other.frame)
            and self.values.equals(other.values)
            and self._notes() == other._notes()
        )

    __hash__ = None  # type: ignore[assignment]  # frames have none

    def to_pandas(self) -> pd.DataFrame:
        """Return the frame as a pandas frame.

        Raises:
            MissingExtra: pandas is not installed.
        """
        try:
            return self.frame.to_pandas()
        except ModuleNotFoundError as error:
            raise MissingExtra("a pandas frame", "pandas") from error

    def counts_by_code(self) -> dict[str, int]:
        """Return how many values did not decode, by the code of the reason."""
        return dict(Counter(rejection.code for rejection in self.rejected))

    def replay(self, batch_rows: int = 50_000) -> Iterator[RawBatch]:
        """Yield the events again as a source delivers them, in order of the offsets.

        A value that was rejected is left out: its place in the log was not kept.

        Args:
            batch_rows: Events in each batch.
        """
        order = self.frame.select("_partition", "_offset").with_row_index("row")
        rows = order.sort("_partition", "_offset")["row"]
        frame, values = self.frame[rows], self.values[rows]
        for first in range(0, frame.height, batch_rows):
            yield _batch(
                frame.slice(first, batch_rows), values.slice(first, batch_rows)
            )

    def save(self, path: Path | str) -> Path:
        """Write the sample to one Parquet file that :meth:`load` reads back equal.

        Returns:
            The path. The file appears whole or not at all.
        """
        path = Path(path)
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            self.frame.with_columns(self.values.alias(_VALUE)).write_parquet(
                partial, metadata={_NOTES: json.dumps(self._notes())}
            )
            partial.replace(path)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise UsageError(
                f"the sample cannot be written to {path}: {error.strerror or error}"
            ) from error
        return path

    @classmethod
    def load(cls, path: Path | str) -> Sample:
        """Read a sample that :meth:`save` wrote.

        Raises:
            UsageError: The file is not there, or is not a sample.
        """
        path = Path(path)
        try:
            stored = pl.read_parquet(path)
            notes = json.loads(pl.read_parquet_metadata(path)[_NOTES])
        except OSError as error:
            reason = error.strerror or first_line(error)
            raise UsageError(f"the sample {path} cannot be read: {reason}") from error
        except (pl.exceptions.PolarsError, KeyError, ValueError) as error:
            raise UsageError(
                f"{path} is not a sample", hint="samples are written by Sample.save"
            ) from error
        return cls(
            name=notes["name"],
            topic=notes["topic"],
            frame=stored.drop(_VALUE),
            spans=tuple(
                Span(TopicPartition(notes["topic"], number), start, end)
                for number, start, end in notes["spans"]
            ),
            schema=_schema(notes, stored),
            format=notes["format"],
            cut=notes["cut"],
            values=stored[_VALUE].alias("value"),
            rejected=tuple(Rejection(*one) for one in notes["rejected"]),
            rejected_values=tuple(map(_unpacked, notes["rejected_values"])),
            schemas=tuple(notes.get("schemas", ())),
        )

    def _notes(self) -> dict[str, object]:
        """Return what the columns do not say, as JSON values."""
        return {
            "name": self.name,
            "topic": self.topic,
            "format": self.format,
            "cut": dict(self.cut),
            "spans": [[s.partition.partition, s.start, s.end] for s in self.spans],
            "schema_name": self.schema.name,
            "fields": [[f.name, f.required] for f in self.schema.fields],
            "rejected": [[r.row, r.code, r.reason] for r in self.rejected],
            "rejected_values": [_packed(value) for value in self.rejected_values],
            "schemas": [dict(schema) for schema in self.schemas],
        }


def _schema(notes: Mapping[str, Any], stored: pl.DataFrame) -> Schema:
    dtypes = stored.schema
    fields = (Field(name, dtypes[name], required) for name, required in notes["fields"])
    return Schema(tuple(fields), notes["schema_name"])


def _batch(frame: pl.DataFrame, values: pl.Series) -> RawBatch:
    partitions = [
        TopicPartition(topic, number)
        for topic, number in frame.select("_topic", "_partition").iter_rows()
    ]
    offsets = frame["_offset"].to_list()
    listed = values.to_list()
    places = zip(partitions, offsets, strict=True)
    return RawBatch(
        values=listed,
        spans=joined(Span(partition, at, at + 1) for partition, at in places),
        origins=ListedOrigins(
            partitions,
            offsets,
            frame["_timestamp"].dt.epoch("ms").to_list(),
            frame["_key"].to_list(),
        ),
        size_bytes=sum(map(len, listed)),
    )


def _packed(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode()


def _unpacked(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)
