"""Savepoints: a pipeline's state and positions at one moment, to begin from.

A savepoint is taken while no worker runs, of what is stored; so it needs no help of a
worker. A pipeline that begins from one may have been changed: tables of operators that
are new begin empty, what a table may look like :mod:`streamlab.state.evolution` says,
and its topics must be the very ones that the positions are of.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from streamlab.engines.local import position
from streamlab.engines.local.kept_state import progress_of
from streamlab.engines.local.state_home import home_of
from streamlab.errors import PipelineError, StateError, TopicRecreated
from streamlab.operators.chain import Chain
from streamlab.pipelines import Pipeline
from streamlab.pipelines.grouping import grouping_of
from streamlab.pipelines.prepared import prepared_of
from streamlab.positions import Progress
from streamlab.state import savepoint
from streamlab.state.store import TaskState


def take(pipeline: Pipeline, place: str) -> None:
    """Write a savepoint of what a pipeline has stored.

    Args:
        pipeline: The pipeline; no worker of it may run.
        place: A folder, or a URL as fsspec reads it.

    Raises:
        StateError: There is no state yet, or it is not whole.
    """
    progress = [one for one in progress_of(pipeline) if one.epoch]
    states = {one.task: one.state_id for one in progress if one.state_id is not None}
    if not states:
        message = f"pipeline {pipeline.name!r} has no state yet"
        raise StateError(message, hint="run it first")
    told = [one.to_json() for one in progress]
    savepoint.export_to(place, home_of(pipeline), states, told)


def begin_from(pipeline: Pipeline, place: str) -> None:
    """Give a pipeline without history the state and the positions of a savepoint.

    Args:
        pipeline: The pipeline.
        place: Where the savepoint is.

    Raises:
        PipelineError: The pipeline has run before, or its tasks are other ones.
        StateError: There is no savepoint, it is damaged, or its tables do not fit.
        TopicRecreated: A topic is not the one that the positions are of.
    """
    stored = savepoint.look_at(place)
    progress = [Progress.from_json(one) for one in stored.progress]
    places = position.places(pipeline)
    if any(one.progress is not None and one.progress.epoch for one in places):
        message = f"pipeline {pipeline.name!r} has run before, and has its own state"
        raise PipelineError(
            message,
            hint="give the pipeline another name, or forget what it has read: "
            f"streamlab state reset {pipeline.name}",
        )
    _require_same_tasks(pipeline, progress)
    incarnations = pipeline.source.positions(pipeline.name).incarnations()
    _require_same_topics(progress, incarnations)
    home = home_of(pipeline)
    savepoint.import_from(place, home)
    ready = prepared_of(pipeline)
    if isinstance(ready, Chain):
        for task, state_id in stored.states.items():
            # Whether the tables fit is said now, not when the worker has begun.
            TaskState.open(home, task, ready.layouts, state_id).close()
    position.begin_at(pipeline, progress)


def _require_same_tasks(pipeline: Pipeline, progress: Sequence[Progress]) -> None:
    task_of = grouping_of(pipeline).grouping.task_of
    for one in progress:
        others = [key for key in one.positions if task_of(key) != one.task]
        if others:
            message = (
                f"the savepoint has the task {one.task}, and pipeline "
                f"{pipeline.name!r} needs {task_of(others[0])}"
            )
            hint = (
                "state cannot be spread anew: keep keyed_by and the keys as they were"
            )
            raise PipelineError(message, hint=hint)


def _require_same_topics(
    progress: Sequence[Progress], incarnations: Mapping[str, str]
) -> None:
    for one in progress:
        for topic, stored in one.incarnations.items():
            found = incarnations.get(topic)
            if found is None:
                message = f"the savepoint is of topic {topic!r}, which is not read"
                raise PipelineError(message, hint="read the topics that it is of")
            if found != stored:
                raise TopicRecreated(topic, stored=stored, found=found)
