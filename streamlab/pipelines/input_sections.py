"""The inputs of a pipeline file: ``[source]`` of one, ``[sources.NAME]`` of several."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from streamlab import connectors, formats
from streamlab.contracts import Schema
from streamlab.errors import MissingExtra, UnknownName, UsageError
from streamlab.pipelines.document import Document
from streamlab.pipelines.input import Input, Keyed
from streamlab.pipelines.sections import kind, settings_of
from streamlab.sources import Source
from streamlab.transforms.event_time import EventTime, duration_text, event_time

SCHEMA_FILE_NAME = "schema.yaml"
ONE_SCHEMA = frozenset({"string", "bytes"})
"""Formats whose values are one column whatever they hold; they need no schema file."""

_HINT = '[source] type = "kafka", topic = "…", format = "json", schema = "…"'
_EVENT_TIME = ("column", "bound", "idle_after", "unit")


def read(document: Document, folder: Path) -> Mapping[str, Input] | Sequence[Input]:
    """Return the inputs that a file describes.

    Args:
        document: The file.
        folder: What its paths count from.

    Raises:
        PipelineError: With the line of the mistake.
        MissingExtra: A connector's driver is not installed.
    """
    if "sources" not in document.sections:
        return (_input(document, "source", folder),)
    if "source" in document.sections:
        message = "write [source] for one input or [sources.NAME] for several, not both"
        raise document.error("sources", "", message)
    named = document.section("sources", hint="[sources.NAME]")
    for name, values in named.items():
        if not isinstance(values, dict):
            message = f"[sources] has the setting {name!r} beside sections"
            hint = "[sources.NAME], named as the parameter of the transform"
            raise document.error("sources", name, message, hint)
    return {name: _input(document, f"sources.{name}", folder) for name in named}


def written(
    inputs: Mapping[str, Input], folder: Path
) -> tuple[dict[str, dict[str, Any]], dict[str, Schema]]:
    """Return the sections of inputs, and the files that their schemas go to.

    Args:
        inputs: Name → input.
        folder: What paths count from.

    Raises:
        PipelineError: A source is not in the table of connectors.
    """
    if len(inputs) == 1:
        (only,) = inputs.values()
        section = _section(only, SCHEMA_FILE_NAME, folder)
        return {"source": section}, {SCHEMA_FILE_NAME: only.schema}
    files = {name: f"{name}.{SCHEMA_FILE_NAME}" for name in inputs}
    sections = {
        f"sources.{name}": _section(one, files[name], folder)
        for name, one in inputs.items()
    }
    return sections, {files[name]: one.schema for name, one in inputs.items()}


def check_options(
    document: Document, section: str, format_name: str, options: Mapping[str, str]
) -> None:
    """Refuse options that the format of a section does not have."""
    try:
        formats.Context(options=options).check(format_name)
    except UnknownName as error:
        where = (section, "format_options")
        raise document.error(*where, error.message, error.hint) from error


def _input(document: Document, section: str, folder: Path) -> Input:
    values = document.section(section, hint=_HINT)
    of_kind = document.text(section, values, "type")
    schema_path = values.pop("schema", None)
    time = values.pop("event_time", None)
    keyed: dict[str, Any] = {
        name: values.pop(name)
        for name in ("keyed_by", "partitioner", "key_format")
        if name in values
    }
    options = document.options(section, values, "format_options")
    try:
        cls = connectors.source_class(of_kind)
        if cls.format:
            values.setdefault("format", cls.format)
        format_name = document.text(section, values, "format")
        formats.known(format_name)
    except UnknownName as error:
        key = "type" if error.kind == "source" else "format"
        raise document.error(section, key, error.message, error.hint) from error
    except MissingExtra as error:
        raise document.error(section, "type", error.message, error.hint) from error
    source: Source = document.build(section, cls, values, folder)
    if schema_path is None and (own := source.schema()) is not None:
        schema = own
    else:
        schema = _schema(document, section, schema_path, format_name, folder)
    check_options(document, section, format_name, options)
    with _placed(document, section, "event_time"):
        when = _event_time(document, section, time)
        stream = Input(source, format_name, schema, when, options)
    with _placed(document, section, "keyed_by"):
        return replace(stream, keyed_by=_keyed(document, section, keyed))


@contextmanager
def _placed(document: Document, section: str, key: str) -> Iterator[None]:
    """Give an error of a setting's own checks the line of the setting."""
    try:
        yield
    except UsageError as error:
        if error.message.startswith(str(document.file.path)):
            raise
        raise document.error(section, key, error.message, error.hint) from error


def _event_time(document: Document, section: str, given: object) -> EventTime | None:
    """Return the event time of ``"column"`` or ``{column = …, bound = …}``."""
    if given is None or isinstance(given, str):
        return None if given is None else event_time(given)
    if not isinstance(given, dict):
        message = 'event_time must be a column, or {column = "…", bound = "…"}'
        raise document.error(section, "event_time", message)
    inner = f"{section}.event_time"
    document.only(inner, given, _EVENT_TIME)
    for name, value in given.items():
        if not isinstance(value, str):
            raise document.error(inner, name, f"{name} of event_time must be a text")
    if "column" not in given:
        message = 'event_time needs a column: {column = "…"}'
        raise document.error(inner, "", message)
    return event_time(given.pop("column"), **given)


def _keyed(document: Document, section: str, given: Mapping[str, Any]) -> Keyed | None:
    """Return what ``keyed_by`` and the settings beside it say."""
    if not given:
        return None
    if "keyed_by" not in given:
        (name, *_) = given
        message = f"{name} says how a key was made, and keyed_by is not there"
        hint = 'keyed_by = ["column"]'
        raise document.error(section, name, message, hint)
    listed = given["keyed_by"]
    columns = (listed,) if isinstance(listed, str) else listed
    if not isinstance(columns, list | tuple) or not all(
        isinstance(one, str) for one in columns
    ):
        message = "keyed_by must be a list of columns"
        raise document.error(section, "keyed_by", message)
    names = {"partitioner", "key_format"} & set(given)
    return Keyed(tuple(columns), **{name: given[name] for name in names})


def _schema(
    document: Document, section: str, written: object, format_name: str, folder: Path
) -> Schema:
    """Return the schema of a source's events; a format may have just one."""
    from streamlab.contracts import odcs

    if written is None:
        if format_name in ONE_SCHEMA:
            return formats.named(format_name).infer(())
        message = f"[{section}] needs the path of a schema for the format {format_name}"
        hint = f'schema = "{SCHEMA_FILE_NAME}", made by a tap or by hand'
        raise document.error(section, "", message, hint)
    if not isinstance(written, str):
        message = "schema must be the path of a schema file"
        raise document.error(section, "schema", message)
    if not (folder / written).is_file():
        message = f"there is no schema file {written}"
        hint = f"it is searched in {folder}"
        raise document.error(section, "schema", message, hint)
    return odcs.load(folder / written)


def _section(stream: Input, schema_file: str, folder: Path) -> dict[str, Any]:
    """Return the settings of an input, as a file has them."""
    keyed = settings_of(stream.keyed_by, folder) if stream.keyed_by else {}
    if keyed:
        keyed["keyed_by"] = keyed.pop("columns")
    time = stream.event_time
    return {
        "type": kind("source", stream.source),
        "format": stream.format,
        "schema": schema_file,
        **({"event_time": _time_of(time)} if time else {}),
        **keyed,
        **settings_of(stream.source, folder),
        **({"format_options": stream.format_options} if stream.format_options else {}),
    }


def _time_of(time: EventTime) -> str | dict[str, str]:
    """Return an event time as a file has it: the column, if that is all."""
    if time == event_time(time.column):
        return time.column
    idle_us = time.idle_after_us
    return {
        "column": time.column,
        "bound": duration_text(time.bound_us),
        **({} if idle_us is None else {"idle_after": duration_text(idle_us)}),
        "unit": time.unit,
    }
