"""streamlab: explore, prototype and ship stream processing from a notebook.

The names below are the public ones. Each is imported when it is first used, so
that ``import streamlab`` needs neither Jupyter nor a driver and takes no time.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streamlab import export
    from streamlab.connectors.kafka.connection import connect
    from streamlab.connectors.kafka.topics import topics
    from streamlab.contracts import Field, Schema
    from streamlab.errors import StreamlabError
    from streamlab.observe.lag import lag
    from streamlab.observe.throughput import Throughput
    from streamlab.observe.workers import workers
    from streamlab.pipelines import DeadLetters, Input, Pace, Pipeline
    from streamlab.taps.live import live_tap
    from streamlab.taps.sample import Sample
    from streamlab.taps.tap import tap
    from streamlab.transforms.evaluation import Evaluation, evaluate
    from streamlab.transforms.table import Table, table
    from streamlab.transforms.transform import Transform, transform
    from streamlab.transforms.verdicts import Verdict

_WHERE = {
    "DeadLetters": "streamlab.pipelines",
    "Evaluation": "streamlab.transforms.evaluation",
    "Field": "streamlab.contracts",
    "Input": "streamlab.pipelines",
    "Pace": "streamlab.pipelines",
    "Pipeline": "streamlab.pipelines",
    "Sample": "streamlab.taps.sample",
    "Schema": "streamlab.contracts",
    "StreamlabError": "streamlab.errors",
    "Table": "streamlab.transforms.table",
    "Throughput": "streamlab.observe.throughput",
    "Transform": "streamlab.transforms.transform",
    "Verdict": "streamlab.transforms.verdicts",
    "connect": "streamlab.connectors.kafka.connection",
    "evaluate": "streamlab.transforms.evaluation",
    "export": "streamlab.export",
    "lag": "streamlab.observe.lag",
    "live_tap": "streamlab.taps.live",
    "table": "streamlab.transforms.table",
    "tap": "streamlab.taps.tap",
    "topics": "streamlab.connectors.kafka.topics",
    "transform": "streamlab.transforms.transform",
    "workers": "streamlab.observe.workers",
}

__all__ = [
    "DeadLetters",
    "Evaluation",
    "Field",
    "Input",
    "Pace",
    "Pipeline",
    "Sample",
    "Schema",
    "StreamlabError",
    "Table",
    "Throughput",
    "Transform",
    "Verdict",
    "connect",
    "evaluate",
    "export",
    "lag",
    "live_tap",
    "table",
    "tap",
    "topics",
    "transform",
    "workers",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _WHERE:
        message = f"module 'streamlab' has no attribute {name!r}"
        raise AttributeError(message)
    module = importlib.import_module(_WHERE[name])
    # A package can be public as a whole: sl.export.write.
    return module if _WHERE[name] == f"streamlab.{name}" else getattr(module, name)


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
