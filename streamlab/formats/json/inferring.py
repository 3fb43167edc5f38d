"""A schema from a sample of values, worked out once and then fixed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import polars as pl

from streamlab.contracts import Field, Schema
from streamlab.errors import SchemaError, ValuesDisagree
from streamlab.formats import framing
from streamlab.formats.json.dtypes import parts
from streamlab.formats.json.judging import NotJson, parse, without_mark
from streamlab.formats.json.recognising import as_changes

NOTHING: pl.DataType = pl.Null()
"""The type of a column of which no value has been seen yet."""

INTEGERS = (pl.Int64(), pl.Int128())
INT64 = range(-(2**63), 2**63)

ODD_PART = 0.01
"""So many of the values may be of another type than the rest, and are left out."""


def infer(values: Sequence[bytes | None]) -> Schema:
    """Return the schema that all values of a sample fit, with all fields optional.

    Integers are Int64, or Int128 where one does not fit; with fractions among them
    Float64. Texts stay String, also where they look like times. A column of which no
    value was seen is String. Metadata of change rows have their types: see
    :mod:`streamlab.formats.json.recognising`. Values that are no JSON object are left
    out, and so are the odd ones, at most ``ODD_PART`` of all, that do not agree with
    the others on a type: they would be dead letters.

    Raises:
        SchemaError: There is no JSON object.
        ValuesDisagree: More of them do not agree on a type.
    """
    objects = {
        index: found
        for index, found in enumerate(map(_object, values))
        if found is not None
    }
    if not objects:
        raise _no_objects(values)
    try:
        seen = _all_fields(objects)
    except RecursionError:
        raise SchemaError(
            "no schema can be inferred: the values are nested too deeply",
            hint="give a schema of the fields that are needed",
        ) from None
    if not seen:
        raise SchemaError(
            "no schema can be inferred: the JSON objects have no fields",
            hint="give a schema",
        )
    columns = as_changes(seen, _merged).items()
    return Schema(tuple(Field(name, _settled(dtype)) for name, dtype in columns))


def _no_objects(values: Sequence[bytes | None]) -> SchemaError:
    """Return the error of values without an object: what they are, if that shows."""
    found = framing.common(values)
    if found is None:
        return SchemaError(
            f"no schema can be inferred: none of {len(values)} values is a JSON object",
            hint="give a schema, or use format 'string' or 'bytes'",
        )
    what, count = found
    which = "all" if count == len(values) else f"{count} of"
    return SchemaError(
        f"no schema can be inferred: {which} {len(values)} values are {what.what}",
        hint=what.advice,
    )


def _object(value: bytes | None) -> dict[str, Any] | None:
    if value is None:
        return None
    try:
        found = parse(without_mark(value))
    except NotJson:
        return None
    return found if isinstance(found, dict) else None


def _all_fields(objects: Mapping[int, dict[str, Any]]) -> dict[str, pl.DataType]:
    """Return the type of each field of the objects of a sample.

    Raises:
        ValuesDisagree: Too many objects do not agree with the others.
    """
    most = int(len(objects) * ODD_PART)
    try:
        return _fields_of_most(objects, most)
    except ValuesDisagree:
        if not most:
            raise
        # The first one may be the odd one: then it comes last.
        backwards = {index: objects[index] for index in reversed(list(objects))}
        with contextlib.suppress(ValuesDisagree):
            return _fields_of_most(backwards, most)
        raise


def _fields_of_most(
    objects: Mapping[int, dict[str, Any]], most: int
) -> dict[str, pl.DataType]:
    """Return the type of each field, less objects that disagree with earlier ones.

    Args:
        objects: Place → object.
        most: So many may disagree.

    Raises:
        ValuesDisagree: More do; names the first.
    """
    seen: dict[str, pl.DataType] = {}
    odd: list[ValuesDisagree] = []
    for index, found in objects.items():
        with_it = dict(seen)
        try:
            _add_fields(with_it, found.items(), "")
        except SchemaError as error:
            odd.append(ValuesDisagree(error.message, index, hint=error.hint))
            if len(odd) > most:
                raise odd[0] from error
        else:
            seen = with_it
    return seen


def _fields(pairs: Iterable[tuple[str, Any]], path: str) -> dict[str, pl.DataType]:
    """Return the type of each key, in the order in which they were first seen."""
    seen: dict[str, pl.DataType] = {}
    _add_fields(seen, pairs, path)
    return seen


def _add_fields(
    seen: dict[str, pl.DataType], pairs: Iterable[tuple[str, Any]], path: str
) -> None:
    for key, value in pairs:
        place = f"{path}.{key}" if path else key
        seen[key] = _merged(seen.get(key, NOTHING), _type(value, place), place)


def _type(value: Any, path: str) -> pl.DataType:
    if isinstance(value, dict):
        return pl.Struct(_fields(value.items(), path))
    if isinstance(value, list):
        inner = NOTHING
        for each in value:
            inner = _merged(inner, _type(each, f"{path}[]"), f"{path}[]")
        return pl.List(inner)
    if isinstance(value, int) and not isinstance(value, bool):
        return pl.Int64() if value in INT64 else pl.Int128()
    leaves = {bool: pl.Boolean(), float: pl.Float64(), str: pl.String()}
    return leaves.get(type(value), NOTHING)


def _merged(one: pl.DataType, other: pl.DataType, path: str) -> pl.DataType:
    """Return the type that values of both types fit.

    Raises:
        SchemaError: There is none.
    """
    if other in (one, NOTHING):
        return one
    if one == NOTHING:
        return other
    if isinstance(one, pl.Struct) and isinstance(other, pl.Struct):
        return _merged_structs(one, other, path)
    if isinstance(one, pl.List) and isinstance(other, pl.List):
        [(_, left)], [(_, right)] = parts(one), parts(other)
        return pl.List(_merged(left, right, f"{path}[]"))
    if one in INTEGERS and other in INTEGERS:
        return pl.Int128()
    if {one, other} <= {*INTEGERS, pl.Float64()}:
        return pl.Float64()
    raise SchemaError(
        f"values do not agree on column {path!r}: it is {one} in one and {other} in "
        "another",
        hint="declare its type in a schema file: read a few events that agree, write "
        'their schema by odcs.save(sample.schema, "schema.yaml"), and give that file; '
        "what is of another type is then set aside and counted",
    )


def _merged_structs(one: pl.Struct, other: pl.Struct, path: str) -> pl.Struct:
    merged = {place[1:]: dtype for place, dtype in parts(one)}
    for place, dtype in parts(other):
        name = place[1:]
        merged[name] = _merged(merged.get(name, NOTHING), dtype, path + place)
    return pl.Struct(merged)


def _settled(dtype: pl.DataType) -> pl.DataType:
    """Return the type with String where nothing was seen."""
    if isinstance(dtype, pl.List):
        [(_, inner)] = parts(dtype)
        return pl.List(_settled(inner))
    if isinstance(dtype, pl.Struct):
        return pl.Struct({place[1:]: _settled(inner) for place, inner in parts(dtype)})
    return pl.String() if dtype == NOTHING else dtype
