"""Connectors: one file or folder for each system, the only importer of its driver.

:data:`BUILT_IN` is the table of what there is. A connector module is imported when it
is first asked for, and a missing driver is an error that names the install command.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass

from streamlab.errors import MissingExtra, UnknownName
from streamlab.sinks import Sink
from streamlab.sources import Source


@dataclass(frozen=True, slots=True)
class Connector:
    """Where a connector's classes are, and the extra that brings its driver."""

    source: str | None = None
    sink: str | None = None
    extra: str | None = None


BUILT_IN = {
    "kafka": Connector(
        source="streamlab.connectors.kafka.source:KafkaSource",
        sink="streamlab.connectors.kafka.sink:KafkaSink",
        extra="kafka",
    ),
    "postgres": Connector(
        sink="streamlab.connectors.postgres.sink:PostgresSink", extra="postgres"
    ),
    "parquet": Connector(sink="streamlab.connectors.parquet:ParquetSink"),
    "console": Connector(sink="streamlab.connectors.console:ConsoleSink"),
    "memory": Connector(
        source="streamlab.connectors.memory:MemorySource",
        sink="streamlab.connectors.memory:MemorySink",
    ),
}


def source_class(kind: str) -> type[Source]:
    """Return the source class of a system.

    Raises:
        UnknownName: No such source.
        MissingExtra: Its driver is not installed.
    """
    return _load("source", kind)  # type: ignore[return-value]  # the table's promise


def sink_class(kind: str) -> type[Sink]:
    """Return the sink class of a system.

    Raises:
        UnknownName: No such sink.
        MissingExtra: Its driver is not installed.
    """
    return _load("sink", kind)  # type: ignore[return-value]  # the table's promise


def _load(role: str, kind: str) -> object:
    known = {name: c for name, c in BUILT_IN.items() if getattr(c, role)}
    if kind not in known:
        raise UnknownName(role, kind, known)
    connector = known[kind]
    module, _, attribute = getattr(connector, role).partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        if connector.extra is None or (error.name or "").startswith("streamlab"):
            raise
        raise MissingExtra(f"the {kind} connector", connector.extra) from error
