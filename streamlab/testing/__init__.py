"""What tests of pipelines and connectors need: doubles, a clock, conformance checks.

A connector of your own is tested like the built-in ones, one test for each check::

    @pytest.mark.parametrize("check", SINK_CHECKS)
    def test_conformance(check):
        check(SinkCase(make=lambda: MySink(fresh_target()), read=read_my_target))

or all at once: ``check_sink(make, read)``.
"""

from __future__ import annotations

from streamlab.connectors.memory import (
    MemoryEvent,
    MemorySink,
    MemorySource,
    MemoryTarget,
    MemoryTopic,
)
from streamlab.testing.clock import FakeClock
from streamlab.testing.sink_checks import (
    SINK_CHECKS,
    SINK_SCHEMA,
    SinkCase,
    check_sink,
)
from streamlab.testing.source_checks import (
    SOURCE_CHECKS,
    SourceCase,
    check_source,
)

__all__ = [
    "SINK_CHECKS",
    "SINK_SCHEMA",
    "SOURCE_CHECKS",
    "FakeClock",
    "MemoryEvent",
    "MemorySink",
    "MemorySource",
    "MemoryTarget",
    "MemoryTopic",
    "SinkCase",
    "SourceCase",
    "check_sink",
    "check_source",
]
