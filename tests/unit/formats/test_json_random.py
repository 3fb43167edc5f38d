"""Random batches of good and bad values, against the strict reference decoder."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from streamlab.contracts import Field, Schema
from streamlab.formats import named
from streamlab.formats.json import reading
from tests.unit.formats import strict_reference as reference

COLUMNS = {
    "i!": "Int64",
    "s": "String",
    "u": "UInt8",
    "f": "Float64",
    "b": "Boolean",
    "d": "Date",
    "t": "Datetime",
    "raw": "Binary",
    "o": {"s": "String", "n": "Int64", "deep": [{"s": "String", "d": "Date"}]},
    "l": ["String"],
}
TYPES = {
    "Int64": pl.Int64(),
    "String": pl.String(),
    "UInt8": pl.UInt8(),
    "Float64": pl.Float64(),
    "Boolean": pl.Boolean(),
    "Date": pl.Date(),
    "Datetime": pl.Datetime("us", "UTC"),
    "Binary": pl.Binary(),
}


def dtype(kind: Any) -> pl.DataType:
    if isinstance(kind, dict):
        return pl.Struct({name: dtype(inner) for name, inner in kind.items()})
    return pl.List(dtype(kind[0])) if isinstance(kind, list) else TYPES[kind]


SCHEMA = Schema(
    tuple(
        Field(name.rstrip("!"), dtype(kind), required=name.endswith("!"))
        for name, kind in COLUMNS.items()
    )
)

texts = st.one_of(
    st.text(max_size=8),
    st.sampled_from(
        [
            "5",
            "-1.5e3",
            "true",
            "false",
            "null",
            "[1]",
            "{}",
            "",
            "\0",
            "\\",
            '"',
            "\\ud800",
            '{"s": 5}',
            '"s": 5',
            "a\nb",
            "😀",
            "2013-01-01",
            "é",
            "1",
            "[",
            "e}",
        ]
    ),
)
dates = st.one_of(
    st.dates().map(str), st.sampled_from(["2013-02-30", "2013-1-1", "x", "01/02/2013"])
)
times = st.one_of(
    st.datetimes().map(lambda t: f"{t.isoformat()}Z"),
    st.sampled_from(
        ["2013-01-01T10:00:00+02:00", "2013-01-01 10:00:00Z", "2013-01-01T10:00:00"]
    ),
)
numbers = st.one_of(
    st.integers(-3, 300),
    st.integers(-(2**130), 2**130),
    st.floats(allow_nan=False, allow_infinity=False),
)
anything = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, texts, dates),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["s", "n", "d", "deep", "z"]), inner, max_size=3
        ),
    ),
    max_leaves=5,
)
fitting: dict[str, st.SearchStrategy[Any]] = {
    "i": st.integers(-(2**63), 2**63 - 1),
    "s": texts,
    "u": st.integers(0, 255),
    "f": numbers,
    "b": st.booleans(),
    "d": dates,
    "t": times,
    "raw": st.sampled_from(["", "aGk=", "1234", "!"]),
    "o": st.fixed_dictionaries(
        {},
        optional={
            "s": texts,
            "n": st.integers(-5, 5),
            "deep": st.lists(
                st.fixed_dictionaries({}, optional={"s": texts, "d": dates}), max_size=2
            ),
        },
    ),
    "l": st.lists(st.one_of(texts, st.none()), max_size=3),
}
mostly_good = st.fixed_dictionaries(
    {"i": fitting["i"]},
    optional={name: one for name, one in fitting.items() if name != "i"}
    | {"zz": anything},
)
mixed = st.fixed_dictionaries(
    {}, optional={name: st.one_of(one, anything) for name, one in fitting.items()}
)


@st.composite
def written(draw: st.DrawFn, objects: st.SearchStrategy[Any]) -> bytes:
    """One of the ways in which producers write the same JSON."""
    text = json.dumps(
        draw(objects),
        ensure_ascii=draw(st.booleans()),
        separators=draw(st.sampled_from([(",", ":"), (", ", ": "), (" ,", " : ")])),
        indent=draw(st.sampled_from([None, None, None, 1])),
    )
    return text.encode("utf-8", errors="surrogatepass")


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A good value with bytes cut out, put in, or a pair written twice."""
    value = draw(written(mostly_good))
    at = draw(st.integers(0, len(value)))
    put = draw(
        st.sampled_from(
            [
                b"",
                b"\xff",
                b"\n",
                b"{",
                b"}",
                b",",
                b'"',
                b"\\",
                b" ",
                b"NaN",
                b"\xef\xbb\xbf",
                b'"s":5,',
                b'"s":"x",',
                rb'"\u0073":7,',
                rb"\ud800",
                rb"\ud83d\ude00",
                b"\0",
                b"1",
                b"\n{}",
            ]
        )
    )
    return value[:at] + put + value[at + draw(st.integers(0, 2)) :]


values = st.one_of(
    written(mostly_good),
    written(mostly_good),
    written(mixed),
    written(anything),
    damaged(),
    st.sampled_from(
        [None, b"", b" ", b"null", b"\n", b'{"i":1}\n{"i":2}', b'\xef\xbb\xbf{"i":1}']
    ),
)


@pytest.fixture(scope="module", autouse=True)
def small_parts() -> Iterator[None]:
    """Cut small batches too, so that cutting is tried often."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "JUDGED_ROWS", 3)
        patch.setattr(reading, "PARTS", 2)
        yield


def expected(batch: list[bytes | None]) -> tuple[pl.DataFrame, list[tuple[int, str]]]:
    rows, rejected = [], []
    for number, value in enumerate(batch):
        try:
            rows.append(reference.decode(value, COLUMNS))
        except reference.Bad as bad:
            rejected.append((number, str(bad)))
    return pl.DataFrame(rows, schema=SCHEMA.dtypes), rejected


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(values, max_size=14))
def test_random_batch_is_decoded_as_the_reference_does(
    batch: list[bytes | None],
) -> None:
    """The same rows, bit by bit, and the same rejections, whatever stands beside."""
    decoded = named("json").decode(batch, SCHEMA)

    frame, rejected = expected(batch)
    assert [(r.row, r.code) for r in decoded.rejected] == rejected
    assert_frame_equal(decoded.frame, frame)


def test_reference_notices_a_decoder_that_casts() -> None:
    """The comparison is red for what polars does by itself (negative control)."""
    value = b'{"i":1,"s":5.10}'

    by_polars = pl.read_ndjson(value, schema={"s": pl.String})

    assert by_polars["s"].to_list() == ["5.1"]
    assert expected([value])[1] == [(0, "type-mismatch")]
