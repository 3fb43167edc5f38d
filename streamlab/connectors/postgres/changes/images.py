"""Change messages to their images: the row before and the row after.

Source: https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html
(Insert, Update, Delete, Truncate)
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from operator import itemgetter

import polars as pl

from streamlab.connectors.postgres.changes.tuples import (
    Ends,
    Misshapen,
    Tuples,
    walk,
)

_INSERT, _UPDATE, _DELETE, _TRUNCATE = b"IUDT"
_OPERATION_NUMBERS = bytes.maketrans(b"IUDT", b"\x01\x02\x03\x04")
_NEW, _OLD, _KEY = b"NOK"
_NONE = 0
_ALLOWED = {
    _INSERT: frozenset({_NEW}),
    _UPDATE: frozenset({_NEW, _OLD, _KEY}),
    _DELETE: frozenset({_OLD, _KEY}),
}
_TAG = itemgetter(0)
_KIND_PLACE = 5  # behind the tag and the relation's object id
_KIND = itemgetter(_KIND_PLACE)
_TUPLE_PLACE = 6


@dataclass(frozen=True, slots=True)
class Images:
    """What the messages about one version of a table say.

    Attributes:
        operation: UInt8: the operation's number in
            :data:`~streamlab.formats.changes.OPERATIONS`.
        new: The row after the change.
        old: The row before it.
        is_whole: Boolean: ``old`` has every column, not only the identity's.
    """

    operation: pl.Series
    new: Tuples
    old: Tuples
    is_whole: pl.Series


def images(messages: Sequence[bytes], width: int) -> Images:
    """Return the images of changes.

    Most batches are all inserts, so what is asked of each message is asked of all of
    them at once where that is possible.

    Args:
        messages: Messages of the tags I, U, D and T.
        width: How many columns the relation has.

    Raises:
        Misshapen: A message does not have its form.
    """
    tags = bytes(map(_TAG, messages))
    kinds = _kinds(messages, tags)
    old, old_ends = walk(messages, _old_starts(kinds), width)
    new, new_ends = walk(messages, _new_starts(messages, tags, kinds, old_ends), width)
    _check_ends(messages, old_ends, new_ends)
    return Images(
        pl.Series(tags.translate(_OPERATION_NUMBERS), dtype=pl.UInt8),
        new,
        old,
        pl.Series(kinds, dtype=pl.UInt8) == _OLD,
    )


_OLD_KINDS = frozenset({_OLD, _KEY})


def _kinds(messages: Sequence[bytes], tags: bytes) -> bytes:
    """Return which image comes first in each; 0 for a truncation, which has none."""
    if tags.count(_INSERT) == len(tags):
        with suppress(IndexError):
            kinds = bytes(map(_KIND, messages))
            if kinds.count(_NEW) == len(kinds):
                return kinds
    return bytes(_kind(row, message) for row, message in enumerate(messages))


def _kind(row: int, message: bytes) -> int:
    tag = message[0]
    if tag == _TRUNCATE:
        return _NONE
    kind = message[_KIND_PLACE] if len(message) > _KIND_PLACE else _NONE
    if kind not in _ALLOWED[tag]:
        raise Misshapen(row, "it does not say which image of the row follows")
    return kind


def _old_starts(kinds: bytes) -> Sequence[int | None]:
    """Return where the rows before the changes begin."""
    if kinds.count(_NEW) == len(kinds):
        return [None] * len(kinds)
    return [_TUPLE_PLACE if kind in _OLD_KINDS else None for kind in kinds]


def _new_starts(
    messages: Sequence[bytes], tags: bytes, kinds: bytes, old_ends: Ends
) -> Sequence[int | None]:
    """Return where the rows after the changes begin."""
    if kinds.count(_NEW) == len(kinds):
        return [_TUPLE_PLACE] * len(kinds)
    starts: list[int | None] = [
        _TUPLE_PLACE if kind == _NEW else None for kind in kinds
    ]
    for row, end in enumerate(old_ends):
        if end is not None and tags[row] == _UPDATE:
            if messages[row][end : end + 1] != b"N":
                raise Misshapen(row, "no new row follows the old one")
            starts[row] = end + 1
    return starts


def _check_ends(messages: Sequence[bytes], old_ends: Ends, new_ends: Ends) -> None:
    """Refuse a message that goes on behind its last image."""
    if list(map(len, messages)) == new_ends:
        return
    for row, (message, old, new) in enumerate(
        zip(messages, old_ends, new_ends, strict=True)
    ):
        end = old if new is None else new
        if end is not None and end != len(message):
            raise Misshapen(row, "more follows its last column")
