"""Values that are no text are told by what they are."""

from __future__ import annotations

import gzip

import pytest

from streamlab.errors import SchemaError
from streamlab.formats import framing, named
from streamlab.formats.framing import recognised

AVRO = b"\x00\x00\x00\x01\x07\x02\x0cAA0042"


def reason(value: bytes) -> str:
    found = recognised(value)
    return found.reason if found else ""


def test_the_schema_id_is_named() -> None:
    """Four bytes behind a zero, the most significant first."""
    assert "(schema id 263), Avro or Protobuf" in reason(AVRO)


def test_json_text_in_a_frame_is_named() -> None:
    """A frame around JSON text says JSON Schema, not Avro."""
    assert "(schema id 7), JSON text" in reason(b'\x00\x00\x00\x00\x07{"a":1}')


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\x00",
        b"\x00\x00\x00\x00",
        b"\x00\x00\x00\x00\x00x",
        b"\x00\xff\xff\xff\xffx",
        b"\x00not json",
        b"plain text",
        b'{"a":1}',
        b"\x01" + bytes(16),
    ],
)
def test_other_values_are_not_claimed(value: bytes) -> None:
    """Too short, no possible schema id, or text: nothing is said."""
    assert recognised(value) is None


def test_real_gzip_is_named() -> None:
    """What a producer compressed by itself is told apart from Kafka's compression."""
    assert "gzip" in reason(gzip.compress(b'{"a":1}'))


@pytest.mark.parametrize("code", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf16_is_named_with_and_without_a_mark(code: str) -> None:
    """The zero in front of a brace is no frame."""
    assert "UTF-16" in reason('{"a":1}'.encode(code))


def test_no_reason_shows_a_value() -> None:
    """A reason may name the schema id, and nothing behind it."""
    assert "AA0042" not in reason(AVRO)


def test_inferring_says_what_all_values_are() -> None:
    """A topic of Avro is one sentence, not a thousand times bad JSON."""
    with pytest.raises(SchemaError) as caught:
        named("json").infer([AVRO] * 3)
    assert "all 3 values are in the Confluent wire format" in str(caught.value)
    assert "'bytes'" in caught.value.hint


def test_inferring_counts_what_some_values_are() -> None:
    """Of values without an object the most frequent kind is named."""
    with pytest.raises(SchemaError, match="2 of 4 values are in the Confluent"):
        named("json").infer([AVRO, None, AVRO, gzip.compress(b"x")])


def test_one_object_is_enough_to_infer() -> None:
    """Framed values among JSON are dead letters, not an error of the tap."""
    schema = named("json").infer([AVRO, b'{"n":1}'])
    decoded = named("json").decode([AVRO, b'{"n":1}'], schema)
    assert decoded.rejected[0].code == framing.REGISTRY_CODE


def test_text_names_what_it_cannot_read() -> None:
    """The format for text tells the same of values that are not UTF-8."""
    (rejected,) = (
        named("string").decode([AVRO + b"\xff"], named("string").infer([])).rejected
    )
    assert rejected.code == framing.REGISTRY_CODE
