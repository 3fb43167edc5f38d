"""streamlab: explore, prototype and ship stream processing from a notebook.

The names below are the public ones. Each is imported when it is first used, so
that ``import streamlab`` needs neither Jupyter nor a driver and takes no time.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streamlab import doctor, export, headless
    from streamlab.connectors.console import ConsoleSink
    from streamlab.connectors.kafka.connection import connect
    from streamlab.connectors.kafka.sink import KafkaSink
    from streamlab.connectors.kafka.source import KafkaSource
    from streamlab.connectors.kafka.topics import topics
    from streamlab.connectors.memory import MemorySink, MemorySource
    from streamlab.connectors.parquet import ParquetSink
    from streamlab.connectors.postgres.sink import PostgresSink
    from streamlab.connectors.postgres.source import PostgresSource
    from streamlab.contracts import Field, Schema
    from streamlab.engines.local import RunSummary, WorkerHandle, run, start, stop
    from streamlab.engines.local.position import forget
    from streamlab.engines.local.rehearsal import Replayed, replay
    from streamlab.errors import StreamlabError
    from streamlab.observe.delays import Latency
    from streamlab.observe.lag import lag
    from streamlab.observe.throughput import Throughput
    from streamlab.observe.workers import workers
    from streamlab.operators.evaluation import StreamEvaluation, evaluate
    from streamlab.pipelines import (
        DeadLetters,
        Input,
        Keyed,
        Pace,
        Pipeline,
        StateSettings,
    )
    from streamlab.taps.live import live_tap
    from streamlab.taps.sample import Sample
    from streamlab.taps.tap import tap
    from streamlab.transforms.evaluation import Evaluation
    from streamlab.transforms.event_time import EventTime, event_time
    from streamlab.transforms.joins import interval_join, table_join
    from streamlab.transforms.library.deduplicate import deduplicate
    from streamlab.transforms.library.latest import latest
    from streamlab.transforms.library.running import running, running_total
    from streamlab.transforms.library.top import top
    from streamlab.transforms.regular_join import regular_join
    from streamlab.transforms.table import Table, table
    from streamlab.transforms.transform import Transform, transform
    from streamlab.transforms.verdicts import Verdict
    from streamlab.transforms.windows import count_window, hopping, session, tumbling

_WHERE = {
    "ConsoleSink": "streamlab.connectors.console",
    "DeadLetters": "streamlab.pipelines",
    "Evaluation": "streamlab.transforms.evaluation",
    "EventTime": "streamlab.transforms.event_time",
    "Field": "streamlab.contracts",
    "Input": "streamlab.pipelines",
    "KafkaSink": "streamlab.connectors.kafka.sink",
    "KafkaSource": "streamlab.connectors.kafka.source",
    "Keyed": "streamlab.pipelines",
    "Latency": "streamlab.observe.delays",
    "MemorySink": "streamlab.connectors.memory",
    "MemorySource": "streamlab.connectors.memory",
    "Pace": "streamlab.pipelines",
    "ParquetSink": "streamlab.connectors.parquet",
    "Pipeline": "streamlab.pipelines",
    "PostgresSink": "streamlab.connectors.postgres.sink",
    "PostgresSource": "streamlab.connectors.postgres.source",
    "Replayed": "streamlab.engines.local.rehearsal",
    "RunSummary": "streamlab.engines.local",
    "Sample": "streamlab.taps.sample",
    "Schema": "streamlab.contracts",
    "StateSettings": "streamlab.pipelines",
    "StreamEvaluation": "streamlab.operators.evaluation",
    "StreamlabError": "streamlab.errors",
    "Table": "streamlab.transforms.table",
    "Throughput": "streamlab.observe.throughput",
    "Transform": "streamlab.transforms.transform",
    "Verdict": "streamlab.transforms.verdicts",
    "WorkerHandle": "streamlab.engines.local",
    "connect": "streamlab.connectors.kafka.connection",
    "count_window": "streamlab.transforms.windows",
    "deduplicate": "streamlab.transforms.library.deduplicate",
    "doctor": "streamlab.doctor",
    "evaluate": "streamlab.operators.evaluation",
    "event_time": "streamlab.transforms.event_time",
    "export": "streamlab.export",
    "forget": "streamlab.engines.local.position",
    "headless": "streamlab.headless",
    "hopping": "streamlab.transforms.windows",
    "interval_join": "streamlab.transforms.joins",
    "lag": "streamlab.observe.lag",
    "latest": "streamlab.transforms.library.latest",
    "live_tap": "streamlab.taps.live",
    "regular_join": "streamlab.transforms.regular_join",
    "replay": "streamlab.engines.local.rehearsal",
    "run": "streamlab.engines.local",
    "running": "streamlab.transforms.library.running",
    "running_total": "streamlab.transforms.library.running",
    "session": "streamlab.transforms.windows",
    "start": "streamlab.engines.local",
    "stop": "streamlab.engines.local",
    "table": "streamlab.transforms.table",
    "table_join": "streamlab.transforms.joins",
    "tap": "streamlab.taps.tap",
    "top": "streamlab.transforms.library.top",
    "topics": "streamlab.connectors.kafka.topics",
    "transform": "streamlab.transforms.transform",
    "tumbling": "streamlab.transforms.windows",
    "workers": "streamlab.observe.workers",
}

__all__ = [
    "ConsoleSink",
    "DeadLetters",
    "Evaluation",
    "EventTime",
    "Field",
    "Input",
    "KafkaSink",
    "KafkaSource",
    "Keyed",
    "Latency",
    "MemorySink",
    "MemorySource",
    "Pace",
    "ParquetSink",
    "Pipeline",
    "PostgresSink",
    "PostgresSource",
    "Replayed",
    "RunSummary",
    "Sample",
    "Schema",
    "StateSettings",
    "StreamEvaluation",
    "StreamlabError",
    "Table",
    "Throughput",
    "Transform",
    "Verdict",
    "WorkerHandle",
    "connect",
    "count_window",
    "deduplicate",
    "doctor",
    "evaluate",
    "event_time",
    "export",
    "forget",
    "headless",
    "hopping",
    "interval_join",
    "lag",
    "latest",
    "live_tap",
    "regular_join",
    "replay",
    "run",
    "running",
    "running_total",
    "session",
    "start",
    "stop",
    "table",
    "table_join",
    "tap",
    "top",
    "topics",
    "transform",
    "tumbling",
    "workers",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _WHERE:
        message = f"module 'streamlab' has no attribute {name!r}"
        raise AttributeError(message)
    try:
        module = importlib.import_module(_WHERE[name])
    except ModuleNotFoundError as error:
        raise _missing(name, error) from error
    # A package can be public as a whole: sl.export.write.
    return module if _WHERE[name] == f"streamlab.{name}" else getattr(module, name)


def _missing(name: str, error: ModuleNotFoundError) -> Exception:
    """Return the error that names the extra to install, where a driver is missing."""
    from streamlab.connectors import extra_of
    from streamlab.errors import MissingExtra

    extra = extra_of(error.name or "")
    return MissingExtra(f"streamlab.{name}", extra) if extra else error


def __dir__() -> list[str]:
    """List the public names, for completion."""
    return list(__all__)


def load_ipython_extension(shell: Any) -> None:
    """Load the magics and displays; IPython calls this for ``%load_ext streamlab``."""
    from streamlab.notebook import extension

    extension.load(shell)


def unload_ipython_extension(shell: Any) -> None:
    """Take the magics and displays back; for ``%unload_ext`` and ``%reload_ext``."""
    from streamlab.notebook import extension

    extension.unload(shell)
