"""The schema of a stream: ordered fields with polars types, from or to an ODCS file."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import polars as pl
from polars.datatypes import DataTypeClass

from streamlab.errors import SchemaError

_PATTERN = re.compile(r"\*|\^.*\$", re.DOTALL)


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

    def __post_init__(self) -> None:
        """Take ``pl.Int64`` for ``pl.Int64()``, at every depth, as polars does."""
        object.__setattr__(self, "dtype", instantiated(self.dtype))

    def __str__(self) -> str:
        """Return ``name: dtype``, and ``required`` where it is."""
        return f"{self.name}: {self.dtype}{', required' if self.required else ''}"


@dataclass(frozen=True, slots=True)
class Schema:
    """Ordered fields. A frame fits when it has exactly these columns and types."""

    fields: tuple[Field, ...]
    name: str = "events"

    def __post_init__(self) -> None:
        """Refuse two fields of one name, and names that polars reads as patterns.

        Raises:
            SchemaError: A name is there twice, or ``pl.col`` cannot name it.
        """
        for field in self.fields:
            if _PATTERN.fullmatch(field.name):
                raise SchemaError(
                    f"field {field.name!r} cannot be a column: polars reads its name "
                    "as a pattern of names",
                    hint="leave it out of the schema; then it is not read",
                )
        counted = Counter(field.name for field in self.fields)
        twice = [name for name, times in counted.items() if times > 1]
        if twice:
            raise SchemaError(
                f"schema {self.name!r} has more than one field {twice[0]!r}",
                hint="rename or remove one of them",
            )

    def __str__(self) -> str:
        """Return the name and one line a field, names aligned."""
        width = max((len(field.name) for field in self.fields), default=0)
        lines = [
            f"  {field.name:<{width}}  {field.dtype}"
            + ("  required" if field.required else "")
            for field in self.fields
        ]
        return "\n".join([f"{self.name}: {len(self.fields)} fields", *lines])

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


def instantiated(dtype: pl.DataType | DataTypeClass) -> pl.DataType:
    """Return the type with instances at every depth: polars also accepts classes.

    Raises:
        SchemaError: A class that needs arguments, such as ``pl.List`` alone.
    """
    try:
        whole = dtype() if isinstance(dtype, type) else dtype
    except TypeError as error:
        raise SchemaError(
            f"the type {dtype} is not complete",
            hint="say what it is of, such as pl.List(pl.Int64)",
        ) from error
    if isinstance(whole, pl.List):
        return pl.List(instantiated(whole.inner))
    if isinstance(whole, pl.Struct):
        return pl.Struct({part.name: instantiated(part.dtype) for part in whole.fields})
    return whole
