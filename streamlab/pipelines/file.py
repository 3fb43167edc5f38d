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
    event_time = "scheduled"         # may be left out; measures the latency from it

    [sink]
    type = "postgres"                # the rest are the fields of PostgresSink
    table = "delayed"

    [dead_letters]
    topic = "flights.dead"           # or file = "dead.jsonl"

    [engine]                         # may be left out
    latency_ms = 100

Paths count from the file's folder, and modules beside the file can be imported.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from streamlab import connectors, formats
from streamlab.contracts import Schema
from streamlab.errors import MissingExtra, PipelineError, StreamlabError, UnknownName
from streamlab.pipelines.document import Document
from streamlab.pipelines.functions import transforms_of
from streamlab.pipelines.pipeline import DeadLetters, Input, Pace, Pipeline
from streamlab.sinks import Sink
from streamlab.sources import Source

FILE_NAME = "pipeline.toml"
SCHEMA_FILE_NAME = "schema.yaml"
SECTIONS = ("pipeline", "source", "sink", "dead_letters", "engine")
ONE_SCHEMA = frozenset({"string", "bytes"})
"""Formats whose values are one column whatever they hold; they need no schema file."""

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
    stream = _input(document, folder)
    sink = _sink(document, outputs)
    try:
        return Pipeline(
            name=name,
            inputs=(stream,),
            transforms=transforms,
            sink=sink,
            dead_letters=document.build(
                "dead_letters", DeadLetters, dead_letters, outputs
            ),
            pace=document.build("engine", Pace, pace, folder),
            folder=folder,
        )
    except PipelineError as error:
        if error.message.startswith(str(path)):
            raise
        raise document.error("pipeline", "name", error.message, error.hint) from error


def _input(document: Document, folder: Path) -> Input:
    hint = '[source] type = "kafka", topic = "…", format = "json", schema = "…"'
    values = document.section("source", hint=hint)
    kind = document.text("source", values, "type")
    schema_path = values.pop("schema", None)
    event_time = values.pop("event_time", None)
    try:
        cls = connectors.source_class(kind)
        if cls.format:
            values.setdefault("format", cls.format)
        codec = formats.named(document.text("source", values, "format"))
    except UnknownName as error:
        key = "type" if error.kind == "source" else "format"
        raise document.error("source", key, error.message, error.hint) from error
    except MissingExtra as error:
        raise document.error("source", "type", error.message, error.hint) from error
    source: Source = document.build("source", cls, values, folder)
    if schema_path is None and (own := source.schema()) is not None:
        schema = own
    else:
        schema = _schema(document, schema_path, codec, folder)
    try:
        return Input(source, codec.name, schema, event_time)
    except PipelineError as error:
        raise document.error(
            "source", "event_time", error.message, error.hint
        ) from error


def _schema(
    document: Document, written: object, codec: formats.Format, folder: Path
) -> Schema:
    """Return the schema of the source's events; a format may have just one."""
    from streamlab.contracts import odcs

    if written is None:
        if codec.name in ONE_SCHEMA:
            return codec.infer(())
        message = f"[source] needs the path of a schema for the format {codec.name}"
        hint = f'schema = "{SCHEMA_FILE_NAME}", made by a tap or by hand'
        raise document.error("source", "", message, hint)
    if not isinstance(written, str):
        message = "schema must be the path of a schema file"
        raise document.error("source", "schema", message)
    if not (folder / written).is_file():
        message = f"there is no schema file {written}"
        hint = f"it is searched in {folder}"
        raise document.error("source", "schema", message, hint)
    return odcs.load(folder / written)


def _sink(document: Document, outputs: Path) -> Sink:
    values = document.section("sink", hint='[sink] type = "console"')
    kind = document.text("sink", values, "type")
    try:
        cls = connectors.sink_class(kind)
    except StreamlabError as error:
        raise document.error("sink", "type", error.message, error.hint) from error
    return document.build("sink", cls, values, outputs)


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

    stream, folder = pipeline.input, pipeline.folder
    source = {
        "type": kind("source", stream.source),
        "format": stream.format,
        "schema": SCHEMA_FILE_NAME,
        **({"event_time": stream.event_time} if stream.event_time else {}),
        **settings_of(stream.source, folder),
    }
    head: dict[str, Any] = {"name": pipeline.name}
    if len(transforms) == 1:
        head["transform"] = transforms[0]
    elif transforms:
        head["transforms"] = list(transforms)
    sections = {
        "pipeline": head,
        "source": source,
        "sink": {
            "type": kind("sink", pipeline.sink),
            **settings_of(pipeline.sink, folder),
        },
        "dead_letters": settings_of(pipeline.dead_letters, folder),
        "engine": settings_of(pipeline.pace, folder),
    }
    text = "\n".join(_section(name, keys) for name, keys in sections.items() if keys)
    path.write_text(text, encoding="utf-8")
    odcs.save(stream.schema, path.parent / SCHEMA_FILE_NAME)


def kind(role: str, connector: Source | Sink) -> str:
    """Return the name that a pipeline file uses for a connector's class.

    Raises:
        PipelineError: The class is not in the table of connectors.
    """
    module, name = type(connector).__module__, type(connector).__qualname__
    for known, places in connectors.BUILT_IN.items():
        home, _, attribute = (getattr(places, role) or "").partition(":")
        # A package may define its class in a module of its own.
        if attribute == name and (module == home or module.startswith(f"{home}.")):
            return known
    message = f"{name} is no {role} that a pipeline file can name"
    raise PipelineError(message, hint="see streamlab.connectors.BUILT_IN")


def settings_of(values: Any, folder: Path) -> dict[str, Any]:
    """Return the settings of a connector that differ from their default.

    Args:
        values: A dataclass.
        folder: Paths below it are returned relative to it, as files have them.
    """
    settings: dict[str, Any] = {}
    for item in fields(values):
        value = getattr(values, item.name)
        # An empty table or list is the default that a factory makes.
        if not item.init or value in (item.default, None, {}, ()):
            continue
        below = isinstance(value, Path) and value.is_relative_to(folder.resolve())
        settings[item.name] = value.relative_to(folder.resolve()) if below else value
    return settings


def _section(name: str, values: Mapping[str, Any]) -> str:
    """Return one section; tables inside of it come last, as TOML wants."""
    plain = {key: value for key, value in values.items() if not _is_table(value)}
    lines = [f"[{name}]", *(f"{key} = {_toml(key, plain[key])}" for key in plain)]
    for key in (key for key in values if key not in plain):
        lines += ["", f"[{name}.{key}]"]
        lines += [f"{json.dumps(k)} = {_toml(k, v)}" for k, v in values[key].items()]
    return "\n".join([*lines, ""])


def _is_table(value: Any) -> bool:
    return isinstance(value, Mapping)


def _toml(key: str, value: Any) -> str:
    """Return a value as TOML; JSON's texts, numbers and booleans are valid TOML."""
    if isinstance(value, Path):
        return json.dumps(value.as_posix(), ensure_ascii=False)
    if isinstance(value, str | int | float):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list | tuple):
        return f"[{', '.join(_toml(key, item) for item in value)}]"
    message = f"the setting {key} cannot be written: it is a {type(value).__name__}"
    raise PipelineError(message)
