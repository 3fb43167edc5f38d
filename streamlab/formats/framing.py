"""Values that are something else than the format expects, told by their first bytes.

A topic of Avro events read as JSON would be a thousand times "not JSON at character
0". Who reads that needs to know what the values are, and what reads them.

Sources: the wire format of Confluent's serialisers is in ``wire``, which takes any id
where it is expected; here, where it is not, an id must be a likely one. A value whose
schema is named in a header has no frame, and looks like what it is. The first bytes of
gzip are in RFC 1952 2.3.1, of zlib in RFC 1950 2.2, of Zstandard in RFC 8878 3.1.1, of
LZ4 in its frame format, the marks of UTF-16 in RFC 2781 3.2.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from streamlab.errors import DISTRIBUTION
from streamlab.formats import wire

REGISTRY_CODE = "registry-format"
COMPRESSED_CODE = "compressed"
UTF16_CODE = "not-utf8"

MAX_SCHEMA_ID = 2**24 - 1
"""Registries count up from 1, or from 100,000. A larger number is most likely none:
text behind a zero byte would be one."""

_COMPRESSED = {
    b"\x1f\x8b\x08": "gzip",
    b"\x28\xb5\x2f\xfd": "Zstandard",
    b"\x04\x22\x4d\x18": "LZ4",
    b"\x78\x9c": "zlib",
    b"\x78\xda": "zlib",
}
_TWO_CHARACTERS = 4  # bytes of UTF-16
_TAB = 0x09  # the first character that text has
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


class Framing(NamedTuple):
    """What a value is instead of what was expected.

    Attributes:
        code: See :class:`streamlab.formats.Rejection`.
        what: What the value is, to follow "the value is" or "the values are".
        advice: What can be done about it.
    """

    code: str
    what: str
    advice: str

    @property
    def reason(self) -> str:
        """Return one sentence for a person."""
        return f"the value is {self.what}; {self.advice}"


def recognised(value: bytes) -> Framing | None:
    """Return what a value that is no JSON is, where its first bytes tell."""
    if _looks_utf16(value):
        return Framing(
            UTF16_CODE, "text in UTF-16", "text between systems is UTF-8 (RFC 8259 8.1)"
        )
    identity = _likely_id(value)
    if identity is not None:
        return Framing(
            REGISTRY_CODE,
            f"in the Confluent wire format (schema id {identity}), "
            f"{_payload(value[wire.HEADER_BYTES :])}",
            "format 'avro', 'debezium-avro', 'protobuf' or 'json-schema' reads it "
            f"(pip install '{DISTRIBUTION}[registry]')",
        )
    for start, name in _COMPRESSED.items():
        if value.startswith(start):
            return Framing(
                COMPRESSED_CODE,
                f"compressed by its producer ({name})",
                "format 'bytes' takes it as it is; Kafka's own compression "
                "(compression.type) is undone by itself",
            )
    return None


def common(values: Iterable[bytes | None]) -> tuple[Framing, int] | None:
    """Return what most of the recognised values are, and how many those are."""
    counted: dict[str, tuple[Framing, int]] = {}
    for value in values:
        found = recognised(value) if value else None
        if found:
            first, count = counted.get(found.code, (found, 0))
            counted[found.code] = (first, count + 1)
    return max(counted.values(), key=lambda each: each[1], default=None)


def _likely_id(value: bytes) -> int | None:
    """Return the schema id of a value in the Confluent wire format, else None."""
    if not wire.has_header(value):
        return None
    identity = wire.schema_id(value)
    return identity if 0 < identity <= MAX_SCHEMA_ID else None


def _payload(payload: bytes) -> str:
    if payload.lstrip()[:1] == b"{":
        return "JSON text with a JSON Schema of a schema registry"
    return "Avro or Protobuf with a schema of a schema registry"


def _looks_utf16(value: bytes) -> bool:
    """Say whether it begins with a mark, or with two characters of ASCII."""
    if value.startswith(_UTF16_MARKS):
        return True
    start = value[:_TWO_CHARACTERS]
    return any(
        characters.isascii() and min(characters) >= _TAB and not any(zeros)
        for characters, zeros in ((start[1::2], start[::2]), (start[::2], start[1::2]))
        if len(characters) == len(zeros) > 1
    )
