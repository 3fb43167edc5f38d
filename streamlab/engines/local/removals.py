"""Messages without a value in the input of a table: rows, and no dead letters."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from streamlab.formats import Decoded
from streamlab.operators.joins.tombstones import removals
from streamlab.operators.operator import REMOVED
from streamlab.sources import RawBatch

_PLACE = "_place"


def with_removals(decoded: Decoded, raw: RawBatch, keys: Sequence[str]) -> Decoded:
    """Return decoded events with a row for each message without a value.

    Args:
        decoded: What a format made of the values of ``raw``.
        raw: The events.
        keys: Columns of the table's key.

    Returns:
        The rows in the order of the events, with ``REMOVED``; a message whose key
        cannot be read is still rejected.
    """
    marked = decoded.frame.with_columns(pl.lit(value=False).alias(REMOVED))
    places = [one.row for one in decoded.rejected if raw.values[one.row] is None]
    if not places:
        return Decoded(marked, decoded.rejected)
    texts = raw.origins.keys()
    rows, is_read = removals(
        decoded.frame.schema, keys, [texts[place] for place in places]
    )
    taken = pl.Series(places, dtype=pl.Int64).filter(is_read)
    kept = pl.Series(decoded.kept(len(raw)), dtype=pl.Int64)
    both = pl.concat([marked, rows])
    order = kept.append(taken).arg_sort()
    gone = set(taken)
    rejected = tuple(one for one in decoded.rejected if one.row not in gone)
    return Decoded(both[order], rejected)
