"""Several sources read as one: the inputs of a pipeline that has more than one."""

from streamlab.connectors.combined.reader import CombinedReader
from streamlab.connectors.combined.source import CombinedSource

__all__ = ["CombinedReader", "CombinedSource"]
