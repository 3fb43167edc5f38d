"""Messages without a value, as rows of a table's input: they remove their key.

A compacted topic says so of what is gone. The key is all that such a message has; it
is the text of the one key column, as ``KafkaSink`` writes it, or a JSON object of all.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import polars as pl

from streamlab.contracts import Schema
from streamlab.formats import Context, named
from streamlab.operators.operator import REMOVED

_FORMAT = "json"


def removals(
    schema: pl.Schema, keys: Sequence[str], texts: Sequence[bytes | None]
) -> tuple[pl.DataFrame, pl.Series]:
    """Return rows that remove keys, as far as these can be read.

    Args:
        schema: Columns of the table's input.
        keys: Those that are the key.
        texts: Key of each message.

    Returns:
        Rows with the schema's columns and ``REMOVED``, in which the key's columns are
        filled; and of which messages they are, Boolean. A key that is missing, is of
        another form, or does not fit the dtypes of the columns, gives no row.
    """
    wanted = pl.Schema({name: schema[name] for name in keys})
    objects = [_as_object(text, wanted) for text in texts]
    decoded = named(_FORMAT, Context()).decode(objects, Schema.of(wanted))
    is_read = pl.repeat(value=True, n=len(texts), eager=True)
    unread = [one.row for one in decoded.rejected]
    is_read = is_read.scatter(unread, values=False) if unread else is_read
    has_key = decoded.frame.select(
        pl.all_horizontal(pl.all().is_not_null())
    ).to_series()
    is_read = is_read.scatter(is_read.arg_true(), has_key) if len(has_key) else is_read
    rows = decoded.frame.filter(has_key).select(
        *(
            pl.col(name) if name in wanted else pl.lit(None).cast(dtype).alias(name)
            for name, dtype in schema.items()
        ),
        pl.lit(value=True).alias(REMOVED),
    )
    return rows, is_read


def _as_object(text: bytes | None, key: pl.Schema) -> bytes | None:
    """Return a key as a JSON object; one column alone may be its text."""
    if text is None or text.startswith(b"{") or len(key) > 1:
        return text
    ((name, dtype),) = key.items()
    written = text.decode(errors="replace")
    is_bare = dtype.is_numeric() or isinstance(dtype, pl.Boolean)
    value = written if is_bare else json.dumps(written)
    return f"{{{json.dumps(name)}: {value}}}".encode()
