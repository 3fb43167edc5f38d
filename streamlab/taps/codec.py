"""The formats of a sample: to read it, and to write masked values anew.

What has registered schemas is read with those that the sample keeps, and written with
one that is made from the columns and kept in the sample, too. So a mask fits its
field, whatever the topic's schema says of it, and no registry is asked or changed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

import polars as pl

from streamlab import registry
from streamlab.formats import OF_REGISTRY, Context, named, wire

if TYPE_CHECKING:
    from streamlab.taps.sample import Sample

Schemas: TypeAlias = Sequence[Mapping[str, object]]
"""Registered schemas, as the registry's JSON."""


def known_schemas(
    sample: Sample, values: Sequence[bytes | None] = ()
) -> contextlib.AbstractContextManager[object]:
    """Let formats that are made inside of the block need no registry.

    They find the schemas that the sample was read with, if it was read with any. Where
    values are added that were written with others, the registry stays.
    """
    if not sample.schemas:
        return contextlib.nullcontext()
    known = {each["id"] for each in sample.schemas}
    if not known.issuperset(wire.framed(values).rows):
        return contextlib.nullcontext()
    from streamlab.registry.recorded import recorded_as

    return recorded_as(sample.schemas)


def context_of(sample: Sample) -> Context:
    """Return where a sample's values are from, and the settings of their format."""
    return Context(sample.topic, options=sample.format_options)


class Rewriting:
    """Writes masked values of a format.

    Args:
        format: Name of the format.
        context: What the format may need; its profile is not used.
    """

    def __init__(self, format: str, context: Context) -> None:  # noqa: A002 -- the word for it everywhere
        if format not in OF_REGISTRY:
            self._format, self._own = named(format, context), None
            return
        from streamlab.registry.recorded import OwnSchemas, standing_in

        options = {**context.options, registry.LATEST: "false", registry.AUTO: "true"}
        self._own = OwnSchemas()
        with standing_in(self._own):
            self._format = named(format, replace(context, options=options))

    @property
    def schemas(self) -> Schemas:
        """Return the schemas that were written with, as the registry's JSON."""
        return tuple(each.as_json() for each in self._own.all) if self._own else ()

    def encode(self, frame: pl.DataFrame) -> list[bytes]:
        """Encode each row of a frame that has the schema's columns."""
        return self._format.encode(frame)


def all_schemas(*groups: Schemas) -> Schemas:
    """Return the registered schemas of several groups, each once, by id."""
    by_id = {str(each["id"]): each for group in groups for each in group}
    return tuple(by_id[number] for number in sorted(by_id, key=int))
