"""Why a pipeline cannot run as it is described, found without any connection."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from streamlab.connectors import BUILT_IN
from streamlab.connectors.combined import CombinedSource
from streamlab.errors import PipelineError, UsageError, near_names
from streamlab.formats.changes import OP
from streamlab.operators.chain import Chain
from streamlab.pipelines.pipeline import Pipeline
from streamlab.pipelines.prepared import Ready
from streamlab.pipelines.sections import kind
from streamlab.sinks import Guarantee
from streamlab.sources import Source
from streamlab.transforms.application import Prepared
from streamlab.transforms.plan import Claims, claims


def refuse(pipeline: Pipeline) -> None:
    """Raise if the ends of a pipeline do not go together.

    Raises:
        PipelineError: With the reason.
    """
    if is_transactional(pipeline):
        for stream in pipeline.inputs.values():
            _require_same_broker(pipeline, stream.source)
    read = set(map(_topic_of, _sources(pipeline)))
    for role, topic, profile in _written_topics(pipeline):
        if (topic, profile) in read:
            message = f"the {role} go to topic {topic!r}, which the pipeline reads"
            raise PipelineError(message, hint="it would read its own output forever")
    if pipeline.stateful:
        _require_topics(pipeline)
    _require_one_position(pipeline)


def refuse_rows(pipeline: Pipeline, ready: Ready) -> tuple[Claims, ...]:
    """Raise if the rows of a pipeline are not what its sink takes, or not fixed.

    Returns:
        What can be claimed of its stateless transforms.

    Raises:
        PipelineError: With the reason.
    """
    _require_key(pipeline, ready)
    _require_changelog(pipeline, ready)
    shown = tuple(
        claims(one.steps, one.input_schema)
        for one in _stateless(ready)
        if one.steps or not pipeline.transforms
    )
    for one in shown:
        _require_claims(pipeline, one)
    return shown


def is_transactional(pipeline: Pipeline) -> bool:
    """Return whether the sink commits the offsets of its source itself."""
    return bool(getattr(pipeline.sink, "transactional", False))


def _sources(pipeline: Pipeline) -> Iterable[Source]:
    return (stream.source for stream in pipeline.inputs.values())


def _stateless(ready: Ready) -> list[Prepared]:
    if not isinstance(ready, Chain):
        return [ready]
    between = [stage for stage in ready.stages if isinstance(stage, Prepared)]
    return [*ready.entrance.values(), *between]


def _require_key(pipeline: Pipeline, ready: Ready) -> None:
    """A key that a sink names is made of columns that the rows have."""
    key = getattr(pipeline.sink, "key", ())
    known = ready.output_schema.names()
    for column in (key,) if isinstance(key, str) else key:
        if column and column not in known:
            message = f"the rows have no column {column!r}, the sink's key"
            raise PipelineError(message, hint=near_names(column, known))


def _require_changelog(pipeline: Pipeline, ready: Ready) -> None:
    """Changes of a result go where they change something, or where a log is kept.

    A stream of changes that is only handed through stays what it is: an archive.
    """
    changes = isinstance(ready, Chain) and OP in ready.output_schema
    if not changes or pipeline.sink.takes_changes:
        return
    name = pipeline.transforms[-1].name
    message = f"{name}() gives changes, and the sink would add each of them as a row"
    raise PipelineError(
        message,
        hint='use a sink with mode = "changes" or a topic; take final results instead; '
        f"or rename the column {OP!r} in a transform behind it, to keep the log",
    )


def _require_claims(pipeline: Pipeline, shown: Claims) -> None:
    """Refuse what polars' plan shows to be wrong; what it cannot show may run."""
    stateless = [one for one in pipeline.transforms if one.needs is None]
    names = " and ".join(f"{one.name}()" for one in stateless)
    if shown.rows.kind == "failed":
        raise PipelineError(f"{names} cannot run on a stream: {shown.rows.message}")
    if pipeline.sink.keeps_order and shown.order.kind == "failed":
        message = f"the sink keeps the order of rows, and {names} does not"
        raise PipelineError(f"{message}: {shown.order.message}")


def _require_same_broker(pipeline: Pipeline, source: Source) -> None:
    """A Kafka transaction can hold the offsets of its own broker only."""
    known = kind("source", source) if _is_built_in(source) else ""
    if known != "kafka":
        message = "a transactional Kafka sink needs a Kafka source"
        raise PipelineError(message, hint="leave out transactional = true")
    if getattr(source, "profile", "") != getattr(pipeline.sink, "profile", ""):
        message = "a transactional Kafka sink writes to the broker that is read"
        hint = "give source and sink the same profile, or leave out transactional"
        raise PipelineError(message, hint=hint)


def _is_built_in(source: Source) -> bool:
    module = type(source).__module__
    return any(
        connector.source and module.startswith(connector.source.partition(":")[0])
        for connector in BUILT_IN.values()
    )


def _topic_of(source: Source) -> tuple[str, str]:
    topic = getattr(source, "topic", "")
    return topic if isinstance(topic, str) else "", getattr(source, "profile", "")


def _written_topics(pipeline: Pipeline) -> Iterator[tuple[str, str, str]]:
    """Yield what is written, the topic and the profile, for Kafka's topics."""
    sink, letters = pipeline.sink, pipeline.dead_letters
    if isinstance(topic := getattr(sink, "topic", None), str):
        yield "rows", topic, getattr(sink, "profile", "")
    if letters.topic is not None:
        yield "dead letters", letters.topic, letters.profile


def _require_topics(pipeline: Pipeline) -> None:
    """State belongs to partitions, so a source must know how it names them."""
    try:
        for stream in pipeline.inputs.values():
            stream.source.topics(pipeline.name)
    except UsageError as error:
        message = f"{error.message}, and state is kept by partition"
        raise PipelineError(message, hint=error.hint) from None


def _require_one_position(pipeline: Pipeline) -> None:
    """Positions of several systems move together in the sink, or nowhere."""
    source = pipeline.source
    if not isinstance(source, CombinedSource) or source.is_one or source.bounded:
        return
    if pipeline.sink.guarantee is Guarantee.ATOMIC and not is_transactional(pipeline):
        return
    message = (
        "the inputs are of several systems, each of which would keep a position of its "
        "own: after a crash they would not belong together"
    )
    hint = "write to a sink that keeps them with the rows, such as PostgreSQL"
    raise PipelineError(message, hint=hint)
