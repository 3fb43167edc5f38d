"""The two sides of a join: their columns at rest, and in a pair.

At rest, and while partners are looked for, a row has its key in columns of one name
and type for both sides (an Int32 meets an Int64), and its other columns under the name
that they get in a pair. So a pair is made by putting two rows side by side.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import polars as pl

from streamlab.errors import UsageError

KEY = "_join_key"
"""Begins the names of the key's columns at rest: ``_join_key0`` …"""

SUFFIX = "_right"
"""Ends the name of a right column whose name is taken."""


@dataclass(frozen=True, eq=False)
class Side:
    """One side of a join.

    Attributes:
        stream: Name of the input.
        keys: Columns at rest of the key → the column that they come from.
        others: Columns at rest beside the key → the column that they come from.
        schema: Columns at rest with their dtypes.
        shown: Columns of a pair, with their dtypes → the column at rest.
    """

    stream: str
    keys: Mapping[str, str]
    others: Mapping[str, str]
    schema: pl.Schema
    shown: Mapping[str, tuple[str, pl.DataType]]

    def rested(self, rows: pl.DataFrame, *more: pl.Expr) -> pl.DataFrame:
        """Return rows as they come in the form in which they rest.

        Args:
            rows: Have the input's columns.
            more: Further columns, as expressions on the rows as they come.
        """
        return rows.select(
            *(
                pl.col(name).cast(self.schema[k]).alias(k)
                for k, name in self.keys.items()
            ),
            *(pl.col(name).alias(at) for at, name in self.others.items()),
            *more,
        )


@dataclass(frozen=True, eq=False)
class Sides:
    """Both sides of a join.

    Attributes:
        left: The left one.
        right: The right one.
        key: Columns of the key at rest, the same on both sides.
    """

    left: Side
    right: Side

    @classmethod
    def of(
        cls,
        streams: tuple[str, str],
        schemas: tuple[pl.Schema, pl.Schema],
        keys: Iterable[tuple[str, str]],
        *,
        right_shown: Iterable[str] | None = None,
    ) -> Sides:
        """Find the names and types of all columns.

        Args:
            streams: Names of the inputs.
            schemas: Their columns.
            keys: Column of the left and of the right input, for each part of the key.
            right_shown: Right columns that are in a pair; all if left out.

        Raises:
            UsageError: A key is missing or its types do not meet, or two columns of a
                pair have one name.
        """
        pairs = tuple(keys)
        key = {
            f"{KEY}{n}": _common(pair, streams, schemas) for n, pair in enumerate(pairs)
        }
        left_keys = dict(zip(key, (one for one, _ in pairs), strict=True))
        right_keys = dict(zip(key, (one for _, one in pairs), strict=True))
        alike = {one for one, other in pairs if one == other}
        chosen = schemas[1] if right_shown is None else list(right_shown)
        left_names = {name: name for name in schemas[0]}
        right_names = {
            name: f"{name}{SUFFIX}" if name in schemas[0] else name
            for name in chosen
            if name not in alike
        }
        _require_distinct(streams, [*left_names.values(), *right_names.values()])
        return cls(
            _side(streams[0], schemas[0], key, left_keys, left_names),
            _side(streams[1], schemas[1], key, right_keys, right_names),
        )

    @property
    def key(self) -> list[str]:
        """Return the columns of the key at rest."""
        return list(self.left.keys)

    @property
    def schema(self) -> pl.Schema:
        """Return the columns of a pair."""
        shown = {**self.left.shown, **self.right.shown}
        return pl.Schema({name: dtype for name, (_, dtype) in shown.items()})

    def pairs(self, left: pl.DataFrame, right: pl.DataFrame) -> pl.DataFrame:
        """Return pairs of rows at rest that stand side by side, as shown."""
        return pl.concat(
            [left.select(_shown(self.left)), right.select(_shown(self.right))],
            how="horizontal",
        )

    def only_left(self, left: pl.DataFrame) -> pl.DataFrame:
        """Return left rows at rest as pairs without a right row."""
        return left.select(*_shown(self.left), *_nulls(self.right))

    def left_rows(self, left: pl.DataFrame) -> pl.DataFrame:
        """Return left rows at rest as they came."""
        return left.select(_shown(self.left))

    def beside(
        self, left: pl.DataFrame, right: pl.DataFrame, places: pl.Series, *, how: str
    ) -> pl.DataFrame:
        """Return left rows, each with one right row or none, in their order.

        Args:
            left: Left rows at rest.
            right: Right rows at rest.
            places: For each left row which right one; null: none.
            how: ``inner`` leaves out those that have none, ``left`` fills with nulls.
        """
        if how == "inner":
            is_there = places.is_not_null()
            return self.pairs(left.filter(is_there), right[places.drop_nulls()])
        # At a place that is null is a row of nulls.
        partners = right.select(_shown(self.right)).select(pl.all().gather(places))
        return pl.concat([left.select(_shown(self.left)), partners], how="horizontal")

    def only_right(self, right: pl.DataFrame) -> pl.DataFrame:
        """Return right rows at rest as pairs without a left row.

        A key that has the same name on both sides keeps its value.
        """
        alike = {
            at for at, name in self.left.keys.items() if self.right.keys[at] == name
        }
        return right.select(
            *(
                (pl.col(at) if at in alike else pl.lit(None)).cast(dtype).alias(name)
                for name, (at, dtype) in self.left.shown.items()
            ),
            *_shown(self.right),
        )


def known(columns: Iterable[str]) -> pl.Expr:
    """Return an expression for rows in which none of some columns is null."""
    return pl.all_horizontal(pl.col(name).is_not_null() for name in columns)


def _side(
    stream: str,
    schema: pl.Schema,
    key: Mapping[str, pl.DataType],
    keys: Mapping[str, str],
    names: Mapping[str, str],
) -> Side:
    """Return a side.

    Args:
        stream: Name of the input.
        schema: Its columns.
        key: Columns of the key at rest, with their dtypes.
        keys: Column of the key at rest → column of the input.
        names: Column of the input that is shown → its name in a pair.
    """
    at_key = {name: at for at, name in reversed(list(keys.items()))}
    others = {shown: name for name, shown in names.items() if name not in at_key}
    at_rest = {**key, **{at: schema[name] for at, name in others.items()}}
    shown = {
        as_shown: (at_key.get(name, as_shown), schema[name])
        for name, as_shown in names.items()
    }
    return Side(stream, dict(keys), others, pl.Schema(at_rest), shown)


def _shown(side: Side) -> list[pl.Expr]:
    return [
        pl.col(at).cast(dtype).alias(name) if at in side.keys else pl.col(at)
        for name, (at, dtype) in side.shown.items()
    ]


def _nulls(side: Side) -> list[pl.Expr]:
    return [
        pl.lit(None).cast(dtype).alias(name) for name, (_, dtype) in side.shown.items()
    ]


def _common(
    pair: tuple[str, str],
    streams: tuple[str, str],
    schemas: tuple[pl.Schema, pl.Schema],
) -> pl.DataType:
    """Return the type in which the keys of both sides are compared.

    Raises:
        UsageError: A column is not there, or there is no such type.
    """
    for name, stream, schema in zip(pair, streams, schemas, strict=True):
        if name not in schema:
            message = f"{stream} has no column {name!r} to join by"
            raise UsageError(message, hint=f"its columns are {', '.join(schema)}")
        if schema[name].is_nested() or schema[name].is_float():
            message = f"{stream} cannot be joined by {name!r}, a {schema[name]} column"
            raise UsageError(
                message,
                hint="a key is a number without fraction, a text, a time or a truth "
                "value",
            )
    left, right = schemas[0][pair[0]], schemas[1][pair[1]]
    # What is behind a category is another number in another process.
    if left == right and left != pl.Categorical:
        return left
    texts = (pl.String, pl.Categorical, pl.Enum)
    if isinstance(left, texts) and isinstance(right, texts):
        return pl.String()
    if left.is_integer() and right.is_integer():
        wide = {t for t in (left, right) if t in (pl.UInt64, pl.Int128, pl.UInt128)}
        return pl.Int128() if wide else pl.Int64()
    names = " and ".join(dict.fromkeys(pair))
    raise UsageError(
        f"{streams[0]} and {streams[1]} cannot be joined by {names}: "
        f"{left} meets no {right}",
        hint="give both the same type in their schemas",
    )


def _require_distinct(streams: tuple[str, str], names: list[str]) -> None:
    """Refuse a name that two columns of a pair would have."""
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        message = f"a pair of {streams[0]} and {streams[1]} would have two columns "
        raise UsageError(
            f"{message}{twice[0]!r}", hint="rename one of them in its schema"
        )
