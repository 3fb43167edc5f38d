"""The output of a snapshot's COPY to columns of text.

CSV, because polars parses it fastest and it tells NULL from an empty text: a bare
empty field is NULL, a quoted one is a text. Values that contain a line end are quoted,
so a chunk may be cut at the borders of COPY's messages only, which are rows.

Source: https://www.postgresql.org/docs/current/sql-copy.html#SQL-COPY-FILE-FORMATS
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import polars as pl

from streamlab.connectors.postgres.changes.relation import Relation

OPTIONS = "FORMAT csv, ENCODING 'UTF8'"
"""``COPY (SELECT …) TO STDOUT (…)`` with these options is what :func:`read` reads.

The columns must be selected in the relation's order.
"""


def read(chunks: Iterable[bytes | memoryview], names: Sequence[str]) -> pl.DataFrame:
    """Return rows of a COPY as String columns; null is SQL's NULL.

    Args:
        chunks: Data messages of the COPY, whole ones: each is one row, or several.
        names: The columns that were selected, in that order; at least one.

    Raises:
        ValueError: There are no columns.
    """
    if not names:
        raise ValueError("a COPY without columns has no text to read")
    data = b"".join(chunks)
    schema = dict.fromkeys(names, pl.String())
    if not data:
        return pl.DataFrame(schema=schema)
    return pl.read_csv(data, has_header=False, schema=schema)


def read_relation(
    chunks: Iterable[bytes | memoryview], relation: Relation
) -> pl.DataFrame:
    """Return rows of a COPY of all columns of a relation."""
    return read(chunks, relation.names)
