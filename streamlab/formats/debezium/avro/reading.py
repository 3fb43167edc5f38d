"""Debezium's Avro envelopes to change rows.

Bodies are read as any Avro is, by :mod:`streamlab.formats.avro.reading`, as what their
bytes are; then each column becomes what JSON would have it as, and what its value
means is decided in the same place for both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from streamlab.contracts import Schema
from streamlab.contracts.schema import instantiated
from streamlab.errors import SchemaError
from streamlab.formats import changes
from streamlab.formats.avro.reading import Reading
from streamlab.formats.avro.schemas import dtype_of
from streamlab.formats.avro.types import AvroType
from streamlab.formats.debezium.avro.schemas import connect_of, says_names
from streamlab.formats.debezium.envelopes import Envelopes
from streamlab.formats.debezium.wire import Wire, wire_of
from streamlab.formats.json.dtypes import converted
from streamlab.formats.registered import Faults, Incompatible

_TEXT = (pl.Categorical, pl.Enum, pl.Datetime, pl.Decimal)
"""What a text can be read as."""


def row_of(envelope: AvroType) -> AvroType:
    """Return the record of the table's rows in the schema of an envelope.

    Raises:
        Incompatible: It is none.
    """
    parts = {field.name: field.type.present for field in envelope.fields}
    for name in ("after", "before"):
        if "op" in parts and name in parts and parts[name].kind == "record":
            return parts[name]
    raise Incompatible(
        "it is no envelope of Debezium: it has not the fields 'op' and 'after'; "
        "format 'avro' reads rows without one"
    )


class EnvelopeReading:
    """Reads envelopes of one schema as change rows.

    Args:
        number: Id of the writer's schema, for reasons.
        envelope: The writer's schema.
        schema: The declared schema, of change rows.
        precise: Whether decimals are bytes where the schema does not say.
        placeholder: What stands for a value that was not sent.

    Raises:
        Incompatible: The one cannot be read as the other.
        SchemaError: The declared schema is not one of change rows.
    """

    def __init__(
        self,
        number: int,
        envelope: AvroType,
        schema: Schema,
        *,
        precise: bool,
        placeholder: str,
    ) -> None:
        own = changes.own_columns(schema.dtypes, "reading Debezium's envelope")
        wires = _wires(own, envelope, precise=precise)
        self._envelopes = Envelopes(schema, own, wires, placeholder)
        self._reading = Reading(number, envelope.plain, self._envelopes.parts())

    def __call__(self, values: Sequence[bytes]) -> tuple[pl.DataFrame, Faults]:
        """Return the frame of the good values, and the faults of the others."""
        frame, faults = self._reading(values)
        changed, unfit = self._envelopes.changes(frame)
        if not unfit:
            return changed, faults
        rows = [row for row in range(len(values)) if row not in faults]
        return changed, {**faults, **{rows[at]: unfit[at] for at in unfit}}


def _wires(own: pl.Schema, envelope: AvroType, *, precise: bool) -> Mapping[str, Wire]:
    """Return how each column travels.

    Raises:
        Incompatible: A column is written as something else than is declared.
    """
    kinds = {field.name: field.type for field in row_of(envelope).fields}
    named = says_names(envelope)
    try:
        return {
            name: _wire(name, dtype, kinds.get(name), named=named, precise=precise)
            for name, dtype in own.items()
        }
    except SchemaError as error:
        hint = f"; {error.hint}" if error.hint else ""
        raise Incompatible(f"{error.message}{hint}") from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise Incompatible("it is not a schema of Kafka Connect's") from error


def _wire(
    name: str, dtype: pl.DataType, kind: AvroType | None, *, named: bool, precise: bool
) -> Wire:
    if kind is None:
        return wire_of(name, dtype, None, precise=precise)
    wire = wire_of(name, dtype, connect_of(kind, named=named), precise=precise)
    found = _found(name, kind, wire.dtype)

    def convert(value: pl.Expr) -> pl.Expr:
        return wire.convert(fitted(value, found, wire.dtype))

    fitted(pl.col(name), found, wire.dtype)
    return Wire(found, convert)


def _found(name: str, kind: AvroType, wanted: pl.DataType) -> pl.DataType:
    """Return what the bytes of a type are read as, of structs the wanted fields.

    Raises:
        SchemaError: It is nothing that a column can hold.
    """
    kind = kind.present
    if isinstance(wanted, pl.List) and kind.kind == "array":
        return pl.List(_found(name, kind.inner[0], instantiated(wanted.inner)))
    if isinstance(wanted, pl.Struct) and kind.kind == "record":
        kinds = {f.name: f.type for f in kind.fields if not f.type.takes_no_bytes}
        return pl.Struct(
            {
                part.name: _found(f"{name}.{part.name}", kinds[part.name], inner)
                if part.name in kinds
                else inner
                for part in wanted.fields
                for inner in (instantiated(part.dtype),)
            }
        )
    return pl.String() if kind.kind == "enum" else dtype_of(kind.plain, name)


def fitted(value: pl.Expr, found: pl.DataType, wanted: pl.DataType) -> pl.Expr:
    """Return a value of Avro as JSON would have it, null where it does not fit.

    Raises:
        SchemaError: Its type is another one.
    """
    if found == wanted:
        return value
    if isinstance(found, pl.List) and isinstance(wanted, pl.List):
        return value.list.eval(
            fitted(pl.element(), instantiated(found.inner), instantiated(wanted.inner))
        )
    if isinstance(found, pl.Struct) and isinstance(wanted, pl.Struct):
        dtypes = dict(found)
        fields = [
            fitted(
                value.struct.field(part.name),
                instantiated(dtypes[part.name]),
                instantiated(part.dtype),
            ).alias(part.name)
            for part in wanted.fields
        ]
        return pl.when(value.is_not_null()).then(pl.struct(fields))
    if found.is_integer() and wanted.is_integer():
        return value.cast(wanted, strict=False)
    if found.is_float() and wanted.is_float():
        cast = value.cast(wanted)
        return pl.when(cast.is_finite() == value.is_finite()).then(cast)
    if found == pl.String() and isinstance(wanted, _TEXT):
        return converted(value, wanted)
    raise SchemaError(
        f"a column is {found} in Avro, and as declared it would be {wanted}",
        hint="declare what is written",
    )
