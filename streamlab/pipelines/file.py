"""The pipeline file: a pipeline as TOML, loaded with places for mistakes, and saved.

::

    [pipeline]
    name = "delayed"
    transform = "flows:delayed"      # or transforms = ["flows:clean", "flows:delayed"]

    [source]
    type = "kafka"                   # the rest are the fields of KafkaSource
    topic = "flights"
    format = "json"
    schema = "schema.yaml"
    event_time = "scheduled"         # may be left out; or {column = "scheduled",
                                     # bound = "5m", idle_after = "30s"}
    keyed_by = ["carrier"]           # may be left out; what the messages' key is
    format_options = {}              # may be left out; settings of the format

    [sink]
    type = "postgres"                # the rest are the fields of PostgresSink
    table = "delayed"

    [dead_letters]
    topic = "flights.dead"           # or file = "dead.jsonl"

    [engine]                         # may be left out
    latency_ms = 100

    [state]                          # may be left out; of windows, folds and joins
    url = "state"

A pipeline whose transform reads several streams has a section for each, named as the
transform's parameter, instead of ``[source]``: ``[sources.flights]``.

Paths count from the file's folder, and modules beside the file can be imported.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from streamlab import connectors
from streamlab.errors import PipelineError, StreamlabError
from streamlab.pipelines import input_sections
from streamlab.pipelines.document import Document
from streamlab.pipelines.functions import transforms_of
from streamlab.pipelines.input_sections import SCHEMA_FILE_NAME, check_options
from streamlab.pipelines.pipeline import (
    DeadLetters,
    Pace,
    Pipeline,
    StateSettings,
    check_name,
)
from streamlab.pipelines.sections import kind, settings_of, text_of
from streamlab.sinks import Sink

__all__ = ["FILE_NAME", "SCHEMA_FILE_NAME", "SECTIONS", "load", "save"]

FILE_NAME = "pipeline.toml"
SECTIONS = (
    "pipeline",
    "source",
    "sources",
    "sink",
    "dead_letters",
    "engine",
    "state",
)

_DEAD_LETTERS_HINT = (
    'say where events go that cannot be processed: [dead_letters] file = "dead.jsonl"'
)


def load(path: Path | str) -> Pipeline:
    """Return the pipeline that a file describes.

    Args:
        path: The file, or the folder that holds a ``pipeline.toml``. Where the file
            is inside of a Python package (an installed export), the paths that the
            sink and the dead letters write to count from the working directory:
            nothing is written beside installed code.

    Raises:
        PipelineError: The file cannot be read, or has a mistake; the message names
            the line.
        MissingExtra: A connector's driver is not installed.
    """
    path = Path(path)
    path = path / FILE_NAME if path.is_dir() else path
    document = Document.read(path)
    document.only("", document.sections, SECTIONS)
    folder = path.resolve().parent
    outputs = Path.cwd() if (folder / "__init__.py").exists() else folder
    head = document.section("pipeline", hint='[pipeline] name = "…"')
    name = document.text("pipeline", head, "name")
    document.only("pipeline", head, ("name", "transform", "transforms"))
    transforms = transforms_of(document, head, folder)
    pace = dict(document.sections.get("engine", {}))
    dead_letters = document.section("dead_letters", hint=_DEAD_LETTERS_HINT)
    state = dict(document.sections.get("state", {}))
    try:
        check_name(name)
    except PipelineError as error:
        raise document.error("pipeline", "name", error.message, error.hint) from error
    inputs = input_sections.read(document, folder)
    sink = _sink(document, outputs)
    try:
        return Pipeline(
            name=name,
            inputs=inputs,
            transforms=transforms,
            sink=sink,
            dead_letters=document.build(
                "dead_letters", DeadLetters, dead_letters, outputs
            ),
            pace=document.build("engine", Pace, pace, folder),
            state=document.build("state", StateSettings, state, folder),
            folder=folder,
        )
    except PipelineError as error:
        if error.message.startswith(str(path)):
            raise
        where = "sources" if "sources" in document.sections else "source"
        raise document.error(where, "", error.message, error.hint) from error


def _sink(document: Document, outputs: Path) -> Sink:
    values = document.section("sink", hint='[sink] type = "console"')
    kind = document.text("sink", values, "type")
    try:
        cls = connectors.sink_class(kind)
    except StreamlabError as error:
        raise document.error("sink", "type", error.message, error.hint) from error
    sink: Sink = document.build("sink", cls, values, outputs)
    options = getattr(sink, "format_options", None)
    if options:
        check_options(document, "sink", getattr(sink, "format", ""), options)
    return sink


def save(pipeline: Pipeline, path: Path, *, transforms: Sequence[str]) -> None:
    """Write a pipeline file, and its schema beside it.

    Args:
        pipeline: What to write. Settings that have their default are left out.
        path: The file; an existing one is replaced.
        transforms: ``module:function`` of each of the pipeline's transforms: a
            function does not know by itself what it can be imported as.

    Raises:
        PipelineError: A connector is not in the table, or a setting cannot be
            written as TOML.
    """
    from streamlab.contracts import odcs

    folder = pipeline.folder
    sources, schemas = input_sections.written(pipeline.inputs, folder)
    head: dict[str, Any] = {"name": pipeline.name}
    if len(transforms) == 1:
        head["transform"] = transforms[0]
    elif transforms:
        head["transforms"] = list(transforms)
    sections = {
        "pipeline": head,
        **sources,
        "sink": {
            "type": kind("sink", pipeline.sink),
            **settings_of(pipeline.sink, folder),
        },
        "dead_letters": settings_of(pipeline.dead_letters, folder),
        "engine": settings_of(pipeline.pace, folder),
        "state": settings_of(pipeline.state, folder),
    }
    text = "\n".join(text_of(name, keys) for name, keys in sections.items() if keys)
    path.write_text(text, encoding="utf-8")
    for name, schema in schemas.items():
        odcs.save(schema, path.parent / name)
