"""Every type of PostgreSQL with its extreme values, and what is expected of it.

docs/postgres-types.md is made of it. ``values`` are SQL literals; ``misfits`` are those
that the polars type cannot hold. A ``check`` is an SQL expression of the column that
psycopg reads as what the frame must hold; most types need none: psycopg's own value is
compared.

Run as a program, it prints the table: python -m tests.integration.postgres_types
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

TEXT = pl.String()


@dataclass(frozen=True)
class Case:
    """A type, spelled as in CREATE TABLE."""

    type: str
    dtype: pl.DataType
    values: tuple[str, ...]
    misfits: tuple[str, ...] = ()
    note: str = ""
    as_text: bool = False  # compared with the server's text under our settings
    check: str = "c"


def _text(sql_type: str, *values: str, note: str = "") -> Case:
    return Case(sql_type, TEXT, values, note=note, as_text=True)


_DATES = (
    "'2024-02-29'",
    "'0001-01-01'",
    "'9999-12-31'",
    "'1969-12-31'",
    "'2000-01-01'",
)
_FAR_DATES = (
    "'0001-12-31 BC'",
    "'0044-03-15 BC'",
    "'4713-01-01 BC'",
    "'0401-02-28 BC'",
    "'0005-02-29 BC'",
    "'10000-01-01'",
    "'99999-12-31'",
    "'262142-12-31'",
)
_CLOCKS = (
    "'2024-02-29 23:59:59.999999'",
    "'0001-01-01 00:00:00'",
    "'9999-12-31 23:59:59.999999'",
    "'1969-12-31 23:59:59.9'",
    "'1900-01-01 00:00:00.000001'",
)
_FAR_CLOCKS = (
    "'0044-03-15 12:30:00.5 BC'",
    "'4713-11-25 00:00:00 BC'",
    "'10000-01-01 00:00:00'",
    "'262142-12-31 23:59:59.999999'",
)
_NO_INSTANT = (
    "'infinity'",
    "'-infinity'",
    "'270000-01-01'",
)

CASES: tuple[Case, ...] = (
    Case("boolean", pl.Boolean(), ("true", "false")),
    Case("smallint", pl.Int16(), ("-32768", "32767", "0")),
    Case("integer", pl.Int32(), ("-2147483648", "2147483647", "0")),
    Case(
        "bigint",
        pl.Int64(),
        ("-9223372036854775808", "9223372036854775807", "0", "9007199254740993"),
    ),
    Case(
        "real",
        pl.Float32(),
        ("'NaN'", "'Infinity'", "'-Infinity'", "1e-45", "3.4028235e38", "0.1", "-0.0"),
    ),
    Case(
        "double precision",
        pl.Float64(),
        (
            *("'NaN'", "'Infinity'", "'-Infinity'", "5e-324", "1.7976931348623157e308"),
            *("0.1", "'-0'", "1e23", "0.30000000000000004"),
        ),
    ),
    Case(
        "numeric(12,2)",
        pl.Decimal(12, 2),
        ("0", "9999999999.99", "-9999999999.99", "0.01", "-0.01"),
        misfits=("'NaN'",),
        note="up to 38 digits",
    ),
    Case(
        "numeric(38,0)",
        pl.Decimal(38, 0),
        ("99999999999999999999999999999999999999", "-1"),
        misfits=("'NaN'",),
    ),
    Case(
        "numeric(38,38)",
        pl.Decimal(38, 38),
        ("0.99999999999999999999999999999999999999", "-1e-38"),
        misfits=("'NaN'",),
    ),
    Case("numeric(3,-2)", pl.Decimal(5, 0), ("12345", "-100"), misfits=("'NaN'",)),
    Case("numeric(2,4)", pl.Decimal(4, 4), ("0.0012", "-0.0099"), misfits=("'NaN'",)),
    _text(
        "numeric(39,2)",
        "9999999999999999999999999999999999999.99",
        "'NaN'",
        note="more than 38 digits",
    ),
    _text(
        "numeric",
        "0.1",
        "1e-1000",
        "1e1000",
        "'NaN'",
        "'Infinity'",
        "'-Infinity'",
        "1.10",
        note="declared without digits: exact as text, with its trailing zeros",
    ),
    _text(
        "money",
        "1234.56",
        "-0.01",
        "92233720368547758.07",
        note="as the server's lc_monetary writes it",
    ),
    _text(
        "text",
        "''",
        "'a'",
        r"'\x'",
        r"E'tab\tline\nquote\"\\ end'",
        "'żółć 🐘'",
        r"E'\u0001\u007f'",
        "'NULL'",
        r"'\N'",
        "repeat('long ', 1000)",
    ),
    _text("varchar(10)", "''", "'0123456789'"),
    _text("char(5)", "''", "'ab'", "'abcde'", note="padded with spaces, as declared"),
    _text('"char"', "'a'", "''", r"'\377'"),
    _text("name", "'a name'"),
    Case("bytea", pl.Binary(), (r"'\x'", r"'\x00ff10'", r"'\xdeadbeef'")),
    Case(
        "date",
        pl.Date(),
        (*_DATES, *_FAR_DATES),
        misfits=("'infinity'", "'-infinity'", "'262143-01-01'", "'5874897-12-31'"),
    ),
    Case(
        "time",
        pl.Time(),
        ("'00:00:00'", "'23:59:59.999999'", "'12:00:00.5'"),
        misfits=("'24:00:00'",),
    ),
    _text(
        "timetz",
        "'00:00:00+00'",
        "'23:59:59.999999-15:59'",
        "'24:00:00+05:30'",
        note="polars has no time with an offset",
    ),
    Case("timestamp", pl.Datetime("us"), (*_CLOCKS, *_FAR_CLOCKS), misfits=_NO_INSTANT),
    Case(
        "timestamp(0)",
        pl.Datetime("us"),
        ("'2024-02-29 23:59:58'",),
        misfits=_NO_INSTANT,
    ),
    Case(
        "timestamptz",
        pl.Datetime("us", "UTC"),
        (*_CLOCKS, *_FAR_CLOCKS, "'2024-07-01 12:00:00+05:45'"),
        misfits=_NO_INSTANT,
    ),
    _text(
        "interval",
        "'1 year 2 months 3 days 04:05:06.789'",
        "'0'",
        "'-1 day'",
        "'178000000 years'",
        "'-1 month +1 day -00:00:00.000001'",
        "'infinity'",
        note="ISO 8601; months and days have no fixed length, so Duration is not exact",
    ),
    _text("uuid", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"),
    _text("json", """'{"a":  1, "a": 2}'""", "'null'", "'1.10'"),
    _text("jsonb", """'{"b": [1, 2.50, null], "a": "ż"}'""", "'null'", "'\"\"'"),
    _text("jsonpath", "'$.a[*] ? (@ > 1)'"),
    # The local server is built without XML: only NULL can be tried.
    _text("xml"),
    _text("inet", "'192.168.0.1/24'", "'::1'", "'10.0.0.1'"),
    _text("cidr", "'192.168.0.0/24'", "'2001:db8::/32'"),
    _text("macaddr", "'08:00:2b:01:02:03'"),
    _text("macaddr8", "'08:00:2b:01:02:03:04:05'"),
    _text("bit(3)", "B'101'"),
    _text("bit varying", "B''", "B'00000000000000000000000000000000001'"),
    _text("point", "'(1.5,-2)'", "'(NaN,Infinity)'"),
    _text("line", "'{1,2,3}'"),
    _text("lseg", "'[(0,0),(1,1)]'"),
    _text("box", "'(1,1),(0,0)'"),
    _text("path", "'((0,0),(1,1))'", "'[(0,0),(1,1)]'"),
    _text("polygon", "'((0,0),(1,1),(1,0))'"),
    _text("circle", "'<(0,0),1>'"),
    _text("tsvector", "'a:1 fat:2A ''quoted word'':3'"),
    _text("tsquery", "'fat & (rat | !cat)'"),
    _text("int4range", "'[1,10)'", "'empty'", "'(,)'"),
    _text("int8range", "'[1,9223372036854775807)'"),
    _text("numrange", "'(1.10,2.20]'"),
    _text("tsrange", "'[2024-01-01,infinity)'"),
    _text("tstzrange", "'[2024-01-01 00:00:00+02,)'"),
    _text("daterange", "'[2024-01-01,2024-02-01)'"),
    _text("int4multirange", "'{[1,2),[5,7)}'", "'{}'"),
    _text("nummultirange", "'{(1.5,2.5)}'"),
    _text("tstzmultirange", "'{[2024-01-01,2024-01-02)}'"),
    Case("oid", pl.UInt32(), ("0", "4294967295")),
    Case("xid", pl.UInt32(), ("'4294967295'",), check="c::text::numeric"),
    Case("cid", pl.UInt32(), ("'4294967295'",), check="c::text::numeric"),
    Case("xid8", pl.UInt64(), ("'18446744073709551615'",), check="c::text::numeric"),
    _text("tid", "'(4294967295,65535)'"),
    _text("regclass", "'pg_class'"),
    _text("regtype", "'integer'"),
    _text("pg_lsn", "'16/B374D848'", "'FFFFFFFF/FFFFFFFF'"),
    _text("pg_snapshot", "'10:20:10,14,15'"),
    _text("int2vector", "'1 2 3'"),
    _text("oidvector", "'1 2 3'"),
    Case(
        "integer[]",
        pl.List(pl.Int32()),
        ("'{}'", "'{1}'", "'{1,NULL,-2147483648}'", "'{NULL}'"),
        misfits=("'{{1,2},{3,4}}'", "'[0:1]={1,2}'"),
        note="and arrays of every type, as lists of it",
    ),
    Case(
        "bigint[]",
        pl.List(pl.Int64()),
        ("'{9223372036854775807}'",),
        misfits=("'{{1}}'",),
    ),
    Case("boolean[]", pl.List(pl.Boolean()), ("'{t,f,NULL}'",)),
    Case("double precision[]", pl.List(pl.Float64()), ("'{NaN,Infinity,1e-300}'",)),
    Case(
        "numeric(6,2)[]",
        pl.List(pl.Decimal(6, 2)),
        ("'{1.10,-9999.99,NULL}'",),
        misfits=("'{NaN,1}'",),
    ),
    Case(
        "text[]",
        pl.List(pl.String()),
        (
            "'{}'",
            "ARRAY['', 'a', NULL, 'NULL', 'null']",
            r"""ARRAY['a,b', 'c"d', 'e\f', '{g}', ' h ', E'i\nj', '\"', 'ż', '\\']""",
        ),
        misfits=("ARRAY[['a'],['b']]",),
    ),
    Case("varchar(5)[]", pl.List(pl.String()), ("ARRAY['abc']",)),
    Case(
        "timestamptz[]",
        pl.List(pl.Datetime("us", "UTC")),
        ("""'{"2024-01-01 00:00:00.5+00",NULL,"1999-12-31 00:00:00+00"}'""",),
        misfits=("'{infinity}'",),
    ),
    Case(
        "date[]",
        pl.List(pl.Date()),
        ("'{2024-01-01,NULL,1999-12-31}'",),
        misfits=("'{infinity,2024-01-01}'",),
    ),
    Case("bytea[]", pl.List(pl.Binary()), (r"""ARRAY['\x00ff'::bytea, '\x', NULL]""",)),
    Case(
        "uuid[]",
        pl.List(pl.String()),
        ("'{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}'",),
        check="c::text[]",
    ),
    _text("box[]", "'{(1,1),(0,0);(3,3),(2,2)}'"),
    _text(
        "{schema}.mood",
        "'sad'",
        "'it''s, fine'",
        note="a label may be added at any time, which would change the type of pl.Enum",
    ),
    Case(
        "{schema}.mood[]",
        pl.List(pl.String()),
        check="c::text[]",
        values=("""'{sad,"it''s, fine",NULL}'""",),
    ),
    Case(
        "{schema}.positive",
        pl.Int32(),
        ("1", "2147483647"),
        note="as the type below it",
    ),
    Case(
        "{schema}.price", pl.Decimal(10, 2), ("1.10", "99999999.99"), misfits=("'NaN'",)
    ),
    Case(
        "{schema}.prices",
        pl.List(pl.Decimal(10, 2)),
        ("'{1.10,2.20}'",),
        check="c::numeric[]",
    ),
    Case(
        "{schema}.price[]",
        pl.List(pl.Decimal(10, 2)),
        ("'{1.10,NULL}'",),
        check="c::numeric[]",
    ),
    _text("{schema}.pair", "'(1,\"a,b\")'", "'(,)'", note=""),
    _text("{schema}.floats", "'[1.5,2.5]'", note=""),
    _text("vector(3)", "'[1,2.5,-3]'"),
)

DEFINITIONS = """
CREATE EXTENSION IF NOT EXISTS vector SCHEMA public;
CREATE SCHEMA {schema};
CREATE TYPE {schema}.mood AS ENUM ('sad', 'it''s, fine');
CREATE DOMAIN {schema}.positive AS integer CHECK (VALUE > 0);
CREATE DOMAIN {schema}.price AS numeric(10,2);
CREATE DOMAIN {schema}.prices AS {schema}.price[];
CREATE TYPE {schema}.pair AS (a integer, b text);
CREATE TYPE {schema}.floats AS RANGE (subtype = float8);
"""


_SHOWN = {
    "{schema}.mood": "an enum",
    "{schema}.positive": "a domain",
    "{schema}.pair": "a composite type",
    "{schema}.floats": "a range of your own",
    "vector(3)": "a type of an extension",
    "numeric(12,2)": "numeric(p,s)",
    "numeric(39,2)": "numeric(p,s)",
    "numeric(3,-2)": "",
    "numeric(2,4)": "",
    "numeric(38,0)": "",
    "numeric(38,38)": "",
    "timestamp(0)": "",
}
_SHOWN_ARRAYS = {"integer[]", "text[]", "box[]"}


def table() -> list[str]:
    """Return the lines of the table of types in docs/postgres-types.md."""
    rows: dict[tuple[str, str, str], list[str]] = {}
    for case in CASES:
        name = _SHOWN.get(case.type, case.type)
        hidden = case.type.endswith("[]") and case.type not in _SHOWN_ARRAYS
        if not name or hidden or (name == case.type and "{" in name):
            continue
        exact = name == "numeric(p,s)" and not case.as_text
        dtype = "Decimal(p, s)" if exact else _short(case.dtype)
        held = ", ".join(f"`{value}`" for value in case.misfits)
        shown = name if " " in name and name.startswith("a") else f"`{name}`"
        rows.setdefault((dtype, held, case.note), []).append(shown)
    return [
        "| PostgreSQL | polars | cannot be held, such as | notes |",
        "|---|---|---|---|",
        *(
            f"| {', '.join(names)} | {dtype} | {held} | {note} |"
            for (dtype, held, note), names in rows.items()
        ),
    ]


def _short(dtype: pl.DataType) -> str:
    if isinstance(dtype, pl.Datetime):
        return (
            f"Datetime({', '.join(filter(None, (dtype.time_unit, dtype.time_zone)))})"
        )
    return str(dtype)


if __name__ == "__main__":
    print("\n".join(table()))
