"""Gathering: the parts that were read, as one sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from streamlab.contracts import Schema
from streamlab.positions import Span
from streamlab.sources import METADATA_DTYPES
from streamlab.taps.decoding import Decoder, Part
from streamlab.taps.sample import Sample


def sample_of(
    parts: Sequence[Part],
    decoder: Decoder,
    *,
    spans: tuple[Span, ...],
    cut: Mapping[str, object],
) -> Sample:
    """Return parts that were read one after another as a sample.

    Args:
        parts: The parts.
        decoder: What made them; it knows topic, format, schema and masking.
        spans: What was read.
        cut: How it was cut, for people.
    """
    schema = decoder.schema or Schema(())
    empty = pl.DataFrame(schema={**METADATA_DTYPES, **schema.dtypes})
    places = pl.DataFrame(schema=METADATA_DTYPES)
    return Sample(
        name=decoder.topic,
        topic=decoder.topic,
        frame=pl.concat([empty, *(part.frame for part in parts if part.events)]),
        spans=spans,
        schema=schema,
        format=decoder.format.name,
        cut=cut,
        values=pl.concat(
            [pl.Series("value", [], pl.Binary), *(part.values for part in parts)]
        ),
        rejected=tuple(one for part in parts for one in part.rejected),
        rejected_values=tuple(one for part in parts for one in part.rejected_values),
        rejected_places=pl.concat([places, *(part.rejected_places for part in parts)]),
        headers={place: each for part in parts for place, each in part.headers.items()},
        masks=decoder.masking.paths(schema),
        withheld=sum(part.withheld for part in parts),
    )
