"""Masking what a tap has read, before it is kept, and samples, before they are written.

Everything that can hold a personal value is masked or left out:

- columns, by their paths;
- original bytes: each value is written anew from its masked columns, so what the
  schema does not name goes;
- keys, unless the key is the text of a column that is no personal one, is therefore to
  be seen anyway, and is not that of a personal one, too;
- headers, and values that did not decode: they cannot be masked, and go.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import polars as pl

from streamlab.contracts import Schema
from streamlab.contracts.mask import Masker
from streamlab.contracts.schema import Path, dotted
from streamlab.taps.codec import Rewriting

if TYPE_CHECKING:
    from streamlab.taps.decoding import Part
    from streamlab.taps.sample import Sample

Held = TypeVar("Held", "Part", "Sample")

_LOGGER = logging.getLogger("streamlab.taps")


@dataclass(frozen=True, slots=True)
class Masking:
    """What a tap masks.

    Attributes:
        personal: Fields to mask besides those that the schema marks as personal.
        unmask: Mask nothing, because the values are to be seen.
    """

    personal: tuple[str, ...] = ()
    unmask: bool = False

    @classmethod
    def of(cls, personal: Iterable[str], unmask: bool) -> Masking:
        """Return what a tap masks; one field may be given as a text."""
        return cls(
            (personal,) if isinstance(personal, str) else tuple(personal), unmask
        )

    def marked(self, schema: Schema) -> Schema:
        """Return the schema with all personal fields marked.

        Raises:
            UnknownName: A field is not there.
        """
        return schema.with_personal(self.personal)

    def paths(self, schema: Schema) -> tuple[Path, ...]:
        """Return what to mask of events that have a marked schema."""
        return () if self.unmask else schema.personal

    def tell(self, topic: str, schema: Schema | None) -> None:
        """Log that personal values are shown, if they are.

        Args:
            topic: The topic.
            schema: Schema of the events; None if it is not known yet.
        """
        fields = map(dotted, schema.personal) if schema else self.personal
        listed = ", ".join(fields)
        if self.unmask and listed:
            _LOGGER.warning("%s is tapped without a mask: %s", topic, listed)


def masked(
    held: Held,
    schema: Schema,
    writing: Rewriting,
    masker: Masker,
    done: Collection[Path] = (),
) -> Held:
    """Return what is held with everything that the schema marks as personal masked.

    Args:
        held: Part of a tap, or a sample.
        schema: Schema of the events, with personal fields.
        writing: Writes the masked values.
        masker: Has the key.
        done: What is masked already.
    """
    fresh: tuple[Path, ...] = tuple(
        path for path in schema.personal if path not in done
    )
    if not fresh:
        return held
    before, now = tuple(done), (*done, *fresh)
    hidden = _shows(held.frame, schema, before) & ~_shows(held.frame, schema, now)
    keys = held.frame.select(pl.when(hidden).then("_key").alias("_key"))["_key"]
    frame = masker.frame(held.frame, fresh).with_columns(
        masker.binary(keys).zip_with(hidden, held.frame["_key"])
    )
    kept = [row for row, value in enumerate(held.rejected_values) if value is None]
    places = held.rejected_places
    if not done:
        places = places.with_columns(masker.binary(places["_key"]))
    if not places.is_empty():
        places = places[kept]
    written = writing.encode(frame.select(schema.dtypes.names()))
    return replace(
        held,
        frame=frame,
        values=pl.Series("value", written, dtype=pl.Binary),
        rejected=tuple(held.rejected[row] for row in kept),
        rejected_values=(None,) * len(kept),
        rejected_places=places,
        headers={},
        withheld=held.withheld + len(held.rejected) - len(kept),
    )


def _shows(frame: pl.DataFrame, schema: Schema, hidden: Collection[Path]) -> pl.Series:
    """Return for each event whether its key is the text of a column that is not hidden.

    It must not be the text of one that is hidden, too.
    Where nothing is hidden, nothing need be: then it is true of every key.
    """
    if not hidden:
        return pl.repeat(value=True, n=frame.height, eager=True)
    behind = {path[0] for path in hidden}
    same: dict[bool, list[pl.Expr]] = {True: [pl.lit(False)], False: [pl.lit(False)]}
    for field in schema.fields:
        if field.dtype == pl.String or field.dtype.is_integer():
            text = pl.col(field.name).cast(pl.String).cast(pl.Binary)
            same[field.name in behind].append(text.eq_missing(pl.col("_key")))
    # What equals both would tell that the one is the other.
    told = pl.any_horizontal(same[False]) & ~pl.any_horizontal(same[True])
    shown = pl.col("_key").is_null() | told
    return frame.select(shown.alias("shown")).to_series()
