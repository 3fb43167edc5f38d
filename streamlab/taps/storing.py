"""A sample as a file: one Parquet file, with what is no column in its metadata."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from streamlab.contracts import Field, Schema
from streamlab.contracts.schema import dotted
from streamlab.errors import UsageError, first_line
from streamlab.formats import Rejection
from streamlab.positions import Span, TopicPartition
from streamlab.sources import METADATA_DTYPES

if TYPE_CHECKING:
    from streamlab.taps.sample import Sample

VERSION = 2
"""Of the file. Version 1 had no number, no places of rejected values, no headers."""

_VALUE = "_value"
"""Column of a saved sample with the original bytes."""

_NOTES = "streamlab.sample"
"""Entry of a saved sample's file metadata with everything that is no column."""


def save(sample: Sample, path: Path) -> Path:
    """Write a sample; see :meth:`streamlab.taps.sample.Sample.save`."""
    if not sample.is_masked:
        fields = ", ".join(
            dotted(one) for one in sample.schema.personal if one not in sample.masks
        )
        message = f"the sample holds personal data that is not masked: {fields}"
        hint = "tap it without unmask, or write sample.masked() instead"
        raise UsageError(message, hint=hint)
    _require_place(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        sample.frame.with_columns(sample.values.alias(_VALUE)).write_parquet(
            partial, metadata={_NOTES: json.dumps(notes(sample))}
        )
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise UsageError(
            f"the sample cannot be written to {path}: {error.strerror or error}"
        ) from error
    return path


def _require_place(path: Path) -> None:
    """Refuse a path whose replacement would be no file, or would destroy something."""
    if not path.parent.is_dir():
        message = f"the sample cannot be written to {path}: there is no such folder"
        raise UsageError(message, hint=f"make the folder {path.parent} first")
    if path.exists() and not path.is_file():
        what = "a folder" if path.is_dir() else "no ordinary file"
        message = f"the sample cannot be written to {path}: it is {what}"
        raise UsageError(message, hint="name a file, such as orders.parquet")


def load(kind: type[Sample], path: Path) -> Sample:
    """Read a sample; see :meth:`streamlab.taps.sample.Sample.load`."""
    try:
        stored = pl.read_parquet(path)
        noted = json.loads(pl.read_parquet_metadata(path)[_NOTES])
    except OSError as error:
        reason = error.strerror or first_line(error)
        raise UsageError(f"the sample {path} cannot be read: {reason}") from error
    except (pl.exceptions.PolarsError, KeyError, ValueError) as error:
        raise UsageError(
            f"{path} is not a sample", hint="samples are written by Sample.save"
        ) from error
    if noted.get("version", 1) > VERSION:
        message = f"{path} was written by a later streamlab"
        raise UsageError(message, hint="update streamlab to read it")
    return kind(
        name=noted["name"],
        topic=noted["topic"],
        frame=stored.drop(_VALUE),
        spans=tuple(
            Span(TopicPartition(noted["topic"], number), start, end)
            for number, start, end in noted["spans"]
        ),
        schema=_schema(noted, stored),
        format=noted["format"],
        cut=noted["cut"],
        values=stored[_VALUE].alias("value"),
        rejected=tuple(Rejection(*one) for one in noted["rejected"]),
        rejected_values=tuple(map(_unpacked, noted["rejected_values"])),
        rejected_places=_places(noted),
        headers={
            (partition, offset): tuple((name, _unpacked(value)) for name, value in each)
            for partition, offset, each in noted.get("headers", ())
        },
        masks=tuple(map(tuple, noted.get("masks", ()))),
        withheld=noted.get("withheld", 0),
        schemas=tuple(noted.get("schemas", ())),
        format_options=noted.get("format_options", {}),
    )


def notes(sample: Sample) -> dict[str, object]:
    """Return what the columns do not say, as JSON values."""
    return {
        "version": VERSION,
        "name": sample.name,
        "topic": sample.topic,
        "format": sample.format,
        "cut": dict(sample.cut),
        "spans": [[s.partition.partition, s.start, s.end] for s in sample.spans],
        "schema_name": sample.schema.name,
        "fields": [
            [f.name, f.required, f.personal, [list(part) for part in f.personal_parts]]
            for f in sample.schema.fields
        ],
        "rejected": [[r.row, r.code, r.reason] for r in sample.rejected],
        "rejected_values": [_packed(value) for value in sample.rejected_values],
        "rejected_places": [
            [partition, offset, timestamp_ms, _packed(key)]
            for partition, offset, timestamp_ms, key in sample.rejected_places.select(
                "_partition", "_offset", pl.col("_timestamp").dt.epoch("ms"), "_key"
            ).iter_rows()
        ],
        "headers": [
            [*place, [[name, _packed(value)] for name, value in headers]]
            for place, headers in sorted(sample.headers.items())
        ],
        "masks": [list(path) for path in sample.masks],
        "withheld": sample.withheld,
        "schemas": [dict(schema) for schema in sample.schemas],
        "format_options": dict(sample.format_options),
    }


def _schema(noted: Mapping[str, Any], stored: pl.DataFrame) -> Schema:
    fields = (
        Field(
            name,
            stored.schema[name],
            required,
            personal=bool(marks and marks[0]),
            personal_parts=tuple(map(tuple, marks[1] if marks else ())),
        )
        for name, required, *marks in noted["fields"]
    )
    return Schema(tuple(fields), noted["schema_name"])


def _places(noted: Mapping[str, Any]) -> pl.DataFrame:
    rows = [
        (noted["topic"], partition, offset, timestamp_ms, _unpacked(key))
        for partition, offset, timestamp_ms, key in noted.get("rejected_places", ())
    ]
    plain = {**METADATA_DTYPES, "_timestamp": pl.Int64()}
    return pl.DataFrame(rows, schema=plain, orient="row").with_columns(
        pl.col("_timestamp").cast(METADATA_DTYPES["_timestamp"])
    )


def _packed(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode()


def _unpacked(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)
