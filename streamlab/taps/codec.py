"""The format of a sample, which finds registered schemas in the sample itself."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from streamlab.formats import Context, Format, named

if TYPE_CHECKING:
    from streamlab.taps.sample import Sample


def known_schemas(sample: Sample) -> contextlib.AbstractContextManager[object]:
    """Let formats that are made inside of the block need no registry.

    They find the schemas that the sample was read with, if it was read with any.
    """
    if not sample.schemas:
        return contextlib.nullcontext()
    from streamlab.registry.recorded import recorded_as

    return recorded_as(sample.schemas)


def context_of(sample: Sample) -> Context:
    """Return where a sample's values are from, and the settings of their format."""
    return Context(sample.topic, options=sample.format_options)


def format_of(sample: Sample) -> Format:
    """Return the format of a sample's values."""
    with known_schemas(sample):
        return named(sample.format, context_of(sample))


def all_schemas(*samples: Sample) -> Sequence[Mapping[str, object]]:
    """Return the registered schemas of several samples, each once, by id."""
    by_id = {str(each["id"]): each for one in samples for each in one.schemas}
    return tuple(by_id[number] for number in sorted(by_id, key=int))
