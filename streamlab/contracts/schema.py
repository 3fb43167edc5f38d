"""The schema of a stream: ordered fields with polars types, from or to an ODCS file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import polars as pl


@dataclass(frozen=True, slots=True)
class Field:
    """One column of a stream.

    Attributes:
        name: Its name, as in the messages.
        dtype: Its polars type; nested objects are structs, arrays are lists.
        required: Whether an event without it is refused.
    """

    name: str
    dtype: pl.DataType
    required: bool = False


@dataclass(frozen=True, slots=True)
class Schema:
    """Ordered fields. A frame fits when it has exactly these columns and types."""

    fields: tuple[Field, ...]
    name: str = "events"

    @classmethod
    def of(
        cls, dtypes: Mapping[str, pl.DataType] | pl.Schema, name: str = "events"
    ) -> Schema:
        """Return a schema of optional fields from a polars schema."""
        return cls(tuple(Field(key, dtype) for key, dtype in dtypes.items()), name)

    @property
    def dtypes(self) -> pl.Schema:
        """Return the columns and their types as polars has them."""
        return pl.Schema({field.name: field.dtype for field in self.fields})

    @property
    def required(self) -> tuple[str, ...]:
        """Return the names of the required fields."""
        return tuple(field.name for field in self.fields if field.required)

    def only(self, names: Iterable[str]) -> Schema:
        """Return the schema with just these fields, in the order they have here."""
        wanted = set(names)
        return Schema(tuple(f for f in self.fields if f.name in wanted), self.name)

    def empty(self) -> pl.DataFrame:
        """Return a frame with these columns and no rows."""
        return pl.DataFrame(schema=self.dtypes)
