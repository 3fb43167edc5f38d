r"""Find the rows in which a text column may hold something that is no text.

Polars' reader puts a number, a boolean, an array or an object into a String column
by writing it out again (``5.10`` becomes ``"5.1"``), and turns half of a surrogate
pair (``\ud800``) into a NUL. Neither may pass. What is looked for here is where that
*could* have happened, cheaply for the usual batch where it did not;
:mod:`streamlab.formats.json.judging` then decides row by row.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from streamlab.contracts import Schema
from streamlab.formats.json.dtypes import leaf_of, parts

# How polars writes out a number, a boolean, an array, an object; how that starts.
WRITTEN_OUT = r"^(?:-?[0-9][-+.eE0-9]*|true|false|\[(?s:.*)\]|\{(?s:.*)\})$"
STARTS = frozenset(b"-0123456789tf[{")

# A key that JSON writes as it is: then its text in a line is known.
PLAIN_KEY = re.compile(r'[^"\\\x00-\x1f/]+')
SPACE = r"[ \t\r\n]*"
ESCAPE_IN_KEY = rf'\\[^"]*"{SPACE}:'

# Up to so many rows, each further call of polars costs more than it can save.
FEW_ROWS = 500

# The first half of a surrogate pair without the second. (Polars refuses a second
# without a first.)
HALF = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])")


@dataclass(frozen=True, slots=True)
class TextColumn:
    """A text that is reached through objects only.

    Attributes:
        expr: The text.
        key: The last key on the way to it.
    """

    expr: pl.Expr
    key: str


@dataclass(frozen=True, slots=True)
class TextColumns:
    """All texts of a schema.

    Attributes:
        plain: Those reached through objects only.
        in_lists: For each column with texts inside of lists, whether a row has one
            that looks written out.
    """

    plain: tuple[TextColumn, ...]
    in_lists: tuple[pl.Expr, ...]

    @classmethod
    def of(cls, schema: Schema) -> TextColumns:
        """Return the texts of a schema."""
        plain: list[TextColumn] = []
        in_lists: list[pl.Expr] = []
        for field in schema.fields:
            found = _texts(pl.col(field.name), field.name, field.dtype)
            for number, (text, listed) in enumerate(found):
                if listed:
                    in_lists.append(text.expr.alias(f"{field.name}/{number}"))
                else:
                    plain.append(text)
        return cls(tuple(plain), tuple(in_lists))

    def suspects(
        self, frame: pl.DataFrame, values: Sequence[bytes | None]
    ) -> list[int]:
        """Return the rows to judge: those where a text may have been none.

        Args:
            frame: What was read, in base types.
            values: The bytes of each row.
        """
        rows: set[int] = set()
        # Of a few rows all texts are looked at: a step less is worth more there.
        few = frame.height <= FEW_ROWS
        looked_at = self.plain if few else self._starting_like_another_kind(frame)
        written_out = frame.select(
            text.expr.str.contains(WRITTEN_OUT).alias(str(number))
            for number, text in enumerate(looked_at)
        )
        for text, looks in zip(looked_at, written_out, strict=True):
            if looks.any():
                rows.update(_untold_by_raw_text(text.key, looks.arg_true(), values))
        if self.in_lists:
            looks = frame.select(pl.any_horizontal(self.in_lists)).to_series()
            rows.update(looks.arg_true())
        return sorted(rows)

    def _starting_like_another_kind(self, frame: pl.DataFrame) -> list[TextColumn]:
        """Return the texts of which at least one does."""
        if not self.plain:
            return []
        # The distinct first bytes are few, and the cheapest thing to ask for.
        firsts = frame.select(
            text.expr.cast(pl.Binary)
            .bin.get(0, null_on_oob=True)
            .unique()
            .implode()
            .alias(str(number))
            for number, text in enumerate(self.plain)
        )
        return [
            text
            for text, first in zip(self.plain, firsts.row(0), strict=True)
            if not STARTS.isdisjoint(first)
        ]


def has_lone_surrogate(lines: bytes) -> bool:
    """Say whether there is half of a surrogate pair, written as an escape."""
    if b"\\" not in lines:
        return False
    return any(_is_escape(lines, match.start()) for match in HALF.finditer(lines))


def _is_escape(lines: bytes, at: int) -> bool:
    """Say whether the backslash there is not itself escaped by one before it."""
    first = at
    while first and lines[first - 1] == ord("\\"):
        first -= 1
    return (at - first) % 2 == 0


def _texts(
    expr: pl.Expr, key: str, dtype: pl.DataType
) -> Iterator[tuple[TextColumn, bool]]:
    """Yield each text of a type, and whether it is inside of a list."""
    if isinstance(dtype, pl.List):
        [(_, inner)] = parts(dtype)
        for text, listed in _texts(pl.element(), "", inner):
            looks = text.expr if listed else text.expr.str.contains(WRITTEN_OUT)
            yield TextColumn(expr.list.eval(looks).list.any(), ""), True
    elif isinstance(dtype, pl.Struct):
        for place, inner in parts(dtype):
            yield from _texts(expr.struct.field(place[1:]), place[1:], inner)
    elif leaf_of(dtype).is_text:
        yield TextColumn(expr, key), False


def _untold_by_raw_text(
    key: str, rows: pl.Series, values: Sequence[bytes | None]
) -> list[int]:
    """Return those of the rows whose bytes do not show that the key's value is text."""
    if not PLAIN_KEY.fullmatch(key):
        return rows.to_list()
    # A quote after each such key, or the n of null, shows that it is text, unless the
    # key is also there with an escape in it.
    pattern = f'"{re.escape(key)}"{SPACE}:{SPACE}[0-9tf{{\\[-]'
    if len(rows) <= FEW_ROWS:
        # One search through all of them, which finds nothing as a rule.
        joined = b"\n".join(values[row] or b"" for row in rows)
        if b"\\" not in joined and not re.search(pattern.encode(), joined):
            return []
    lines = pl.Series([values[row] for row in rows], dtype=pl.Binary).cast(pl.String)
    other = lines.str.contains(pattern)
    if lines.str.contains("\\", literal=True).any():
        other |= lines.str.contains(ESCAPE_IN_KEY)
    return rows.filter(other).to_list()
