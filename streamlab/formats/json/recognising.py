"""Change rows of ours, told by their metadata: the types of those are known.

In JSON a time is text and a number has no size. A topic that was filled in the flat
shape (see :mod:`streamlab.formats.changes`) has columns whose types need no guessing,
and whatever does something with changes wants them exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import polars as pl

from streamlab.errors import SchemaError
from streamlab.formats.changes import BEFORE, METADATA
from streamlab.formats.json.dtypes import base_of, parts

Merge = Callable[[pl.DataType, pl.DataType, str], pl.DataType]
"""From two types that were seen to the one that both fit, or a SchemaError."""

_SEEN_AS_INT64 = frozenset({pl.UInt32()})


def as_changes(
    seen: Mapping[str, pl.DataType], merge: Merge
) -> Mapping[str, pl.DataType]:
    """Return the types of columns, of change rows those that they have.

    Args:
        seen: What the values look like, by column.
        merge: Which type fits both of two.
    """
    if not all(
        name in seen and _looks_like(dtype, seen[name], merge)
        for name, dtype in METADATA.items()
    ):
        return seen
    known = {**seen, **METADATA}
    own = {n: d for n, d in known.items() if n not in METADATA and n != BEFORE}
    if BEFORE not in seen:
        return known
    old = {place[1:]: dtype for place, dtype in parts(seen[BEFORE])}
    try:
        own = {
            name: merge(dtype, old.get(name, dtype), name)
            for name, dtype in own.items()
        }
    except SchemaError:
        return known  # then they are no rows of one table
    before = {name: own.get(name, dtype) for name, dtype in (old or own).items()}
    return {**known, **own, BEFORE: pl.Struct(before)}


def _looks_like(dtype: pl.DataType, seen: pl.DataType, merge: Merge) -> bool:
    base = pl.Int64() if dtype in _SEEN_AS_INT64 else base_of(dtype)
    try:
        return merge(base, seen, "") == base
    except SchemaError:
        return False
