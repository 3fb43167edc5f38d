"""Every case of the outcome table, alone, among neighbours, and in the docs."""

from __future__ import annotations

import datetime as dt
import decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from streamlab.contracts import Field, Schema
from streamlab.formats import named
from streamlab.formats.json import reading
from tests.unit.formats.outcomes import (
    CASES,
    ENVELOPE,
    NESTED,
    NUMBERS,
    TEXTS,
    Case,
)

DOCS = Path(__file__).parents[3] / "docs" / "formats.md"

TEXT_FORMS = (dt.date, dt.time, decimal.Decimal)

each_case = pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c.label}-{c.dtype}")


def table(cases: list[Case]) -> str:
    """The table of the documentation."""
    rows = [f"| {case.label} | {case.dtype} | {case.outcome} |" for case in cases]
    return "\n".join(
        ["| In the value | Column `a` | Becomes |", "|---|---|---|", *rows]
    )


def schema_of(case: Case) -> Schema:
    return Schema((Field("a", case.dtype, required=case.required),))


def readable(value: Any) -> Any:
    return str(value) if isinstance(value, TEXT_FORMS) else value


@each_case
def test_value_alone_has_the_decided_outcome(case: Case) -> None:
    """A batch of one value gives the row or the rejection of the table."""
    decoded = named("json").decode([case.value], schema_of(case))

    assert decoded.frame.schema == {"a": case.dtype}
    if case.code:
        assert [(r.row, r.code) for r in decoded.rejected] == [(0, case.code)]
        assert decoded.frame.is_empty()
    else:
        assert decoded.rejected == ()
        assert [readable(value) for value in decoded.frame["a"].to_list()] == [
            case.reads
        ]


@each_case
@pytest.mark.parametrize("neighbours", [1, 3 * reading.JUDGED_ROWS])
def test_neighbours_of_a_value_pass_unchanged(case: Case, neighbours: int) -> None:
    """Rows before and after keep their order and values, in small and large batches."""
    schema = Schema((Field("a", case.dtype), Field("n", pl.Int64())))
    around = [b'{"n":%d}' % number for number in range(2 * neighbours)]
    values = [*around[:neighbours], case.value, *around[neighbours:]]

    decoded = named("json").decode(values, schema)

    numbered = decoded.frame.filter(pl.col("n").is_not_null())
    assert numbered["n"].to_list() == list(range(2 * neighbours))
    assert numbered["a"].null_count() == 2 * neighbours
    code = "" if case.required else case.code
    assert [(r.row, r.code) for r in decoded.rejected] == (
        [(neighbours, code)] if code else []
    )


@each_case
def test_reason_names_no_value(case: Case) -> None:
    """A reason names column and types; what is in the value stays out of logs."""
    secret = b"8675309"
    value = (case.value or b"").replace(b"5", secret).replace(b"x", secret)

    decoded = named("json").decode([value], schema_of(case))

    assert all(secret.decode() not in r.reason for r in decoded.rejected)


def test_every_rejection_of_a_column_names_it_and_its_type() -> None:
    """A type mismatch says which column, what it is, and what is there instead."""
    decoded = named("json").decode(
        [b'{"a":{"x":1}}'], Schema.of({"a": pl.Struct({"x": pl.String})})
    )

    [rejection] = decoded.rejected
    assert rejection.reason == "column 'a.x' is String, the value has an integer"


@pytest.mark.parametrize(
    ("title", "cases"),
    [
        ("Any column", ENVELOPE),
        ("Numbers and booleans", NUMBERS),
        ("Columns that travel as text", TEXTS),
        ("Structs and lists", NESTED),
    ],
)
def test_documentation_has_the_outcomes(title: str, cases: list[Case]) -> None:
    """The tables in docs/formats.md are the cases that are tested."""
    section = DOCS.read_text(encoding="utf-8").split(f"### {title}\n")[1]

    assert f"\n{table(cases)}\n\n" in section
