"""The formats of a sample: to read it, and to write masked values anew.

What has registered schemas is read with those that the sample keeps, and written with
one that is made from the columns and kept in the sample, too. So a mask fits its
field, whatever the topic's schema says of it, and no registry is asked or changed.
"""

from __future__ import annotations

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


def context_of(
    sample: Sample, values: Sequence[bytes | None] = (), profile: str = ""
) -> Context:
    """Return what the format of a sample needs, to read values like the sample's.

    Args:
        sample: The sample.
        values: What is added to it. Where some of it was written with schemas that the
            sample does not know, the registry is asked.
        profile: Profile of that registry; empty for the default one.
    """
    known = {each["id"] for each in sample.schemas}
    knows_all = known.issuperset(wire.framed(values).rows)
    schemas = sample.schemas if knows_all else ()
    return Context(sample.topic, profile, sample.format_options, schemas)


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
            self._format = named(format, replace(context, options=options, schemas=()))

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
