"""The schema of a stream: ordered fields with polars types, from or to an ODCS file."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

import polars as pl
from polars.datatypes import DataTypeClass

from streamlab.errors import SchemaError, UnknownName

_PATTERN = re.compile(r"\*|\^.*\$", re.DOTALL)

Path: TypeAlias = tuple[str, ...]
"""A way into a column by the names of objects' fields; lists are passed through."""


@dataclass(frozen=True, slots=True)
class Field:
    """One column of a stream.

    Attributes:
        name: Its name, as in the messages.
        dtype: Its polars type; nested objects are structs, arrays are lists.
        required: Whether an event without it is refused.
        personal: Whether it holds personal data, with everything inside of it.
        personal_parts: What inside of it holds personal data, where not all does:
            ``(("street",),)`` of a struct, or of a list of structs.
    """

    name: str
    dtype: pl.DataType
    required: bool = False
    personal: bool = False
    personal_parts: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        """Take ``pl.Int64`` for ``pl.Int64()``, at every depth, as polars does."""
        object.__setattr__(self, "dtype", instantiated(self.dtype))
        parts = () if self.personal else _outermost(self.personal_parts)
        object.__setattr__(self, "personal_parts", parts)

    def __str__(self) -> str:
        """Return ``name: dtype``, and ``required`` and ``personal`` where it is."""
        return ", ".join([f"{self.name}: {self.dtype}", *self.marks])

    @property
    def marks(self) -> list[str]:
        """Return what is said of it besides its type, for people."""
        inside = ", ".join(map(dotted, self.personal_parts))
        said = {
            "required": self.required,
            "personal": self.personal,
            f"personal: {inside}": inside,
        }
        return [word for word, holds in said.items() if holds]

    def with_personal(self, paths: Iterable[Path]) -> Field:
        """Return the field with more of it marked as personal; ``()`` is all of it."""
        parts = (*self.personal_parts, *paths)
        return replace(
            self, personal=self.personal or () in parts, personal_parts=parts
        )


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
            "  ".join([f"  {field.name:<{width}}", str(field.dtype), *field.marks])
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

    @property
    def personal(self) -> tuple[Path, ...]:
        """Return the ways to all personal data, each beginning with a column."""
        return tuple(
            (field.name, *part)
            for field in self.fields
            for part in ([()] if field.personal else field.personal_parts)
        )

    def with_personal(self, names: Iterable[str]) -> Schema:
        """Return the schema with more fields marked as personal.

        Args:
            names: Columns, and what is inside of them behind a point:
                ``address.street``, also where ``address`` is a list.

        Raises:
            UnknownName: There is no such field.
        """
        known: dict[str, list[Path]] = {}
        for field in self.fields:
            for path in _paths(field.dtype):
                known.setdefault(dotted((field.name, *path)), []).append(
                    (field.name, *path)
                )
        marked: dict[str, list[Path]] = {}
        for name in names:
            if name not in known:
                raise UnknownName("field", name, known)
            for column, *inside in known[name]:
                marked.setdefault(column, []).append(tuple(inside))
        fields = (
            field.with_personal(marked.get(field.name, ())) for field in self.fields
        )
        return Schema(tuple(fields), self.name)

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


def dotted(path: Path) -> str:
    """Return a path as people write it: ``address.street``."""
    return ".".join(path)


def _paths(dtype: pl.DataType) -> list[Path]:
    """Return the ways to a type itself and to all fields inside of it."""
    if isinstance(dtype, pl.List | pl.Array):
        return _paths(instantiated(dtype.inner))
    if not isinstance(dtype, pl.Struct):
        return [()]
    return [
        (),
        *(
            (part.name, *path)
            for part in dtype.fields
            for path in _paths(instantiated(part.dtype))
        ),
    ]


def _outermost(paths: Iterable[Path]) -> tuple[Path, ...]:
    """Return the paths without those that lead into another one, sorted."""
    kept: list[Path] = []
    for path in sorted(set(paths)):
        if not any(path[: len(outer)] == outer for outer in kept):
            kept.append(path)
    return tuple(kept)
