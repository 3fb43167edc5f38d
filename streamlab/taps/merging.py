"""Merging samples: events by their places, each once, in order of the offsets."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl

from streamlab.errors import UsageError
from streamlab.positions import Span, TopicPartition
from streamlab.taps.codec import all_schemas
from streamlab.taps.origin import Origin, Place

if TYPE_CHECKING:
    from streamlab.taps.sample import Sample

_PLACE = ("_partition", "_offset")


def merged(sample: Sample, added: Sample) -> Sample:
    """Return a sample with events of another one that is masked like it."""
    known, found = _bytes_by_place(sample), _bytes_by_place(added)
    for place in sorted(known.keys() & found.keys()):
        if known[place] != found[place]:
            message = f"there are two events at {Origin(sample.topic, *place)}"
            hint = "the topic was made again, or they were masked with two keys"
            raise UsageError(message, hint=hint)
    sample, added = _placed(sample), without(added, known.keys())
    count = added.frame.height + len(added.rejected)
    if not count:
        return sample
    frame = sample.frame.vstack(added.frame)
    order = frame.select(pl.arg_sort_by(_PLACE)).to_series()
    before = sample.cut.get("added", 0)
    return replace(
        _with_rejected(sample, added, frame),
        frame=frame[order],
        values=pl.concat([sample.values, added.values])[order],
        headers=dict(sorted({**added.headers, **sample.headers}.items())),
        spans=covering(sample, added),
        cut={**sample.cut, "added": count + (before if isinstance(before, int) else 0)},
        withheld=sample.withheld + added.withheld,
        schemas=all_schemas(sample.schemas, added.schemas),
    )


def _with_rejected(sample: Sample, added: Sample, frame: pl.DataFrame) -> Sample:
    """Return the sample with the rejected values of both, in order of the offsets.

    Args:
        sample: The sample.
        added: What is added.
        frame: The events of both, which the numbers of the rejected rows count, too.
    """
    places = sample.rejected_places.vstack(added.rejected_places)
    reasons = (*sample.rejected, *added.rejected)
    values = (*sample.rejected_values, *added.rejected_values)
    of_both = [*frame.select(_PLACE).iter_rows(), *places.select(_PLACE).iter_rows()]
    numbers = {place: row for row, place in enumerate(sorted(of_both))}
    rows = [numbers[place] for place in places.select(_PLACE).iter_rows()]
    order = places.select(pl.arg_sort_by(_PLACE)).to_series().to_list()
    return replace(
        sample,
        rejected=tuple(replace(reasons[at], row=rows[at]) for at in order),
        rejected_values=tuple(values[at] for at in order),
        rejected_places=places[order],
    )


def _placed(sample: Sample) -> Sample:
    """Return the sample without rejected values whose places are not known."""
    lost = len(sample.rejected) - sample.rejected_places.height
    if not lost:
        return sample
    return replace(
        sample, rejected=(), rejected_values=(), withheld=sample.withheld + lost
    )


def without(sample: Sample, places: AbstractSet[Place]) -> Sample:
    """Return the sample without the events at some places; its spans stay."""
    if places.isdisjoint(origin.place for origin in sample.origins):
        return sample
    sample = _placed(sample)
    listed = enumerate(sample.frame.select(_PLACE).iter_rows())
    kept = [row for row, place in listed if place not in places]
    listed = enumerate(sample.rejected_places.select(_PLACE).iter_rows())
    rejected = [row for row, place in listed if place not in places]
    return replace(rows_of(sample, kept, rejected), spans=sample.spans)


def rows_of(sample: Sample, rows: list[int], rejected: list[int]) -> Sample:
    """Return some events of a sample, and some of its rejected values."""
    part = replace(
        sample,
        frame=sample.frame[rows],
        values=sample.values[rows],
        rejected=tuple(sample.rejected[row] for row in rejected),
        rejected_values=tuple(sample.rejected_values[row] for row in rejected),
        rejected_places=sample.rejected_places[rejected],
    )
    places = {origin.place for origin in part.origins}
    headers = {place: each for place, each in part.headers.items() if place in places}
    return replace(part, headers=headers, spans=covering(replace(part, spans=()), part))


def _bytes_by_place(sample: Sample) -> dict[Place, bytes | None]:
    places = [origin.place for origin in sample.origins]
    values = [*sample.values, *sample.rejected_values]
    return dict(zip(places, values, strict=False))  # old samples lack places at the end


def _spans(sample: Sample) -> tuple[Span, ...]:
    """Return the spans of just the events that a sample holds."""
    return tuple(
        Span(TopicPartition(one.topic, one.partition), one.offset, one.offset + 1)
        for one in sorted(sample.origins)
    )


def covering(sample: Sample, added: Sample) -> tuple[Span, ...]:
    """Return the spans of both, those that touch or overlap as one."""
    joined: list[Span] = []
    every = (*sample.spans, *_spans(added))
    for span in sorted(every, key=lambda span: (span.partition, span.start)):
        last = joined[-1] if joined else None
        if last and last.partition == span.partition and span.start <= last.end:  # type: ignore[operator]  # offsets
            end = max(last.end, span.end)
            joined[-1] = replace(last, end=end)
        else:
            joined.append(span)
    return tuple(joined)
