"""Which message of a file a value is: a path of indexes before its body.

Their number and each of them are zigzag varints; the usual path, the first message of
the file, is the one byte 0.

Source: https://docs.confluent.io/platform/current/schema-registry/fundamentals/serdes-develop/index.html#wire-format
"""

from __future__ import annotations

from collections.abc import Sequence

from google.protobuf.descriptor import Descriptor

from streamlab.formats.wire import HEADER_BYTES

FIRST = (0,)
DEEPEST = 32
_MOST_BITS = 35


def path_of(value: bytes) -> bytes:
    """Return the bytes of a whole value that are its path; what there is, if broken."""
    if value[HEADER_BYTES : HEADER_BYTES + 1] == b"\0":
        return b"\0"
    found = indexes_of(value[HEADER_BYTES:])
    return value[HEADER_BYTES : HEADER_BYTES + found[1]] if found else b""


def indexes_of(body: bytes) -> tuple[tuple[int, ...], int] | None:
    """Return the path that a body begins with, and its size; None where it is none."""
    count, at = _varint(body, 0)
    if count == 0:
        return FIRST, at
    if not 0 < count <= DEEPEST:
        return None
    found = []
    for _ in range(count):
        index, at = _varint(body, at)
        if index < 0:
            return None
        found.append(index)
    return tuple(found), at


def written(kind: Descriptor) -> bytes:
    """Return the path of a message."""
    path: list[int] = []
    inner: Descriptor | None = kind
    while inner is not None:
        outer = inner.containing_type
        beside: Sequence[Descriptor] = (
            list(inner.file.message_types_by_name.values())
            if outer is None
            else outer.nested_types
        )
        path.insert(0, [each.name for each in beside].index(inner.name))
        inner = outer
    if tuple(path) == FIRST:
        return b"\0"
    return b"".join(map(_encoded, (len(path), *path)))


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Return a zigzag number and where it ends; a negative one where there is none."""
    value = shift = 0
    while at < len(data) and shift < _MOST_BITS:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:  # noqa: PLR2004 -- seven bits a byte
            return (value >> 1) ^ -(value & 1), at
    return -1, at


def _encoded(number: int) -> bytes:
    left, made = number << 1, bytearray()
    while left > 0x7F:  # noqa: PLR2004 -- seven bits a byte
        made.append((left & 0x7F) | 0x80)
        left >>= 7
    made.append(left)
    return bytes(made)
