"""Flat messages, all of a batch at once: field after field of every message.

In step n the n-th field of each message is read, of all messages that have the same one
there together. What is not as it usually is (a broken message, a group, a text that is
no UTF-8) is *odd*, and left to Protobuf's own library.

Source: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import polars as pl
from google.protobuf.descriptor import Descriptor, FieldDescriptor

Bytes: TypeAlias = np.ndarray[Any, np.dtype[np.uint8]]
Places: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]
Numbers: TypeAlias = np.ndarray[Any, np.dtype[np.uint64]]
Mask: TypeAlias = np.ndarray[Any, np.dtype[np.bool_]]

MOST_STEPS = 512
"""A message of more fields is odd: each step costs time, whoever needs it."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_VARINT_BYTES = 10
_SHORT_BYTES = 5  # of a tag or a length, which have 32 bits
_MORE = np.uint64(0x80)
_KINDS: Mapping[int, tuple[int, str]] = {
    FieldDescriptor.TYPE_INT32: (_VARINT, "i4"),
    FieldDescriptor.TYPE_ENUM: (_VARINT, "i4"),
    FieldDescriptor.TYPE_INT64: (_VARINT, "i8"),
    FieldDescriptor.TYPE_UINT32: (_VARINT, "u4"),
    FieldDescriptor.TYPE_UINT64: (_VARINT, "u8"),
    FieldDescriptor.TYPE_SINT32: (_VARINT, "u4"),
    FieldDescriptor.TYPE_SINT64: (_VARINT, "u8"),
    FieldDescriptor.TYPE_BOOL: (_VARINT, "u8"),
    FieldDescriptor.TYPE_FIXED32: (_FIXED32, "u4"),
    FieldDescriptor.TYPE_SFIXED32: (_FIXED32, "i4"),
    FieldDescriptor.TYPE_FLOAT: (_FIXED32, "f4"),
    FieldDescriptor.TYPE_FIXED64: (_FIXED64, "u8"),
    FieldDescriptor.TYPE_SFIXED64: (_FIXED64, "i8"),
    FieldDescriptor.TYPE_DOUBLE: (_FIXED64, "f8"),
    FieldDescriptor.TYPE_STRING: (_BYTES, ""),
    FieldDescriptor.TYPE_BYTES: (_BYTES, ""),
}
"""Kind of a field → how it travels, and what its bits are."""

_SIGNED = {FieldDescriptor.TYPE_SINT32: "i4", FieldDescriptor.TYPE_SINT64: "i8"}


@dataclass(frozen=True, slots=True)
class Scanned:
    """A field of all messages.

    Attributes:
        values: Its values; zero or empty where a message has none.
        present: Which messages have one.
    """

    values: pl.Series
    present: pl.Series


def is_flat(kind: Descriptor) -> bool:
    """Return whether messages can be scanned: they have single fields without parts.

    That holds for fields that are not wanted, too: what is broken inside of one of
    them makes a message broken.
    """
    return all(map(_is_plain, kind.fields))


def _is_plain(field: FieldDescriptor) -> bool:
    choice = field.containing_oneof
    return (
        field.type in _KINDS
        and not (field.is_repeated or field.has_default_value)
        # Of a choice the last one counts; a closed enum's unknown numbers do not.
        and (choice is None or len(choice.fields) == 1)
        and (field.enum_type is None or not field.enum_type.is_closed)
    )


def scan(
    bodies: Sequence[bytes], kind: Descriptor, names: Iterable[str]
) -> tuple[Mapping[str, Scanned], Mask]:
    """Return fields of all messages, and which messages are odd.

    Args:
        bodies: The messages.
        kind: What they are; it is flat.
        names: The wanted fields.
    """
    lengths = np.fromiter(map(len, bodies), np.int64, len(bodies))
    whole = b"".join(bodies)
    found = _Scan(whole, lengths, {each.number: each for each in kind.fields})
    found.run()
    wanted = set(names)
    columns = {
        each.name: found.column(each, whole)
        for each in kind.fields
        if each.name in wanted or each.type == FieldDescriptor.TYPE_STRING
    }
    return columns, found.odd


class _Scan:
    """The state of a scan: how far each message is read."""

    def __init__(
        self, whole: bytes, lengths: Places, fields: Mapping[int, FieldDescriptor]
    ) -> None:
        # What is read over the end is zeros: checked afterwards, not before.
        self._data = np.frombuffer(whole + bytes(_VARINT_BYTES), np.uint8)
        self._ends = lengths.cumsum()
        self._at = self._ends - lengths
        self._fields = fields
        count = len(lengths)
        self.odd: Mask = np.zeros(count, np.bool_)
        self._present = {number: np.zeros(count, np.bool_) for number in fields}
        self._bits = {number: np.zeros(count, np.uint64) for number in fields}
        self._starts = {number: np.zeros(count, np.int64) for number in fields}

    def run(self) -> None:
        """Read all fields of all messages."""
        live = np.flatnonzero(self._at < self._ends)
        for _ in range(MOST_STEPS):
            if not len(live):
                return
            tags, self._at[live] = self._varints(live, self._at[live], _SHORT_BYTES)
            same = (tags == tags[0]).all()
            for tag in tags[:1] if same else np.unique(tags):
                self._field(int(tag), live if same else live[tags == tag])
            self.odd[live] |= self._at[live] > self._ends[live]
            live = live[(self._at[live] < self._ends[live]) & ~self.odd[live]]
        self.odd[live] = True

    def _field(self, tag: int, rows: Places) -> None:
        """Read one field, which these messages have next."""
        number, how = tag >> 3, tag & 7
        at = self._at[rows]
        if how in {_VARINT, _BYTES}:
            most = _VARINT_BYTES if how == _VARINT else _SHORT_BYTES
            bits, after = self._varints(rows, at, most)
        elif how in {_FIXED32, _FIXED64}:
            size = 4 if how == _FIXED32 else 8
            self.odd[rows] |= at + size > self._ends[rows]
            places = np.minimum(at, len(self._data) - size)[:, None] + np.arange(size)
            bits = self._data[places].view(f"<u{size}")[:, 0].astype(np.uint64)
            after = at + size
        else:  # a group, or nothing
            self.odd[rows] = True
            return
        if not 0 < number < 1 << 29:
            self.odd[rows] = True
            return
        if how == _BYTES:
            # A length that no message has would be a negative number.
            left = (self._ends[rows] - after).clip(0).astype(np.uint64)
            self.odd[rows] |= bits > left
            start, after = after, after + np.minimum(bits, left).astype(np.int64)
        self._at[rows] = after
        field = self._fields.get(number)
        if field is None or _KINDS[field.type][0] != how:
            return  # as unknown fields are
        self._present[number][rows] = True
        self._bits[number][rows] = bits
        if how == _BYTES:
            self._starts[number][rows] = start

    def _varints(
        self, rows: Places, at: Places, most_bytes: int
    ) -> tuple[Numbers, Places]:
        """Return the numbers at some places of messages, and where they end."""
        byte = self._data[np.minimum(at, len(self._data) - 1)].astype(np.uint64)
        values = byte & (_MORE - np.uint64(1))
        after = at + 1
        more = np.flatnonzero(byte >= _MORE)
        for step in range(1, _VARINT_BYTES):
            if not len(more):
                break
            places = np.minimum(at[more] + step, len(self._data) - 1)
            byte = self._data[places].astype(np.uint64)
            values[more] |= (byte & (_MORE - np.uint64(1))) << np.uint64(7 * step)
            after[more] += 1
            if step == _VARINT_BYTES - 1:  # the last of 64 bits, and no more
                self.odd[rows[more[byte > 1]]] = True
            more = more[byte >= _MORE]
        self.odd[rows] |= (after > self._ends[rows]) | (after > at + most_bytes)
        return values, after

    def column(self, field: FieldDescriptor, whole: bytes) -> Scanned:
        """Return a field of all messages; texts that are none make theirs odd."""
        number = field.number
        present = pl.Series(self._present[number], dtype=pl.Boolean)
        how, bits_of = _KINDS[field.type]
        bits = self._bits[number]
        if how == _BYTES:
            starts = self._starts[number]
            ends = np.where(self.odd, starts, starts + bits.astype(np.int64))
            raw = [
                whole[start:end]
                for start, end in zip(starts.tolist(), ends.tolist(), strict=True)
            ]
            return Scanned(self._text(field, pl.Series(raw, dtype=pl.Binary)), present)
        values: np.ndarray[Any, Any] = bits.astype(f"u{bits_of[1]}").view(bits_of)
        if field.type == FieldDescriptor.TYPE_BOOL:
            values = values != 0
        elif field.type in _SIGNED:
            one = values.dtype.type(1)
            values = ((values >> one) ^ -(values & one)).view(_SIGNED[field.type])
        return Scanned(pl.Series(values), present)

    def _text(self, field: FieldDescriptor, raw: pl.Series) -> pl.Series:
        if field.type == FieldDescriptor.TYPE_BYTES:
            return raw
        try:
            return raw.cast(pl.String)
        except pl.exceptions.PolarsError:
            texts = [_utf8(value) for value in raw]
        self.odd |= np.array([text is None for text in texts])
        return pl.Series(texts, dtype=pl.String)


def _utf8(value: bytes) -> str | None:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None
