"""A source and a sink in memory: doubles for tests, and for trying a pipeline out.

Both keep their promises as the real ones do: positions, acknowledgement, takeover,
compare-and-set. What goes wrong in real systems is scripted, one step a call::

    topic = MemoryTopic({0: [b'{"n": 1}', b'{"n": 2}'], 1: [b'{"n": 3}']})
    source = MemorySource(topic, script=[Fail(Unavailable()), Revoke((0,))])
    sink = MemorySink(script=[Fail(Unavailable(), after=True)])
    ...
    sink.target.frame()         # the rows of all epochs that were committed
"""

from __future__ import annotations

from streamlab.connectors.memory.script import (
    Assign,
    Fail,
    Give,
    Idle,
    Lose,
    Revoke,
    Wait,
)
from streamlab.connectors.memory.sink import MemorySink, MemoryTarget
from streamlab.connectors.memory.source import MemorySource
from streamlab.connectors.memory.topic import MemoryEvent, MemoryTopic

__all__ = [
    "Assign",
    "Fail",
    "Give",
    "Idle",
    "Lose",
    "MemoryEvent",
    "MemorySink",
    "MemorySource",
    "MemoryTarget",
    "MemoryTopic",
    "Revoke",
    "Wait",
]
