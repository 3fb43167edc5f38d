"""Raw events to parts of a sample: filtered by key, decoded, filtered, masked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import polars as pl

from streamlab.contracts import Schema
from streamlab.contracts.mask import Masker
from streamlab.errors import (
    SchemaError,
    UnknownName,
    UsageError,
    ValuesDisagree,
    first_line,
)
from streamlab.formats import Context, Rejection, named, schemas_of, wire
from streamlab.positions import TopicPartition
from streamlab.sources import METADATA, Headers
from streamlab.taps.codec import Rewriting, Schemas, all_schemas
from streamlab.taps.masking import Masking, masked
from streamlab.taps.origin import HeadersByPlace

INFER_ROWS = 10_000
"""A schema that nobody gave is inferred from this many events, those read first."""


class RawEvents(Protocol):
    """Events as they were read, in columns; ``kafka.following.Chunk`` is one."""

    @property
    def values(self) -> Sequence[bytes | None]:
        """Return the value of each event; None is a tombstone."""

    @property
    def keys(self) -> Sequence[bytes | None]:
        """Return the key of each event."""

    @property
    def partitions(self) -> Sequence[int]:
        """Return the number of each event's partition."""

    @property
    def offsets(self) -> Sequence[int]:
        """Return the offset of each event."""

    @property
    def timestamps_ms(self) -> Sequence[int | None]:
        """Return the timestamp of each event, ms since 1970 UTC."""

    @property
    def headers(self) -> Mapping[int, Headers]:
        """Return row → headers, of the events that have any."""

    @property
    def positions(self) -> Mapping[TopicPartition, int]:
        """Return where each partition was read to."""


@dataclass(frozen=True, slots=True)
class Part:
    """Some events of a sample.

    Attributes:
        frame: Metadata columns, then the schema's.
        values: The original bytes of the frame's rows.
        rejected: Values that did not decode; ``row`` counts from the first event read.
        rejected_values: Their bytes.
        rejected_places: Their metadata columns.
        positions: Where each partition was read to.
        events: Number of events read for it, those left out by a filter included.
        headers: Place → headers, of the events that have any.
        withheld: How many values did not decode and could therefore not be masked.
    """

    frame: pl.DataFrame
    values: pl.Series
    rejected: tuple[Rejection, ...]
    rejected_values: tuple[bytes | None, ...]
    rejected_places: pl.DataFrame
    positions: Mapping[TopicPartition, int]
    events: int
    headers: HeadersByPlace = field(default_factory=dict)
    withheld: int = 0

    def in_order_of_time(self) -> Part:
        """Return the part with its rows by time; those of one time as they were."""
        times = self.frame["_timestamp"]
        if times.is_sorted():
            return self
        order = self.frame.select(
            pl.arg_sort_by("_timestamp", maintain_order=True)
        ).to_series()
        return replace(self, frame=self.frame[order], values=self.values[order])


class Decoder:
    """Makes parts of chunks, one after another.

    Attributes:
        topic: The topic.
        format: The format of the values.
        schema: Schema of the events; None until it is inferred.
        masking: What is masked.

    Args:
        topic: The topic, for ``_topic``.
        format: Name of the format of the values.
        schema: Schema of the events; None infers it from the first chunk that has any.
        key: Only events with this key; None for all.
        where: Only events for which this is true; None for all. It sees the values
            as they are.
        masking: What to mask before it is kept; nothing if left out.
        context: What the format may need; its topic alone where left out.
    """

    def __init__(
        self,
        topic: str,
        format: str,  # noqa: A002 -- the word of the public API
        *,
        schema: Schema | None = None,
        key: bytes | None = None,
        where: pl.Expr | None = None,
        masking: Masking | None = None,
        context: Context | None = None,
    ) -> None:
        _check_kinds(schema, where)
        self.topic = topic
        self.context = context or Context(topic)
        self.format = named(format, self.context)
        self._key = key
        self._where = where
        self.masking = masking or Masking(unmask=True)
        self._masker: Masker | None = None
        self._writing: Rewriting | None = None
        self.schema: Schema | None = None
        if schema is not None:
            self._check(schema)
            self.schema = self.masking.marked(schema)

    @property
    def schemas(self) -> Schemas:
        """Return the registered schemas that were read and written with so far."""
        used = schemas_of(self.format)
        return all_schemas(used, self._writing.schemas if self._writing else ())

    def part(self, chunk: RawEvents, first: int = 0) -> Part:
        """Decode a chunk.

        Args:
            chunk: The events.
            first: Number of the chunk's first event, in reading order.

        Raises:
            SchemaError: No schema was given and none can be inferred.
            UnknownName: A field to mask is not in the schema.
            UsageError: The ``where`` expression does not work on the events.
        """
        raw = _columns(chunk, self.topic)
        rows: Sequence[int] | None = None
        values = chunk.values
        whole = wire.whole(self.format.name, values, lambda: chunk.headers)
        if self._key is not None:
            rows = [i for i, key in enumerate(chunk.keys) if key == self._key]
            values, whole = ([all_[row] for row in rows] for all_ in (values, whole))
            raw = raw[rows]
        schema = self._fixed_schema(whole, raw)
        decoded = self.format.decode(whole, schema)
        gone = [one.row for one in decoded.rejected]
        places = raw[gone].drop("_value")
        kept = decoded.kept(len(values))
        if kept is not None:
            raw = raw[kept]
        frame = raw.drop("_value").hstack(decoded.frame.get_columns())
        bytes_of_rows = raw["_value"].alias("value")
        if self._where is not None:
            fits = self._fitting(frame)
            frame, bytes_of_rows = frame.filter(fits), bytes_of_rows.filter(fits)
        part = Part(
            frame=frame,
            values=bytes_of_rows,
            rejected=tuple(
                replace(one, row=first + (rows[one.row] if rows else one.row))
                for one in decoded.rejected
            ),
            rejected_values=tuple(values[row] for row in gone),
            rejected_places=places,
            positions=chunk.positions,
            events=len(chunk.values),
            headers=_headers(chunk, frame, places),
        )
        return self._masked(part, schema)

    def _masked(self, part: Part, schema: Schema) -> Part:
        """Return the part as it may be kept."""
        if not self.masking.paths(schema):
            return part
        if self._masker is None or self._writing is None:
            self._masker = Masker.of_project()
            self._writing = Rewriting(self.format.name, self.context)
        return masked(part, schema, self._writing, self._masker)

    def _fixed_schema(
        self, values: Sequence[bytes | None], raw: pl.DataFrame
    ) -> Schema:
        """Return the schema; infer it once there are values."""
        if self.schema is not None:
            return self.schema
        if not values:
            return Schema(())
        try:
            found = self.format.infer(values[:INFER_ROWS])
        except ValuesDisagree as error:
            event = raw.row(error.index, named=True)
            place = f"{self.topic}/{event['_partition']}@{event['_offset']}"
            message = f"{error.message}: {place}"
            raise SchemaError(message, hint=error.hint) from error
        own = [name for name in found.dtypes.names() if name not in METADATA]
        self.schema = self.masking.marked(found.only(own))
        return self.schema

    def _check(self, schema: Schema) -> None:
        clash = sorted(set(schema.dtypes.names()) & set(METADATA))
        if clash:
            raise SchemaError(
                f"the field {clash[0]!r} has the name of a metadata column",
                hint="leave it out of the schema",
            )

    def _fitting(self, frame: pl.DataFrame) -> pl.Series:
        try:
            fits = frame.lazy().select(fits=self._where).collect()["fits"]
        except pl.exceptions.ColumnNotFoundError as error:
            raise _unknown_column(self._where, frame) from error
        except pl.exceptions.PolarsError as error:
            if self.schema is None or not self.masking.paths(self.schema):
                raise UsageError(f"`where` fails: {first_line(error)}") from error
            # Polars' message can have a value in it, which is not masked here.
            message = f"`where` fails with {type(error).__name__}"
            hint = "what fails is not shown, because the events hold personal data"
            raise UsageError(message, hint=hint) from None
        if fits.dtype != pl.Boolean or len(fits) not in {1, frame.height}:
            raise UsageError(
                f"`where` gives {fits.dtype}, not true or false for each event",
                hint='such as where=pl.col("arr_delay") > 15',
            )
        return fits.fill_null(value=False).extend_constant(
            bool(fits.any()), frame.height - len(fits)
        )


def _check_kinds(schema: object, where: object) -> None:
    """Refuse texts where a schema or an expression belongs: people try both."""
    if not isinstance(schema, Schema | None):
        message = f"schema must be a Schema, and is {type(schema).__name__}"
        raise UsageError(message, hint='read a file by odcs.load("schema.yaml")')
    if not isinstance(where, pl.Expr | None):
        message = f"where must be a polars expression, and is {type(where).__name__}"
        raise UsageError(message, hint='such as where=pl.col("arr_delay") > 15')


def _unknown_column(where: pl.Expr | None, frame: pl.DataFrame) -> UnknownName:
    named = where.meta.root_names() if where is not None else []
    unknown = next((name for name in named if name not in frame.columns), "")
    return UnknownName("column", unknown, frame.columns)


def _headers(
    chunk: RawEvents, frame: pl.DataFrame, rejected: pl.DataFrame
) -> HeadersByPlace:
    """Return the headers of the events of two frames, by place."""
    if not chunk.headers:
        return {}
    place = ("_partition", "_offset")
    kept = {*frame.select(place).iter_rows(), *rejected.select(place).iter_rows()}
    found = {
        (chunk.partitions[row], chunk.offsets[row]): headers
        for row, headers in chunk.headers.items()
    }
    return {place: found[place] for place in sorted(kept & found.keys())}


def _columns(chunk: RawEvents, topic: str) -> pl.DataFrame:
    """Return a chunk's metadata, and its values as ``_value``."""
    return pl.DataFrame(
        {
            "_partition": pl.Series(chunk.partitions, dtype=pl.Int32),
            "_offset": pl.Series(chunk.offsets, dtype=pl.Int64),
            "_timestamp": pl.Series(chunk.timestamps_ms, dtype=pl.Int64),
            "_key": pl.Series(chunk.keys, dtype=pl.Binary),
            "_value": pl.Series(chunk.values, dtype=pl.Binary),
        }
    ).select(
        pl.lit(topic).alias("_topic"),
        "_partition",
        "_offset",
        pl.col("_timestamp").cast(pl.Datetime("ms", "UTC")),
        "_key",
        "_value",
    )
