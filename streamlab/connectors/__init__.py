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
    """Where a connector's classes are, and what brings its driver.

    Attributes:
        source: ``module:class`` of its source, if it has one.
        sink: ``module:class`` of its sink, if it has one.
        extra: The extra that installs its driver; None needs none.
        driver: The module that is missing where the extra is not installed.
    """

    source: str | None = None
    sink: str | None = None
    extra: str | None = None
    driver: str | None = None


BUILT_IN = {
    "kafka": Connector(
        source="streamlab.connectors.kafka.source:KafkaSource",
        sink="streamlab.connectors.kafka.sink:KafkaSink",
        extra="kafka",
        driver="confluent_kafka",
    ),
    "postgres": Connector(
        source="streamlab.connectors.postgres.source:PostgresSource",
        sink="streamlab.connectors.postgres.sink:PostgresSink",
        extra="postgres",
        driver="psycopg",
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


def extra_of(module: str) -> str | None:
    """Return the extra that installs a driver; None if it is no connector's."""
    driver = module.partition(".")[0]
    return next((c.extra for c in BUILT_IN.values() if c.driver == driver), None)


def _load(role: str, kind: str) -> object:
    known = {name: c for name, c in BUILT_IN.items() if getattr(c, role)}
    if kind not in known:
        raise UnknownName(role, kind, known)
    connector = known[kind]
    module, _, attribute = getattr(connector, role).partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        extra = extra_of(error.name or "")
        if extra is None:
            raise
        raise MissingExtra(f"the {kind} connector", extra) from error
