"""CSV, one row a value (RFC 4180), without a header line.

The columns of the declared schema are the fields, in order. They are taken as
strictly as by the format ``json``: a text of a date must be what it must be there, a
number is written as JSON writes it. A field without quotes that is the ``null`` text
(nothing, by default) is null; with quotes it is text.

Source: https://www.rfc-editor.org/rfc/rfc4180
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import polars as pl

from streamlab.contracts import Field, Schema
from streamlab.errors import RowsRefused, SchemaError, UsageError
from streamlab.formats import CSV_NULL, CSV_SEPARATOR, Context, Decoded, Rejection
from streamlab.formats.json.dtypes import LEAVES

INTEGER = r"^-?(?:0|[1-9][0-9]*)$"
NUMBER = r"^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?$"

_ROW = "row"
_LINE_END = r"\r?\n$"
_QUOTE = '"'

Fault = tuple[str, str]
"""Code and reason."""


class CsvFormat:
    """CSV rows: a field for each column of the schema, in its order."""

    name = "csv"

    def __init__(self, context: Context) -> None:
        """Take the options ``separator`` and ``null``.

        Raises:
            UnknownName: There is no such option.
            UsageError: The separator is not one character, or the null text would
                need quotes.
        """
        context.check(self.name)
        self._separator = context.options.get(CSV_SEPARATOR, ",")
        self._null = context.options.get(CSV_NULL, "")
        if len(self._separator.encode()) != 1 or self._separator in '"\r\n':
            raise UsageError(
                "the separator of CSV must be one character of ASCII, and no quote",
                hint=f'such as {CSV_SEPARATOR} = ";"',
            )
        special = re.escape(self._separator)
        if re.search(f'[{special}"\r\n]', self._null):
            raise UsageError("the null text of CSV cannot hold a separator or a quote")
        self._special = f'[{special}"\r\n]'
        self._field = re.compile(
            f'(?:"((?:[^"]|"")*)"|([^{special}"\r\n]*))({special}|\\Z)'
        )

    def decode(self, values: Sequence[bytes | None], schema: Schema) -> Decoded:
        """Decode values into a frame that has exactly the schema's columns.

        Raises:
            SchemaError: The schema has a type that a field cannot be.
        """
        _check(schema)
        faults: dict[int, Fault] = {}
        texts = self._texts(values, len(schema.fields), faults)
        frame = texts.select(
            _read(pl.col(_place(at)), field.dtype).alias(field.name)
            for at, field in enumerate(schema.fields)
        )
        found = _misfits(texts, frame, schema)
        if found:
            rows = texts[_ROW]
            gone = pl.Series(list(found), dtype=pl.Int64)
            frame = frame.filter(~pl.int_range(pl.len()).is_in(gone.implode()))
            faults |= {rows[row]: fault for row, fault in found.items()}
        rejected = tuple(Rejection(row, *faults[row]) for row in sorted(faults))
        return Decoded(frame, rejected)

    def encode(self, frame: pl.DataFrame) -> list[bytes]:
        """Encode each row; the result has one item a row, in order.

        Raises:
            RowsRefused: Rows with a float that is not finite, or that would be empty.
            SchemaError: A column's type cannot be a field.
        """
        _check(Schema.of(frame.schema))
        self._refuse(frame)
        fields = [self._quoted(_written(pl.col(c), d)) for c, d in frame.schema.items()]
        row = pl.concat_str(fields, separator=self._separator).cast(pl.Binary)
        return frame.select(row.alias(_ROW)).to_series().to_list()

    def infer(self, values: Sequence[bytes | None]) -> Schema:
        """Return String columns, as many as the first row has fields.

        Raises:
            SchemaError: No value is a row.
        """
        for value in filter(None, values):
            fields = self._fields(_text(value) or _QUOTE)
            if fields:
                numbers = range(1, len(fields) + 1)
                return Schema(tuple(Field(f"column_{n}", pl.String()) for n in numbers))
        raise SchemaError(
            f"no schema can be inferred: none of {len(values)} values is a CSV row",
            hint="give a schema, or use format 'string' or 'bytes'",
        )

    def _texts(
        self, values: Sequence[bytes | None], width: int, faults: dict[int, Fault]
    ) -> pl.DataFrame:
        """Return the fields of the good rows as texts, and the number of each row."""
        lines = _lines(values, faults)
        plain = lines.filter(~pl.col("text").str.contains('["\r\n]'))
        others = lines.filter(pl.col("text").str.contains('["\r\n]'))
        split = plain.select(_ROW, pl.col("text").str.split(self._separator))
        fits = split["text"].list.len() == width
        faults.update(
            (row, _wrong_width(width, count))
            for row, count in split.filter(~fits)
            .select(_ROW, pl.col("text").list.len())
            .iter_rows()
        )
        fields = split.filter(fits).select(
            _ROW,
            *(
                _unless(pl.col("text").list.get(at), self._null).alias(_place(at))
                for at in range(width)
            ),
        )
        if not others.height:
            return fields
        parsed = self._parsed(others, width, faults)
        return pl.concat([fields, parsed]).sort(_ROW)

    def _parsed(
        self, lines: pl.DataFrame, width: int, faults: dict[int, Fault]
    ) -> pl.DataFrame:
        """Return the fields of rows with quotes or line ends, row by row."""
        rows: list[tuple[int | str | None, ...]] = []
        for row, text in lines.iter_rows():
            fields = self._fields(text)
            if fields is None:
                faults[row] = (
                    "not-csv",
                    "the quotes or line ends are not those of CSV",
                )
            elif len(fields) != width:
                faults[row] = _wrong_width(width, len(fields))
            else:
                rows.append((row, *fields))
        schema = {_ROW: pl.Int64, **{_place(at): pl.String for at in range(width)}}
        return pl.DataFrame(rows, schema=schema, orient="row")

    def _fields(self, text: str) -> list[str | None] | None:
        """Return the fields of one row; None where it is none."""
        fields: list[str | None] = []
        at = 0
        while True:
            found = self._field.match(text, at)
            if found is None:
                return None
            quoted, plain, end = found.groups()
            if quoted is not None:
                fields.append(quoted.replace('""', '"'))
            else:
                fields.append(None if plain == self._null else plain)
            at = found.end()
            if not end:
                return fields

    def _quoted(self, text: pl.Expr) -> pl.Expr:
        """Return a field with quotes where it needs them, and nulls as they are."""
        needs = text.str.contains(self._special) | (text == self._null)
        quotes = pl.lit(_QUOTE)
        inside = (
            quotes + text.str.replace_all(_QUOTE, _QUOTE * 2, literal=True) + quotes
        )
        return pl.when(needs).then(inside).otherwise(text).fill_null(self._null)

    def _refuse(self, frame: pl.DataFrame) -> None:
        reasons: dict[int, str] = {}
        for name, dtype in frame.schema.items():
            column = frame[name]
            if dtype.is_float():
                rows = (~column.is_finite()).arg_true()
                reasons |= dict.fromkeys(rows, f"column {name!r} is NaN or infinite")
            if frame.width == 1 and not self._null:
                reason = f"a null {name!r} alone would be an empty value"
                reasons |= dict.fromkeys(column.is_null().arg_true(), reason)
        if reasons:
            raise RowsRefused(dict(sorted(reasons.items())))


def _lines(values: Sequence[bytes | None], faults: dict[int, Fault]) -> pl.DataFrame:
    """Return the texts of the values without the line end, and their row numbers."""
    try:
        texts = pl.Series(values, dtype=pl.Binary).cast(pl.String)
    except pl.exceptions.PolarsError:
        texts = pl.Series([_text(one) for one in values], dtype=pl.String)
    lines = pl.DataFrame({_ROW: pl.int_range(len(values), eager=True), "text": texts})
    lines = lines.with_columns(pl.col("text").str.replace(_LINE_END, ""))
    good = pl.col("text") != ""
    for row in lines.filter(~good.fill_null(value=False))[_ROW]:
        faults[row] = _no_text(values[row])
    return lines.filter(good)


def _text(value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return None


def _no_text(value: bytes | None) -> Fault:
    if value is None:
        return ("tombstone", "the event has no value (a tombstone)")
    if value.strip(b"\r\n"):
        return ("not-utf8", "the value is not UTF-8 text")
    return ("empty-value", "the value is empty")


def _wrong_width(width: int, found: int) -> Fault:
    return ("not-csv", f"the row has {found} fields, the schema has {width}")


def _place(at: int) -> str:
    return f"f{at}"


def _unless(text: pl.Expr, null: str) -> pl.Expr:
    return pl.when(text != null).then(text)


def _check(schema: Schema) -> None:
    if not schema.fields:
        raise SchemaError(
            f"schema {schema.name!r} has no fields", hint="declare at least one field"
        )
    for field in schema.fields:
        if type(field.dtype) not in LEAVES:
            raise SchemaError(
                f"column {field.name!r} is {field.dtype}, which no CSV field can be",
                hint="declare it as String, or make columns of its parts",
            )


def _read(text: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Convert the text of a field; what does not fit becomes null."""
    leaf = LEAVES[type(dtype)]
    if dtype == pl.Boolean():
        return text.replace_strict(
            ["true", "false"], [True, False], default=None, return_dtype=pl.Boolean
        )
    if dtype.is_integer():
        exact = text.str.contains(INTEGER)
        return pl.when(exact).then(text.cast(dtype, strict=False))
    if dtype.is_float():
        number = text.cast(pl.Float64, strict=False).cast(dtype)
        return pl.when(text.str.contains(NUMBER) & number.is_finite()).then(number)
    return text if leaf.convert is None else leaf.convert(text, dtype)


def _form(dtype: pl.DataType) -> str:
    return LEAVES[type(dtype)].form


def _misfits(
    texts: pl.DataFrame, frame: pl.DataFrame, schema: Schema
) -> dict[int, Fault]:
    """Return the faults of rows with a field that does not fit, or that is missing."""
    found: dict[int, Fault] = {}
    for at, field in reversed(list(enumerate(schema.fields))):
        null = frame[field.name].is_null()
        if field.required:
            missing = (null & texts[_place(at)].is_null()).arg_true()
            reason = f"required column {field.name!r} is missing or null"
            found |= dict.fromkeys(missing, ("missing-field", reason))
        lost = (null & texts[_place(at)].is_not_null()).arg_true()
        reason = f"column {field.name!r} is {field.dtype}, the field is not "
        found |= dict.fromkeys(lost, ("type-mismatch", reason + _form(field.dtype)))
    return found


def _written(value: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Return the text of a value, which reads back as the same."""
    if isinstance(dtype, pl.Binary):
        return value.bin.encode("base64")
    if isinstance(dtype, pl.Datetime):
        form = "%Y-%m-%dT%H:%M:%S%.f"
        if dtype.time_zone is None:
            return value.dt.strftime(form)
        return value.dt.convert_time_zone("UTC").dt.strftime(f"{form}Z")
    return value.cast(pl.String)
