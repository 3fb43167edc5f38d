"""A sample: what a tap returned, kept whole so that it can be a test fixture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from streamlab.contracts import Schema
from streamlab.contracts.mask import Masker
from streamlab.contracts.schema import Path as FieldPath
from streamlab.contracts.schema import dotted
from streamlab.errors import MissingExtra
from streamlab.formats import Rejection, named
from streamlab.positions import Span
from streamlab.sinks import DeadLetter
from streamlab.sources import METADATA_DTYPES
from streamlab.taps import growing, masking, storing
from streamlab.taps.growing import Rows
from streamlab.taps.origin import HeadersByPlace, Origin
from streamlab.taps.replay import SampleSource

if TYPE_CHECKING:
    import pandas as pd


def _no_places() -> pl.DataFrame:
    return pl.DataFrame(schema=METADATA_DTYPES)


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
            Of a masked sample they are written anew.
        rejected: Values that did not decode; ``row`` counts in reading order.
        rejected_values: Their bytes, in the same order.
        rejected_places: Their metadata columns, in the same order. No rows in a
            sample that an earlier streamlab wrote: then a replay leaves them out.
        headers: ``(partition, offset)`` → headers, of the events that have any.
        masks: Ways to the personal data that is masked.
        withheld: How many values were left out because they did not decode and could
            therefore not be masked.
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
    rejected_places: pl.DataFrame = field(default_factory=_no_places, repr=False)
    headers: HeadersByPlace = field(default_factory=dict, repr=False)
    masks: tuple[FieldPath, ...] = ()
    withheld: int = 0

    @classmethod
    def empty(
        cls,
        topic: str,
        schema: Schema,
        *,
        format: str = "json",  # noqa: A002 -- the word for it everywhere
        name: str = "",
    ) -> Sample:
        """Return a sample without events, to which some can be added."""
        dtypes = {**METADATA_DTYPES, **schema.dtypes}
        return cls(
            name=name or topic,
            topic=topic,
            frame=pl.DataFrame(schema=dtypes),
            spans=(),
            schema=schema,
            format=format,
            cut={},
            values=pl.Series("value", [], pl.Binary),
        )

    @property
    def events(self) -> pl.DataFrame:
        """Return the frame without the metadata columns."""
        return self.frame.select(self.schema.dtypes.names())

    @property
    def origins(self) -> list[Origin]:
        """Return where the frame's events came from, then the rejected values."""
        place = ("_partition", "_offset")
        frames = (self.frame, self.rejected_places)
        rows = [row for frame in frames for row in frame.select(place).iter_rows()]
        return [Origin(self.topic, *row) for row in rows]

    @property
    def is_masked(self) -> bool:
        """Return whether it holds no personal data that the schema knows of."""
        return set(self.schema.personal) <= set(self.masks)

    def __str__(self) -> str:
        """Return what it holds in one line, no value among it."""
        masks = ", ".join(dotted(path) for path in self.masks)
        figures = {
            f"{self.frame.height:,} events of {self.topic}": True,
            f"{len(self.rejected):,} that do not decode": self.rejected,
            f"{self.withheld:,} withheld": self.withheld,
            f"masked: {masks}": masks,
        }
        return ", ".join(words for words, tell in figures.items() if tell)

    def __eq__(self, other: object) -> bool:
        """Return whether everything is equal: columns, types, rows and their order."""
        if not isinstance(other, Sample):
            return NotImplemented
        return (
            self.schema == other.schema
            and self.frame.schema == other.frame.schema
            and self.frame.equals(other.frame)
            and self.values.equals(other.values)
            and storing.notes(self) == storing.notes(other)
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

    def replay(self, *, speed: float | None = None) -> SampleSource:
        """Return the events as a source, which needs no broker and ends with them.

        Args:
            speed: How many times as fast as the events were written; None is as fast
                as possible.

        Raises:
            UsageError: The speed is not above 0.
        """
        return SampleSource(self, speed)

    def masked(self, personal: Iterable[str] = ()) -> Sample:
        """Return the sample with its personal data masked; a masked one is unchanged.

        Args:
            personal: Fields that hold personal data, such as ``address.street``,
                besides those that the schema marks.

        Raises:
            UnknownName: There is no such field.
        """
        schema = self.schema.with_personal(personal)
        marked = replace(self, schema=schema)
        if marked.is_masked:
            return self if schema == self.schema else marked
        done = replace(marked, masks=schema.personal)
        form = named(self.format)
        return masking.masked(done, schema, form, Masker.of_project(), self.masks)

    def only(self, rows: Rows = None, *, at: Iterable[str | Origin] = ()) -> Sample:
        """Return some of the events.

        Args:
            rows: An expression that is true of them, or numbers of rows of the frame.
            at: Origins, ``topic/partition@offset``, also of values that did not decode.

        Raises:
            UnknownName: There is no event of such an origin.
            UsageError: A number or an expression does not fit the frame.
        """
        return growing.only(self, rows, at)

    def with_events(
        self, other: Sample, rows: Rows = None, *, at: Iterable[str | Origin] = ()
    ) -> Sample:
        """Return the sample with events of another one, by partition and offset.

        An event that is here already is not added again. Where one of the two is
        masked, both are in the result.

        Args:
            other: A sample of the same topic, format and schema.
            rows: Which of its events; see :meth:`only`.
            at: The same by origin. All events if both are left out, those that did
                not decode included.

        Raises:
            UnknownName: There is no event of such an origin.
            UsageError: The samples do not fit, or hold different events of one origin.
        """
        return growing.with_events(self, other, rows, at)

    def with_letters(
        self,
        letters: Iterable[DeadLetter],
        values: Mapping[str, bytes] | None = None,
    ) -> Sample:
        """Return the sample with the events of dead letters.

        What decodes now, because the schema was mended or its bytes were, is an event
        like any other. What does not stays a rejected value, which a replay
        dead-letters again. What is here already stays as it is.

        Args:
            letters: The dead letters.
            values: Origin, ``topic/partition@offset``, → corrected value. Such an
                event does take the place of one that is here already.

        Raises:
            UsageError: A letter is of another topic, or a value of none of them.
        """
        return growing.with_letters(self, letters, values or {})

    def with_values(
        self, values: Sequence[bytes | None], keys: Sequence[bytes | None] = ()
    ) -> Sample:
        """Return the sample with events that were made by hand.

        They are in partition -1, which no broker has, at offsets that count on from
        0, and have the time of the sample's latest event.

        Args:
            values: Their values.
            keys: Their keys; none if left out.

        Raises:
            UsageError: There are not as many keys as values.
        """
        return growing.with_values(self, values, keys)

    def with_schema(self, schema: Schema) -> Sample:
        """Return the sample read anew with another schema, from its bytes.

        What did not decode may do so now, and the other way round. What is masked
        stays masked; fields that the mask has dropped from the bytes are null. Where
        the new schema lacks a personal field, the sample is masked first.
        """
        return growing.with_schema(self, schema)

    def save(self, path: Path | str) -> Path:
        """Write the sample to one Parquet file that :meth:`load` reads back equal.

        The same sample is written as the same bytes.

        Returns:
            The path. The file appears whole or not at all.

        Raises:
            UsageError: It holds personal data that is not masked, or the file cannot
                be written.
        """
        return storing.save(self, Path(path))

    @classmethod
    def load(cls, path: Path | str) -> Sample:
        """Read a sample that :meth:`save` wrote.

        Raises:
            UsageError: The file is not there, or is not a sample.
        """
        return storing.load(cls, Path(path))
