"""streamlab: explore, prototype and ship stream processing from a notebook.

The names below are the public ones. Each is imported when it is first used, so
that ``import streamlab`` needs neither Jupyter nor a driver and takes no time.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streamlab.contracts import Field, Schema
    from streamlab.errors import StreamlabError
    from streamlab.pipelines import DeadLetters, Input, Pace, Pipeline
    from streamlab.taps.sample import Sample
    from streamlab.transforms.table import Table, table
    from streamlab.transforms.transform import Transform, transform

_WHERE = {
    "DeadLetters": "streamlab.pipelines",
    "Field": "streamlab.contracts",
    "Input": "streamlab.pipelines",
    "Pace": "streamlab.pipelines",
    "Pipeline": "streamlab.pipelines",
    "Sample": "streamlab.taps.sample",
    "Schema": "streamlab.contracts",
    "StreamlabError": "streamlab.errors",
    "Table": "streamlab.transforms.table",
    "Transform": "streamlab.transforms.transform",
    "table": "streamlab.transforms.table",
    "transform": "streamlab.transforms.transform",
}

__all__ = [
    "DeadLetters",
    "Field",
    "Input",
    "Pace",
    "Pipeline",
    "Sample",
    "Schema",
    "StreamlabError",
    "Table",
    "Transform",
    "table",
    "transform",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    try:
        return getattr(importlib.import_module(_WHERE[name]), name)
    except KeyError:
        message = f"module 'streamlab' has no attribute {name!r}"
        raise AttributeError(message) from None


def __dir__() -> list[str]:
    """List the public names, for completion."""
    return list(__all__)


def load_ipython_extension(shell: Any) -> None:
    """Load the magics and displays; IPython calls this for ``%load_ext streamlab``."""
    from streamlab.notebook import extension

    extension.load(shell)
