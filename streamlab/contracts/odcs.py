"""The schema part of an Open Data Contract Standard file, version 3.

Read are names, types, ``required`` and what is personal; what else a contract says is
accepted unread. The standard has no key for personal data. Here a property holds some
if it has a ``classification`` other than ``public``, or one of the tags in
:data:`PERSONAL_TAGS`; what is inside of it is personal then, too.

Source: https://bitol-io.github.io/open-data-contract-standard/v3.1.0/schema
"""

from __future__ import annotations

import os
import pathlib
import tempfile
from collections.abc import Collection
from typing import Any

import polars as pl
import yaml

from streamlab.contracts.document import Part, read
from streamlab.contracts.physical import (
    LOGICAL,
    NESTED,
    NotAType,
    logical_name,
    physical_name,
    type_named,
)
from streamlab.contracts.schema import Field, Path, Schema, instantiated
from streamlab.errors import SchemaError, UnknownName, near_names

API_VERSION = "v3.1.0"

PUBLIC = "public"
PERSONAL_TAGS = frozenset({"pii", "personal", "personal data", "sensitive"})
"""Tags that mark a property as personal, in any case of letters."""

ELEMENT_KEYS = {
    "authoritativeDefinitions",
    "businessName",
    "customProperties",
    "description",
    "id",
    "logicalType",
    "name",
    "physicalName",
    "physicalType",
    "properties",
    "quality",
    "relationships",
    "tags",
}
OBJECT_KEYS = ELEMENT_KEYS | {"dataGranularityDescription"}
PROPERTY_KEYS = ELEMENT_KEYS | {
    "classification",
    "criticalDataElement",
    "encryptedName",
    "examples",
    "items",
    "logicalTypeOptions",
    "partitionKeyPosition",
    "partitioned",
    "primaryKey",
    "primaryKeyPosition",
    "required",
    "transformDescription",
    "transformLogic",
    "transformSourceObjects",
    "unique",
}


def load(path: str | os.PathLike[str], name: str | None = None) -> Schema:
    """Return a schema from a contract file.

    A field is named as in the messages: by ``physicalName`` where there is one, else
    by ``name``.

    Args:
        path: The file.
        name: Which of its schema objects; not needed where there is one only.

    Raises:
        SchemaError: The file or its schema part is wrong; it says file and line.
        UnknownName: The contract has no such schema object.
    """
    root = read(pathlib.Path(path))
    contract = root.keys()
    _check_version(contract)
    if "schema" not in contract:
        raise root.error(
            "the contract has no schema",
            hint="add 'schema:' with a list of objects, each with name and properties",
        )
    objects = {
        _required(part, OBJECT_KEYS, "name").text(): part
        for part in contract["schema"].items()
    }
    if name is not None and name not in objects:
        raise UnknownName("schema object", name, objects)
    if name is None and len(objects) != 1:
        raise contract["schema"].error(
            f"the contract has {len(objects)} schema objects: {', '.join(objects)}",
            hint="say which one by name",
        )
    chosen = next(iter(objects)) if name is None else name
    return _schema(objects[chosen], chosen)


def save(schema: Schema, path: str | os.PathLike[str]) -> None:
    """Write a contract file that has this schema and nothing else.

    The file is replaced in one step.

    Raises:
        SchemaError: A type has no name in a contract file.
    """
    contract = {
        "apiVersion": API_VERSION,
        "kind": "DataContract",
        "id": schema.name,
        "name": schema.name,
        "version": "1.0.0",
        "status": "draft",
        "schema": [
            {
                "name": schema.name,
                "logicalType": "object",
                "properties": [
                    {
                        "name": field.name,
                        **_type_keys(
                            field.dtype, field.name, schema.personal, (field.name,)
                        ),
                        **({"required": True} if field.required else {}),
                    }
                    for field in schema.fields
                ],
            }
        ],
    }
    target = pathlib.Path(path)
    text = yaml.safe_dump(contract, sort_keys=False, allow_unicode=True)
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", dir=target.parent, prefix=target.name, delete=False
    ) as written:
        written.write(text)
    pathlib.Path(written.name).replace(target)


def _check_version(contract: dict[str, Part]) -> None:
    part = contract.get("apiVersion")
    if part and not part.text().startswith("v3."):
        raise part.error(
            f"this is an ODCS {part.text()} contract", hint=f"use {API_VERSION}"
        )


def _schema(part: Part, name: str) -> Schema:
    fields: dict[str, Field] = {}
    for item in _required(part, OBJECT_KEYS, "properties").items():
        field = _field(item)
        if field.name in fields:
            raise item.error(f"there are two properties {field.name!r}")
        fields[field.name] = field
    if not fields:
        raise part.error(f"schema object {name!r} has no properties")
    return Schema(tuple(fields.values()), name)


def _field(part: Part) -> Field:
    keys = part.keys(PROPERTY_KEYS)
    name = _required(part, PROPERTY_KEYS, "name")
    name = keys.get("physicalName", name)
    required = "required" in keys and keys["required"].flag()
    field = Field(name.text(), _dtype(part), required)
    return field.with_personal(_personal(part))


def _personal(part: Part) -> list[Path]:
    """Return the ways to personal data from a property on; ``()`` is all of it."""
    keys = part.keys(PROPERTY_KEYS)
    if _is_personal(keys):
        return [()]
    if "items" in keys:
        return _personal(keys["items"])
    return [
        (_field(inside).name, *path)
        for inside in (keys["properties"].items() if "properties" in keys else ())
        for path in _personal(inside)
    ]


def _is_personal(keys: dict[str, Part]) -> bool:
    classified = keys["classification"].text() if "classification" in keys else PUBLIC
    tags = [tag.text() for tag in keys["tags"].items()] if "tags" in keys else []
    return classified.strip().lower() != PUBLIC or any(
        tag.strip().lower() in PERSONAL_TAGS for tag in tags
    )


def _dtype(part: Part) -> pl.DataType:
    """Return the type of a property or of the items of an array."""
    keys = part.keys(PROPERTY_KEYS)
    logical = keys["logicalType"].text() if "logicalType" in keys else None
    if logical == "array":
        return pl.List(_inner(_required(part, PROPERTY_KEYS, "items")))
    if logical == "object":
        inside = _required(part, PROPERTY_KEYS, "properties").items()
        return pl.Struct({_field(each).name: _inner(each) for each in inside})
    if logical is not None and logical not in LOGICAL:
        raise keys["logicalType"].error(
            f"unknown logicalType {logical!r}",
            hint=near_names(logical, sorted([*LOGICAL, *NESTED])),
        )
    exact = _exact_type(keys.get("physicalType"))
    if exact is None and logical is None:
        raise part.error(
            f"{part.place} has no type",
            hint=f"add logicalType: one of {', '.join(sorted([*LOGICAL, *NESTED]))}",
        )
    if exact is None:
        return LOGICAL[str(logical)]
    if logical is not None and logical_name(exact) != logical:
        raise keys["physicalType"].error(
            f"physicalType {keys['physicalType'].text()!r} is no {logical}",
            hint=f"use logicalType: {logical_name(exact)}, or another physicalType",
        )
    return exact


def _exact_type(part: Part | None) -> pl.DataType | None:
    if part is None:
        return None
    try:
        return type_named(part.text())
    except NotAType as error:
        raise part.error(str(error)) from error


def _inner(part: Part) -> pl.DataType:
    """Return the type of what is inside of another; it cannot be required."""
    keys = part.keys(PROPERTY_KEYS)
    if "required" in keys and keys["required"].flag():
        raise keys["required"].error(
            f"required is not checked inside of another property ({part.place})",
            hint="remove it here; properties of the schema object can be required",
        )
    return _dtype(part)


def _required(part: Part, known: set[str], key: str) -> Part:
    keys = part.keys(known)
    if key not in keys:
        raise part.error(f"{part.place} has no {key!r}", hint=f"add '{key}:'")
    return keys[key]


def _type_keys(
    dtype: pl.DataType, place: str, personal: Collection[Path], path: Path
) -> dict[str, Any]:
    """Return the keys that say a type, and what of it is personal."""
    marks = {"tags": ["personal"]} if path in personal else {}
    if isinstance(dtype, pl.List):
        # What a list is of has the list's path: it is marked once.
        others = [other for other in personal if other != path]
        items = _type_keys(instantiated(dtype.inner), f"{place}[]", others, path)
        return {"logicalType": "array", "items": items, **marks}
    if isinstance(dtype, pl.Struct):
        properties = [
            {
                "name": part.name,
                **_type_keys(
                    instantiated(part.dtype),
                    f"{place}.{part.name}",
                    personal,
                    (*path, part.name),
                ),
            }
            for part in dtype.fields
        ]
        return {"logicalType": "object", "properties": properties, **marks}
    try:
        physical = physical_name(dtype)
    except NotAType as error:
        raise SchemaError(
            f"column {place!r}: {error}", hint="convert the column to another type"
        ) from error
    return {"logicalType": logical_name(dtype), "physicalType": physical, **marks}
