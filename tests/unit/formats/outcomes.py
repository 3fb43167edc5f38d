"""What becomes of which JSON value: the cases of the table in docs/formats.md."""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass
from typing import Any

import polars as pl

NOTHING = object()


@dataclass(frozen=True)
class Case:
    """One value for a column ``a``, and what becomes of it: a value, or a code."""

    label: str
    value: bytes | None
    dtype: pl.DataType
    reads: Any = NOTHING
    code: str = ""
    required: bool = False

    @property
    def outcome(self) -> str:
        """The outcome as the documentation words it."""
        if self.code:
            return f"dead letter `{self.code}`"
        return "null" if self.reads is None else f"`{self.reads!r}`"


INT, TEXT = pl.Int64(), pl.String()
AVRO = b"\x00\x00\x00\x00\x07\x02\x0cAA0042"
AVRO_10 = b'\x00\x00\x00\x00\n{"a":1}'  # the id is a line end
UTC = pl.Datetime("us", "UTC")

ENVELOPE = [
    Case("tombstone (no value)", None, INT, code="tombstone"),
    Case("empty value", b"", INT, code="empty-value"),
    Case("whitespace only", b" \t\r\n", INT, code="empty-value"),
    Case("`null` at the top", b"null", INT, code="not-an-object"),
    Case("number at the top", b"5", INT, code="not-an-object"),
    Case("array at the top", b'[{"a":1}]', INT, code="not-an-object"),
    Case("byte order mark", b'\xef\xbb\xbf{"a":1}', INT, reads=1),
    Case("Confluent wire format: Avro", AVRO, INT, code="registry-format"),
    Case("the same, schema id 10", AVRO_10, INT, code="registry-format"),
    Case("the same with JSON text", AVRO[:5] + b'{"a":1}', INT, code="registry-format"),
    Case("compressed by gzip", gzip.compress(b'{"a":1}'), INT, code="compressed"),
    Case("compressed by zlib", zlib.compress(b'{"a":1}'), INT, code="compressed"),
    Case("compressed by Zstandard", b"(\xb5/\xfd$", INT, code="compressed"),
    Case("UTF-16", '{"a":1}'.encode("utf-16"), INT, code="not-utf8"),
    Case("UTF-16 without a mark", '{"a":1}'.encode("utf-16-be"), INT, code="not-utf8"),
    Case("pretty-printed", b'{\r\n  "a": 1\r\n}\n', INT, reads=1),
    Case("line end inside of a text", b'{"a":"x\ny"}', TEXT, code="not-json"),
    Case("two objects on a line", b'{"a":1}{"a":2}', INT, code="not-json"),
    Case("two objects on two lines", b'{"a":1}\n{"a":2}', INT, code="not-json"),
    Case("text after the object", b'{"a":1} x', INT, code="not-json"),
    Case("truncated", b'{"a":1', INT, code="not-json"),
    Case("trailing comma", b'{"a":1,}', INT, code="not-json"),
    Case("comment", b'{"a":1} // x', INT, code="not-json"),
    Case("not UTF-8, even in an unread field", b'{"b":"\xff"}', INT, code="not-json"),
    Case("NaN, even in an unread field", b'{"b":NaN,"a":1}', INT, code="not-json"),
    Case("Infinity", b'{"a":-Infinity}', pl.Float64(), code="not-json"),
    Case(
        "half of a surrogate pair, even in an unread field",
        rb'{"b":"\ud800","a":1}',
        INT,
        code="not-json",
    ),
    Case("whole surrogate pair", rb'{"a":"\ud83d\ude00"}', TEXT, reads="😀"),
    Case(
        "escaped backslash before `ud800`", rb'{"a":"\\ud800"}', TEXT, reads=r"\ud800"
    ),
    Case("`\\u0000` in a text", rb'{"a":"\u0000"}', TEXT, reads="\0"),
    Case(
        "nested deeper than 1,024 levels",
        b'{"b":' + b"[" * 1024 + b"]" * 1024 + b"}",
        INT,
        code="not-json",
    ),
    Case(
        "nested 1,024 levels",
        b'{"a":1,"b":' + b"[" * 1023 + b"]" * 1023 + b"}",
        INT,
        reads=1,
    ),
    Case(
        "integer of more than 128 bits, even in an unread field",
        b'{"b":%d,"a":1}' % 2**128,
        INT,
        code="not-json",
    ),
    Case(
        "integer of 5,000 digits", b'{"a":' + b"9" * 5000 + b"}", INT, code="not-json"
    ),
    Case("number beyond a float", b'{"a":1e999}', pl.Float64(), code="not-json"),
    Case("key there twice: the first counts", b'{"a":1,"a":2}', INT, reads=1),
    Case("key with an escape", rb'{"\u0061":1}', INT, reads=1),
    Case("key in another case", b'{"A":1}', INT, reads=None),
    Case("unknown field", b'{"a":1,"z":[{}]}', INT, reads=1),
    Case("optional field missing", b"{}", INT, reads=None),
    Case("optional field null", b'{"a":null}', INT, reads=None),
    Case("required field missing", b"{}", INT, code="missing-field", required=True),
    Case(
        "required field null", b'{"a":null}', INT, code="missing-field", required=True
    ),
]
"""Whatever the type of a column is."""

NUMBERS = [
    Case("integer", b'{"a":1}', INT, reads=1),
    Case(
        "integer beyond the type",
        b'{"a":9223372036854775808}',
        INT,
        code="type-mismatch",
    ),
    Case("integer beyond the type", b'{"a":300}', pl.Int8(), code="type-mismatch"),
    Case("integer beyond the type", b'{"a":-1}', pl.UInt64(), code="type-mismatch"),
    Case("integer of 128 bits", b'{"a":%d}' % 2**100, pl.Int128(), reads=2**100),
    Case("integer of 64 bits", b'{"a":%d}' % (2**64 - 1), pl.UInt64(), reads=2**64 - 1),
    Case("number with a fraction", b'{"a":2.7}', INT, code="type-mismatch"),
    Case("number with a zero fraction", b'{"a":1.0}', INT, code="type-mismatch"),
    Case("number with an exponent", b'{"a":1e2}', INT, code="type-mismatch"),
    Case("text", b'{"a":"5"}', INT, code="type-mismatch"),
    Case("text", b'{"a":"1.5"}', pl.Float64(), code="type-mismatch"),
    Case("boolean", b'{"a":true}', INT, code="type-mismatch"),
    Case("boolean", b'{"a":true}', pl.Float64(), code="type-mismatch"),
    Case("integer", b'{"a":1}', pl.Float64(), reads=1.0),
    Case("number beyond the type", b'{"a":1e39}', pl.Float32(), code="type-mismatch"),
    Case("number", b'{"a":1}', pl.Boolean(), code="type-mismatch"),
    Case("text", b'{"a":"true"}', pl.Boolean(), code="type-mismatch"),
    Case("array", b'{"a":[1]}', INT, code="type-mismatch"),
]
"""Into columns of numbers and booleans."""

TEXTS = [
    Case("number", b'{"a":5.10}', TEXT, code="type-mismatch"),
    Case("boolean", b'{"a":true}', TEXT, code="type-mismatch"),
    Case("object", b'{"a":{"b":1}}', TEXT, code="type-mismatch"),
    Case("array", b'{"a":[1]}', TEXT, code="type-mismatch"),
    Case("text that looks like a number", b'{"a":"5.10"}', TEXT, reads="5.10"),
    Case("text that looks like an object", b'{"a":"{}"}', TEXT, reads="{}"),
    Case("number under an escaped key", rb'{"\u0061":5}', TEXT, code="type-mismatch"),
    Case("date", b'{"a":"2013-01-01"}', pl.Date(), reads="2013-01-01"),
    Case("day first", b'{"a":"01/02/2013"}', pl.Date(), code="type-mismatch"),
    Case(
        "day that is not there", b'{"a":"2013-02-30"}', pl.Date(), code="type-mismatch"
    ),
    Case("number", b'{"a":15706}', pl.Date(), code="type-mismatch"),
    Case("time of day", b'{"a":"10:00:00.5"}', pl.Time(), reads="10:00:00.500000"),
    Case(
        "time with `Z`",
        b'{"a":"2013-01-01T10:00:00Z"}',
        UTC,
        reads="2013-01-01 10:00:00+00:00",
    ),
    Case(
        "time with an offset",
        b'{"a":"2013-01-01T10:00:00+02:00"}',
        UTC,
        reads="2013-01-01 08:00:00+00:00",
    ),
    Case(
        "time without an offset",
        b'{"a":"2013-01-01T10:00:00"}',
        UTC,
        code="type-mismatch",
    ),
    Case(
        "time with `Z`",
        b'{"a":"2013-01-01T10:00:00Z"}',
        pl.Datetime("us"),
        code="type-mismatch",
    ),
    Case(
        "time without an offset",
        b'{"a":"2013-01-01T10:00:00"}',
        pl.Datetime("us"),
        reads="2013-01-01 10:00:00",
    ),
    Case(
        "digits beyond the unit",
        b'{"a":"2013-01-01T10:00:00.1234Z"}',
        pl.Datetime("ms", "UTC"),
        code="type-mismatch",
    ),
    Case(
        "year beyond the unit",
        b'{"a":"9999-01-01T10:00:00Z"}',
        pl.Datetime("ns", "UTC"),
        code="type-mismatch",
    ),
    Case("milliseconds since 1970", b'{"a":1357034400000}', UTC, code="type-mismatch"),
    Case("digits as text", b'{"a":"1.50"}', pl.Decimal(5, 2), reads="1.50"),
    Case(
        "number, which a float would hold",
        b'{"a":1.5}',
        pl.Decimal(5, 2),
        code="type-mismatch",
    ),
    Case(
        "digits beyond the scale",
        b'{"a":"1.555"}',
        pl.Decimal(5, 2),
        code="type-mismatch",
    ),
    Case(
        "digits beyond the precision",
        b'{"a":"1000"}',
        pl.Decimal(5, 2),
        code="type-mismatch",
    ),
    Case("base64", b'{"a":"aGk="}', pl.Binary(), reads=b"hi"),
    Case("no base64", b'{"a":"!"}', pl.Binary(), code="type-mismatch"),
    Case("category", b'{"a":"x"}', pl.Enum(["x"]), reads="x"),
    Case("unknown category", b'{"a":"y"}', pl.Enum(["x"]), code="type-mismatch"),
]
"""Into columns that JSON carries as text."""

X = pl.Struct({"x": pl.String(), "n": pl.Int64()})
NESTED = [
    Case(
        "object, fields missing or unknown",
        b'{"a":{"x":"1","z":0}}',
        X,
        reads={"x": "1", "n": None},
    ),
    Case("null object", b'{"a":null}', X, reads=None),
    Case("number in a text field", b'{"a":{"x":1}}', X, code="type-mismatch"),
    Case("text in a number field", b'{"a":{"n":"1"}}', X, code="type-mismatch"),
    Case("array for an object", b'{"a":[]}', X, code="type-mismatch"),
    Case("array", b'{"a":["1",null]}', pl.List(pl.String()), reads=["1", None]),
    Case("empty array", b'{"a":[]}', pl.List(pl.String()), reads=[]),
    Case(
        "number among texts",
        b'{"a":["x",5]}',
        pl.List(pl.String()),
        code="type-mismatch",
    ),
    Case(
        "object for an array", b'{"a":{}}', pl.List(pl.String()), code="type-mismatch"
    ),
    Case(
        "date that is none, inside",
        b'{"a":["x"]}',
        pl.List(pl.Date()),
        code="type-mismatch",
    ),
    Case(
        "number among texts, two arrays deep",
        b'{"a":[["x"],[1]]}',
        pl.List(pl.List(pl.String())),
        code="type-mismatch",
    ),
]
"""Into structs and lists."""

CASES = [*ENVELOPE, *NUMBERS, *TEXTS, *NESTED]
