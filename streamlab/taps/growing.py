"""How a sample grows: picked events, dead letters, events that were made by hand."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias

import polars as pl

from streamlab.contracts import Schema
from streamlab.contracts.schema import dotted
from streamlab.errors import UnknownName, UsageError, first_line
from streamlab.formats import Context
from streamlab.positions import TopicPartition
from streamlab.sinks import DeadLetter
from streamlab.sources import Headers
from streamlab.taps import merging
from streamlab.taps.codec import all_schemas, context_of
from streamlab.taps.decoding import Decoder
from streamlab.taps.origin import BY_HAND, Origin

if TYPE_CHECKING:
    from streamlab.taps.sample import Sample

Rows: TypeAlias = pl.Expr | Sequence[int] | None
"""Which rows of a frame: an expression, numbers, or all."""

_PLACE = ("_partition", "_offset")


@dataclass(frozen=True, slots=True)
class GivenEvents:
    """Events that no broker delivers, as :class:`streamlab.taps.decoding.RawEvents`."""

    values: Sequence[bytes | None]
    keys: Sequence[bytes | None]
    partitions: Sequence[int]
    offsets: Sequence[int]
    timestamps_ms: Sequence[int | None]
    headers: Mapping[int, Headers] = field(default_factory=dict)
    positions: Mapping[TopicPartition, int] = field(default_factory=dict)


def only(sample: Sample, rows: Rows, at: Iterable[str | Origin]) -> Sample:
    """Return some events of a sample; see :meth:`streamlab.taps.sample.Sample.only`."""
    wanted = [Origin.parse(one) if isinstance(one, str) else one for one in at]
    unknown = sorted(set(wanted) - set(sample.origins))
    if unknown:
        raise UnknownName("event", str(unknown[0]), map(str, sample.origins))
    places = {one.place for one in wanted}
    chosen = _chosen(sample.frame, rows) if rows is not None else set()
    listed = enumerate(sample.frame.select(_PLACE).iter_rows())
    kept = [row for row, place in listed if row in chosen or place in places]
    listed = enumerate(sample.rejected_places.select(_PLACE).iter_rows())
    rejected = [row for row, place in listed if place in places]
    return merging.rows_of(sample, kept, rejected)


def with_events(
    sample: Sample, other: Sample, rows: Rows, at: Iterable[str | Origin]
) -> Sample:
    """Add events; see :meth:`streamlab.taps.sample.Sample.with_events`."""
    _require_alike(sample, other)
    at = tuple(at)
    picked = other if rows is None and not at else only(other, rows, at)
    sample, picked = _masked_alike(sample, picked)
    return merging.merged(sample, picked)


def with_letters(
    sample: Sample,
    letters: Iterable[DeadLetter],
    values: Mapping[str, bytes],
    profile: str,
) -> Sample:
    """Add dead letters; see :meth:`streamlab.taps.sample.Sample.with_letters`."""
    by_origin = {str(_origin(letter, sample.topic)): letter for letter in letters}
    for name in values:
        if name not in by_origin:
            raise UnknownName("dead letter", name, by_origin)
    found = list(by_origin.values())
    given = GivenEvents(
        values=[values.get(name, one.value) for name, one in by_origin.items()],
        keys=[letter.key for letter in found],
        partitions=[letter.partition for letter in found],
        offsets=[Origin.parse(name).offset for name in by_origin],
        timestamps_ms=[letter.timestamp_ms for letter in found],
        headers={row: one.headers for row, one in enumerate(found) if one.headers},
    )
    context = context_of(sample, given.values, profile)
    sample, added = _masked_alike(sample, _decoded(sample, given, context).masked())
    sample = merging.without(sample, {Origin.parse(name).place for name in values})
    here = {origin.place for origin in sample.origins}
    return merging.merged(sample, merging.without(added, here))


def with_values(
    sample: Sample, values: Sequence[bytes | None], keys: Sequence[bytes | None]
) -> Sample:
    """Add events made by hand; see :meth:`streamlab.taps.sample.Sample.with_values`."""
    if keys and len(keys) != len(values):
        raise UsageError(f"there are {len(values)} values and {len(keys)} keys")
    taken = [one.offset for one in sample.origins if one.partition == BY_HAND]
    first = max(taken, default=-1) + 1
    latest = sample.frame["_timestamp"].dt.epoch("ms").max()
    given = GivenEvents(
        values=values,
        keys=keys or [None] * len(values),
        partitions=[BY_HAND] * len(values),
        offsets=range(first, first + len(values)),
        timestamps_ms=[latest] * len(values),  # type: ignore[list-item]  # of an Int64 column
    )
    made = _decoded(sample, given, context_of(sample, values))
    sample, added = _masked_alike(sample, made.masked())
    return merging.merged(sample, added)


def with_schema(sample: Sample, schema: Schema) -> Sample:
    """Read anew; see :meth:`streamlab.taps.sample.Sample.with_schema`."""
    personal = [dotted(path) for path in sample.schema.personal]
    known = _known(schema, personal)
    if len(known) < len(personal):
        # What another schema knows nothing of must not come through in the bytes.
        sample = sample.masked()
    marked = schema.with_personal(known)
    if marked == sample.schema:
        return sample
    events = sample.frame.select(*_PLACE, "_timestamp", "_key").with_columns(
        _value=sample.values
    )
    if sample.rejected_places.height:
        bytes_of = pl.Series("_value", sample.rejected_values, dtype=pl.Binary)
        places = sample.rejected_places.drop("_topic").with_columns(bytes_of)
        events = events.vstack(places).sort(_PLACE)
    given = GivenEvents(
        values=events["_value"].to_list(),
        keys=events["_key"].to_list(),
        partitions=events["_partition"].to_list(),
        offsets=events["_offset"].to_list(),
        timestamps_ms=events["_timestamp"].dt.epoch("ms").to_list(),
        headers={
            row: sample.headers[place]
            for row, place in enumerate(events.select(_PLACE).iter_rows())
            if place in sample.headers
        },
    )
    anew = _decoded(replace(sample, schema=marked), given)
    done = tuple(path for path in sample.masks if path in marked.personal)
    anew = replace(anew, spans=sample.spans, masks=done, withheld=sample.withheld)
    return anew.masked() if sample.masks else anew


def difference(mine: Schema, other: Schema) -> str:
    """Return the first field in which two schemas differ; marks are not compared."""
    for name in dict.fromkeys([*mine.dtypes.names(), *other.dtypes.names()]):
        a, b = mine.dtypes.get(name), other.dtypes.get(name)
        if a != b:
            return f"column {name!r} is {a or 'missing'} and {b or 'missing'}"
        if (name in mine.required) != (name in other.required):
            return f"column {name!r} is required in one of them only"
    if mine.dtypes.names() != other.dtypes.names():
        return "the columns are in another order"
    return ""


def _require_alike(sample: Sample, other: Sample) -> None:
    for what in ("topic", "format", "format_options"):
        mine, theirs = getattr(sample, what), getattr(other, what)
        if mine != theirs:
            words = what.replace("_", " ")
            message = f"the samples are of {words} {mine!r} and {theirs!r}"
            raise UsageError(message, hint="a sample holds events of one kind")
    differs = difference(sample.schema, other.schema)
    if differs:
        message = f"the samples have different schemas: {differs}"
        hint = "read one anew with the other's: sample.with_schema(other.schema)"
        raise UsageError(message, hint=hint)


def _masked_alike(sample: Sample, other: Sample) -> tuple[Sample, Sample]:
    """Return both with the same marks, and masked where one of them is."""
    marks = (*sample.schema.personal, *other.schema.personal)
    personal = [dotted(path) for path in marks]
    if sample.masks or other.masks:
        return sample.masked(personal), other.masked(personal)
    schema = sample.schema.with_personal(personal)
    return replace(sample, schema=schema), replace(other, schema=schema)


def _chosen(frame: pl.DataFrame, rows: pl.Expr | Sequence[int]) -> set[int]:
    """Return the numbers of the chosen rows."""
    if not isinstance(rows, pl.Expr):
        outside = [row for row in rows if not 0 <= row < frame.height]
        if outside:
            message = f"there is no row {outside[0]}"
            raise UsageError(
                message, hint=f"the frame has rows 0 to {frame.height - 1}"
            )
        return set(rows)
    numbered = frame.with_row_index("_row")
    try:
        return set(numbered.filter(rows)["_row"])
    except pl.exceptions.ColumnNotFoundError as error:
        raise UsageError(f"the choice of events fails: {first_line(error)}") from error
    except pl.exceptions.PolarsError as error:
        # Polars' message can have a value in it, which may be personal.
        kind = type(error).__name__
        raise UsageError(f"the choice of events fails with {kind}") from None


def _decoded(
    sample: Sample, given: GivenEvents, context: Context | None = None
) -> Sample:
    """Return events as a sample like another one, nothing masked.

    Args:
        sample: The other one.
        given: The events.
        context: What the format needs; what the sample has if left out.
    """
    decoder = Decoder(
        sample.topic,
        sample.format,
        schema=sample.schema,
        context=context or context_of(sample),
    )
    part = decoder.part(given)
    made = replace(
        sample,
        frame=part.frame,
        values=part.values,
        rejected=part.rejected,
        rejected_values=part.rejected_values,
        rejected_places=part.rejected_places,
        headers=part.headers,
        masks=(),
        withheld=0,
        schemas=all_schemas(sample.schemas, decoder.schemas),
    )
    return replace(made, spans=merging.covering(replace(made, spans=()), made))


def _origin(letter: DeadLetter, topic: str) -> Origin:
    if letter.topic != topic:
        message = f"a dead letter of topic {letter.topic!r} is none of {topic!r}"
        raise UsageError(message, hint="a sample holds events of one topic")
    if not isinstance(letter.position, int):
        message = f"{letter.position} is not an offset: samples are of Kafka's topics"
        raise UsageError(message)
    return Origin(letter.topic, letter.partition, letter.position)


def _known(schema: Schema, personal: Iterable[str]) -> list[str]:
    """Return those of the fields that a schema has."""
    known = []
    for name in personal:
        with contextlib.suppress(UnknownName):
            schema.with_personal([name])
            known.append(name)
    return known
