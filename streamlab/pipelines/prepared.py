"""A pipeline made ready to run: its transforms on its inputs, with state or without."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeAlias

from streamlab.connectors.combined import CombinedSource
from streamlab.errors import PipelineError
from streamlab.operators.chain import Chain
from streamlab.pipelines.input import Input
from streamlab.pipelines.pipeline import Pipeline
from streamlab.sources import METADATA, Source
from streamlab.transforms.application import Prepared, prepare
from streamlab.transforms.event_time import EventTime, event_time

Ready: TypeAlias = Prepared | Chain
"""Both have an ``output_schema``; :func:`entrances` has what they take."""


def prepared_of(pipeline: Pipeline) -> Ready:
    """Return the transforms of a pipeline, ready to run.

    Returns:
        A chain where one of them declares a window, a state or a join.

    Raises:
        UsageError: They do not fit the inputs, or a table cannot be read.
        TransformError: A function fails on empty frames.
    """
    if not pipeline.stateful:
        return prepare(pipeline.transforms, pipeline.input.schema, pipeline.folder)
    schemas = {name: one.schema for name, one in pipeline.inputs.items()}
    return Chain.of(pipeline.transforms, schemas, pipeline.folder)


def entrances(pipeline: Pipeline, ready: Ready) -> Mapping[str, Prepared]:
    """Return input → what takes its decoded events.

    Its ``metadata`` and ``input_schema`` say which columns that needs.
    """
    if isinstance(ready, Chain):
        return ready.entrance
    return dict.fromkeys(pipeline.inputs, ready)


def source_of(pipeline: Pipeline, ready: Ready) -> Source:
    """Return what reads all inputs: tables to look up are read to their end first."""
    source = pipeline.source
    if isinstance(source, CombinedSource) and isinstance(ready, Chain):
        return replace(source, first=ready.timeless)
    return source


def event_times(pipeline: Pipeline, ready: Ready) -> Mapping[str, EventTime]:
    """Return input → how its events say when they happened, for those that do.

    An input may say it, or the first transform with a window, a fold or a join; what
    one of them leaves at its default the other decides.

    Raises:
        PipelineError: They contradict each other.
    """
    declared = ready.times if isinstance(ready, Chain) else {}
    times = {
        name: _one_of(name, stream, declared.get(name))
        for name, stream in pipeline.inputs.items()
    }
    return {name: time for name, time in times.items() if time is not None}


def _one_of(name: str, stream: Input, declared: EventTime | None) -> EventTime | None:
    own = stream.event_time
    if declared is None:
        return own
    if declared.column not in {*stream.schema.dtypes, *METADATA}:
        if own is not None:
            return own  # the transforms before make the column of it
        message = f"the input {name} has no column {declared.column!r} to tell its time"
        hint = f'say which column does: event_time = "…" of the input {name}'
        raise PipelineError(message, hint=hint)
    if own is None or own == event_time(own.column):
        if own is not None and own.column != declared.column:
            raise _contradiction(name, own.column, declared.column)
        return declared
    if own.column != declared.column:
        raise _contradiction(name, own.column, declared.column)
    if own.unit != declared.unit:
        raise _contradiction(name, f"in {own.unit}", f"in {declared.unit}")
    if declared == event_time(declared.column, unit=declared.unit):
        return own
    if replace(own, idle_after_us=declared.idle_after_us) != declared:
        message = f"the input {name} and its transform give different bounds"
        raise PipelineError(message, hint="give the bound in one of the two places")
    return own


def _contradiction(name: str, own: str, declared: str) -> PipelineError:
    message = f"the event time of the input {name} is {own}, and its transform's is "
    return PipelineError(message + declared, hint="give the same, or leave one out")
